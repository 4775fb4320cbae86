import errno
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.errors import MachineError, MedsegError
from medseg.geometry import Geometry
from medseg.scans.decode import decode
from medseg.scans.formats import WORLD_SUFFIXES, suffix_of
from medseg.scans.read import read_label_map
from medseg.scans.write import write_image, write_label_map
from tests.grids import ORIENTATIONS, SOME_ORIENTATIONS, TILTS, grid, random_label

SINGLE_PRECISION = (".nii", ".nii.gz", ".img", ".mgz", ".mgh")


SIGNED_ONLY = (".img", ".mgz", ".mgh")
ITK_SUFFIXES = [suffix for suffix in WORLD_SUFFIXES if suffix not in (".mgz", ".mgh")]


def precision_mm(path: Path) -> float:
    """NIfTI-1 stores positions in single precision: about 1e-5 mm at 100 mm."""
    return 5e-5 if suffix_of(path) in SINGLE_PRECISION else 1e-9


def assert_comes_back(path: Path, label: np.ndarray, geometry: Geometry) -> None:
    values, found = read_label_map(path)
    np.testing.assert_array_equal(values, label)
    assert found.size == geometry.size
    assert found.codes == geometry.codes
    np.testing.assert_allclose(found.affine, geometry.affine, atol=precision_mm(path))


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("orientation", SOME_ORIENTATIONS, ids=str)
def test_a_label_map_comes_back(tmp_path, orientation, tilt, suffix):
    geometry = grid(orientation, tilt)
    label = random_label(geometry.size)
    written = write_label_map(label, geometry, tmp_path / f"a{suffix}")
    assert written == tmp_path / f"a{suffix}"
    assert_comes_back(written, label, geometry)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("tilt", TILTS)
def test_all_48_orientations_come_back(tmp_path, tilt, suffix):
    for orientation in ORIENTATIONS:
        geometry = grid(orientation, tilt, size=(4, 3, 2))
        label = random_label(geometry.size)
        assert_comes_back(
            write_label_map(label, geometry, tmp_path / f"a{suffix}"), label, geometry
        )


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_shear_comes_back(tmp_path, suffix):
    geometry = grid(tilt="oblique", shear=0.3)
    label = random_label(geometry.size)
    assert_comes_back(write_label_map(label, geometry, tmp_path / f"a{suffix}"), label, geometry)


@pytest.mark.parametrize("suffix", ITK_SUFFIXES)
@pytest.mark.parametrize("orientation", SOME_ORIENTATIONS, ids=str)
def test_itk_sees_voxels_where_we_do(tmp_path, orientation, suffix):
    geometry = grid(orientation, "oblique")
    path = write_label_map(random_label(geometry.size), geometry, tmp_path / f"a{suffix}")
    image = sitk.ReadImage(str(path))
    for voxel in ([0, 0, 0], [1, 2, 1], [2, 0, 2]):
        ras = np.array(image.TransformIndexToPhysicalPoint(voxel)) * (-1, -1, 1)
        np.testing.assert_allclose(ras, geometry.to_world(voxel), atol=precision_mm(path))


def test_nibabel_sees_voxels_where_we_do_in_both_transforms(tmp_path):
    geometry = grid(SOME_ORIENTATIONS[2], "oblique")
    path = write_label_map(random_label(geometry.size), geometry, tmp_path / "a.nii")
    header = nib.load(path).header
    for affine, code in (
        header.get_qform(coded=True),
        header.get_sform(coded=True),
    ):
        assert code == 1
        np.testing.assert_allclose(affine, geometry.affine, atol=precision_mm(path))
    assert header.get_xyzt_units()[0] == "mm"


def nifti(path: Path, affine: np.ndarray | None, qform: int, sform: int, size=(5, 4, 3)) -> Path:
    image = nib.Nifti1Image(np.zeros(size, np.int16), affine)
    image.header["qform_code"], image.header["sform_code"] = qform, sform
    nib.save(nib.Nifti1Image(np.zeros(size, np.int16), None, image.header), path)
    return path


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((1, 1), (1, 1)), ((3, 2), (3, 2)), ((0, 4), (4, 4)), ((2, 0), (2, 2)), ((0, 0), (0, 0))],
)
def test_nifti_codes_are_handed_down(tmp_path, codes, expected):
    source = nifti(tmp_path / "scan.nii.gz", grid(tilt="oblique").affine, *codes)
    geometry = decode(source).geometry
    label = random_label(geometry.size)
    written = write_label_map(label, geometry, tmp_path / "seg.nii.gz", like=source)
    header = nib.load(written).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == expected
    assert_comes_back(written, label, geometry)


def test_transforms_that_disagree_are_handed_down_as_they_are(tmp_path):
    image = nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), grid().affine)
    image.set_sform(grid(tilt="oblique").affine, 2)
    image.set_qform(grid().affine, 1)
    nib.save(image, tmp_path / "scan.nii")
    geometry = decode(tmp_path / "scan.nii").geometry
    label = random_label(geometry.size)
    written = nib.load(
        write_label_map(label, geometry, tmp_path / "seg.nii", like=tmp_path / "scan.nii")
    )
    source = nib.load(tmp_path / "scan.nii")
    for name in ("quatern_b", "qoffset_x", "srow_x", "srow_y", "srow_z", "pixdim"):
        np.testing.assert_array_equal(written.header[name], source.header[name])


