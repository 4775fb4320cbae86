import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.case import Case
from medseg.scans.formats import WORLD_SUFFIXES
from medseg.scans.marks import mark
from medseg.scans.read import layer_count, predicted_labels, read_label_map, read_subject
from medseg.scans.write import write_image, write_label_map
from tests.grids import ORIENTATIONS, SOME_ORIENTATIONS, grid, random_label
from tests.scans.files import RANDOM, image_file, photo, refusal

# --- several files, one grid


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_channels_from_files_and_from_the_fourth_axis(tmp_path, suffix):
    one = image_file(tmp_path / f"one{suffix}")
    two = image_file(tmp_path / f"two{suffix}", channels=2)
    subject = read_subject(Case("case", (one, two)))
    assert subject.image.shape == (3, 5, 4, 3)
    assert subject.image.dtype == np.float32
    assert subject.warnings == ()
    assert subject.label is None
    np.testing.assert_array_equal(subject.image[:1], read_subject(Case("one", (one,))).image)
    np.testing.assert_array_equal(subject.image[1:], read_subject(Case("two", (two,))).image)


def test_one_layer_per_label_file(tmp_path):
    labels = [random_label((5, 4, 3), seed=seed, low=-3, high=70000) for seed in range(2)]
    files = tuple(
        write_label_map(label, grid(), tmp_path / f"mask{index}.nii.gz")
        for index, label in enumerate(labels)
    )
    subject = read_subject(Case("case", (image_file(tmp_path / "image.nrrd"),), files))
    assert subject.label is not None
    assert subject.label.dtype == np.int32
    np.testing.assert_array_equal(subject.label, labels)


def test_labels_stay_closed_unless_asked_for(tmp_path):
    case = Case("case", (image_file(tmp_path / "a.nii"),), (tmp_path / "absent.nii",))
    assert read_subject(case, with_label=False).label is None
    assert "absent.nii: no such file" in refusal(case)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_a_label_in_another_orientation_comes_exactly_onto_the_image(tmp_path, orientation):
    geometry = grid(tilt="oblique")
    label = random_label(geometry.size)
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (
            write_label_map(
                orientation.apply(label), geometry.reoriented(orientation), tmp_path / "label.nrrd"
            ),
        ),
    )
    subject = read_subject(case)
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], label)
    assert len(subject.warnings) == (orientation != ORIENTATIONS[0])


def test_a_label_of_twice_the_resolution_is_resampled_by_place(tmp_path):
    geometry = grid(SOME_ORIENTATIONS[1], "oblique")
    fine = geometry.resized((geometry.size[0] * 3, geometry.size[1] * 3, geometry.size[2] * 3))
    label = random_label(fine.size)
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (write_label_map(label, fine, tmp_path / "label.nii"),),
    )
    subject = read_subject(case)
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], label[1::3, 1::3, 1::3])
    (warning,) = subject.warnings
    assert warning.subject == "label.nii"
    assert warning.what == "on another grid than the first image, resampled (nearest neighbour)"
    assert "covers 100%" in warning.detail


def test_voxels_that_are_equally_near_vote(tmp_path):
    coarse = grid(SOME_ORIENTATIONS[2], "oblique", size=(4, 4, 4))
    fine = coarse.resized((8, 8, 8))
    label = random_label(fine.size)
    case = Case(
        "case",
        (image_file(tmp_path / "image.nrrd", coarse),),
        (write_label_map(label, fine, tmp_path / "label.nrrd"),),
    )
    subject = read_subject(case)
    assert subject.label is not None
    for index in np.ndindex(coarse.size):
        eight = label[tuple(slice(2 * i, 2 * i + 2) for i in index)].ravel().tolist()
        found = int(subject.label[0][index])
        most = max(eight.count(value) for value in eight if value)
        assert (found == 0) == (eight.count(0) > 4)
        assert found == 0 or eight.count(found) == most


def test_the_part_of_an_image_that_a_label_leaves_out_is_zero(tmp_path):
    geometry = grid()
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (
            write_label_map(
                np.full((3, 4, 3), 7), geometry.cropped((2, 0, 0), (3, 4, 3)), tmp_path / "l.nii"
            ),
        ),
    )
    subject = read_subject(case)
    assert subject.label is not None
    assert (subject.label[0, :2] == 0).all()
    assert (subject.label[0, 2:] == 7).all()
    assert "covers 60%" in subject.warnings[0].detail


