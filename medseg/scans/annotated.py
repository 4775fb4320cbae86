"""The table of a dataset not all of whose cases were annotated for every class."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from medseg.errors import SettingsError
from medseg.scans.known import Known
from medseg.scans.tables import Row, own_names, read_csv, read_json

_COLUMNS = ("annotated", "annotated_classes", "classes", "labels")
_BETWEEN = re.compile(r"\s*[|+;/]\s*")


def read_unannotated(path: Path, names: Sequence[str], known: Known) -> dict[str, tuple[int, ...]]:
    """Case -> places in `names` of the classes that nobody looked for, of the cases in a table.

    Args:
        path: CSV or JSON of case and the classes that were annotated in it.
        names: The classes.
        known: The cases.

    Raises:
        SettingsError: If it cannot be read, or names no such case or class.
    """
    subject = f"annotated {path}"
    if path.suffix.casefold() == ".json":
        rows = [*_json_rows(read_json(path, subject), subject)]
    else:
        rows = read_csv(path, subject, _COLUMNS, known)
    found: dict[str, tuple[int, ...]] = {}
    for row in own_names(rows, known, subject):
        others = _others(row.value, names, subject)
        # Of a case in several lines, what any of them names was annotated.
        found[row.case] = tuple(place for place in found.get(row.case, others) if place in others)
    return found


def _json_rows(value: object, subject: str) -> Iterator[Row]:
    """From {"case": ["liver", "spleen"]}."""
    if not isinstance(value, dict):
        raise SettingsError(
            subject, "is no table of cases and classes", 'write {"case1": ["liver"], ...}'
        )
    for case, names in cast("Mapping[str, object]", value).items():
        several = cast("list[object]", names) if isinstance(names, list) else [names]
        yield Row(case, "|".join(map(str, several)))


def _others(text: str, names: Sequence[str], subject: str) -> tuple[int, ...]:
    """Places of the classes that a text such as liver|spleen does not name."""
    places = {name.casefold(): place for place, name in enumerate(names)}
    words = [text] if text.casefold() in places else _BETWEEN.split(text.strip())
    if not {word.casefold() for word in words} <= places.keys():
        words = text.split()
    unknown = [word for word in words if word.casefold() not in places]
    if unknown or not words:
        raise SettingsError(
            subject,
            f"{text!r} must name classes of {', '.join(names)}",
            "write them with | between, such as liver|spleen",
        )
    named = {places[word.casefold()] for word in words}
    return tuple(place for place in range(len(names)) if place not in named)
