"""Where in a scan the voxels of each value lie: their middle, their spread, their slant."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.geometry import Vector

_DIGITS = 7
_VOXEL = 1 / 12
"""Variance of positions within one voxel."""


class Place(NamedTuple):
    """Moments of the positions of some voxels, in voxels.

    Attributes:
        centre: Mean position per axis; the middle of the first voxel is 0.
        variances: Per axis, the extent of the voxels themselves included.
        slants: Covariance of the first axis with the second, and with the third. Mirroring the
            first turns their sign.
    """

    centre: Vector
    variances: Vector
    slants: tuple[float, float]

    @property
    def spread(self) -> Vector:
        """Standard deviation per axis, never 0."""
        first, second, third = map(sqrt, self.variances)
        return first, second, third

    @property
    def correlations(self) -> tuple[float, float]:
        """`slants`, from -1 to 1."""
        first, second, third = self.spread
        return self.slants[0] / first / second, self.slants[1] / first / third


def places(layer: npt.NDArray[Any], names: Mapping[int, int]) -> dict[int, Place]:
    """Measure each value, plane by plane.

    Args:
        layer: (*size), whole numbers from 0.
        names: Each of its values but 0 -> what to call it.
    """
    if not names:
        return {}
    length, rows, columns = layer.shape
    values = max(names) + 1
    sums = np.zeros((length, values, 3))  # per plane: voxels, their rows, their columns
    by_row, by_column = np.zeros((values, rows)), np.zeros((values, columns))
    for plane, found in zip(layer, sums, strict=True):
        row, column = np.nonzero(plane)
        value = plane[row, column].astype(np.intp)
        in_rows = np.bincount(value * rows + row, minlength=values * rows)
        in_columns = np.bincount(value * columns + column, minlength=values * columns)
        by_row += in_rows.reshape(values, rows)
        by_column += in_columns.reshape(values, columns)
        found[:, 0] = in_rows.reshape(values, rows).sum(1)
        found[:, 1] = in_rows.reshape(values, rows) @ np.arange(rows)
        found[:, 2] = in_columns.reshape(values, columns) @ np.arange(columns)
    return {
        name: _place(sums[:, value], by_row[value], by_column[value])
        for value, name in names.items()
        if by_row[value].any()
    }


def together(parts: Sequence[Place], voxels: Sequence[int]) -> Place:
    """The place of all voxels of several values."""
    shares = np.array(voxels) / sum(voxels)
    centres = np.array([part.centre for part in parts])
    centre = shares @ centres
    off = centres - centre
    variances = shares @ (np.array([part.variances for part in parts]) + off**2)
    slants = shares @ (np.array([part.slants for part in parts]) + off[:, :1] * off[:, 1:])
    return _rounded(centre, variances, slants)


def _place(
    sums: npt.NDArray[np.float64], by_row: npt.NDArray[Any], by_column: npt.NDArray[Any]
) -> Place:
    counts = (sums[:, 0], by_row, by_column)
    total = sums[:, 0].sum()
    positions = [np.arange(len(count)) for count in counts]
    centre = np.array([count @ at / total for count, at in zip(counts, positions, strict=True)])
    variances = [
        count @ (at - middle) ** 2 / total + _VOXEL
        for count, at, middle in zip(counts, positions, centre, strict=True)
    ]
    off = positions[0] - centre[0]
    slants = off @ (sums[:, 1:] - sums[:, :1] * centre[1:]) / total
    return _rounded(centre, np.array(variances), slants)


def _rounded(
    centre: npt.NDArray[Any], variances: npt.NDArray[Any], slants: npt.NDArray[Any]
) -> Place:
    """Without the digits that the order of sums decides, and that no one needs to keep."""
    numbers = [float(f"{number:.{_DIGITS}g}") for number in (*centre, *variances, *slants)]
    a, b, c, d, e, f, g, h = numbers
    return Place((a, b, c), (d, e, f), (g, h))