def test_another_channel_is_brought_onto_the_grid_of_the_first(tmp_path):
    geometry = grid(tilt="oblique", size=(6, 5, 4))
    places = geometry.to_world(np.moveaxis(np.indices(geometry.size), 0, -1))
    linear = (places @ (0.3, -0.2, 0.5)).astype(np.float32)
    inner = geometry.cropped((1, 1, 1), (4, 3, 2)).resized((8, 3, 2))
    image = image_file(tmp_path / "image.nii", inner)
    second = write_image(linear[None], geometry, tmp_path / "second.nii")
    subject = read_subject(Case("case", (image, second)))
    expected = inner.to_world(np.moveaxis(np.indices(inner.size), 0, -1)) @ (0.3, -0.2, 0.5)
    np.testing.assert_allclose(subject.image[1], expected, atol=1e-3)
    assert str(subject.warnings[0]).startswith("second.nii: on another grid")


def test_grids_that_do_not_overlap_are_refused(tmp_path):
    geometry = grid()
    far = Geometry(geometry.size, geometry.spacing_mm, (500.0, 0.0, 0.0))
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (write_label_map(random_label(far.size), far, tmp_path / "label.nii"),),
    )
    assert "label.nii: does not overlap the first image" in refusal(case)


def test_sizes_must_agree_without_a_world_frame(tmp_path):
    label = photo(tmp_path / "label.png", np.zeros((4, 6), np.uint8))
    image = photo(tmp_path / "image.png", np.zeros((4, 5), np.uint8))
    message = refusal(Case("case", (image,), (label,)))
    assert "label.png: size 6x4x1 is not the first image's 5x4x1" in message


# --- values


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_voxels_become_the_minimum_of_their_channel(tmp_path, suffix, bad):
    image = RANDOM.normal(size=(2, 5, 4, 3)).astype(np.float32)
    whole = image.copy()
    image[1, :2, :, 0] = bad
    path = write_image(image, grid(), tmp_path / f"a{suffix}")
    subject = read_subject(Case("case", (path,)))
    whole[1, :2, :, 0] = image[1][np.isfinite(image[1])].min()
    np.testing.assert_array_equal(subject.image, whole)
    assert len(subject.warnings) == 1
    assert subject.warnings[0].subject == f"a{suffix} channel 1"
    assert subject.warnings[0].detail == "13.3% of voxels"


def test_half_may_be_broken_and_no_more(tmp_path):
    image = RANDOM.normal(size=(1, 4, 4, 4)).astype(np.float32)
    image[0, :2] = np.nan
    geometry = Geometry((4, 4, 4))
    half = write_image(image, geometry, tmp_path / "half.nii.gz")
    assert read_subject(Case("case", (half,))).warnings[0].detail == "50% of voxels"
    image[0, 2, 0, 0] = np.nan
    more = write_image(image, geometry, tmp_path / "more.nii.gz")
    assert "more.nii.gz: 51.6% of the voxels are NaN or infinite" in refusal(more)
    image[:] = np.nan
    everything = write_image(image, geometry, tmp_path / "all.nii.gz")
    assert "all.nii.gz: 100.0% of the voxels" in refusal(everything)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "NaN or infinite"), (0.5, "0.5 is not a whole number"), (1e12, "do not fit 32 bits")],
)
def test_labels_hold_whole_finite_numbers(tmp_path, value, words):
    values = np.zeros((5, 4, 3), np.float32)
    values[2, 2, 2] = value
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "label.nii.gz")
    with pytest.raises(ScanError, match=rf"label\.nii\.gz: .*{words}.*; "):
        read_label_map(tmp_path / "label.nii.gz")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, np.float64])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_label_values_are_exact_in_any_type(tmp_path, suffix, dtype):
    high = 200 if dtype == np.uint8 else 2**31 - 1  # float32 would round the latter
    label = random_label((5, 4, 3), high=high)
    path = tmp_path / f"a{suffix}"
    if suffix == ".nrrd":
        sitk.WriteImage(sitk.GetImageFromArray(label.T.astype(dtype)), str(path))
    else:
        header = nib.Nifti1Header()
        header.set_data_dtype(dtype)
        nib.save(nib.Nifti1Image(label.astype(dtype), np.eye(4), header), path)
    np.testing.assert_array_equal(read_label_map(path)[0], label)


def test_scaled_nifti_is_in_its_own_unit(tmp_path):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.eye(4))
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "a.nii.gz")
    stored = nib.load(tmp_path / "a.nii.gz").get_fdata()
    subject = read_subject(Case("case", (tmp_path / "a.nii.gz",)))
    np.testing.assert_array_equal(subject.image[0], stored)


