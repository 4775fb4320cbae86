"""Which classes nobody looked for in which case: the user's table, or masks that a case lacks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from medseg.errors import SettingsError
from medseg.hparams import HParams
from medseg.plan.classes import MOST_CLASSES
from medseg.plan.plan import Plan
from medseg.prepare.prepared import with_mirrored
from medseg.scans.case import Case
from medseg.scans.known import Known
from medseg.scans.tables import Row, own_names, read_csv, read_json

_COLUMNS = ("annotated", "annotated_classes", "classes", "labels")
_BETWEEN = re.compile(r"\s*[|+;/]\s*")


def unannotated(
    cases: Sequence[Case], others: Sequence[str], plan: Plan, hparams: HParams
) -> dict[str, tuple[int, ...]]:
    """Case -> indices of the classes that were not annotated there; cases with all are left out.

    Args:
        cases: All that can be used.
        others: Names of those that were left out, which a table may hold.
        plan: The classes.
        hparams: Gives `annotated` and `missing_masks`.

    Raises:
        SettingsError: If a table names no such case or class, if the classes have no background
            that a class which nobody looked for could be hidden in, or if there are more
            combinations than a byte can number.
    """
    found = {case.name: _without_mask(case, plan, hparams) for case in cases}
    if hparams.annotated is not None:
        found |= _from_table(hparams.annotated, plan, Known(found, others))
    found = {name: classes for name, classes in found.items() if classes}
    if found and plan.task == "multiclass" and not plan.has_background:
        raise SettingsError(
            f"{next(iter(found))}",
            f"is not annotated for every class, and {plan.class_names[0]} is a class itself: there "
            "is no background in which the others could be",
            "call the first class background, or leave the case out",
        )
    sets = with_mirrored(found.values(), plan)
    if plan.task == "multiclass" and plan.num_outputs + len(sets) > MOST_CLASSES:
        raise SettingsError(
            f"{plan.num_outputs} classes, {len(sets)} combinations of them not annotated",
            f"together at most {MOST_CLASSES} can be told apart",
            "train them as masks that may overlap: --task multilabel",
        )
    return found


def _without_mask(case: Case, plan: Plan, hparams: HParams) -> tuple[int, ...]:
    if hparams.missing_masks != "unannotated" or len(case.labels) < 2:
        return ()
    first = int(plan.task == "multiclass")
    return tuple(first + place for place, path in enumerate(case.labels) if path is None)


def _from_table(path: Path, plan: Plan, known: Known) -> dict[str, tuple[int, ...]]:
    subject = f"annotated {path}"
    if path.suffix.casefold() == ".json":
        rows = [*_json_rows(read_json(path, subject), subject)]
    else:
        rows = read_csv(path, subject, _COLUMNS, known)
    found: dict[str, tuple[int, ...]] = {}
    for row in own_names(rows, known, subject):
        others = _others(row.value, plan, subject)
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


def _others(text: str, plan: Plan, subject: str) -> tuple[int, ...]:
    """Indices of the classes that a text such as liver|spleen does not name."""
    first = int(plan.has_background)
    places = {name.casefold(): place for place, name in enumerate(plan.class_names)}
    words = [text] if text.casefold() in places else _BETWEEN.split(text.strip())
    if not {word.casefold() for word in words} <= places.keys():
        words = text.split()
    unknown = [word for word in words if word.casefold() not in places]
    if unknown or not words:
        raise SettingsError(
            subject,
            f"{text!r} must name classes of {', '.join(plan.class_names[first:])}",
            "write them with | between, such as liver|spleen",
        )
    named = {places[word.casefold()] for word in words}
    return tuple(place for place in range(first, plan.num_outputs) if place not in named)
