"""What `from medseg import ...` gives."""

import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torchio
from PIL import Image
from subjects import oblique

import medseg
from medseg import HParams, MedsegError, load_model, train
from medseg.scans.read import read_label_map
from medseg.scans.write import write_image, write_label_map

SIZE = (20, 18, 14)


def dataset(folder, count=4, channels=1, pictures=False, layered=False):
    """Bright blobs on noise, oblique in space, or pictures of them."""
    for index in range(count):
        rng = np.random.default_rng(index)
        size = (24, 20, 1) if pictures else SIZE
        geometry = oblique(size)
        label = np.zeros(size, dtype=np.uint8)
        start = rng.integers(2, 6)
        label[start : start + 9, 4:14] = 3
        image = rng.uniform(0, 10, (channels, *size)) + 100 * (label == 3)
        suffix = ".png" if pictures else ".nii.gz"
        image = np.rint(image) if pictures else image
        write_image(image.astype(np.float32), geometry, folder / "images" / f"c{index}{suffix}")
        if layered:
            for name, mask in (("left", label == 3), ("right", label == 0)):
                write_label_map(
                    mask.astype(np.uint8), geometry, folder / "labels" / name / f"c{index}{suffix}"
                )
        else:
            write_label_map(label, geometry, folder / "labels" / f"c{index}{suffix}")
    return folder


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def run(here):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        return train(data=str(dataset(here / "data")), steps=2, encoder="convnext_micro")


@pytest.fixture
def scan(here):
    return here / "data" / "images" / "c0.nii.gz"


def test_a_training_says_nothing_and_gives_its_run(here, capsys):
    folder = here / "quiet"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        data = dataset(here / "data2")
        hparams = HParams(data=data, output=folder, steps=1, encoder="convnext_micro")
        run = train(hparams)
    assert capsys.readouterr() == ("", "")
    assert run.folder == folder
    assert run.model.is_file()
    assert run.report.is_file()


def test_every_kind_of_image_gives_the_same_mask(run, scan):
    model = load_model(run)
    expected = model(scan)
    assert expected.label.shape == SIZE
    assert set(expected.classes.values()) == {0, 3}
    nifti, itk = nib.load(scan), sitk.ReadImage(str(scan))
    image = torchio.ScalarImage(str(scan))
    for given in (nifti, itk, image, torchio.Subject(t1=image), str(scan), [scan]):
        mask = model(given)
        np.testing.assert_array_equal(mask.label, expected.label)
        assert mask.geometry.same_grid(expected.geometry)
    array = np.asarray(nifti.dataobj)
    straight = model(array, spacing_mm=(1, 1, 1))
    assert straight.label.shape == SIZE
    assert set(np.unique(straight.label)) <= {0, 3}