# --- labels that name their classes


def seg_nrrd(path, values: np.ndarray, names: dict[str, int]):
    """As 3D Slicer writes one; LPS, one layer."""
    lines = [
        "NRRD0004", "type: unsigned char", "dimension: 3", "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, values.shape)), "encoding: raw",
        "space directions: (1,0,0) (0,1,0) (0,0,1)", "space origin: (0,0,0)",
    ]  # fmt: skip
    for index, (name, value) in enumerate(names.items()):
        lines += [f"Segment{index}_Name:={name}", f"Segment{index}_LabelValue:={value}"]
        lines += [f"Segment{index}_Layer:=0", f"Segment{index}_ID:=s{index}"]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + values.tobytes(order="F"))
    return path


@pytest.mark.parametrize("layered", [False, True])
def test_segments_are_read_by_name_and_an_absent_file_has_none(tmp_path, layered):
    values = np.zeros((5, 4, 3), np.uint8)
    values[1, 1, 1], values[2, 2, 2] = 1, 2
    label = seg_nrrd(tmp_path / "a.seg.nrrd", values, {"tumour": 1, "liver": 2})
    image = tmp_path / "image.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 5), np.int16)), image)
    case = Case("a", (image,), (label,), segments=("liver", "spleen", "tumour"), layered=layered)
    subject = read_subject(case)
    assert len(subject.label) == layer_count(case) == (3 if layered else 1)
    found = {tuple(place): int(subject.label[tuple(place)]) for place in np.argwhere(subject.label)}
    assert found == (
        {(2, 1, 1, 1): 1, (0, 2, 2, 2): 1} if layered else {(0, 1, 1, 1): 3, (0, 2, 2, 2): 1}
    )
    absent = Case("b", (image,), (None,), segments=("liver", "tumour"), layered=layered)
    assert layer_count(absent) == len(read_subject(absent).label)
    assert layer_count(Case("c", (image,), (), segments=("liver",), layered=layered)) == 0


def test_a_label_that_medseg_predicted_is_named(tmp_path):
    """A prediction in a folder of scans has the name of a label, and would be learned."""
    grid = Geometry((5, 4, 3))
    image = write_image(np.ones((1, 5, 4, 3), np.float32), grid, tmp_path / "a.nii.gz")
    label = write_label_map(np.ones((5, 4, 3), np.uint8), grid, tmp_path / "a_seg.nii.gz")
    case = Case("a", (image,), (label,))
    assert predicted_labels(case) == []
    mark(label)
    (note,) = predicted_labels(case)
    assert str(note) == "a_seg.nii.gz: a label that medseg itself predicted: was it corrected?"


@pytest.mark.parametrize("value", [1, 255])
def test_pieces_of_one_class_have_the_value_of_a_mask_alone(tmp_path, value):
    """Else a picture with two lesions would have another class than one with a single lesion."""
    grid, pieces = Geometry((5, 4, 3)), np.zeros((2, 5, 4, 3), np.uint8)
    pieces[0, 0], pieces[1, 3:] = value, value
    image = write_image(np.ones((1, 5, 4, 3), np.float32), grid, tmp_path / "a.nii.gz")
    files = [
        write_label_map(piece, grid, tmp_path / f"a_mask_{index}.nii.gz")
        for index, piece in enumerate(pieces)
    ]
    (label,) = read_subject(Case("a", (image,), tuple(files), pieces=True)).label
    np.testing.assert_array_equal(label, pieces.max(0))
    assert label.dtype == np.uint8


@pytest.mark.parametrize("values", [(1, 2), (2, 5), (1, 255), (-1, -1)])
def test_numbered_pieces_are_one_class_however_many_there_are(tmp_path, values):
    """Numbers of objects, or an ignored value, would make a class of each count."""
    grid, pieces = Geometry((5, 4, 3)), np.zeros((2, 5, 4, 3), np.int16)
    pieces[0, 0], pieces[1, 3:] = values
    image = write_image(np.ones((1, 5, 4, 3), np.float32), grid, tmp_path / "a.nii.gz")
    files = [
        write_label_map(piece, grid, tmp_path / f"a_mask_{index}.nii.gz")
        for index, piece in enumerate(pieces)
    ]
    (label,) = read_subject(Case("a", (image,), tuple(files), pieces=True)).label
    np.testing.assert_array_equal(label, (pieces != 0).any(0) * (values[0] if values[0] < 0 else 1))
