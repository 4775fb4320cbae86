"""The setting `groups`: a pattern for the cases' names, or a table, says who belongs together."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from medseg.errors import SettingsError
from medseg.scans.known import Known, shown
from medseg.scans.names import composed
from medseg.scans.tables import Row, as_name, lower_keys, own_names, read_csv, read_json

_COLUMNS = ("group", "groups", "patient", "patient_id", "patientid", "subject", "subject_id")
_TABLES = (".csv", ".json", ".tsv", ".txt")


def set_groups(setting: str, known: Known) -> Mapping[str, str]:
    """Case -> group, as the user says.

    Args:
        setting: The name of a table, or a regular expression: what it matches in a case's name, or
            the first group in it, says who the case is of. `{}` alone stands for that too, as in
            `{}_visit*`.
        known: The cases.

    Raises:
        SettingsError: If it cannot be understood, does not tell whose each case is, or puts all
            cases into one group.
    """
    path = Path(setting)
    subject = f"groups {setting}"
    is_table = path.suffix.casefold() in _TABLES or path.is_file()
    told = _from_table(path, subject, known) if is_table else _matched(setting, subject, known)
    groups = _alike(told)
    if len(known.names) > 1 and len(set(groups.values())) == 1:
        raise SettingsError(
            subject,
            f"puts all {len(known.names)} cases into one group: none would be left to validate",
            "tell at least two groups apart, or deal the cases yourself with --split",
        )
    return groups


def _alike(told: Mapping[str, str]) -> dict[str, str]:
    """Names that differ by upper and lower case are of one: `Anna`, `anna`."""
    spelled: dict[str, str] = {}
    for group in told.values():
        spelled.setdefault(composed(group).casefold(), group)
    return {case: spelled[composed(group).casefold()] for case, group in told.items()}


def _matched(setting: str, subject: str, known: Known) -> dict[str, str]:
    pattern = _pattern(setting, subject)
    matches = {name: pattern.search(name) for name in known.names}
    groups = {
        name: (match[1] if pattern.groups else None) or match[0]
        for name, match in matches.items()
        if match is not None and match[0]
    }
    missed = [name for name in known.names if name not in groups]
    if missed:
        raise SettingsError(
            subject,
            f"is not found in {len(missed)} of {len(known.names)} names: {shown(missed)}",
            f"widen it; '{pattern.pattern}|.+' leaves each of these by itself",
        )
    return groups


def _pattern(setting: str, subject: str) -> re.Pattern[str]:
    if "{}" in setting:
        parts = (re.escape(part).replace(r"\*", ".*") for part in setting.split("{}", maxsplit=1))
        return re.compile("^" + "(.+?)".join(parts) + "$")
    if re.search(r"(^|[\w-])\*", re.sub(r"\\.", "()", setting)):  # a star behind a mere letter
        raise SettingsError(
            subject,
            "reads as a wildcard, which does not say which part of a name is the patient's",
            r"write {} for that part, such as '{}_visit*', or a regular expression: 'patient\d+'",
        )
    try:
        return re.compile(setting)
    except (re.error, OverflowError, RecursionError) as error:
        raise SettingsError(
            subject,
            f"is neither a file nor a regular expression ({error})",
            r"write one such as 'patient\d+' or '(.+)_visit\d+'",
        ) from None


def _from_table(path: Path, subject: str, known: Known) -> dict[str, str]:
    if path.suffix.casefold() == ".json":
        rows = [*_json_rows(read_json(path, subject), subject)]
    else:
        rows = read_csv(path, subject, _COLUMNS, known)
    groups: dict[str, str] = {}
    for case, group, _ in own_names(rows, known, subject):
        if groups.setdefault(case, group) != group:
            what = f"puts {case} into two groups, {groups[case]} and {group}"
            raise SettingsError(subject, what, "keep one")
    missing = [name for name in known.names if name not in groups]
    if missing:
        raise SettingsError(
            subject,
            f"does not say whose {len(missing)} of {len(known.names)} cases are: {shown(missing)}",
            "add them",
        )
    return groups


def _json_rows(value: object, subject: str) -> Iterator[Row]:
    """From {"case": "group"}, {"group": ["case", ...]} or [{"case": ..., "group": ...}]."""
    refusal = SettingsError(
        subject,
        "is no table of cases and groups",
        'write {"case1": "patient1", "case2": "patient1", ...}',
    )
    if isinstance(value, dict) and value:
        for key, item in cast("dict[str, object]", value).items():
            if isinstance(item, list):
                members = [as_name(entry) for entry in cast("Sequence[object]", item)]
                yield from (Row(member, key) for member in members if member is not None)
            elif (group := as_name(item)) is not None:
                yield Row(key, group)
            else:
                raise refusal
    elif isinstance(value, list) and value:
        for entry in cast("Sequence[object]", value):
            fields = lower_keys(
                cast("dict[object, object]", entry if isinstance(entry, dict) else {})
            )
            group = next((as_name(fields[name]) for name in _COLUMNS if name in fields), None)
            case = as_name(entry) if isinstance(entry, dict) else None
            if case is None or group is None:
                raise refusal
            yield Row(case, group)
    else:
        raise refusal
