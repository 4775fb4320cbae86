"""Cases whose folder is that of a patient belong together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from medseg.scans.case import Case
from medseg.scans.names import IMAGE_WORDS, is_image_folder, is_label_folder, spoken
from medseg.scans.plausible import is_contrast

_COLLECTIONS = frozenset(
    [
        "batch",
        "benign",
        "center",
        "centre",
        "clinic",
        "dataset",
        "device",
        "fold",
        "hgg",
        "hospital",
        "lgg",
        "malignant",
        "normal",
        "part",
        "scanner",
        "set",
        "site",
        "subset",
        "training",
        "vendor",
    ]
)
"""Folders called so hold the scans of many."""
_MOST_OF_ONE = 50
"""Scans that one patient's folder may hold."""
_FEW_FOLDERS = 5
"""So many folders may be anything, unless their names hold numbers."""


def of_patients(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Give cases their folder's name as a group, where the folders are those of patients."""
    folders = [_own_folder(case) for case in cases]
    counts = Counter(folders)
    if len(counts) < 2 or not 1 < max(counts.values()) <= _MOST_OF_ONE:
        return tuple(cases)
    names = [PurePosixPath(folder).name for folder in counts]
    if any(map(_holds_many, names)):
        return tuple(cases)
    if len(counts) < _FEW_FOLDERS and not all(any(map(str.isdecimal, name)) for name in names):
        return tuple(cases)
    short = {folder: PurePosixPath(folder).name for folder in counts}
    if len(set(short.values())) < len(short):
        short = {folder: "/".join(PurePosixPath(folder).parts[-2:]) for folder in counts}
    return tuple(replace(c, group=short[f]) for c, f in zip(cases, folders, strict=True))


def _own_folder(case: Case) -> str:
    folder = case.images[0].parent
    while is_image_folder(folder.name) or is_label_folder(folder.name):
        folder = folder.parent
    return folder.as_posix()


def _holds_many(name: str) -> bool:
    """Whether a folder holds scans of many by its name: `site1`, `t2`, `volume_pt1`, `images_2`."""
    letters = _letters(name)
    part = len(letters) > 1 and IMAGE_WORDS.issuperset(letters[:-1]) and letters[-1] in ("", "pt")
    return part or is_contrast(name) or not _COLLECTIONS.isdisjoint(letters)


def _letters(name: str) -> list[str]:
    return [word.rstrip("0123456789") for word in spoken(name)]
