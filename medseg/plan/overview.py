"""The tables a user sees before work starts: what was found, what is wrong with what, the plan."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medseg.measure.facts import CaseFacts, Fingerprint
from medseg.plan.classes import UNDECLARED, Declared
from medseg.plan.plan import Normalisation, Plan
from medseg.plan.spacing import AXES
from medseg.scans.case import Problem

_SHOWN_CLASSES = 60


class Table(NamedTuple):
    """Arguments of `Progress.table`."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def case_table(
    fingerprint: Fingerprint,
    problems: Sequence[Problem],
    layout: str = "",
    declared: Declared = UNDECLARED,
    dealt: Sequence[tuple[str, str]] = (),
) -> Table:
    """What was found.

    Args:
        fingerprint: The cases that will be used.
        problems: Why the others will not.
        layout: How the folder is laid out, in words.
        declared: The classes, as far as they have names.
        dealt: Further rows: who belongs together, who trains and who validates.
    """
    cases = fingerprint.cases
    rows = [("layout", layout)] if layout else []
    left_out = f", {len(problems)} left out" if problems else ""
    rows.append(("cases", f"{len(cases)}{left_out}"))
    rows += dealt
    if cases:
        rows += [
            ("channels", _counted([str(len(case.channels)) for case in cases])),
            ("size", _range([case.size for case in cases])),
            ("content", _range([case.box_size for case in cases])),
            ("spacing", _spacing(cases)),
            ("orientation", _counted([case.codes or "no world frame" for case in cases])),
            *_class_rows(cases, declared),
        ]
    rows += [(problem.name, f"{problem.what}; {problem.remedy}") for problem in problems]
    return Table("Your data", ("what", "found"), tuple(rows))


def plan_table(plan: Plan) -> Table:
    """What will be done, choice by choice, and why."""
    axes = [AXES[axis] for axis in plan.network_axes]
    words = {
        "classes": ", ".join(
            f"{name} ({value})"
            for name, value in zip(plan.class_names, plan.label_values, strict=True)
        ),
        "slice_axis": "-" if plan.slice_axis is None else AXES[plan.slice_axis],
        "flip_axes": ", ".join(axes[axis] for axis in plan.flip_axes) or "-",
        "exchanged": ", ".join(
            f"{plan.class_names[one]} and {plan.class_names[other]}"
            for one, other in plan.exchanged
        ),
    }
    rows = [
        (choice, words.get(choice) or _words(getattr(plan, choice)), reason)
        for choice, reason in plan.reasons.items()
    ]
    return Table("The plan", ("choice", "value", "why"), tuple(rows))


def _words(value: object) -> str:
    """A plan's value as a person writes it: 1.98x1.98x2.5, and lists with commas."""
    match value:
        case None | ():
            return "-"
        case Normalisation():
            return value.kind
        case (int() | float(), *_):
            return "x".join(f"{number:.3g}" for number in value)
        case tuple():
            return ", ".join(map(_words, value))
        case _:
            return str(value)


def _class_rows(cases: Sequence[CaseFacts], declared: Declared) -> list[tuple[str, str]]:
    """Share of the voxels that each value (one label map), each mask or each region has."""
    named = {value: name for name, value in (declared.values or {}).items()}
    voxels: Counter[int] = Counter()
    seen_in: Counter[int] = Counter()
    total = 0
    for case in cases:
        total += _annotated(case) + case.ignored // max(len(case.label_values), 1)
        counts = _class_voxels(case)
        voxels.update(counts)
        seen_in.update(value for value, count in counts.items() if count)
    rows = [
        (
            f"class {value}" + (f" ({named[value]})" if value in named else ""),
            f"{voxels[value] / total:.3%} of the voxels, in {seen_in[value]} of {len(cases)} cases",
        )
        for value in sorted(voxels)
    ]
    rows += [
        (f"region {name}", _share_of(cases, values, total))
        for name, values in (declared.regions.values if declared.regions else {}).items()
    ]
    if declared.ignore_label is not None:
        ignored = [case.ignored for case in cases]
        rows.append((f"ignored ({declared.ignore_label})", _share(ignored, total)))
    more = len(rows) - _SHOWN_CLASSES
    return rows[:_SHOWN_CLASSES] + [("more classes", str(more))] * (more > 0)


def _annotated(case: CaseFacts) -> int:
    """Voxels of its label whose class is known."""
    return sum(case.label_values[0].values()) if case.label_values else 0


def _share_of(cases: Sequence[CaseFacts], values: Sequence[int], total: int) -> str:
    """What a region has of all voxels."""
    counts = [sum(case.label_values[0].get(value, 0) for value in values) for case in cases]
    return _share(counts, total)


def _share(counts: Sequence[int], total: int) -> str:
    """What the cases have together, and how many have any."""
    has = sum(map(bool, counts))
    return f"{sum(counts) / total:.3%} of the voxels, in {has} of {len(counts)} cases"


def _class_voxels(case: CaseFacts) -> dict[int, int]:
    """Voxels per value of a label map; of several masks, per mask, counted from 1."""
    if len(case.label_values) == 1:
        return case.label_values[0]
    return {
        number: sum(count for value, count in values.items() if value != 0)
        for number, values in enumerate(case.label_values, start=1)
    }


def _counted(words: Sequence[str]) -> str:
    counts = Counter(words)
    if len(counts) == 1:
        return words[0]
    return ", ".join(f"{word} ({count})" for word, count in counts.most_common())


def _range(sizes: Sequence[tuple[int, ...]]) -> str:
    """Smallest, median and largest per axis."""
    rows = [np.min(sizes, axis=0), np.median(sizes, axis=0), np.max(sizes, axis=0)]
    shown = ["x".join(f"{value:g}" for value in row) for row in rows]
    if len(set(shown)) == 1:
        return f"{shown[0]} voxels"
    return f"{shown[0]} to {shown[2]}, median {shown[1]} voxels"


def _spacing(cases: Sequence[CaseFacts]) -> str:
    if not any(case.world for case in cases):
        return "none (pixels)"
    shown = _counted(["x".join(f"{value:.3g}" for value in case.spacing_mm) for case in cases])
    if shown.count(",") < 5:
        return f"{shown} mm"
    spacings = np.array([case.spacing_mm for case in cases])
    low, mid, high = (
        "x".join(f"{value:.3g}" for value in row)
        for row in (spacings.min(axis=0), np.median(spacings, axis=0), spacings.max(axis=0))
    )
    return f"{low} to {high}, median {mid} mm"
