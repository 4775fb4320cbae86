"""Which prediction belongs to which reference: by name, never by order."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from operator import eq, ne
from pathlib import Path
from typing import NamedTuple

from medseg.errors import MedsegError
from medseg.evaluation.entries import (
    Entry,
    Key,
    Side,
    as_files,
    described,
    file_entry,
    label_files,
    normal,
    reference_side,
    without_label,
)
from medseg.evaluation.masks import classes_in, mask_entries, masks_of_one_case
from medseg.files import machine_error
from medseg.scans.case import Problem
from medseg.scans.names import bare


class Pair(NamedTuple):
    """Both sides of a case."""

    prediction: Entry
    reference: Entry


class Pairing(NamedTuple):
    """What came of pairing.

    Attributes:
        pairs: In natural order.
        problems: References without a prediction, or with several.
        prediction: What is known of the predictions' classes.
        reference: The same of the references.
    """

    pairs: list[Pair]
    problems: list[Problem]
    prediction: Side
    reference: Side


def pair(prediction: Path, reference: Path, names: Sequence[str] = ()) -> Pairing:
    """Pair two files, or the contents of two folders by name.

    The references may be a dataset in any layout that trains, scans and all, or a folder of labels.
    Names need not be equal: the affixes that predict adds and that datasets use are understood
    (`scan_seg`, `label_scan`, `scan_0000`), and of two paths one may end like the other
    (`patient1/scan` and `labels/patient1/scan`). Either side is label maps, in a tree or not, or
    one mask per class: in a folder for each case, or told by the names of classes.

    Args:
        prediction: A file or a folder.
        reference: The same kind; or of one case one the label map, the other a folder of masks.
        names: Classes that the user named.

    Raises:
        MedsegError: If one of the two does not exist or cannot be looked at, they are not of one
            kind, or nothing pairs.
    """
    try:
        return _pair(prediction, reference, names)
    except OSError as error:
        name = str(error.filename)
        failed = machine_error(error, name)
        if failed:
            raise failed from error
        what = f"cannot be looked at ({error.strerror})"
        raise MedsegError(name, what, "check its permissions") from None


def _pair(prediction: Path, reference: Path, names: Sequence[str]) -> Pairing:
    for path in (prediction, reference):
        if not path.exists():
            raise MedsegError(str(path), "does not exist", "give a label map or a folder of them")
    if prediction.is_file() or reference.is_file():
        return _pair_of_files(prediction, reference, names)
    ours, dataset = described(prediction), reference_side(reference)
    theirs = dataset or described(reference)
    known = (*names, *ours.names, *theirs.names)
    if dataset is None:
        readings = _two_folders(prediction, reference, known)
    else:
        readings = _folder_and_dataset(prediction, dataset, known)
    tried: list[_Paired] = []
    for reading in readings:
        tried.append(_Paired(reading, *_by_name(*reading)))
        if tried[-1].share == 1:
            break
    pairs, problems = max(tried, key=lambda paired: paired.share)[1:]
    first = tried[0].reading
    if not pairs and not any(entry.doubt for entry in first.predictions):
        raise MedsegError(
            str(reference),
            f"no name in it ({_names(first.references)}) is one in {prediction} "
            f"({_names(first.predictions)})",
            "give two folders of label maps with like names",
        )
    return Pairing(pairs, problems, ours, theirs)


def _pair_of_files(prediction: Path, reference: Path, names: Sequence[str]) -> Pairing:
    """One case: two label maps, whatever they are called, or one and a folder of its masks."""
    entries: list[Entry] = []
    for path in (prediction, reference):
        entry = file_entry(path) if path.is_file() else masks_of_one_case(path, names)
        if entry is None:
            raise MedsegError(
                f"{prediction} and {reference}",
                "must be two files or two folders, or a label map and a folder of a mask per class",
                "give both alike",
            )
        entries.append(entry)
    around = (path.parent if path.is_file() else path for path in (prediction, reference))
    return Pairing([Pair(*entries)], [], *map(described, around))


class _Reading(NamedTuple):
    """What two folders may hold."""

    predictions: Sequence[Entry]
    references: Sequence[Entry]


class _Paired(NamedTuple):
    """What comes of a reading."""

    reading: _Reading
    pairs: list[Pair]
    problems: list[Problem]

    @property
    def share(self) -> float:
        """Of the references, how many have a prediction."""
        return len(self.pairs) / len(self.reading.references)


def _folder_and_dataset(
    prediction: Path, dataset: Side, known: Sequence[str]
) -> Iterator[_Reading]:
    """The likelier reading first."""
    files = label_files(prediction)
    masks_first = any(entry.classes for entry in dataset.entries)
    for masked in (masks_first, not masks_first):
        read = mask_entries(prediction, files, known) if masked else as_files(prediction, files)
        if read is not None:
            yield _Reading(read, dataset.entries)


def _two_folders(prediction: Path, reference: Path, known: Sequence[str]) -> Iterator[_Reading]:
    """Both as masks, both as label maps, or one of each: the names of one tell those of the other.

    Sub-folders of label maps may look like masks of one case, so the plain reading comes second.
    """
    ours, theirs = label_files(prediction), label_files(reference)
    their_masks = mask_entries(reference, theirs, known)
    our_masks = mask_entries(prediction, ours, (*known, *classes_in(their_masks or ())))
    if their_masks is None and our_masks is not None:
        their_masks = mask_entries(reference, theirs, classes_in(our_masks))
    if our_masks is not None and their_masks is not None:
        yield _Reading(our_masks, their_masks)
    our_maps, their_maps = as_files(prediction, ours), as_files(reference, theirs)
    yield _Reading(our_maps, their_maps)
    if our_masks is not None:
        yield _Reading(our_masks, their_maps)
    if their_masks is not None:
        yield _Reading(our_maps, their_masks)


def _by_name(
    predictions: Sequence[Entry], references: Sequence[Entry]
) -> tuple[list[Pair], list[Problem]]:
    """Equal names first; what is left, by ever looser names, as long as one fits one."""
    found: dict[int, Entry] = {}
    fitting: dict[int, list[Entry]] = {}
    free = list(predictions)
    for loosen, like in product(_LOOSENED, _LIKE):
        left = [index for index in range(len(references)) if index not in found]
        fitting = _fitting([references[index].keys for index in left], free, loosen, like)
        fitting = {left[place]: entries for place, entries in fitting.items()}
        wanted = Counter(id(entry) for entries in fitting.values() for entry in entries)
        for index, entries in fitting.items():
            if len(entries) == 1 and wanted[id(entries[0])] == 1:
                found[index] = entries[0]
        taken = {id(entry) for entry in found.values()}
        free = [entry for entry in free if id(entry) not in taken]
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for index, reference in enumerate(references):
        if index not in found:
            rivals = [
                references[other].name
                for other, entries in fitting.items()
                if other != index and any(entry in fitting[index] for entry in entries)
            ]
            problems.append(_problem(reference, fitting[index], rivals))
        elif found[index].doubt:
            several = ", ".join(found[index].doubt)
            what = f"its prediction could be any of {several}"
            problems.append(Problem(reference.name, what, "move away what is no prediction"))
        elif reference.doubt:
            several = ", ".join(reference.doubt)
            what = f"its label could be any of {several}"
            problems.append(Problem(reference.name, what, "move away what is no label"))
        else:
            pairs.append(Pair(found[index], reference))
    return pairs, problems


def _fitting(
    keys: Sequence[tuple[Key, ...]],
    predictions: Sequence[Entry],
    loosen: Callable[[str], str],
    like: "_Like",
) -> dict[int, list[Entry]]:
    """The predictions that fit each reference."""
    ends: defaultdict[str, list[tuple[Key, Entry]]] = defaultdict(list)
    for entry in predictions:
        key = normal(entry.keys[0], loosen)
        ends[like.by(key)].append((key, entry))
    fitting: dict[int, list[Entry]] = {}
    for place, several in enumerate(keys):
        found: dict[int, Entry] = {}
        for key in {normal(one, loosen) for one in several}:
            for other, entry in ends.get(like.by(key), ()):
                if like.fits(key, other):
                    found[id(entry)] = entry
        fitting[place] = list(found.values())
    return fitting


class _Like(NamedTuple):
    """When two paths are those of one case: what both have alike, and whether that is enough."""

    by: Callable[[Key], str]
    fits: Callable[[Key, Key], bool]


def _ends_alike(one: Key, other: Key) -> bool:
    length = min(len(one), len(other))
    return one[-length:] == other[-length:]


_LIKE = (
    _Like("/".join, eq),
    _Like("_".join, ne),  # p1_scan, as a run names the case of p1/scan
    _Like(lambda key: key[-1], _ends_alike),
)
"""By equal paths, with one flat where the other is a tree, and with one the end of the other."""


def _problem(entry: Entry, candidates: Sequence[Entry], rivals: Sequence[str]) -> Problem:
    if not candidates:
        return Problem(entry.name, "has no prediction", "predict it, or remove the reference")
    names = ", ".join([_names(candidates), *rivals])
    return Problem(entry.name, f"its name also fits {names}", "rename so that one fits one")


def _names(entries: Sequence[Entry]) -> str:
    return ", ".join(entry.name for entry in entries[:3]) + (", ..." if len(entries) > 3 else "")


def _without_channel(name: str) -> str:
    """The name of the case, where a prediction has that of its first channel's file."""
    return without_label(name).removesuffix("_0000")


def _unpadded(name: str) -> str:
    """Without leading zeros: `case_1` for `case_001`."""
    return _ZEROS.sub("", bare(name))


_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_LOOSENED: tuple[Callable[[str], str], ...] = (
    str.casefold, without_label, bare, _without_channel, _unpadded
)  # fmt: skip
