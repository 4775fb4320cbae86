"""Who belongs together: scans of one patient, found from the names of cases or told by the user."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.errors import SettingsError

MAX_BYTES = 32 * 2**20
"""Of a table of groups."""

_PART_WORDS = (
    "acq|acquisition|aug|baseline|bl|crop|d|date|day|ed|echo|end_?diastole|end_?systole|es|exam|"
    "fold|followup|follow_up|frame|fu|hour|hr|l|left|lesion|lh|m|month|nodule|od|os|part|patch|ph|"
    "phase|pos|post|pre|r|rep|repeat|rh|right|roi|run|scan|series|ses|session|side|sl|slc|slice|"
    "study|t|task|tile|time|timepoint|timestep|tp|view|visit|vol|w|week|wk|year|yr|z"
)
_PART = re.compile(rf"(?:{_PART_WORDS})[\s_.\-]?\d*|\d{{4}}[\-_.]?\d{{2}}[\-_.]?\d{{2}}")
"""What a name adds to a patient's, in one token: `frame01`, `ses-2`, `left`, `2019-03-01`."""
_MOST_SHOWN = 3


class Groups(NamedTuple):
    """Who each case is of, in the order of the cases, and how that was found, in words."""

    names: tuple[str, ...]
    source: str


def find_groups(names: Sequence[str]) -> Groups:
    """Who each case is of, by its name.

    `patient003_frame01` and `patient003_frame12` are of patient003: what a name adds to another is
    a frame, a slice, a visit, a side, a date. A second number alone (`12_003`) is taken for a part
    as well where several names share the first: keeping cases together that could be apart costs
    little, and the other error makes scores too good.

    Args:
        names: Of cases; each is its own group where nothing says otherwise.
    """
    by_words = [_stem(name) for name in names]
    if _plausible(by_words, names):
        return Groups(tuple(by_words), "from the names")
    by_numbers = [_before_last_number(name) for name in names]
    if _plausible(by_numbers, names) and len(set(by_numbers)) >= 5:
        return Groups(tuple(by_numbers), "from the first of two numbers in the names")
    return Groups(tuple(names), "each case by itself")


def group_cases(names: Sequence[str], own: Sequence[str], asked: str | None) -> Groups:
    """Who each case is of: as the user says, else as the folders say, else by the names.

    Args:
        names: Of the cases.
        own: What the dataset's folders say of each; '' where they say nothing.
        asked: A pattern or a table, as the setting `groups`.

    Raises:
        SettingsError: If the pattern or the table does not fit.
    """
    if asked is not None:
        table = Path(asked)
        if table.suffix.lower() in (".csv", ".tsv", ".json"):
            return Groups(_by_table(names, table), f"from {table.name}")
        return Groups(_by_pattern(names, asked), "from your pattern")
    if any(own) and _plausible([o or n for o, n in zip(own, names, strict=True)], names):
        return Groups(tuple(o or n for o, n in zip(own, names, strict=True)), "from the folders")
    return find_groups(names)


def groups_in_words(groups: Groups) -> str:
    """A row of a table, such as `40 of 80 cases, from the names (patient001: 2, ...)`."""
    counts = Counter(groups.names)
    if len(counts) == len(groups.names):
        return groups.source
    several = [f"{name}: {count}" for name, count in counts.items() if count > 1]
    shown = ", ".join(several[:_MOST_SHOWN]) + ", ..." * (len(several) > _MOST_SHOWN)
    return f"{len(counts)} of {len(groups.names)} cases, {groups.source} ({shown})"


def _plausible(groups: Sequence[str], names: Sequence[str]) -> bool:
    """Whether some cases belong together and not all of them, and each group has a name."""
    count = len(set(groups))
    return all(groups) and 1 < count < len(set(names))


def _stem(name: str) -> str:
    """The name without the parts of a patient at its end."""
    stem = name
    while True:
        cut = _without_part(stem)
        if cut == stem:
            return stem
        stem = cut


def _without_part(name: str) -> str:
    lower = name.casefold()
    for separator in re.finditer(r"[\s_.\-]+", lower):
        if separator.start() > 0 and _PART.fullmatch(lower[separator.end() :]):
            return name[: separator.start()]
    return name


def _before_last_number(name: str) -> str:
    """`12` for `12_003`: what stands before the second of two numbers at the end."""
    found = re.fullmatch(r"(.*\d[a-z]*)[\s_.\-]+\d{1,4}", name, flags=re.IGNORECASE)
    return found[1] if found else name


def _by_pattern(names: Sequence[str], pattern: str) -> tuple[str, ...]:
    try:
        compiled = re.compile(_as_regex(pattern))
    except re.error as error:
        raise SettingsError(
            f"groups = {pattern}",
            f"is no regular expression ({error})",
            r"write one such as (patient\d+)_ or name a CSV table",
        ) from None
    groups: list[str] = []
    for name in names:
        found = compiled.search(name)
        if found is None:
            raise SettingsError(
                f"groups = {pattern}",
                f"does not match the case {name}",
                r"write a regular expression that finds every case's group, such as (patient\d+)_",
            )
        groups.append((found[1] if compiled.groups else found[0]) or name)
    return tuple(groups)


def _as_regex(pattern: str) -> str:
    """A regular expression as it is; `{}_visit*` as one whose braces are the group."""
    if "{}" not in pattern:
        return pattern
    parts = [re.escape(part).replace(r"\*", ".*") for part in pattern.split("{}")]
    return "^" + "(.+?)".join(parts) + "$"


def _by_table(names: Sequence[str], table: Path) -> tuple[str, ...]:
    found = read_table(table, "groups")
    missing = [name for name in names if name not in found]
    if missing:
        raise SettingsError(
            f"groups = {table}",
            f"has no row for {len(missing)} cases, first {missing[0]}",
            "add a row of case and group for each",
        )
    return tuple(found[name] for name in names)


def read_table(path: Path, setting: str) -> Mapping[str, str]:
    """Case -> word, from a CSV of two columns or a JSON object.

    Raises:
        SettingsError: If it cannot be read as such.
    """
    text = read_small_text(path, setting)
    if path.suffix.lower() == ".json":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise SettingsError(
                f"{setting} = {path}", "holds no JSON object of case and word", "write one"
            )
        return {str(key): str(value) for key, value in found.items()}
    head = text.splitlines()[0] if text else ""
    separator = max(",;\t", key=head.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(row)]
    if not rows or any(len(row) < 2 for row in rows):
        raise SettingsError(
            f"{setting} = {path}",
            "needs two columns in each row: a case and its word",
            "separate them by commas",
        )
    return {row[0].strip(): row[1].strip() for row in rows}


def read_small_text(path: Path, setting: str) -> str:
    """A text of a size that a person may have written, with or without a byte order mark.

    Raises:
        SettingsError: If it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(
                f"{setting} = {path}", f"is larger than {MAX_BYTES // 2**20} MiB", "name a table"
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        subject = f"{setting} = {path}"
        raise SettingsError(subject, f"cannot be read ({reason})", "check it") from None
