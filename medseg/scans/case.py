"""What a dataset consists of: a case names files, a subject holds their voxels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import MedsegError
from medseg.geometry import Geometry
from medseg.scans.notes import Note


class Problem(NamedTuple):
    """Why something was left out, and what the user can do."""

    name: str
    what: str
    remedy: str

    @classmethod
    def from_error(cls, name: str, error: MedsegError) -> "Problem":
        """What an error says, under the case's name."""
        return cls(name, f"{error.subject}: {error.what}", error.remedy)

    def __str__(self) -> str:
        """One line: `name: what; remedy`."""
        return f"{self.name}: {self.what}; {self.remedy}"


class Channel(NamedTuple):
    """A channel: its place among all, and what tells its files, as in `ChannelRule.keys`."""

    place: int
    key: str

    @property
    def name(self) -> str:
        """For messages: `flair` of the key `_flair`, else its number."""
        return self.key.strip("_-. ") or str(self.place)


@dataclass(frozen=True)
class Case:
    """The files of one patient, specimen or photograph.

    Attributes:
        name: Unique in its dataset; outputs are named after it.
        images: One file, or one per channel in channel order, without those that are absent.
        labels: Nothing (unlabelled), one label map, or one mask per class in class order; None
            where a class is absent by declaration.
        segments: Where label files name their classes themselves (.seg.nrrd, DICOM SEG): the names
            of the dataset's classes 1, 2, ... Labels are then read by name, whatever value a file
            gives it.
        layered: Whether such segments overlap somewhere in the dataset: then each is a mask.
        pieces: Whether the label files are of one class and are united: any value but 0 is inside.
        group: Who it is of, such as a patient: cases of one group belong on one side of any split.
        part: The side on which the dataset itself puts it; None where it does not say.
        absent: Channels without a file, by declaration.
    """

    name: str
    images: tuple[Path, ...]
    labels: tuple[Path | None, ...] = ()
    segments: tuple[str, ...] = ()
    layered: bool = False
    pieces: bool = False
    group: str = ""
    part: Literal["training", "validation"] | None = None
    absent: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class Subject:
    """The voxels of one case, on one grid, in the files' own orientation.

    Attributes:
        name: The case's name.
        image: (channels, *size), finite; 0 where a channel is absent.
        label: Values as in the files, (layers, *size), in the smallest type: one label map, or one
            layer per mask file; None if unlabelled.
        geometry: The grid both are on.
        warnings: What had to be mended while reading.
        absent: Which channels are not there.
    """

    name: str
    image: npt.NDArray[np.float32]
    label: npt.NDArray[Any] | None
    geometry: Geometry
    warnings: tuple[Note, ...] = field(default=())
    absent: tuple[int, ...] = ()

    @property
    def seen(self) -> npt.NDArray[np.float32]:
        """The channels that are there, (channels, *size)."""
        return np.delete(self.image, self.absent, axis=0) if self.absent else self.image
