"""Stored cases in memory, made from a seed."""

from pathlib import Path

import numpy as np

from medseg.geometry import Geometry, Orientation, Size
from medseg.prepare.prepared import Placement, Prepared, StoredCase


class InMemory(StoredCase):
    """A stored case whose arrays are no files."""

    def __init__(self, prepared: Prepared, rows: np.ndarray, classes: int = 3):
        found = [np.count_nonzero(rows[:, 0] <= index) for index in range(classes)]
        size = prepared.placement.size
        super().__init__(
            prepared.name, Path(), len(prepared.image), prepared.label is not None,
            prepared.placement, tuple(found), (0,) * classes,
        )  # fmt: skip
        assert prepared.image.shape[1:] == size
        object.__setattr__(self, "arrays", (prepared, rows[:, 1:]))

    @property
    def prepared(self) -> Prepared:
        return self.arrays[0]

    @property
    def foreground(self) -> np.ndarray:
        return self.arrays[1]


def stored_case(size: Size, seed: int = 0, number: int = 1, channels: int = 1) -> StoredCase:
    """A case with one voxel of class 1 and some of class 2; its image tells case and voxel.

    Channel 0 holds `number`, further channels the position of the voxel along axes 0, 1, ...
    """
    rng = np.random.default_rng(seed)
    image = np.empty((channels, *size), dtype=np.float32)
    image[0] = number
    for axis in range(channels - 1):
        image[1 + axis] = np.moveaxis(
            np.broadcast_to(np.arange(size[axis]), np.moveaxis(image[0], axis, -1).shape), -1, axis
        )
    label = np.zeros((1, *size), dtype=np.uint8)
    rare = [int(rng.integers(length)) for length in size]
    label[0][rng.random(size) < 0.1] = 2
    label[0][tuple(rare)] = 1
    rows = [(c, *voxel) for c in (1, 2) for voxel in np.argwhere(label[0] == c)]
    orientation = Orientation((0, 1, 2), (False, False, False))
    placement = Placement(Geometry(size), orientation, (0, 0, 0), size, size)
    return InMemory(
        Prepared(f"case{number}", image, label, placement), np.array(rows, dtype=np.int32)
    )
