"""How the values of a label lie beside each other: objects have an inside, soft edges have none."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

MOST_VALUES = 4096
"""Of more values so many are measured, evenly chosen: no label map has them, images do."""

_SLAB = 1 << 20
_TABLE = 1 << 16
"""Values below this are counted in a table, others by sorting."""
_INSIDE, _BETWEEN = 1, 2


class Texture(NamedTuple):
    """Where the voxels of one value lie. A neighbour shares a face.

    Attributes:
        voxels: How many there are.
        inside: Those all of whose neighbours have their value.
        between: Those with a smaller neighbour and a greater one, as a gradient has.
        box: Voxels of the smallest box around all of them; 0 where it is not known.
    """

    voxels: int
    inside: int
    between: int
    box: int


def texture(layer: npt.NDArray[Any]) -> dict[int, Texture]:
    """Measure every value of a label map.

    In slabs: about twenty bytes for each of a million voxels at a time.

    Args:
        layer: (*size), whole numbers; any order of axes gives the same.
    """
    counts: Counter[tuple[int, int]] = Counter()
    for part, kind in _slabs(layer):
        counts.update(_counted(part, kind))
    values = sorted({value for value, _ in counts})
    boxes = _boxes(layer)
    kept = values[:: -(-len(values) // MOST_VALUES) or 1]
    return {
        value: Texture(
            sum(counts[value, kind] for kind in range(3)),
            counts[value, _INSIDE],
            counts[value, _BETWEEN],
            boxes.get(value, 0),
        )
        for value in kept
    }


def _boxes(layer: npt.NDArray[Any]) -> dict[int, int]:
    """Voxels of the box around each value but 0, of layers whose type bounds the values."""
    if layer.dtype.kind != "u" or layer.dtype.itemsize > 2:
        return {}
    return {
        value: int(np.prod([axis.stop - axis.start for axis in box]))
        for value, box in enumerate(ndimage.find_objects(layer), start=1)
        if box  # a value that is not there has none
    }


def _slabs(layer: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]]:
    """Parts of the layer, and each voxel's kind: 0, `_INSIDE` or `_BETWEEN`.

    In the order in which memory holds the voxels, whatever the axes are.
    """
    order = np.argsort([-abs(stride) for stride in layer.strides])
    layer = layer.transpose(order)
    length = len(layer)
    rows = max(1, _SLAB // max(1, layer[0].size))
    for start in range(0, length, rows):
        stop = min(start + rows, length)
        first, last = max(start - 1, 0), min(stop + 1, length)
        own = slice(start - first, stop - first)
        part = layer[first:last]
        smaller, greater = _neighbours(part)
        smaller, greater = smaller[own], greater[own]
        kind = _INSIDE * (~(smaller | greater)).view(np.uint8)
        kind += _BETWEEN * (smaller & greater).view(np.uint8)
        yield part[own], kind


def _neighbours(part: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each voxel has a smaller neighbour, and a greater one."""
    smaller = np.zeros(part.shape, dtype=np.bool_)
    greater = np.zeros(part.shape, dtype=np.bool_)
    for axis in range(part.ndim):
        low, high = [slice(None)] * part.ndim, [slice(None)] * part.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        before, after = tuple(low), tuple(high)
        rises = part[after] > part[before]
        smaller[after] |= rises
        greater[before] |= rises
        falls = part[after] < part[before]
        greater[after] |= falls
        smaller[before] |= falls
    return smaller, greater


def _counted(part: npt.NDArray[Any], kind: npt.NDArray[np.uint8]) -> dict[tuple[int, int], int]:
    """(value, kind) -> voxels."""
    if part.dtype.kind == "u" and part.dtype.itemsize <= 2:
        values, ranks = np.arange(_TABLE), part.astype(np.intp)
    else:
        values, ranks = np.unique(part, return_inverse=True)
    table = np.bincount(3 * ranks.ravel() + kind.ravel())
    return {
        (int(values[code // 3]), int(code % 3)): int(table[code]) for code in np.flatnonzero(table)
    }
