"""Who belongs together, by names alone: scans of one patient, slices of one volume.

A name is read from left to right (`name_parts`). What comes after the first thing that tells cases
apart, and names a part of someone (a visit, a frame, a side, a date), is taken away; cases of which
the same remains belong together. Where mere numbers stand behind each other, such as 12_003,
nothing says what they count: the first is then taken for a patient's, and that is said.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from medseg.scans.name_parts import Unit, units_of

_SHOWN = 3


class Grouping(NamedTuple):
    """Who each case is of.

    Attributes:
        groups: One per name, in step; a case by itself is a group of its own name.
        doubt: What is uncertain about it, in a sentence; nothing where nothing is.
    """

    groups: tuple[str, ...]
    doubt: str = ""


class _Name(NamedTuple):
    """A name and what it is made of."""

    text: str
    units: tuple[Unit, ...]


def find_groups(names: Sequence[str], folds: int = 5) -> Grouping:
    """Find out from the names who belongs together.

    Never all of them: a dataset of one patient is dealt case by case, and that is said.

    Args:
        names: Unique.
        folds: Groups that an uncertain reading must leave, so that every fold has one.
    """
    read = [_Name(name, units_of(name)) for name in names]
    constant = _in_all(read)
    for keep in (
        partial(_without_parts, constant=constant, words_tell=True),
        partial(_without_parts, constant=constant, words_tell=False),
        _who_alone,
    ):
        kept = [keep(name.units) for name in read]
        keys = ["_".join(unit.text for unit in units) for units in kept]
        sizes = Counter(keys)
        together = [key for key, size in sizes.items() if size > 1 and key]
        # Words alone may be kinds of scans (benign, malignant) as well as people.
        wordy = not all(any(map(str.isdigit, key)) for key in together)
        if together and len(sizes) >= (folds if wordy else 2):
            return Grouping(_spelled(read, kept, keys))
    return _by_first_number(read, folds) or Grouping(tuple(names), _why_alone(read, constant))


def _without_parts(
    units: Sequence[Unit], constant: frozenset[str], *, words_tell: bool
) -> tuple[Unit, ...]:
    """What remains of a name without the parts of someone; all of it if nothing tells who."""
    kept: list[Unit] = []
    known = numbered = parts = False
    for place, unit in enumerate(units):
        behind = units[place + 1 :]
        if unit.kind == "who":
            return (*kept, unit)
        told = numbered if unit.own else known
        if (unit.kind == "side" and (known or behind)) or (
            unit.kind == "part" and (told or _leads(unit, behind))
        ):
            parts = True
        elif not (known and parts and unit.number and not unit.word):
            kept.append(unit)
            others = any(other.kind == "other" and other.number for other in behind)
            tells = unit.text not in constant and not (unit.collection and others)
            numbered = numbered or (tells and bool(unit.number))
            known = known or (tells and (words_tell or numbered))
    return tuple(kept if known else units)


def _who_alone(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """A patient's own word and number, whatever stands before it, such as a running number."""
    return tuple(unit for unit in units if unit.kind == "who")[:1] or tuple(units)


def _leads(unit: Unit, behind: Sequence[Unit]) -> bool:
    """Whether a part stands before the one whose part it is: visit1_012, frame2_patient3."""
    if any(other.kind == "who" for other in behind):
        return True
    return unit.time and any(other.kind == "other" and other.number for other in behind)


def _by_first_number(read: Sequence[_Name], folds: int) -> Grouping | None:
    """Numbers behind numbers: by the first that leaves enough groups of a bearable size."""
    shapes = {tuple((unit.word, bool(unit.number)) for unit in name.units) for name in read}
    if len(shapes) != 1 or len(read) < 3:
        return None
    too_few = ""
    for level in _levels(read)[:-1]:
        groups = [name.text[: name.units[level].end] for name in read]
        sizes = Counter(map(str.casefold, groups))
        if len(sizes) == len(read):
            break
        shown = ", ".join([*dict.fromkeys(groups)][:_SHOWN]) + ", ..." * (len(sizes) > _SHOWN)
        if len(sizes) >= folds and max(sizes.values()) * 2 <= len(read):
            return Grouping(
                _alone_by_name(read, groups),
                f"names such as {read[0].text} may begin with a patient's number or not: cases "
                f"that begin alike ({shown}) are kept together; --groups '.+' deals each by itself",
            )
        too_few = too_few or (
            f"names such as {read[0].text} may be parts of {len(sizes)} patients ({shown}), too "
            f"few or too uneven for {folds} folds: each case is dealt by itself; if they are, "
            "name them with --groups"
        )
    return Grouping(tuple(name.text for name in read), too_few) if too_few else None


def _levels(read: Sequence[_Name]) -> list[int]:
    """Where names of one shape have numbers that differ and may be someone's."""
    return [
        level
        for level, unit in enumerate(read[0].units)
        if unit.number
        and not unit.collection
        and len({name.units[level].text for name in read}) > 1
        and not all(name.units[level].year for name in read)
    ]


def _why_alone(read: Sequence[_Name], constant: frozenset[str]) -> str:
    """One patient only, or slices that do not say of what they are slices."""
    if len(read) < 2:
        return ""
    who = [unit for unit in read[0].units if unit.kind == "who" and unit.text in constant]
    if who:
        return (
            f"all {len(read)} cases are of {read[0].text[who[0].start : who[0].end]}: each is "
            "dealt by itself, so scores say little of new patients"
        )
    if all(any(unit.slice and unit.number for unit in name.units) for name in read):
        return (
            f"names such as {read[0].text} do not say whose part it is: each case is dealt by "
            "itself; if several are of one scan or patient, say so with --groups"
        )
    return ""


def _in_all(read: Sequence[_Name]) -> frozenset[str]:
    """What stands in every name tells no two cases apart."""
    counts = Counter(text for name in read for text in {unit.text for unit in name.units})
    return frozenset(text for text, count in counts.items() if count == len(read) > 1)


def _spelled(
    read: Sequence[_Name], kept: Sequence[Sequence[Unit]], keys: Sequence[str]
) -> tuple[str, ...]:
    """Groups as the first of their cases writes them."""
    spelling: dict[str, str] = {}
    for name, units, key in zip(read, kept, keys, strict=True):
        spelling.setdefault(key, _text(name, units))
    return _alone_by_name(read, [spelling[key] for key in keys])


def _text(name: _Name, units: Sequence[Unit]) -> str:
    """The units as the name has them, with what stands between neighbours."""
    text = name.text[units[0].start : units[0].end]
    for before, unit in pairwise(units):
        neighbours = name.units.index(unit) == name.units.index(before) + 1
        between = name.text[before.end : unit.start] if neighbours else "_"
        text += between + name.text[unit.start : unit.end]
    return text


def _alone_by_name(read: Sequence[_Name], groups: Sequence[str]) -> tuple[str, ...]:
    """A case by itself is a group of its own name."""
    sizes = Counter(map(str.casefold, groups))
    first = {}
    for group in groups:
        first.setdefault(group.casefold(), group)
    return tuple(
        first[group.casefold()] if sizes[group.casefold()] > 1 else name.text
        for name, group in zip(read, groups, strict=True)
    )
