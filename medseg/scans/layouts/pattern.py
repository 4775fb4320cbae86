"""Which files of a folder count: one glob for all, or one for images and one for labels."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from medseg.errors import SettingsError
from medseg.scans.listing import File
from medseg.scans.names import is_image_folder, is_label_folder, part_folder

_WRITE = "write one such as '*/*.nii.gz', or two, as '*T1w.nii.gz|*mask.nii.gz'"


class Chosen(NamedTuple):
    """What a pattern left."""

    images: list[File]
    labels: list[File]
    notes: tuple[str, ...] = ()


class Pattern:
    """`*/*.nii.gz`, or `IMAGES|LABELS`.

    A pattern is held against a file's path below the folder of images or of labels, and below the
    dataset's. One without a slash that fits no file at the top fits names at any depth. A
    single pattern that fits no label is one for images. Upper and lower case are alike.
    """

    def __init__(self, text: str | None = None) -> None:
        """Take it apart.

        Raises:
            SettingsError: If it is no pattern, or points outside.
        """
        self.text = text
        self._globs = text.split("|") if text else []
        if len(self._globs) > 2:
            raise SettingsError(f"pattern={text}", "holds more than one |", _WRITE)
        for glob in self._globs:
            if Path(glob).is_absolute() or ".." in Path(glob).parts:
                what = "must be relative and stay inside the two folders"
                raise SettingsError(f"pattern={text}", what, _WRITE)
            if not glob.strip():
                raise SettingsError(f"pattern={text}", "has an empty side", _WRITE)

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._globs)

    @property
    def tells(self) -> bool:
        """Whether it says which files are images and which are labels."""
        return len(self._globs) > 1 and self._globs[0] != self._globs[1]

    def choose(self, images: Sequence[File], labels: Sequence[File], root: Path) -> Chosen:
        """The files that it fits.

        Args:
            images: Of the folder.
            labels: Of the folder.
            root: The folder of both, or of either.
        """
        if not self._globs:
            return Chosen(list(images), list(labels))
        taken = _fitting(images, self._globs[0], root)
        named = _fitting(labels, self._globs[-1], root)
        if named or len(self._globs) > 1:
            return Chosen(taken, named)
        note = f"pattern={self.text} fits no label: it is taken for the images alone"
        return Chosen(taken, list(labels), (note,) if labels else ())

    def without(self, files: Sequence[File], side: int) -> list[File]:
        """Files named without what one side of the pattern spells: `case1` for `case1_raw`."""
        glob = PurePosixPath(self._globs[side].casefold()).name
        spelled = [text.partition(".")[0] for text in re.split(r"[*?]+|\[[^]]*\]", glob)]
        return [file._replace(name=_without(file.name, spelled)) for file in files]


def _without(name: str, spelled: Sequence[str]) -> str:
    folder, slash, stem = name.rpartition("/")
    rest = stem.casefold()
    for text in spelled:
        rest = rest.replace(text, "", 1)
    return f"{folder}{slash}{rest.strip('_-. ') or stem}"


def _fitting(files: Sequence[File], glob: str, root: Path) -> list[File]:
    wanted = tuple(PurePosixPath(glob.casefold()).parts)
    found = [file for file in files if _fits(file, wanted, root)]
    if not found and len(wanted) == 1:
        found = [f for f in files if fnmatchcase(f.path.name.casefold(), wanted[0])]
    return found


def _fits(file: File, wanted: tuple[str, ...], root: Path) -> bool:
    """By its path below the root, or below the folder that says what kind of files it holds."""
    parts = file.path.parts[len(root.parts) :]
    said = [i for i, name in enumerate(parts[:-1], 1) if _says(name)]
    return _like(parts, wanted) or any(_like(parts[i:], wanted) for i in said)


def _says(folder: str) -> bool:
    return is_image_folder(folder) or is_label_folder(folder) or part_folder(folder) is not None


def _like(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """`*` within a name, `**` across folders, as a path's own glob has it."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_like(parts[i:], wanted[1:]) for i in range(len(parts) + 1))
    return (
        bool(parts) and fnmatchcase(parts[0].casefold(), wanted[0]) and _like(parts[1:], wanted[1:])
    )
