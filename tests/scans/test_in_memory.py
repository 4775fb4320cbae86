"""Images in memory are read as their files are, or refused in one true line."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torchio
from PIL import Image

from medseg.errors import MedsegError
from medseg.scans.case import Case
from medseg.scans.in_memory import as_rows, subject_of, to_nibabel, to_sitk
from medseg.scans.read import read_subject

VALUES = np.arange(2 * 5 * 4 * 3, dtype=np.int16).reshape(2, 5, 4, 3)
AFFINE = np.array([[0, -2.0, 0, 7], [0.5, 0, 0, -3], [0, 0, 4, 11], [0, 0, 0, 1]])
MARKED = (4, 1, 2)


def nibabel_image(channel=0, affine=AFFINE):
    return nib.Nifti1Image(VALUES[channel], affine)


def sitk_image(channel=0):
    """The same place as `AFFINE`, as ITK says it: x and y have the other sign."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(VALUES[channel].T))
    image.SetSpacing((0.5, 2, 4))
    image.SetOrigin((-7, 3, 11))
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    return image


def torchio_image(channel=0, affine=AFFINE):
    return torchio.ScalarImage(tensor=torch.tensor(VALUES[[channel]]), affine=affine)


@pytest.mark.parametrize("make", [nibabel_image, sitk_image, torchio_image])
def test_every_library_puts_a_voxel_at_the_same_place(make):
    subject = subject_of(make(), 1)
    np.testing.assert_array_equal(subject.image, VALUES[:1])
    place = AFFINE[:3, :3] @ MARKED + AFFINE[:3, 3]
    np.testing.assert_allclose(subject.geometry.to_world(np.array([MARKED]))[0], place)
    mask = np.zeros((5, 4, 3), np.int32)
    mask[MARKED] = 1
    itk = to_sitk(mask, subject.geometry)
    assert itk[MARKED] == 1
    np.testing.assert_allclose(itk.TransformIndexToPhysicalPoint(MARKED), place * (-1, -1, 1))
    np.testing.assert_allclose(to_nibabel(mask, subject.geometry).affine, AFFINE)


@pytest.mark.parametrize(
    "given",
    [
        [nibabel_image(0), nibabel_image(1)],
        (sitk_image(0), sitk_image(1)),
        [torchio_image(0), nibabel_image(1)],
        torchio.Subject(a=torchio_image(0), b=torchio_image(1)),
        sitk.Compose(sitk_image(0), sitk_image(1)),
        nib.Nifti1Image(np.moveaxis(VALUES, 0, -1), AFFINE),
    ],
)
def test_channels_come_in_their_order(given):
    np.testing.assert_array_equal(subject_of(given, 2).image, VALUES)


def test_channels_that_lie_apart_are_no_scan():
    apart = AFFINE.copy()
    apart[:3, 3] += 500
    for given in (
        torchio.Subject(a=torchio_image(0), b=torchio_image(1, apart)),
        [nibabel_image(0), nibabel_image(1, apart)],
    ):
        with pytest.raises(MedsegError, match="image 1"):
            subject_of(given, 2)


def test_a_channel_on_another_grid_is_moved_and_said():
    turned = nib.Nifti1Image(VALUES[1][::-1], AFFINE @ [[-1, 0, 0, 4], *np.eye(4)[1:]])
    subject = subject_of([nibabel_image(0), turned], 2)
    np.testing.assert_array_equal(subject.image, VALUES)
    assert [note.what for note in subject.warnings if "image 1" in str(note)]