def test_another_grid_than_the_source_is_stated_anew(tmp_path):
    source = nifti(tmp_path / "scan.nii.gz", np.eye(4), 3, 3)
    geometry = grid(tilt="oblique")
    label = random_label(geometry.size)
    written = write_label_map(label, geometry, tmp_path / "seg.nii.gz", like=source)
    assert_comes_back(written, label, geometry)


def test_nifti_scale_and_display_range_are_not_handed_down(tmp_path):
    image = nib.Nifti1Image(np.full((5, 4, 3), 7, np.int16), grid().affine)
    image.header.set_slope_inter(2.5, -1024)
    image.header["cal_max"] = 3000
    nib.save(image, tmp_path / "ct.nii.gz")
    geometry = decode(tmp_path / "ct.nii.gz").geometry
    label = random_label(geometry.size)
    written = write_label_map(label, geometry, tmp_path / "seg.nii.gz", like=tmp_path / "ct.nii.gz")
    assert_comes_back(written, label, geometry)
    assert nib.load(written).header["cal_max"] == 0


@pytest.mark.parametrize("suffix", ITK_SUFFIXES)
def test_a_plane_in_the_world_stays_a_plane(tmp_path, suffix):
    if suffix in (".nii", ".nii.gz"):
        source = nifti(tmp_path / f"scan{suffix}", np.diag([2.0, 3.0, 1.0, 1.0]), 1, 1, (5, 4))
    else:
        source = tmp_path / f"scan{suffix}"
        plane = sitk.GetImageFromArray(np.zeros((4, 5), np.uint8))
        plane.SetSpacing((2.0, 3.0))
        sitk.WriteImage(plane, str(source))
    geometry = decode(source).geometry
    assert geometry.size == (5, 4, 1)
    label = random_label(geometry.size)
    written = write_label_map(label, geometry, tmp_path / f"seg{suffix}", like=source)
    assert_comes_back(written, label, geometry)
    if suffix in (".nii", ".nii.gz"):
        assert nib.load(written).shape == (5, 4)
    else:
        assert sitk.ReadImage(str(written)).GetSize() == (5, 4)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 1, "uint8"),
        (0, 255, "uint8"),
        (-1, 127, "int8"),
        (0, 256, "int16"),
        (0, 40000, "uint16"),
        (-1, 40000, "int32"),
        (-5, 2**31 - 1, "int32"),
    ],
)
@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_the_smallest_type_that_holds_the_values(tmp_path, low, high, dtype, suffix):
    label = random_label((5, 4, 3), low=low, high=high).astype(np.int64)
    written = write_label_map(label, grid(), tmp_path / f"a{suffix}")
    values = decode(written).values
    np.testing.assert_array_equal(values[0], label)
    signed = {"int8": "int16", "uint16": "int32"}  # the types of Analyze and FreeSurfer
    assert values.dtype == (signed.get(dtype, dtype) if suffix in SIGNED_ONLY else dtype)


def test_a_bitmap_holds_a_byte(tmp_path):
    label = random_label((5, 4, 1), high=255)
    written = write_label_map(label, Geometry(label.shape, world=False), tmp_path / "a.bmp")
    with Image.open(written) as image:
        np.testing.assert_array_equal(np.asarray(image), label[:, :, 0].T)
    with pytest.raises(MedsegError, match=r"a\.bmp: label values from 1 to 256 do not fit"):
        write_label_map(label + 1, Geometry(label.shape, world=False), tmp_path / "a.bmp")


@pytest.mark.parametrize("high", [1, 255, 256, 65535])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_pictures_keep_values_and_pixel_order(tmp_path, suffix, high):
    label = random_label((5, 4, 1), high=high)
    geometry = Geometry(label.shape, world=False)
    written = write_label_map(label, geometry, tmp_path / f"a{suffix}")
    values, found = read_label_map(written)
    np.testing.assert_array_equal(values, label)
    assert found == geometry
    with Image.open(written) as image:
        assert image.size == (5, 4)
        np.testing.assert_array_equal(np.asarray(image), label[:, :, 0].T)
        assert image.mode == ("L" if high < 256 else "I;16" if suffix == ".png" else image.mode)


def test_tiff_holds_a_stack(tmp_path):
    label = random_label((5, 4, 3))
    written = write_label_map(label, Geometry((5, 4, 3), world=False), tmp_path / "a.tif")
    np.testing.assert_array_equal(read_label_map(written)[0], label)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".gif"])
def test_jpeg_and_gif_become_png(tmp_path, suffix):
    label = random_label((5, 4, 1))
    geometry = Geometry(label.shape, world=False)
    written = write_label_map(label, geometry, tmp_path / f"a.b{suffix}")
    assert written == tmp_path / "a.b.png"
    assert [path.name for path in tmp_path.iterdir()] == ["a.b.png"]
    np.testing.assert_array_equal(read_label_map(written)[0], label)


