"""A case as the network sees it, and where it came from."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import MachineError
from medseg.files import machine_error
from medseg.geometry import Geometry, Orientation, Size
from medseg.plan.plan import Plan


@dataclass(frozen=True)
class Placement:
    """How prepared voxels relate to the file's: orient, crop, resize.

    `restore.py` walks it backwards.

    Attributes:
        native: The file's grid.
        orientation: File's axes -> canonical axes.
        box_start: First voxel of the content box, in canonical axes.
        box_size: Voxels of the content box, in canonical axes at native spacing.
        size: Voxels of the prepared arrays.
    """

    native: Geometry
    orientation: Orientation
    box_start: Size
    box_size: Size
    size: Size


@dataclass(frozen=True)
class Prepared:
    """One normalised case.

    `image` is (channels, *size) float32, `label` (layers, *size) uint8 or None. Both may be
    memory-mapped and read-only.
    """

    name: str
    image: npt.NDArray[Any]
    label: npt.NDArray[Any] | None
    placement: Placement


@dataclass(frozen=True)
class StoredCase:
    """A prepared case on disk: where it is and what it has. It keeps no file open.

    Attributes:
        name: The case's name.
        folder: Its entry in the cache.
        channels: Of its image.
        labelled: Whether it has a label.
        placement: How its voxels relate to the file's.
        ends: Where in `foreground` the rows of each class end.
        class_voxels: Voxels of each class in the prepared label; for multiclass, index 0 is the
            background.
        unannotated: Indices of classes that nobody looked for in this case.
        absent: Channels that are not there; the image is 0 in them.
    """

    name: str
    folder: Path
    channels: int
    labelled: bool
    placement: Placement
    ends: tuple[int, ...]
    class_voxels: tuple[int, ...]
    unannotated: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def prepared(self) -> Prepared:
        """Its arrays, memory-mapped and read-only; files close when the last of them is dropped.

        The entry is marked as used, so that no other run tidies it away.
        """
        with suppress(OSError):  # a cache of someone else's, perhaps
            os.utime(self.folder)
        label = mapped(self.folder / "label.npy") if self.labelled else None
        image = mapped(self.folder / "image.npy")
        return Prepared(self.name, image, label, self.placement)

    @property
    def foreground(self) -> npt.NDArray[np.int32]:
        """Rows (i, j, k) of random voxels of the foreground classes, memory-mapped likewise."""
        return mapped(self.folder / "foreground.npy")

    @property
    def annotated(self) -> tuple[int, int] | None:
        """Rows of `foreground` that tell where anything is annotated: the first, and their end.

        None where everything is, or nothing.
        """
        first, end = max(self.ends, default=0), len(self.foreground)
        return (first, end) if end > first else None

    @property
    def size(self) -> Size:
        """Voxels of the prepared arrays."""
        return self.placement.size


def unannotated_sets(cases: Iterable[StoredCase], plan: Plan) -> tuple[tuple[int, ...], ...]:
    """What is unannotated in some case, each once: class indices that background may hide."""
    return with_mirrored((case.unannotated for case in cases), plan)


def with_mirrored(sets: Iterable[tuple[int, ...]], plan: Plan) -> tuple[tuple[int, ...], ...]:
    """Sets of class indices, each once, and what they become where left and right are mirrored."""
    found = {*sets} - {()}
    return tuple(sorted(found | {mirrored_set(classes, plan) for classes in found}))


def mirrored_set(classes: tuple[int, ...], plan: Plan) -> tuple[int, ...]:
    """The classes that these become where left and right are mirrored, in order."""
    return tuple(sorted(plan.mirrored_classes[index] for index in classes))


def mapped(path: Path) -> npt.NDArray[Any]:
    """An array on disk, read where it is touched.

    Raises:
        MachineError: If it is gone or cannot be opened: prepared cases are the machine's own.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        failed = machine_error(error, str(path))
        raise failed or MachineError(
            str(path),
            f"a prepared case that was there cannot be read ({error})",
            "start again, with --resume where a run had begun",
        ) from error
