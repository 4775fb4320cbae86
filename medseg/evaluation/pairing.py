"""Which prediction belongs to which reference: by name, never by order."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.errors import MedsegError
from medseg.scans.case import Problem
from medseg.scans.names import (
    LABEL_WORDS,
    bare,
    file_stem,
    is_image_file,
    is_label_name,
    natural_key,
    words,
)


class Entry(NamedTuple):
    """One side of a case.

    Attributes:
        name: Stem of the file, or name of the folder.
        files: One label map, or one mask per class.
    """

    name: str
    files: tuple[Path, ...]


class Pair(NamedTuple):
    """Both sides of a case."""

    prediction: Entry
    reference: Entry


def pair(prediction: Path, reference: Path) -> tuple[list[Pair], list[Problem]]:
    """Pair two files, or the contents of two folders by name.

    Names need not be equal: the affixes that predict adds and that datasets use are understood
    (`scan_seg`, `label_scan`, `scan_0000`). A folder inside a folder is one case, a mask per class.

    Args:
        prediction: A file or a folder.
        reference: The same kind.

    Returns:
        The pairs in natural order, and references without a prediction or with several.

    Raises:
        MedsegError: If one of the two does not exist or cannot be looked at, they are not of one
            kind, or nothing pairs.
    """
    try:
        return _pair(prediction, reference)
    except OSError as error:
        raise MedsegError(
            f"{error.filename}: cannot be looked at ({error.strerror}); check its permissions"
        ) from None


def _pair(prediction: Path, reference: Path) -> tuple[list[Pair], list[Problem]]:
    for path in (prediction, reference):
        if not path.exists():
            raise MedsegError(f"{path} does not exist; give a label map or a folder of them")
    if prediction.is_file() != reference.is_file():
        raise MedsegError(
            f"{prediction} and {reference} must be two files or two folders; give both alike"
        )
    if prediction.is_file():
        return [Pair(_file(prediction), _file(reference))], []
    predictions, references = _entries(prediction), _entries(reference)
    pairs, problems = _by_name(predictions, references)
    if not pairs:
        raise MedsegError(
            f"no name in {reference} ({_names(references)}) is one in {prediction}"
            f" ({_names(predictions)}); give two folders of label maps with like names"
        )
    return pairs, problems


def _by_name(
    predictions: Sequence[Entry], references: Sequence[Entry]
) -> tuple[list[Pair], list[Problem]]:
    """Equal names first; what is left, by ever looser names, as long as one fits one."""
    found: dict[Entry, Entry] = {}
    problems: dict[Entry, Problem] = {}
    free = list(predictions)
    for key in _KEYS:
        left = [entry for entry in references if entry not in found]
        mine, theirs = _grouped(free, key), _grouped(left, key)
        problems = {}
        for name, entries in theirs.items():
            candidates = mine.get(name, [])
            if len(entries) == len(candidates) == 1:
                found[entries[0]] = candidates[0]
                free.remove(candidates[0])
            else:
                problems |= {entry: _problem(entry, candidates, entries) for entry in entries}
    return (
        [_alike(found[entry], entry) for entry in references if entry in found],
        list(problems.values()),
    )


def _alike(prediction: Entry, reference: Entry) -> Pair:
    """Against one file stands the one label in the case's folder, which may hold images too."""
    if len(prediction.files) == 1:
        labels = [file for file in reference.files if is_label_name(file_stem(file))]
        if len(labels) == 1:
            reference = Entry(reference.name, (labels[0],))
    return Pair(prediction, reference)


def _problem(entry: Entry, candidates: Sequence[Entry], rivals: Sequence[Entry]) -> Problem:
    if not candidates:
        return Problem(entry.name, "has no prediction", "predict it, or remove the reference")
    names = _names([*candidates, *(rival for rival in rivals if rival != entry)])
    return Problem(entry.name, f"its name also fits {names}", "rename so that one fits one")


def _entries(folder: Path) -> list[Entry]:
    """Files, and folders of masks, in natural order."""
    entries: list[Entry] = []
    for path in sorted(folder.iterdir(), key=lambda path: natural_key(path.name)):
        if path.is_dir():
            files = [file for file in path.iterdir() if is_image_file(file)]
            if files:
                entries.append(Entry(path.name, tuple(sorted(files))))
        elif is_image_file(path):
            entries.append(_file(path))
    if not entries:
        raise MedsegError(f"{folder} holds no label maps; point at the folder that does")
    return entries


def _file(path: Path) -> Entry:
    return Entry(file_stem(path), (path,))


def _grouped(entries: Sequence[Entry], key: Callable[[str], str]) -> dict[str, list[Entry]]:
    groups: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry.name)].append(entry)
    return groups


def _names(entries: Sequence[Entry]) -> str:
    return ", ".join(entry.name for entry in entries[:3]) + (", ..." if len(entries) > 3 else "")


def _without_label(name: str) -> str:
    """Without `seg`, `label`, ... at either end. `scan` itself is kept: it may be all there is."""
    parts = words(name)
    while len(parts) > 1 and parts[-1] in LABEL_WORDS:
        parts.pop()
    while len(parts) > 1 and parts[0] in LABEL_WORDS:
        parts.pop(0)
    return "_".join(parts)


def _without_channel(name: str) -> str:
    """The name of the case, where a prediction has that of its first channel's file."""
    return _without_label(name).removesuffix("_0000")


_KEYS: tuple[Callable[[str], str], ...] = (str.casefold, _without_label, bare, _without_channel)
