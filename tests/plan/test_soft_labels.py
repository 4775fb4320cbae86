"""Soft edges and images are told from classes, however small and many the classes are."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from medseg.measure.texture import texture
from medseg.plan.soft_labels import no_classes, thin_classes
from tests.plan.facts import case

RANDOM = np.random.default_rng(11)


def ball(size, centre, radius):
    places = np.moveaxis(np.indices(size), 0, -1) - np.array(centre)
    return (places**2).sum(-1) <= radius**2


def disc(n=96, value=255):
    return ball((n, n), (0.45 * n, 0.55 * n), 0.22 * n).astype(np.uint8) * np.uint8(value)


def three():
    levels = np.zeros((128, 128), np.uint8)
    levels[ball(levels.shape, (60, 60), 40)] = 100
    levels[ball(levels.shape, (60, 60), 20)] = 220
    return levels


def vessels():
    """Lines of two pixels: they have no inside at all."""
    lines = np.zeros((128, 128), np.uint8)
    for at in (20, 50, 90):
        lines[at : at + 2] = 255
        lines[:, at + 9 : at + 11] = 255
    return lines


def jpeg(mask, quality):
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(buffer.getvalue())))


def blurred(mask, sigma):
    return np.asarray(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(sigma)))


def resized(mask, n, how):
    return np.asarray(Image.fromarray(mask).resize((n, n), how))


def organs(size=(40, 40, 30), count=60, scale=1.0):
    """Many classes of a few voxels beside some large ones; values with gaps."""
    label = np.zeros(size, np.uint8)
    values = RANDOM.choice(np.arange(1, 118), count, replace=False)
    for value in values:
        centre = RANDOM.uniform(0, size)
        label[ball(size, centre, scale * RANDOM.choice([1.2, 1.6, 2.5, 7.0]))] = value
    return label


def cells(size, count, radius):
    label = np.zeros(size, np.uint16)
    for number in range(1, count + 1):
        label[ball(size, RANDOM.uniform(0, size), radius)] = number
    return label


def of(layer, name="a"):
    layer = np.asarray(layer)
    layer = layer[..., None] if layer.ndim == 2 else layer
    values, counts = np.unique(layer, return_counts=True)
    counted = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return case(name, layer.shape, label_values=(counted,), textures=(texture(layer),))


def said(layer) -> str:
    problems = no_classes([of(layer)])
    return f"{problems['a'].what}; {problems['a'].remedy}" if problems else ""


@pytest.mark.parametrize("quality", [40, 60, 75, 90, 95])
@pytest.mark.parametrize("mask", [disc, three, vessels])
def test_a_mask_that_was_a_jpeg(mask, quality):
    assert "soft edges" in said(jpeg(mask(), quality))


def test_the_mapping_that_mends_it():
    assert "of 0 and 255 with soft edges" in said(jpeg(disc(), 90))
    assert "threshold it (below 128 -> 0, else 255)" in said(jpeg(disc(), 90))
    assert "(below 50 -> 0, below 160 -> 100, else 220)" in said(jpeg(three(), 90))


@pytest.mark.parametrize("sigma", [0.4, 0.6, 1, 2, 4])
def test_a_blurred_mask(sigma):
    assert "of 0 and 255 with soft edges" in said(blurred(disc(), sigma))


@pytest.mark.parametrize("n", [40, 70, 120, 192, 300])
@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_a_mask_resampled_in_the_plane(n, how):
    assert "soft edges" in said(resized(disc(), n, how))


@pytest.mark.parametrize(("values", "top"), [((28, 255), 255), ((1, 2, 9), 9), ((1000,), 1000)])
def test_a_volume_resampled_linearly_and_rounded(values, top):
    label = np.zeros((40, 40, 36))
    for number, value in enumerate(values):
        label[ball(label.shape, (12 + 8 * number, 14 + 6 * number, 18), 7)] = value
    soft = np.rint(ndimage.zoom(label, 1.4, order=1))
    assert "soft edges" in said(soft.astype(np.uint16))
    assert soft.max() == top


def test_organs_resampled_linearly_are_sent_back_to_the_original():
    soft = np.rint(ndimage.zoom(organs().astype(float), 1.5, order=1)).astype(np.uint8)
    assert "make it again from the original with nearest neighbour" in said(soft)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_image_given_as_label(dtype):
    noisy = RANDOM.normal(100, 25, (64, 64)) + 60 * (disc(64) > 0)
    assert "looks like an image" in said((noisy * (20 if dtype == np.uint16 else 1)).astype(dtype))
    smooth = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)
    assert "looks like an image" in said(smooth)


@pytest.mark.parametrize("scale", [1.0, 0.6])
@pytest.mark.parametrize("count", [12, 40, 104])
def test_many_tiny_classes_are_classes(count, scale):
    assert not said(organs(count=count, scale=scale))


@pytest.mark.parametrize("radius", [0, 1, 2, 4])
@pytest.mark.parametrize("size", [(96, 96), (30, 30, 24)])
def test_numbered_objects_are_no_soft_edge(size, radius):
    assert not said(cells(size, 220, radius))


@pytest.mark.parametrize("order", ["raster", "random"])
def test_superpixels_that_fill_everything_are_no_image(order):
    tiles = np.arange(64)[:, None] // 2 * 32 + np.arange(64) // 2
    numbers = np.arange(1024) if order == "raster" else RANDOM.permutation(1024)
    assert not said(numbers[tiles].astype(np.uint16))


def test_layers_of_one_voxel_and_thin_walls_are_classes():
    rings = np.zeros((64, 64), np.uint8)
    for value, radius in ((3, 20), (2, 16), (1, 15)):
        rings[ball(rings.shape, (32, 32), radius)] = value
    assert not said(rings)
    stripes = np.repeat(np.array([0, 5, 1, 4, 2, 3], np.uint8), 3)[:, None] * np.ones(30, np.uint8)
    assert not said(stripes)


def test_a_soft_edge_that_only_all_cases_together_show():
    """Two values between in each case, and other ones in each."""
    cases = []
    for index in range(6):
        mask = disc()
        edge = ndimage.binary_dilation(mask > 0) & (mask == 0)
        places = np.argwhere(edge)
        mask[tuple(places[::2].T)], mask[tuple(places[1::2].T)] = 20 + 9 * index, 130 + 9 * index
        cases.append(of(mask, f"c{index}"))
    assert {*no_classes(cases)} == {f"c{index}" for index in range(6)}
    assert no_classes(cases[:1]) == {}


def test_a_soft_case_among_honest_ones_goes_alone():
    cases = [of(organs(count=30), f"c{n}") for n in range(4)]
    soft = np.zeros((96, 96, 1), np.uint8)
    soft[..., 0] = blurred(disc(), 1)
    assert {*no_classes([*cases, of(soft, "soft")])} == {"soft"}


def test_one_value_that_is_always_between_is_a_doubt():
    label = np.zeros((40, 40, 30))
    label[ball(label.shape, (20, 20, 15), 9)] = 2
    soft = np.rint(ndimage.zoom(label, 1.5, order=1)).astype(np.uint8)
    assert not said(soft)
    assert thin_classes([of(soft)]) == (1,)
    assert thin_classes([of(organs())]) == ()
