"""Texture, against counting by hand with slow, clear loops."""

from itertools import permutations, product

import numpy as np
import pytest

from medseg.geometry import Orientation
from medseg.measure import texture as room
from medseg.measure.texture import Texture, texture


def slowly(layer: np.ndarray) -> dict[int, Texture]:
    found: dict[int, list[int]] = {}
    for place in np.ndindex(layer.shape):
        value = int(layer[place])
        near = []
        for axis, step in product(range(layer.ndim), (-1, 1)):
            other = list(place)
            other[axis] += step
            if 0 <= other[axis] < layer.shape[axis]:
                near.append(int(layer[tuple(other)]))
        counts = found.setdefault(value, [0, 0, 0])
        counts[0] += 1
        counts[1] += all(n == value for n in near)
        counts[2] += min(near, default=value) < value < max(near, default=value)
    boxes = {
        value: int(np.prod(np.ptp(np.argwhere(layer == value), axis=0) + 1)) if value else 0
        for value in found
    }
    return {value: Texture(*found[value], boxes[value]) for value in sorted(found)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(7, 6, 5), (9, 8, 1), (1, 1, 4)])
def test_it_is_what_loops_count(dtype, size, monkeypatch):
    monkeypatch.setattr(room, "_SLAB", 40)  # several slabs, each with its neighbours
    layer = np.random.default_rng(0).choice([0, 0, 0, 1, 3, 200], size).astype(dtype)
    assert texture(layer) == slowly(layer)


def test_values_that_no_small_type_holds_have_no_box():
    layer = np.random.default_rng(1).choice([-3, 0, 70000], (5, 4, 3)).astype(np.int32)
    expected = {value: found._replace(box=0) for value, found in slowly(layer).items()}
    assert texture(layer) == expected


def test_no_order_of_axes_changes_it():
    layer = np.random.default_rng(2).integers(0, 4, (6, 5, 4)).astype(np.uint8)
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        assert texture(Orientation(order, flips).apply(layer)) == texture(layer)


def test_of_an_image_so_many_values_are_kept(monkeypatch):
    monkeypatch.setattr(room, "MOST_VALUES", 10)
    assert len(texture(np.arange(64, dtype=np.uint16).reshape(4, 4, 4))) <= 10
