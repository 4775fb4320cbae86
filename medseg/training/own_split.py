"""A split of the user's own: which cases train and which validate, read from a file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.errors import SettingsError
from medseg.scans.groups import read_small_text, read_table
from medseg.scans.names import bare, file_stem

_TRAINING = {"training", "train", "tr", "trn", "fit"}
_VALIDATION = {"validation", "val", "valid", "va", "dev"}
_ENTRY = 'write {"training": ["case1", ...], "validation": ["case2", ...]}'


class OwnSplit(NamedTuple):
    """Names of cases that train and validate, as cases are called, and of cases in neither."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    unnamed: tuple[str, ...]


def read_split(path: Path, names: Sequence[str], fold: int) -> OwnSplit:
    """Read JSON of two lists, nnU-Net's list of folds, or a CSV of case and part.

    Names may have a suffix or an affix that the cases' do not have.

    Args:
        path: The file.
        names: Of the cases there are.
        fold: Which of several folds.

    Raises:
        SettingsError: If it cannot be read, names a case twice or one that is not there, or leaves
            nothing to train on.
    """
    said = _by_part(path, fold)
    sides: dict[str, list[str]] = {"training": [], "validation": []}
    side_of: dict[str, str] = {}
    known = {name: name for name in names}
    loose = {bare(name): name for name in names}
    for side, listed in said.items():
        for raw in listed:
            stem = file_stem(Path(raw))
            name = known.get(raw) or known.get(stem) or loose.get(bare(stem))
            if name is None:
                raise _wrong(path, f"names {raw}, which is no case", "remove it, or add its files")
            if side_of.get(name, side) != side:
                raise _wrong(path, f"has {raw} on both sides", "keep it on one")
            if name not in side_of:
                side_of[name] = side
                sides[side].append(name)
    for side, found in sides.items():
        if not found:
            raise _wrong(path, f"leaves no case for {side}", _ENTRY)
    unnamed = tuple(name for name in names if name not in side_of)
    return OwnSplit(tuple(sides["training"]), tuple(sides["validation"]), unnamed)


def _by_part(path: Path, fold: int) -> Mapping[str, list[str]]:
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        table = read_table(path, "split")
        return {
            "training": [name for name, part in table.items() if part.casefold() in _TRAINING],
            "validation": [name for name, part in table.items() if part.casefold() in _VALIDATION],
        }
    text = read_small_text(path, "split")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong(path, "is no JSON", _ENTRY) from None
    if isinstance(found, list):
        if not fold < len(found):
            raise _wrong(path, f"has {len(found)} folds, fold {fold} is asked for", "set --fold")
        found = found[fold]
    if not isinstance(found, dict):
        raise _wrong(path, "holds no lists of cases", _ENTRY)
    lists: dict[str, list[str]] = {}
    for side, words in (("training", _TRAINING), ("validation", _VALIDATION)):
        listed = next((value for key, value in found.items() if key.casefold() in words), None)
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise _wrong(path, f"holds no list of names under {side}", _ENTRY)
        lists[side] = listed
    return lists


def _wrong(path: Path, what: str, remedy: str) -> SettingsError:
    return SettingsError(f"split = {path}", what, remedy)
