"""The setting `split`: which cases train and which validate, as the user says in a file."""

import re
from collections.abc import Iterator, Mapping, Sequence
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


class GivenSplit(NamedTuple):
    """A split that someone made.

    Attributes:
        training: Names of the cases to learn from.
        validation: Names of the cases to validate.
        source: Where it is from, in words.
        notes: What a user should know of its reading, a line each.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


def given_split(path: Path, known: Known, fold: int) -> GivenSplit:
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
        rows = _json_rows(read_json(path, subject), subject, fold)
    else:
        rows = read_csv(path, subject, _COLUMNS, known)
    parts: dict[str, str] = {}
    for case, word in own_names(_sides(rows, subject, fold), known, subject):
        if parts.setdefault(case, word) != word:
            raise SettingsError(
                subject, f"puts {case} on two sides, {parts[case]} and {word}", "keep one"
            )
    return _checked(parts, subject, path, known)


def _checked(parts: Mapping[str, str], subject: str, path: Path, known: Known) -> GivenSplit:
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
            raise SettingsError(subject, what, f'list some under "{side}"')
    unnamed = [name for name in known.names if name not in parts]
    if unnamed:
        notes.append(
            f"{path.name} does not name {len(unnamed)} of {len(known.names)} cases, which are "
            f"left out: {shown(unnamed)}"
        )
    return GivenSplit(sides[_TRAINING], sides[_VALIDATION], path.name, tuple(notes))


def _sides(rows: Sequence[Row], subject: str, fold: int) -> list[Row]:
    """Rows of the words training, validation and test."""
    filled = [row for row in rows if row.value]
    numbers = [_FOLD.fullmatch(row.value) for row in filled]
    if filled and all(numbers):
        folds = [int(match[1]) for match in numbers if match]
        if fold not in folds or len(set(folds)) < 2:
            raise SettingsError(
                subject,
                f"has the folds {', '.join(map(str, sorted(set(folds))))}, and fold = {fold}",
                "set --fold to one of at least two",
            )
        named = [_VALIDATION if number == fold else _TRAINING for number in folds]
    else:
        strange = [row.value for row in filled if row.value.casefold() not in _WORDS]
        if strange:
            raise SettingsError(
                subject, f"'{strange[0]}' is no side of a split", "write training or validation"
            )
        named = [_WORDS[row.value.casefold()] for row in filled]
    return [Row(row.case, side) for row, side in zip(filled, named, strict=True)]


def _json_rows(value: object, subject: str, fold: int) -> list[Row]:
    if isinstance(value, list) and value and all(_lists(entry) for entry in value):
        return [*_listed(_of_fold(cast("list[dict[object, object]]", value), subject, fold))]
    if isinstance(value, dict):
        items = cast("dict[object, object]", value)
        if items and all(_lists(item) for item in items.values()):  # {"fold_0": {"train": ...}}
            chosen = cast("list[dict[object, object]]", [*items.values()])
            return [*_listed(_of_fold(chosen, subject, fold))]
        if _lists(items):
            return [*_listed(items)]
        if items and all(isinstance(item, str | int) for item in items.values()):
            return [Row(str(case), str(part)) for case, part in items.items()]
    rows = _labelled(cast("Sequence[object]", value)) if isinstance(value, list) else []
    if not rows:
        raise SettingsError(
            subject,
            "is no split",
            'write {"training": ["case1", ...], "validation": ["case2", ...]}',
        )
    return rows


def _lists(entry: object) -> bool:
    """Whether it has a list of cases for a side."""
    if not isinstance(entry, dict):
        return False
    fields = lower_keys(cast("dict[object, object]", entry))
    return any(isinstance(fields.get(word), list) for word in _WORDS)


def _listed(entry: Mapping[object, object]) -> Iterator[Row]:
    """Cases by their side; where those to learn from have folds of their own, by these."""
    fields = lower_keys(entry)
    sides = [word for word in _WORDS if isinstance(fields.get(word), list)]
    for word in sides:
        members = cast("list[object]", fields[word])
        folded = _labelled(members) if {_WORDS[side] for side in sides} == {_TRAINING} else []
        if folded and len(folded) == len(members):
            yield from folded
            continue
        named = [as_name(member) for member in members]
        yield from (Row(name, word) for name in named if name is not None)


def _labelled(entries: Sequence[object]) -> list[Row]:
    """Objects that each name a case and its side or fold."""
    rows: list[Row] = []
    for entry in entries:
        case = as_name(entry) if isinstance(entry, dict) else None
        fields = lower_keys(cast("dict[object, object]", entry)) if isinstance(entry, dict) else {}
        part = next((as_name(fields[name]) for name in _COLUMNS if name in fields), None)
        if case is not None and part is not None:
            rows.append(Row(case, part))
    return rows


def _of_fold(
    folds: Sequence[Mapping[object, object]], subject: str, fold: int
) -> Mapping[object, object]:
    if fold >= len(folds):
        raise SettingsError(
            subject, f"has {len(folds)} folds, and fold = {fold}", f"set --fold below {len(folds)}"
        )
    return folds[fold]