@pytest.mark.parametrize(("low", "high"), [(-1, 3), (0, 65536)])
def test_values_that_a_png_cannot_hold_are_refused(tmp_path, low, high):
    label = random_label((5, 4, 1), low=low, high=high)
    with pytest.raises(MedsegError, match=r"a\.png: label values from .* write \.nii\.gz"):
        write_label_map(label, Geometry(label.shape, world=False), tmp_path / "a.png")


def test_a_volume_is_no_picture(tmp_path):
    with pytest.raises(MedsegError, match=r"a\.png: 1 channels of 3 slices"):
        write_label_map(random_label((5, 4, 3)), grid(), tmp_path / "a.png")


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(MedsegError, match=r"a\.xyz: unsupported suffix '\.xyz'; use one of"):
        write_label_map(random_label((5, 4, 3)), grid(), tmp_path / "a.xyz")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MedsegError, match="cannot be written") as caught:
        write_label_map(random_label((5, 4, 3)), grid(), tmp_path / "file" / "a.nii.gz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, suffix, monkeypatch):
    old = random_label((5, 4, 3), seed=1)
    target = write_label_map(old, grid(), tmp_path / f"a{suffix}")
    before = sorted(tmp_path.iterdir())

    def full_disk(_self: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        with pytest.raises(MachineError, match=f"a{suffix}: no space left on the disk"):
            write_label_map(random_label((5, 4, 3), seed=2), grid(), target)
    assert sorted(tmp_path.iterdir()) == before
    np.testing.assert_array_equal(read_label_map(target)[0], old)


def test_data_arrives_before_its_header(tmp_path, monkeypatch):
    arrived = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        arrived.append(target.suffix)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_label_map(random_label((5, 4, 3)), grid(), tmp_path / "a.mhd")
    assert arrived == [".zraw", ".mhd"]


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_images_come_back(tmp_path, suffix, channels):
    geometry = grid(SOME_ORIENTATIONS[1], "oblique")
    image = np.random.default_rng(0).normal(size=(channels, *geometry.size)).astype(np.float32)
    path = write_image(image, geometry, tmp_path / "new" / f"a{suffix}")
    values, found = decode(path)
    np.testing.assert_array_equal(values, image)
    np.testing.assert_allclose(found.affine, geometry.affine, atol=precision_mm(path))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures_come_back(tmp_path, suffix, channels):
    image = random_label((channels, 5, 4))[..., None].astype(np.float32)
    values, found = decode(
        write_image(image, Geometry((5, 4, 1), world=False), tmp_path / f"a{suffix}")
    )
    np.testing.assert_array_equal(values, image)
    assert found == Geometry((5, 4, 1), world=False)


def test_a_png_of_fractions_is_refused(tmp_path):
    image = np.full((1, 5, 4, 1), 0.5, np.float32)
    with pytest.raises(MedsegError, match=r"a\.png: holds only whole numbers"):
        write_image(image, Geometry((5, 4, 1), world=False), tmp_path / "a.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_come_back_as_png(tmp_path, channels):
    image = random_label((channels, 5, 4), high=65535)[..., None].astype(np.float32)
    path = write_image(image, Geometry((5, 4, 1), world=False), tmp_path / "a.png")
    np.testing.assert_array_equal(decode(path).values, image)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_tiff_holds_any_number_of_channels_in_any_number_of_pages(tmp_path, channels):
    image = np.random.default_rng(0).normal(size=(channels, 6, 5, 4)).astype(np.float32)
    path = write_image(image, Geometry((6, 5, 4), world=False), tmp_path / "a.tif")
    np.testing.assert_array_equal(decode(path).values, image)


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (1, 2)])
def test_images_are_stated_like_their_scan_too(tmp_path, codes):
    image = nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), grid().affine)
    image.set_sform(grid(tilt="oblique").affine, codes[1])
    image.set_qform(grid().affine, codes[0])
    nib.save(image, tmp_path / "scan.nii")
    geometry = decode(tmp_path / "scan.nii").geometry
    values = np.zeros((2, 5, 4, 3), np.float32)
    written = write_image(values, geometry, tmp_path / "p.nii", like=tmp_path / "scan.nii")
    for read in (lambda path: sitk.ReadImage(str(path)), lambda path: nib.load(path)):
        scan, map_ = read(tmp_path / "scan.nii"), read(written)
        if isinstance(scan, sitk.Image):
            assert map_.GetOrigin()[:3] == pytest.approx(scan.GetOrigin(), abs=1e-4)
        else:
            np.testing.assert_allclose(map_.affine, scan.affine, atol=1e-4)


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_new_files_follow_the_umask(tmp_path, suffix):
    old = os.umask(0o027)
    try:
        written = write_label_map(random_label((5, 4, 3)), grid(), tmp_path / f"a{suffix}")
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in written.parent.iterdir()} == {0o640}
