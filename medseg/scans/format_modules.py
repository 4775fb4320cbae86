"""What the module of a file format holds, for `formats.py` to list it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    from medseg.geometry import Geometry
    from medseg.scans.voxels import Header, Segment, Voxels


class Module(Protocol):
    """What a format's module holds.

    Whatever a function finds wrong with a file it raises as ScanError, with the reason; an OSError
    of opening or reading passes through, and any other error counts as damage.
    """

    def files_of(self, path: Path, /) -> tuple[Path, ...]:
        """All files that the path stands for, itself first. Reads headers at most."""
        ...

    def header(self, path: Path, /) -> "Header":
        """Grid and channels, without reading a voxel."""
        ...

    def read(self, path: Path, /, *, colours: bool) -> "Voxels":
        """All voxels. `colours` is true for an image, false for a label."""
        ...

    def write(
        self,
        values: "npt.NDArray[Any]",
        geometry: "Geometry",
        path: Path,
        like: Path | None,
        /,
        *,
        plane: bool,
    ) -> None:
        """Write (channels, *size), as `like` of the same format states its position.

        `plane`: a grid of one slice is written as a plane. A format whose `masks` names another
        suffix is never asked for a mask.
        """
        ...


class SegmentsModule(Protocol):
    """What the module of a format holds whose label files name their classes themselves."""

    def segments(self, path: Path, /) -> "tuple[Segment, ...]":
        """What a file's header names, without reading a voxel; nothing if it names none.

        The format's `read` gives such a file's layers as channels.
        """
        ...


class SeriesModule(Protocol):
    """What a format of one file per slice holds beside."""

    def first_file(self, path: Path, /) -> Path:
        """The file that stands for the scan a file is a part of."""
        ...

    def named_path(self, path: Path, /) -> Path:
        """The path that such a scan's name is taken from, without a suffix."""
        ...


class NotesModule(Protocol):
    """What a format holds beside whose files may need a word on how they are read."""

    def notes_of(self, path: Path, /) -> tuple[tuple[str, str], ...]:
        """What a user should know of how it is read, and the detail of this one."""
        ...