def test_a_mask_lies_on_its_scan_in_every_library(run, scan, tmp_path):
    mask = load_model(run.model)(scan, probabilities=True)
    (file,) = mask.save(tmp_path / "mask.mha")
    label, geometry = read_label_map(file)
    np.testing.assert_array_equal(label, mask.label)
    itk = sitk.ReadImage(str(scan))
    for image in (mask.to_sitk(), sitk.ReadImage(str(file))):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, mask.label)
        np.testing.assert_allclose(image.GetOrigin(), itk.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(image.GetDirection(), itk.GetDirection(), atol=1e-5)
        np.testing.assert_allclose(image.GetSpacing(), itk.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(mask.to_nibabel().affine, nib.load(scan).affine, atol=1e-4)
    np.testing.assert_allclose(mask.probabilities.sum(axis=0), 1, atol=1e-5)
    assert geometry.same_grid(mask.geometry)


def test_pictures_are_rows_and_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = dataset(tmp_path / "data", channels=3, pictures=True)
    run = train(data=data, dim=2, steps=2, encoder="convnext_micro")
    model = load_model(run)
    file = data / "images" / "c1.png"
    pixels = np.asarray(Image.open(file))
    mask = model(pixels)
    assert mask.label.shape == pixels.shape[:2] == (20, 24)
    np.testing.assert_array_equal(mask.label, model(file).label[..., 0].T)
    (saved,) = mask.save(tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(Image.open(saved)), mask.label)
    with pytest.raises(MedsegError, match="leave out spacing_mm"):
        model(pixels, spacing_mm=(1, 1, 1))


def test_a_mask_per_class_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = dataset(tmp_path / "data", layered=True)
    run = train(data=data, task="multilabel", steps=2, encoder="convnext_micro")
    mask = load_model(run)(data / "images" / "c0.nii.gz")
    files = mask.save(tmp_path / "out.nii.gz")
    assert {file.name for file in files} == {"left.nii.gz", "right.nii.gz"}
    assert {file.parent for file in files} == {tmp_path / "out"}
    assert mask.to_nibabel().shape == (*SIZE, 2)
    assert mask.to_sitk().GetNumberOfComponentsPerPixel() == 2


@pytest.mark.parametrize(
    ("given", "options", "what"),
    [
        (np.zeros(SIZE), {}, "give spacing_mm"),
        (np.zeros((2, *SIZE)), {"spacing_mm": (1, 1, 1)}, "right, front, up"),
        (np.zeros(SIZE), {"spacing_mm": (1, 1)}, "2 spacings"),
        (np.zeros(SIZE), {"spacing_mm": (1, 0, 1)}, "a length above 0"),
        (np.full(SIZE, np.nan), {"spacing_mm": (1, 1, 1)}, "NaN"),
        (object(), {"spacing_mm": (1, 1, 1)}, "is no image"),
        ("absent.nii.gz", {}, "absent.nii.gz"),
        ([], {}, "is no image|shape"),
        ("", {}, "an empty path"),
        (["c0.nii.gz", np.zeros(SIZE)], {}, "given beside a ndarray"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(run, given, options, what):
    with pytest.raises(MedsegError, match=what) as error:
        load_model(run)(given, **options)
    assert "\n" not in str(error.value)


def test_a_folder_of_several_scans_is_no_scan(run, here):
    with pytest.raises(
        MedsegError, match=r"4 scans were found there \(c0, c1, c2, ...\); name one"
    ):
        load_model(run)(here / "data" / "images")


def test_doubts_stand_in_the_mask(run):
    mask = load_model(run)(np.zeros(SIZE, dtype=np.float32), spacing_mm=(1, 1, 1))
    assert any("every voxel is 0" in warning for warning in mask.warnings)


def test_settings_come_once_and_rightly():
    with pytest.raises(MedsegError, match="put all settings into one"):
        train(HParams(), steps=3)
    with pytest.raises(MedsegError, match="stepz"):
        train(stepz=3)
    with pytest.raises(MedsegError, match="none is named"):
        load_model()
    with pytest.raises(MedsegError, match="models: an empty path; name a run"):
        load_model("")
    with pytest.raises(MedsegError, match="data = '': must not be empty"):
        train(data="")


def test_the_package_is_light_until_it_is_used():
    code = "import sys, medseg; assert 'torch' not in sys.modules; medseg.train; print(dir(medseg))"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        getattr(medseg, "tar" + "in")


@pytest.mark.parametrize(
    "wrong", [{"overlap": 2}, {"overlap": "a"}, {"tta": "x"}, {"max_memory": -3}, {"device": "x"}]
)
def test_a_model_is_loaded_as_the_command_line_would(run, wrong):
    with pytest.raises(MedsegError, match=next(iter(wrong))):
        load_model(run, **wrong)


def test_what_a_folder_leaves_out_is_among_the_warnings(run, scan, tmp_path):
    shutil.copy(scan, tmp_path / "scan.nii.gz")
    shutil.copy(scan, tmp_path / "scan_seg.nii.gz")
    model = load_model(run)
    mask = model(tmp_path)
    assert [line for line in mask.warnings if "left out 1 file(s)" in line and "scan_seg" in line]
    assert not any("left out" in line for line in model(tmp_path / "scan.nii.gz").warnings)
    shutil.copy(scan, tmp_path / "other.nii.gz")
    with pytest.raises(MedsegError, match=r"2 scans were found there \(other, scan\)"):
        model(tmp_path)
