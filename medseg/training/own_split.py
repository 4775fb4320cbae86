"""A split of the user's own: which cases train and which validate, read from a file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from medseg.errors import SettingsError
from medseg.scans.known import Known, shown
from medseg.scans.tables import Row, as_name, lower_keys, own_names, read_csv, read_json

_COLUMNS = ("part", "split", "set", "subset", "side", "fold", "partition", "phase")
_TRAINING, _VALIDATION, _TEST = "training", "validation", "test"
_WORDS = {
    **dict.fromkeys(("training", "train", "tr", "learn", "trainset", "train_set"), _TRAINING),
    **dict.fromkeys(
        ("validation", "val", "valid", "validate", "dev", "tune", "tuning", "valset", "val_set"),
        _VALIDATION,
    ),
    **dict.fromkeys(("test", "testing", "ts", "holdout", "test_set", "testset"), _TEST),
}
_FOLD = re.compile(r"(?:fold[\s_-]*)?(\d+)(?:\.0)?", re.IGNORECASE)


Fields = Mapping[object, object]


class _Said(NamedTuple):
    """Cases and what is said of each; whether `fold` decided it."""

    rows: list[Row]
    folded: bool = False


class OwnSplit(NamedTuple):
    """A split that a user made, in the names and the order that the cases have.

    Attributes:
        training: To learn from.
        validation: To validate.
        folded: Whether `fold` chose it among several.
        notes: What the user should know of its reading, a line each.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    folded: bool = False
    notes: tuple[str, ...] = ()


def read_split(path: Path, known: Known, fold: int) -> OwnSplit:
    """Read a split.

    JSON with lists "training" and "validation" (or train, val, ...), a list of such objects, of
    which `fold` picks one (nnU-Net's splits_final.json), or {"case": "part"}; or a CSV of case and
    part, or of case and the number of the fold that validates it.

    Raises:
        SettingsError: If it cannot be read, names cases that do not exist, puts one on both sides,
            or leaves a side empty.
    """
    subject = f"split {path}"
    if path.suffix.casefold() == ".json":
        said = _from_json(read_json(path, subject), subject, fold)
    else:
        said = _Said(read_csv(path, subject, _COLUMNS, known))
    said = _by_side(said, subject, fold)
    parts: dict[str, str] = {}
    for case, word, _ in own_names(said.rows, known, subject):
        if parts.setdefault(case, word) != word:
            raise SettingsError(
                subject, f"puts {case} on two sides, {parts[case]} and {word}", "keep one"
            )
    return _checked(parts, path, known)._replace(folded=said.folded)


def _checked(parts: Mapping[str, str], path: Path, known: Known) -> OwnSplit:
    sides = {
        side: tuple(name for name in known.names if parts.get(name) == side)
        for side in (_TRAINING, _VALIDATION, _TEST)
    }
    notes: list[str] = []
    if sides[_TEST] and sides[_VALIDATION]:
        notes.append(f"{path.name}: {len(sides[_TEST])} test cases are left alone")
    elif sides[_TEST]:
        notes.append(f"{path.name} names no validation cases: its test cases are validated on")
        sides[_VALIDATION] = sides[_TEST]
    for side, purpose in ((_TRAINING, "learn from"), (_VALIDATION, "validate")):
        if not sides[side]:
            what = f"names no case of the dataset to {purpose}"
            raise SettingsError(f"split {path}", what, f'list some under "{side}"')
    unnamed = [name for name in known.names if name not in parts]
    if unnamed:
        notes.append(
            f"{path.name} does not name {len(unnamed)} of {len(known.names)} cases, which are "
            f"left out: {shown(unnamed)}"
        )
    return OwnSplit(sides[_TRAINING], sides[_VALIDATION], notes=tuple(notes))


