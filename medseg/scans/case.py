"""What a dataset consists of: a case names files, a subject holds their voxels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.geometry import Geometry


class Problem(NamedTuple):
    """Why something was left out, and what the user can do."""

    name: str
    what: str
    remedy: str

    @classmethod
    def from_error(cls, name: str, error: Exception) -> "Problem":
        """From a message of ours: what to do comes after its last semicolon."""
        what, _, remedy = str(error).rpartition("; ")
        return cls(name, what or remedy, remedy if what else "repair or remove the file")


@dataclass(frozen=True)
class Case:
    """The files of one patient, specimen or photograph.

    Attributes:
        name: Unique in its dataset; outputs are named after it.
        images: One file, or one per channel in channel order.
        labels: Nothing (unlabelled), one label map, or one mask per class in class order.
    """

    name: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Subject:
    """The voxels of one case, on one grid, in the files' own orientation.

    Attributes:
        name: The case's name.
        image: (channels, *size), finite.
        label: Values as in the files, (layers, *size): one label map, or one layer per mask file;
            None if unlabelled.
        geometry: The grid both are on.
        warnings: What had to be mended while reading, one line each, without the case's name.
    """

    name: str
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32] | None
    geometry: Geometry
    warnings: tuple[str, ...] = field(default=())
