"""What a dataset consists of: a case names files, a subject holds their voxels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medseg.geometry import Geometry


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
        label: Layers of class indices: (1, *size) for multiclass, (classes, *size) of 0/1 for multilabel; None if unlabelled.
        geometry: The grid both are on.
        warnings: What had to be mended while reading, one line each, without the case's name.
    """

    name: str
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8] | None
    geometry: Geometry
    warnings: tuple[str, ...] = field(default=())
