"""Brings voxels of one grid onto another, by where they are in the world."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.decode import Voxels
from medseg.scans.votes import resample_label

_TIE = 1e-6
"""Positions move by this share of a voxel: ties between two voxels all fall to the same side."""


def align(
    name: str, voxels: Voxels, target: Geometry, order: Literal[0, 1]
) -> tuple[npt.NDArray[Any], list[str]]:
    """The values on `target`'s grid: as they are if it is theirs, otherwise resampled.

    Args:
        name: The file's name, for messages.
        voxels: Values (channels, *size) and their grid.
        target: The grid to bring them to.
        order: 0 for labels (`resample_label`; 0 outside), 1 linear (images; their minimum outside).

    Returns:
        (channels, *target size), and a line for each thing the user should know.

    Raises:
        ScanError: If the grids do not overlap, or differ in size without a world frame.
    """
    values, source = voxels
    if target.same_grid(source):
        return values, []
    if not (source.world and target.world):
        raise ScanError(
            f"{name}: size {_by(source.size)} is not the first image's {_by(target.size)} and "
            "no world frame tells how they lie; give both the same size, or save both as .nii.gz"
        )
    covered = _resample(np.ones(source.size, np.uint8), source, target, order=0, outside=0).mean()
    if covered == 0:
        raise ScanError(
            f"{name}: does not overlap the first image in the world; "
            "check origin and direction of both"
        )
    moved = [
        resample_label(channel, np.linalg.inv(source.affine) @ target.affine, target.size)
        if order == 0
        else _resample(channel, source, target, order, float(channel.min()))
        for channel in values
    ]
    how = "nearest neighbour" if order == 0 else "linear"
    warning = (
        f"{name}: on another grid ({_by(source.size)} voxels, {source.codes}) than the first image "
        f"({_by(target.size)}, {target.codes}), resampled ({how}), covers {covered:.0%} of it"
    )
    return np.stack(moved), [warning]


def _resample(
    values: npt.NDArray[Any],
    source: Geometry,
    target: Geometry,
    order: Literal[0, 1],
    outside: float,
) -> npt.NDArray[Any]:
    """Resample one channel (*source size): for each target voxel the source at the same place."""
    matrix = np.linalg.inv(source.affine) @ target.affine
    return ndimage.affine_transform(
        values,
        matrix[:3, :3],
        matrix[:3, 3] + _TIE,
        output_shape=target.size,
        order=order,
        mode="grid-constant",  # unlike "constant" it keeps the outer half of the border voxels
        cval=outside,
    )


def _by(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))