def _by_side(said: _Said, subject: str, fold: int) -> _Said:
    """The same in the words training, validation and test."""
    rows = [row for row in said.rows if row.value]
    numbers = [_FOLD.fullmatch(row.value) for row in rows]
    folds = [int(match[1]) for match in numbers if match]
    if rows and len(folds) == len(rows):
        there = sorted(set(folds))
        if there == [0, 1] and "fold" not in rows[0].column + rows[0].value.casefold():
            called = f"column {rows[0].column}" if rows[0].column else "second column"
            what = f"has only 0 and 1 in its {called}: which of them trains?"
            raise SettingsError(subject, what, "write training or validation; or call it fold")
        if fold not in there or len(there) < 2:
            what = f"has the folds {', '.join(map(str, there))}, and fold = {fold}"
            raise SettingsError(subject, what, "set --fold to one of at least two")
        sides = [_VALIDATION if number == fold else _TRAINING for number in folds]
        return _Said([Row(row.case, side) for row, side in zip(rows, sides, strict=True)], True)
    strange = [row.value for row in rows if row.value.casefold() not in _WORDS]
    if strange:
        what = f"'{strange[0]}' is no side of a split"
        raise SettingsError(subject, what, "write training, validation or test")
    return said._replace(rows=[Row(row.case, _WORDS[row.value.casefold()]) for row in rows])


def _from_json(value: object, subject: str, fold: int) -> _Said:
    """Whatever JSON people have for a split."""
    refusal = SettingsError(
        subject, "is no split", 'write {"training": ["case1", ...], "validation": ["case2", ...]}'
    )
    if isinstance(value, dict):
        fields = cast("Fields", value)
        if _has_lists(fields):
            return _Said(_listed(fields, subject))
        if fields and all(_has_lists(item) for item in fields.values()):  # {"fold_0": ...}
            value = [*fields.values()]
        elif fields and all(isinstance(item, str | int) for item in fields.values()):
            return _Said([Row(str(case), str(part)) for case, part in fields.items()])
    if not isinstance(value, list) or not value:
        raise refusal
    entries = cast("list[object]", value)
    if all(_has_lists(entry) for entry in entries):
        if fold >= len(entries):
            what = f"has {len(entries)} folds, and fold = {fold}"
            raise SettingsError(subject, what, f"set --fold below {len(entries)}")
        return _Said(_listed(cast("Fields", entries[fold]), subject), True)
    rows = _labelled(entries)
    if len(rows) < len(entries):
        raise refusal
    return _Said(rows)


def _has_lists(entry: object) -> bool:
    """Whether it has a list of cases for a side."""
    fields = lower_keys(cast("Fields", entry)) if isinstance(entry, dict) else {}
    return any(isinstance(fields.get(word), list) for word in _WORDS)


def _listed(entry: Fields, subject: str) -> list[Row]:
    """Cases by their side; where there is only one, by the folds that its entries may have."""
    fields = lower_keys(entry)
    lists = {word: fields[word] for word in _WORDS if fields.get(word) is not None}
    rows: list[Row] = []
    for word, members in lists.items():
        names = [as_name(member) for member in _entries(members)] or [None] * (members != [])
        if None in names:
            raise SettingsError(subject, f"names no case in a place of '{word}'", "list names only")
        rows += [Row(name, word) for name in names if name is not None]
    if len({_WORDS[word] for word in lists} - {_TEST}) == 1:
        folded = _labelled([entry for members in lists.values() for entry in _entries(members)])
        return folded if len(folded) == len(rows) else rows
    return rows


def _entries(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _labelled(entries: Sequence[object]) -> list[Row]:
    """Objects that each name a case and its side or fold."""
    rows: list[Row] = []
    for entry in entries:
        fields = lower_keys(cast("Fields", entry)) if isinstance(entry, dict) else {}
        case = as_name(fields)
        column = next((name for name in _COLUMNS if name in fields), "")
        part = as_name(fields.get(column))
        if case is not None and part is not None:
            rows.append(Row(case, part, column))
    return rows
