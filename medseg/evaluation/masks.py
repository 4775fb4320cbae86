"""Folders that hold one mask per class: which file is which class of which case."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from medseg.errors import ScanError
from medseg.evaluation.entries import Entry, Key, as_files, is_kind, key_of, label_files
from medseg.scans.names import LABEL_WORDS, class_of, file_stem, safe_names, words
from medseg.scans.read import read_label_map

_TOP: Key = ("masks",)
"""The case whose masks lie in the folder itself."""
_LOOKED_AT = 5


def spelled(name: str) -> str:
    """What all spellings of a class have in common: `left_kidney` for `Left Kidney_mask`."""
    plain = safe_names([name])[0].casefold()
    return class_of(plain) or "_".join(words(plain))


def mask_entries(
    folder: Path, paths: Sequence[Path], names: Iterable[str] = ()
) -> list[Entry] | None:
    """Cases of one mask per class; None where that is no reading of the folder.

    Args:
        folder: Their root.
        paths: Label files below it.
        names: Classes that are known, by which masks are told in any place: `case/liver`,
            `case_liver`, `liver/case`. Without them only folders are cases.
    """
    known = {*map(spelled, names)}
    # Of one class there are no masks of several others: those are its label maps.
    others = len(known) == 1 and known.isdisjoint(spelled(_class_of(path)) for path in paths)
    return _by_class(folder, paths, known) or (
        _as_folders(folder, paths) if not others and _holds_masks(folder, paths) else None
    )


def masks_of_one_case(folder: Path, names: Iterable[str]) -> Entry | None:
    """The files of a folder as the masks of one case; None if they may be anything else.

    Raises:
        MedsegError: If it holds no file that may be a mask.
    """
    paths = label_files(folder)
    classes = tuple(_class_of(path) for path in paths)
    named = not {*map(spelled, names)}.isdisjoint(map(spelled, classes))
    in_it = all(path.parent == folder for path in paths)
    apart = len(set(classes)) == len(paths) and (named or len(paths) > 1)
    return (
        Entry(folder.name, tuple(paths), (_TOP,), classes)
        if in_it and apart and _are_masks(paths)
        else None
    )


def classes_in(entries: Iterable[Entry]) -> dict[str, str]:
    """The classes that masks are of: spelling -> as first written."""
    found: dict[str, str] = {}
    for entry in entries:
        for name in entry.classes:
            found.setdefault(spelled(name), name)
    return found


def _by_class(folder: Path, paths: Sequence[Path], names: Iterable[str]) -> list[Entry] | None:
    # case_1 and case_2 are two cases, whatever the classes are called.
    known = {name for name in map(spelled, names) if name and not name.isdecimal()}
    if not known:
        return None
    suffix = re.compile(
        r"(?P<case>.*[^\s_.\-])[\s_.\-]+(?P<name>"
        + "|".join(
            r"[\s_.\-]+".join(map(re.escape, name.split("_")))
            for name in sorted(known, key=len, reverse=True)
        )
        + rf")(?:[\s_.\-]+(?:{'|'.join(sorted(LABEL_WORDS))}))*",
        re.IGNORECASE,
    )
    cases: defaultdict[Key, list[tuple[str, Path]]] = defaultdict(list)
    rest: list[Path] = []
    for path in paths:
        told = _told(key_of(path, folder), known, suffix)
        if told is None:
            rest.append(path)
        else:
            cases[told[0]].append((told[1], path))
    found = {name for masks in cases.values() for name, _ in masks}
    if len(found) < min(len(known), 2):
        return None
    if not _are_masks([path for masks in cases.values() for _, path in masks]):
        return None
    beside = {path.parent: case for case, masks in cases.items() for _, path in masks}
    others: list[Path] = []
    for path in rest:
        if path.parent in beside and path.parent != folder:
            cases[beside[path.parent]].append((_class_of(path), path))
        else:
            others.append(path)
    return [_entry(folder, case, masks) for case, masks in cases.items()] + as_files(folder, others)


def _told(key: Key, known: set[str], suffix: re.Pattern[str]) -> tuple[Key, str] | None:
    """The case and the class of a mask, by its path."""
    *folders, stem = key
    if spelled(stem) in known:
        return _case(key[:-1]), spelled(stem)
    match = suffix.fullmatch(stem)
    if match:
        return (*folders, match["case"]), spelled(match["name"])
    for place, name in enumerate(folders):
        if spelled(name) in known:
            return (*key[:place], *key[place + 1 :]), spelled(name)
    return None


def _entry(folder: Path, case: Key, masks: Sequence[tuple[str, Path]]) -> Entry:
    counts = Counter(name for name, _ in masks)
    doubt = tuple(path.name for name, path in masks if counts[name] > 1)
    name = folder.name if case == _TOP else "/".join(case)
    files, classes = tuple(path for _, path in masks), tuple(name for name, _ in masks)
    return Entry(name, files, (case,), classes, doubt=doubt)


def _as_folders(folder: Path, paths: Sequence[Path]) -> list[Entry]:
    """Each folder a case, its files one mask per class; files at the top are label maps."""
    groups: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        groups[path.parent].append(path)
    entries = as_files(folder, groups.pop(folder, []))
    for parent, files in groups.items():
        masks = [(_class_of(file), file) for file in files]
        entries.append(_entry(folder, _case(parent.relative_to(folder).parts), masks))
    return entries


def _case(folders: Key) -> Key:
    """The case whose folder it is: `s1` for `s1/segmentations`."""
    while len(folders) > 1 and is_kind(folders[-1]):
        folders = folders[:-1]
    return folders or _TOP


def _holds_masks(folder: Path, paths: Sequence[Path]) -> bool:
    """Whether sub-folders hold one mask per class: the same few names again, and a value in each.

    Otherwise a sub-folder is a part of a tree of label maps.
    """
    groups: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        if path.parent != folder:
            groups[path.parent].append(path)
    counts = Counter(name for files in groups.values() for name in {*map(_class_of, files)})
    several = [files for files in groups.values() if len(files) > 1]
    if not several:
        return False
    if len(groups) > 1 and 2 * sum(count > 1 for count in counts.values()) < len(counts):
        return False
    return _are_masks([path for files in several for path in files])


def _are_masks(paths: Sequence[Path]) -> bool:
    """Whether a few files, spread evenly over all, hold one value each."""
    last = len(paths) - 1
    places = {round(last * part / (_LOOKED_AT - 1)) for part in range(_LOOKED_AT)} if paths else ()
    return all(_values(paths[place]) <= 1 for place in places)


def _values(path: Path) -> int:
    """How many values but 0 a label map has; none if it cannot be read."""
    with suppress(ScanError):
        return int(np.count_nonzero(np.unique(read_label_map(path)[0])))
    return 0


def _class_of(path: Path) -> str:
    stem = file_stem(path)
    return (class_of(stem) or stem).casefold()
