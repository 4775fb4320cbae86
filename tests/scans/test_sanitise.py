"""Labels as people save them: whole up to a rounding of storage, or refused for the true reason."""

import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medseg.errors import ScanError
from medseg.scans.read import read_label_map
from medseg.scans.sanitise import whole_label

RANDOM = np.random.default_rng(5)


def drawn(high: int) -> np.ndarray:
    label = RANDOM.integers(0, high, (6, 5, 4), endpoint=True)
    label.flat[:2] = 0, high
    return label


def refused(values: np.ndarray, step: float = 0.0) -> str:
    with pytest.raises(ScanError) as caught:
        whole_label("l.nii", values, step)
    assert caught.value.subject == "l.nii"
    assert caught.value.what
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize("stored", [np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("high", [1, 2, 5, 41, 117])
def test_labels_that_nibabel_scaled_are_what_was_drawn(tmp_path, stored, high):
    """Floats stored as integers with a slope: 1 comes back as 1.0039 or as 1.00002."""
    label = drawn(high)
    image = nib.Nifti1Image(label.astype(np.float64), np.eye(4))
    image.set_data_dtype(stored)
    for name in ("l.nii", "l.nii.gz"):
        nib.save(image, tmp_path / name)
        found, _ = read_label_map(tmp_path / name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, label)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_off_by_their_precision_are_whole(dtype):
    label = drawn(200)
    near = np.nextafter(label.astype(dtype), dtype(0), dtype=dtype)
    assert (near != label).any()
    np.testing.assert_array_equal(whole_label("l", near[None]), label)


@pytest.mark.parametrize("value", [1.00002, 2.9999998, 0.00392 * 255, 1.0039216, -0.004])
def test_values_within_a_rounding_are_whole(value):
    values = np.full((1, 2, 2, 2), value, np.float64)
    assert (whole_label("l", values) == round(value)).all()


def test_a_fraction_is_refused_with_its_true_value():
    values = np.full((1, 9, 9, 9), 3.0)
    values[0, 4, 4, 4] = 2.5
    values[0, 4, 4, 5] = 2.97
    assert "label value 2.5 is not a whole number (0.274% of the voxels" in refused(values)
    values[0, 4, 4, 4] = 3
    said = refused(values)
    assert "label value 2.97 is not" in said
    assert "resampled linearly" in said


def test_a_probability_map_and_an_image_are_called_so():
    soft = RANDOM.random((1, 8, 8, 8)).astype(np.float32)
    assert "looks like a probability map; threshold it at 0.5" in refused(soft)
    assert "looks like an image, not a label map" in refused(900 * soft - 100)


def test_classes_that_storage_has_merged_are_not_called_fractions_of_resampling():
    """1000 classes in one byte: every stored value is a multiple of 3.92."""
    values = np.rint(drawn(1000) / 3.92) * 3.92
    said = refused(values[None], step=3.92)
    assert "integers times 3.92" in said
    assert "resampl" not in said


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_no_number_are_counted(bad):
    values = np.zeros((1, 4, 4, 4))
    values[0, :2, 0, 0] = bad
    assert "NaN or infinite values, in 2 of 64 voxels" in refused(values)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 1, np.uint8), (0, 255, np.uint8), (0, 256, np.uint16), (0, 65536, np.int32),
        (-1, 127, np.int8), (-1, 128, np.int16), (-1, 40000, np.int32), (0, 2**31 - 1, np.int32),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", [np.int64, np.float64])
def test_the_smallest_type_that_holds_them(low, high, dtype, given):
    values = np.array([low, high, 0, high], given).reshape(1, 2, 2, 1)
    found = whole_label("l", values)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values[0])
    assert (whole_label("l", np.zeros((1, 2, 2, 2), bool)) == 0).all()


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**40])
def test_values_beyond_32_bits_are_refused(value):
    assert "do not fit 32 bits" in refused(np.array([0, value], np.int64).reshape(1, 2, 1, 1))


def test_equal_channels_are_one_and_colours_are_named(tmp_path):
    mask = np.zeros((12, 10), np.uint8)
    mask[3:7, 2:6] = 255
    Image.fromarray(np.stack([mask] * 3, axis=-1)).save(tmp_path / "gray.png")
    assert (mask == read_label_map(tmp_path / "gray.png")[0][:, :, 0].T).all()
    colours = np.zeros((12, 10, 3), np.uint8)
    colours[:2], colours[-1] = (128, 0, 0), (0, 128, 0)
    Image.fromarray(colours).save(tmp_path / "voc.png")
    with pytest.raises(ScanError, match="channels that differ: a colour mask of 3 colours") as told:
        read_label_map(tmp_path / "voc.png")
    assert "0 for (0, 0, 0), 1 for (128, 0, 0), 2 for (0, 128, 0)" in told.value.remedy


def test_masks_on_the_fourth_axis_are_both_readings():
    masks = np.zeros((4, 5, 5, 5), np.uint8)
    for index, mask in enumerate(masks):
        mask[index] = 1
    assert "one class per channel, or frames of one label?" in refused(masks)
    assert "one class per channel" in refused(masks[:3])


def test_what_is_made_beside_the_result_is_small():
    values = np.asfortranarray(RANDOM.integers(0, 3, (160, 160, 80)).astype(np.float32))
    tracemalloc.start()
    whole_label("l", values[None])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.size * 1 + 16e6


@pytest.mark.parametrize("divisor", [255, 65535])
@pytest.mark.parametrize("high", [1, 2])
def test_a_mask_divided_until_nothing_is_left_is_refused(divisor, high):
    """Rounded, it would be an empty label, and trained on as one."""
    values = (drawn(high) / np.float32(divisor))[None]
    assert "would all be 0: a mask divided by 255 or 65535?" in refused(values)
    nearly_empty = np.random.default_rng(0).normal(0, 1e-7, (1, 4, 4, 4))
    assert not whole_label("l", nearly_empty).any()
