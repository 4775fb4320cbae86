"""Who belongs together: scans of one patient, slices of one volume.

Where neither the user nor a folder says so, names do. A name is read from left to right
(`name_parts`). What comes after the first thing that tells cases apart, and names a part of someone
(a visit, a frame, a side, a date), is taken away; cases of which the same remains belong together.
Where mere numbers stand behind each other, such as 12_003, nothing says what they count: the first
is then taken for a patient's, and that is said.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from medseg.scans.case import Case
from medseg.scans.group_setting import set_groups
from medseg.scans.known import Known, shown
from medseg.scans.name_parts import Unit, units_of

_NAMES, _FOLDERS, _ALONE = "from the names", "from the folders", "each case by itself"
_BY_ITSELF = "each is dealt by itself, so scores say little of new patients"


class Groups(NamedTuple):
    """Who each case is of.

    Attributes:
        names: One per case, in step; a case by itself is a group of its own name.
        source: How that was found, in words.
        doubt: What is uncertain about it, in a line; nothing where nothing is.
    """

    names: tuple[str, ...]
    source: str
    doubt: str = ""


class _Name(NamedTuple):
    """A name and what it is made of."""

    text: str
    units: tuple[Unit, ...]


def group_cases(
    cases: Sequence[Case], asked: str | None, folds: int, others: Sequence[str] = ()
) -> Groups:
    """Who each case is of: as the user says, else as the folders say, else by the names.

    Args:
        cases: In natural order.
        asked: The setting `groups`.
        folds: Groups that an uncertain reading must leave.
        others: Names of what was left out of the dataset, which a table may hold.

    Raises:
        SettingsError: If the setting does not fit the cases.
    """
    names = [case.name for case in cases]
    if asked is not None:
        told = set_groups(asked, Known(names, others))
        return Groups(tuple(told[name] for name in names), "as set by you")
    own = tuple(case.group or case.name for case in cases)
    count = len(set(own))
    if count == len(cases):
        return find_groups(names, folds)
    doubt = ""
    if count == 1:
        doubt = f"all {len(cases)} cases are of one patient: {_BY_ITSELF}"
    return Groups(own, _FOLDERS, doubt)


def groups_in_words(groups: Groups) -> str:
    """Such as `40 patients of 80 cases, from the names (patient001: 2, ...)`."""
    sizes = Counter(groups.names)
    if len(sizes) == len(groups.names):
        return _ALONE
    said = f"{len(sizes)} patients of {len(groups.names)} cases, {groups.source}"
    if groups.source == _FOLDERS:  # those may be names of people
        return f"{said} (at most {max(sizes.values())} of one)"
    several = [f"{name}: {size}" for name, size in sizes.items() if size > 1]
    return f"{said} ({shown(several)})"


def find_groups(names: Sequence[str], folds: int = 5) -> Groups:
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
        if together and len(sizes) > 1:
            groups = _spelled(read, kept, keys)
            return Groups(groups, _NAMES, _words_alone(groups, together, folds))
    return _by_first_number(read, folds) or Groups(tuple(names), _ALONE, _why_alone(read, constant))


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
            # batch_1/volume-3, site1/p2: what is numbered within a collection is not one patient's.
            collects = unit.collection and any(other.number for other in behind)
            tells = unit.text not in constant and not collects
            numbered = numbered or (tells and bool(unit.number))
            known = known or (tells and (words_tell or numbered))
    return tuple(kept if known else units)


def _words_alone(groups: Sequence[str], together: Sequence[str], folds: int) -> str:
    """Few words without numbers may be people, and kinds of scans (benign, malignant) as well."""
    if len(set(groups)) >= folds or all(any(map(str.isdigit, key)) for key in together):
        return ""
    return (
        f"cases that begin alike ({shown([*dict.fromkeys(groups)])}) are taken for scans of one "
        "patient; if they are not, --groups '.+' deals each by itself"
    )


def _who_alone(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """A patient's own word and number, whatever stands before it, such as a running number."""
    return tuple(unit for unit in units if unit.kind == "who")[:1] or tuple(units)


def _leads(unit: Unit, behind: Sequence[Unit]) -> bool:
    """Whether a part stands before the one whose part it is: visit1_012, frame2_patient3."""
    if any(other.kind == "who" for other in behind):
        return True
    return unit.time and any(other.kind == "other" and other.number for other in behind)


def _by_first_number(read: Sequence[_Name], folds: int) -> Groups | None:
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
        first = shown([*dict.fromkeys(groups)])
        if len(sizes) >= folds and max(sizes.values()) * 2 <= len(read):
            return Groups(
                _alone_by_name(read, groups),
                "from the first of two numbers in the names",
                f"names such as {read[0].text} may begin with a patient's number or not: cases "
                f"that begin alike ({first}) are kept together; --groups '.+' deals each by itself",
            )
        too_few = too_few or (
            f"names such as {read[0].text} may be parts of {len(sizes)} patients ({first}), too "
            f"few or too uneven for {folds} folds: each case is dealt by itself; if they are, "
            "name them with --groups"
        )
    return Groups(tuple(name.text for name in read), _ALONE, too_few) if too_few else None


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
            f"all {len(read)} cases are of {read[0].text[who[0].start : who[0].end]}: {_BY_ITSELF}"
        )
    parts = [name.units for name in read if not any(unit.kind == "who" for unit in name.units)]
    if len(parts) == len(read) and all(any(u.slice and u.number for u in units) for units in parts):
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