def test_colours_of_nifti_are_channels():
    colours = np.zeros((5, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = 9
    assert subject_of(nib.Nifti1Image(colours, AFFINE), 3).image[:, 0, 0, 0].tolist() == [0, 9, 0]


SPACING = (1, 1, 1)
COMPLEX = VALUES[0] + 1j


@pytest.mark.parametrize(
    ("given", "spacing", "what"),
    [
        (COMPLEX, SPACING, "complex values; give the magnitude"),
        (nib.Nifti1Image(COMPLEX.astype(np.complex64), AFFINE), None, "complex values"),
        (sitk.GetImageFromArray(COMPLEX.astype(np.complex64)), None, "complex values"),
        (sitk.Cast(sitk.Image(3, 3, sitk.sitkUInt8), sitk.sitkLabelUInt8), None, "holds a label"),
        (sitk.Image(), None, "no voxels"),
        (nib.Nifti1Image(np.zeros((0, 4, 4), np.int16), AFFINE), None, "no voxels"),
        ([nibabel_image(), VALUES[1]], None, "a list of different things.*Nifti1Image, ndarray"),
        ([sitk_image()], SPACING, "leave out spacing_mm"),
        (torchio.Subject(a=torchio.LabelMap(tensor=VALUES[:1])), None, "without intensity images"),
        (np.ma.masked_less(VALUES[0], 3), SPACING, "give image.filled"),
        ([[1, 2], [3]], SPACING, "a list is no array"),
        (VALUES[0].astype(str), SPACING, "a ndarray of <U.* is no image"),
        (VALUES[0], (1, 1, -1), "spacing_mm = .1, 1, -1., a length above 0"),
        (VALUES[0], (1, float("nan"), 1), "a length above 0"),
        (VALUES[0], (1, None, 1), "a length above 0"),
        (VALUES[0], 1.0, "spacing_mm = 1.0"),
        (VALUES[0], "111", "a length above 0"),
        (Image.new("L", (5, 4)), SPACING, "a picture, and the model knows scans"),
    ],
)
def test_what_is_no_scan_is_refused_in_one_line(given, spacing, what):
    with pytest.raises(MedsegError, match=what) as error:
        subject_of(given, 1, spacing)
    assert "\n" not in str(error.value)


def test_a_file_that_went_away_is_no_traceback(tmp_path):
    file = tmp_path / "scan.nii"
    nib.save(nibabel_image(), file)
    late = nib.load(file)
    lazy = torchio.ScalarImage(file)
    file.unlink()
    for image in (late, lazy):
        with pytest.raises(MedsegError, match="image"):
            subject_of(image, 1)


def picture(mode):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (6, 9, 3), dtype=np.uint8))
    return image.quantize(8) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_picture_is_as_its_file(tmp_path, mode):
    image, file = picture(mode), tmp_path / "a.png"
    exif = Image.Exif()
    exif[274] = 6
    image.save(file, exif=exif)
    expected = read_subject(Case("a", (file,)), with_label=False)
    assert expected.geometry.size == (6, 9, 1)
    with Image.open(file) as opened:
        found = subject_of(opened, len(expected.image), world=False)
    np.testing.assert_array_equal(found.image, expected.image)
    assert as_rows(found.image).shape[-2:] == (9, 6)


def test_numbers_of_a_picture_in_memory_keep_their_range():
    for mode, value in (("I", 70_000), ("F", 0.5), ("I;16", 60_000)):
        found = subject_of(Image.new(mode, (5, 4), value), 1, world=False)
        assert set(found.image.flat) == {np.float32(value)}


@pytest.mark.parametrize("shape", [(1, 6, 9), (6, 9, 3), (6,)])
def test_a_picture_of_other_channels_tells_its_shape(shape):
    with pytest.raises(MedsegError, match=r"give \(rows, columns\)") as error:
        subject_of(np.zeros(shape), 1, world=False)
    assert str(shape) in str(error.value)


def test_pillow_modes_that_are_not_read_are_named():
    with pytest.raises(MedsegError, match=r"LAB.*convert"):
        subject_of(Image.new("LAB", (5, 4)), 3, world=False)


def test_pictures_in_a_list_are_channels_of_which_some_may_be_absent():
    first, second = np.arange(54).reshape(6, 9), np.arange(54, 108).reshape(6, 9)
    both = subject_of(np.stack([first, second], axis=-1), 2, world=False).image
    as_pictures = [Image.fromarray(each.astype(np.uint8)) for each in (first, second)]
    for given in ([first, second], as_pictures, [first, as_pictures[1]]):
        np.testing.assert_array_equal(subject_of(given, 2, world=False).image, both)
    for given in ([None, second], [None, as_pictures[1]]):
        found = subject_of(given, 2, world=False)
        assert found.absent == (0,)
        np.testing.assert_array_equal(found.image, both * [[[[0]]], [[[1]]]])
    with pytest.raises(MedsegError, match=r"\(6, 9\), \(5, 9\).*one size"):
        subject_of([first, second[:5]], 2, world=False)
    np.testing.assert_array_equal(subject_of([first], 1, world=False).image, both[:1])
