"""What stands in a folder, by names alone: scans and labels, and files of formats not read."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from medseg.errors import MedsegError, ScanError
from medseg.scans.case import Problem
from medseg.scans.formats import format_of, named_path, suffix_of
from medseg.scans.names import Part, composed, file_stem, is_image_file, natural_key

OWN_NAMES = "name the two folders with --images and --labels (and --pattern for the files in them)"
"""The way out of every reading that fails."""
DEEPEST = 8
"""Levels of sub-folders that are looked into."""
MOST_FILES = 1_000_000
_SIDE_FILES = frozenset(
    [
        ".bval",
        ".bvec",
        ".cfg",
        ".csv",
        ".db",
        ".docx",
        ".html",
        ".ini",
        ".json",
        ".log",
        ".lock",
        ".md",
        ".mrml",
        ".pdf",
        ".pkl",
        ".py",
        ".raw",
        ".sh",
        ".toml",
        ".tsv",
        ".txt",
        ".xlsx",
        ".xml",
        ".yaml",
        ".yml",
        ".zraw",
    ]
)
"""What stands beside scans and is none: settings, tables, notes, and the data of a header."""


class File(NamedTuple):
    """A scan or a label.

    Attributes:
        path: Where it is.
        name: Its path below the folder that was looked at, without the format: `case1/t1`.
        part: The side of a split that its folder or name says, '' if none.
    """

    path: Path
    name: str
    part: Part | None = None


@dataclass(frozen=True)
class Tree:
    """A folder's files, in natural order.

    Attributes:
        root: The folder.
        files: Of formats that are read.
        others: Of formats that are not, settings and notes apart.
    """

    root: Path
    files: tuple[File, ...]
    others: tuple[File, ...] = ()

    def only(self, files: Iterable[File]) -> "Tree":
        """The same folder with fewer files."""
        return replace(self, files=tuple(files))

    @property
    def folders(self) -> list[str]:
        """The sub-folders that hold files, in natural order."""
        return list(dict.fromkeys(top_folder(file) for file in self.files if "/" in file.name))

    def in_words(self) -> str:
        """What was seen there: `6 .png, 3 .czi (not read); folders a, b, ...`."""
        read = Counter(suffix_of(file.path) for file in self.files)
        unread = Counter(suffix_of(file.path) or "without suffix" for file in self.others)
        counted = [f"{count} {suffix}" for suffix, count in read.most_common(4)]
        counted += [f"{count} {suffix} (not read)" for suffix, count in unread.most_common(4)]
        said = ", ".join(counted) or "no scans or labels"
        folders = list(dict.fromkeys((*self.folders, *map(top_folder, self.others))))
        named = [folder for folder in folders if folder]
        return said + (f"; folders {shown(named)}" if named else "")


def look(folder: Path) -> Tree:
    """List a folder and its sub-folders.

    Links are followed, except into a folder that they stand in. Hidden files are passed over.

    Raises:
        MedsegError: If there are too many files.
        OSError: If a folder cannot be looked at.
    """
    found = list(_below(folder, DEEPEST, ()))
    taken = [path for path in found if is_image_file(path)]
    known = set(taken)
    others = [path for path in found if path not in known and _may_be_a_scan(path)]
    return Tree(folder, tuple(named_below(folder, taken)), tuple(named_below(folder, others)))


def check_folder(folder: Path) -> None:
    """Say so if there is nothing to look at.

    Raises:
        MedsegError: If it is no folder, or an empty one.
        OSError: If it cannot be looked at.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise MedsegError(str(folder), what, "give a folder of scans and labels")
    if not any(folder.iterdir()):
        remedy = "put scans and labels there (docs/data.md shows how)"
        raise MedsegError(str(folder), "is empty", remedy)


def named_below(root: Path, paths: Sequence[Path]) -> list[File]:
    """Name files by where they are below `root`."""
    start = len(root.parts)
    names = [(path, _name_of(path).parts[start:] or (root.name,)) for path in paths]
    holding = {parts[:end] for _, parts in names for end in range(1, len(parts))}
    # A series that goes by its folder stands in it where a label, or another scan, does as well.
    return [
        File(path, composed("/".join((*parts, parts[-1]) if parts in holding else parts)))
        for path, parts in names
    ]


def _name_of(path: Path) -> Path:
    """Where a scan is, without the format: a DICOM series goes by its folder."""
    with suppress(ScanError, OSError):  # what is wrong with it is told when it is read
        return named_path(path)
    return path.with_name(file_stem(path))


def top_folder(file: File) -> str:
    """Its first folder below the root, '' for a file at the top."""
    folder, slash, _ = file.name.partition("/")
    return folder if slash else ""


def below(file: File) -> File:
    """The same file as seen from its first folder."""
    return file._replace(name=file.name.partition("/")[2])


def shown(names: Sequence[str], most: int = 3) -> str:
    """A few of many: `a, b, c, ...`."""
    return ", ".join(names[:most]) + ", ..." * (len(names) > most)


def unused(files: Sequence[File], layout: str) -> Iterator[Problem]:
    """One problem per folder whose files have no place in a layout."""
    remedy = "move them out of the dataset, or " + OWN_NAMES
    for folder, group in groupby(files, key=lambda file: file.path.parent):
        names = [file.path.name for file in group]
        what = f"{len(names)} image file(s) not used ({shown(names)}), read as {layout}"
        yield Problem(folder.name, what, remedy)


def _below(folder: Path, depth: int, outer: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Files in natural order, those of a folder before those of its sub-folders."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in outer:
        return
    with os.scandir(folder) as entries:
        names = [
            (natural_key(entry.name), entry.name, entry.is_dir())
            for entry in entries
            if not entry.name.startswith(".") and entry.name != "__MACOSX"
        ]
    count = 0
    for _, name, is_folder in sorted(names):
        if not is_folder:
            yield folder / name
        elif depth > 0:
            for path in _below(folder / name, depth - 1, (*outer, here)):
                count += 1
                if count > MOST_FILES:
                    what = f"holds more than {MOST_FILES:,} files"
                    raise MedsegError(str(folder), what, "give a folder further down")
                yield path


def _may_be_a_scan(path: Path) -> bool:
    if suffix_of(path) in _SIDE_FILES or path.name.startswith("."):
        return False
    with suppress(OSError):
        entry = format_of(path)
        # Every slice but the first of a series.
        return entry is None or entry.series is None
    return True
