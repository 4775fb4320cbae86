import numpy as np
import pytest
import torch

from medseg.plan.plan import Normalisation
from medseg.prepare.intensity import scaling


def normalise(image, rules):
    """Every channel by its rule."""
    channels = [scaling(c, r).apply(torch.tensor(c)) for c, r in zip(image, rules, strict=True)]
    return torch.stack(channels).numpy()


def random(*shape):
    return np.random.default_rng(0).normal(100, 12, size=shape).astype(np.float32)


def test_dataset_statistics_clip_first():
    image = np.array([-2000, 0, 50, 3000], dtype=np.float32).reshape(1, 2, 2, 1)
    rule = Normalisation(kind="dataset", low=-100, high=200, mean=50, std=25)
    np.testing.assert_allclose(normalise(image, [rule]).ravel(), [-6, -2, 0, 6])


def test_each_channel_follows_its_own_rule():
    image = random(2, 8, 9, 10)
    rules = [Normalisation(kind="image"), Normalisation(kind="dataset", low=0, high=110, mean=7)]
    before = image.copy()
    out = normalise(image, rules)
    assert out.dtype == np.float32
    assert out[0].mean() == pytest.approx(0, abs=1e-5)
    assert out[0].std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(out[1], image[1].clip(0, 110) - 7, rtol=1e-6)
    np.testing.assert_array_equal(image, before)


def test_the_body_decides_whatever_surrounds_it():
    body = random(1, 12, 12, 12)
    padded = np.pad(body, ((0, 0), *[(6, 6)] * 3))
    padded[0, 0, 0, 0] = -0.2  # interpolation rings a little below the background
    rule = [Normalisation(kind="body")]
    alone = normalise(body, [Normalisation(kind="image")])
    inside = normalise(padded, rule)[:, 6:-6, 6:-6, 6:-6]
    np.testing.assert_allclose(inside, alone, atol=0.02)


@pytest.mark.parametrize("kind", ["image", "body"])
@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e6])
def test_the_unit_of_an_image_does_not_matter(kind, unit):
    image, rule = random(1, 6, 7, 8), [Normalisation(kind=kind)]
    scaled = normalise(image * np.float32(unit), rule)
    np.testing.assert_allclose(scaled, normalise(image, rule), atol=1e-4)


@pytest.mark.parametrize("kind", ["image", "body"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1000.0, 3e7])
def test_a_constant_image_becomes_zero(kind, value):
    image = np.full((1, 5, 6, 7), value, dtype=np.float32)
    out = normalise(image, [Normalisation(kind=kind)])
    np.testing.assert_allclose(out, 0, atol=1e-6)


@pytest.mark.parametrize("value", [1, 100, 45000])
def test_a_body_of_one_value_stands_out(value):
    """A mask given as a channel: it has nothing to scale but its difference from what is around."""
    image = np.zeros((1, 6, 6, 6), dtype=np.float32)
    image[:, 2:4, 2:4, 2:4] = value
    out = normalise(image, [Normalisation(kind="body")])
    np.testing.assert_allclose(out, normalise(image, [Normalisation(kind="image")]))
    assert out.max() - out.min() > 1
