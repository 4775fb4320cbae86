"""Which classes nobody looked for in which case: the user's table, or masks that a case lacks."""

from collections.abc import Sequence

from medseg.errors import SettingsError
from medseg.hparams import HParams
from medseg.plan.classes import MOST_CLASSES
from medseg.plan.plan import Plan
from medseg.prepare.prepared import with_mirrored
from medseg.scans.annotated import read_unannotated
from medseg.scans.case import Case
from medseg.scans.known import Known


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
        told = read_unannotated(hparams.annotated, plan.class_names, Known(found, others))
        first = int(plan.has_background)
        found |= {
            name: tuple(place for place in places if place >= first)
            for name, places in told.items()
        }
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
