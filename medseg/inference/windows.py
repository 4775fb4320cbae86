"""Where windows stand so that together they cover a volume."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import ceil, floor

from medseg.geometry import Size


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First voxels of evenly spread windows along one axis.

    Args:
        length: Voxels of the axis; at least `window`.
        window: Voxels of a window.
        overlap: Least share of a window that its neighbour covers too, in [0, 1).
    """
    if length <= window:
        return [0]
    # Whole, lest rounding the starts takes from the overlap; 1e-6 is for 10 * (1 - 0.8) < 2.
    stride = max(1, floor(window * (1 - overlap) + 1e-6))
    count = ceil((length - window) / stride) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def window_boxes(size: Size, window: Size, overlap: float) -> list[tuple[slice, slice, slice]]:
    """Every window's box, those with a low first index first."""
    axes = [window_starts(*axis, overlap) for axis in zip(size, window, strict=True)]
    return [
        (slice(a, a + window[0]), slice(b, b + window[1]), slice(c, c + window[2]))
        for a, b, c in product(*axes)
    ]


def batched(
    boxes: Sequence[tuple[slice, slice, slice]], count: int
) -> Iterator[Sequence[tuple[slice, slice, slice]]]:
    """Boxes in groups of `count`, in order; the last may be smaller."""
    for start in range(0, len(boxes), count):
        yield boxes[start : start + count]
