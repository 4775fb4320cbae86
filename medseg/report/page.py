"""The report of a training: one HTML file, readable on a phone and in the dark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from medseg.evaluation.summary import Row, Statistic, Summary, number, volume_error
from medseg.files import write_text
from medseg.report.curves import Curve
from medseg.report.figures import COLOURS, Example, draw_example
from medseg.report.html import (
    curves,
    element,
    jpeg,
    page,
    pairs,
    png,
    problems,
    section,
    swatch,
    table,
)
from medseg.scans.case import Problem

_MOST_CASES = 200


@dataclass(frozen=True)
class ReportContent:
    """What a report shows.

    Attributes:
        title: Name of the run.
        facts: Label and value: when, how long, what with.
        curves: Of the training, any number per kind.
        summary: The validation; it holds the scores of every case.
        examples: Cases to look at; drawn one by one, so they need not be in memory together.
        reasons: Choice and why, as in the plan.
        problems: What was left out.
        remark: What is to be known of the scores.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    summary: Summary
    examples: Iterable[Example]
    reasons: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]
    remark: str = ""


def write_report(path: Path, content: ReportContent) -> None:
    """Write the page, whole or not at all."""
    body = "\n".join(
        (
            f"<header><h1>{escape(content.title)}</h1>{_headline(content)}</header>",
            section("Validation", _classes(content.summary)),
            section("Cases to look at", _examples(content.examples, content.summary)),
            section("Training", curves(content.curves)),
            section("Every case", _cases(content.summary)),
            section("Left out", problems(content.problems)),
            section("This run", pairs(content.facts)),
            section("What the data decided", pairs(content.reasons)),
        )
    )
    write_text(path, page(content.title, body))


def _headline(content: ReportContent) -> str:
    """The numbers to read first, and what is to be known of them."""
    remark = f"<p class=note>{escape(content.remark)}.</p>" if content.remark else ""
    return _tiles(content.summary) + remark


def _tiles(summary: Summary) -> str:
    row = summary.overall
    if row.dice.mean is None:
        return "<p>No case was scored.</p>"
    tolerance = f"surface Dice at {summary.tolerance_mm:g} {summary.unit}"
    tiles = (
        (number(row.dice.mean, ".3f"), "mean Dice", _interval(row.dice, ".3f")),
        (number(row.hd95_mm.mean, ".2f"), f"HD95 ({summary.unit})", _interval(row.hd95_mm, ".2f")),
        (number(row.surface_dice.mean, ".3f"), tolerance, _interval(row.surface_dice, ".3f")),
        (str(row.dice.cases), "cases scored", ""),
    )
    return element(
        "div class=tiles",
        (f"<div><b>{value}</b>{label}<small>{low}</small></div>" for value, label, low in tiles),
    )


def _classes(summary: Summary) -> str:
    if not summary.classes:
        return ""
    rows = summary.classes if len(summary.classes) == 1 else (*summary.classes, summary.overall)
    header = (
        "class",
        "Dice <small>95 %</small>",
        "per case, 0 to 1",
        "IoU",
        f"HD95 <small>{summary.unit}</small>",
        f"surface Dice <small>{summary.tolerance_mm:g} {summary.unit}</small>",
        "volume error",
        "cases",
    )
    note = (
        "<p class=note>Intervals are 95 % bootstrap intervals over cases. Cases in which neither"
        " reference nor prediction holds the class do not count.</p>"
    )
    return table(header, [_class_cells(row, summary) for row in rows]) + note


def _class_cells(row: Row, summary: Summary) -> tuple[str, ...]:
    names = [(one.name, one.value) for one in summary.classes]
    label = (row.name, row.value)
    values = [s.dice for s in summary.scores if (s.class_name, s.value) == label]
    dot = swatch(COLOURS[names.index(label) % len(COLOURS)]) if label in names else ""
    return (
        dot + escape(row.name),
        f"<b>{number(row.dice.mean, '.3f')}</b> <small>{_interval(row.dice, '.3f')}</small>",
        _strip([value for value in values if value is not None]),
        number(row.iou.mean, ".3f"),
        number(row.hd95_mm.mean, ".2f"),
        number(row.surface_dice.mean, ".3f"),
        volume_error(row),
        f"{row.dice.cases} <small>of {row.dice.cases + row.dice.left_out}</small>",
    )


def _strip(values: Sequence[float]) -> str:
    """One stroke per case, from 0 on the left to 1 on the right."""
    if not values:
        return ""
    ranked = sorted(values)
    shown = ranked[:: max(len(ranked) // _MOST_CASES, 1)]
    strokes = "".join(f"M{100 * value + 1:.1f} 2v10" for value in shown)
    return (
        '<svg class=strip viewBox="0 0 102 14" aria-hidden="true">'
        f'<path class=rail d="M1 13h100M1 11v2M51 11v2M101 11v2"/><path d="{strokes}"/></svg>'
    )


def _examples(examples: Iterable[Example], summary: Summary) -> str:
    values = [row.value or 0 for row in summary.classes]
    figures = [_figure(example, values) for example in examples]
    if not figures:
        return ""
    keys = element(
        "p class=key",
        (
            f"<span>{swatch(COLOURS[index % len(COLOURS)])}{escape(row.name)}</span>"
            for index, row in enumerate(summary.classes)
        ),
    )
    # The boxes come before the gallery, so that plain CSS can hide its layers.
    return (
        f"{keys}<input type=checkbox id=solid checked><label for=solid><i></i> reference</label>"
        "<input type=checkbox id=dashed checked><label for=dashed><i></i> prediction</label>"
        f"{element('div class=gallery', figures)}"
    )


def _figure(example: Example, values: Sequence[int]) -> str:
    layers = draw_example(example, values)
    name = escape(example.name)
    details = [
        escape(example.caption),
        f"Dice {example.dice:.3f}" if example.dice is not None else "",
        layers.place,
    ]
    return (
        f"<figure><div class=stack>"
        f"<img alt='{name}' src='{jpeg(layers.picture)}'>"
        f"<img alt='reference' class=solid src='{png(layers.reference)}'>"
        f"<img alt='prediction' class=dashed src='{png(layers.prediction)}'></div>"
        f"<figcaption><b>{name}</b> {' · '.join(filter(None, details))}</figcaption></figure>"
    )


def _cases(summary: Summary) -> str:
    """Dice per case and class, the worst first."""
    dice: dict[str, dict[tuple[str, int | None], float | None]] = {}
    for score in summary.scores:
        dice.setdefault(score.case, {})[score.class_name, score.value] = score.dice
    means = {case: _mean(found.values()) for case, found in dice.items()}
    ranked = sorted(means, key=lambda case: (means[case] is None, means[case] or 0.0))
    if not ranked:
        return ""
    labels = [(row.name, row.value) for row in summary.classes]
    several = len(labels) > 1
    header = ["case", *(["mean"] if several else []), *(escape(name) for name, _ in labels)]
    rows = [
        [
            escape(case),
            *([f"<b>{number(means[case], '.3f')}</b>"] if several else []),
            *(number(dice[case].get(label), ".3f") for label in labels),
        ]
        for case in ranked[:_MOST_CASES]
    ]
    rest = len(ranked) - len(rows)
    note = f"<p class=note>{rest} better cases are not shown.</p>" if rest > 0 else ""
    return (
        f"<details><summary>Dice of {len(ranked)} cases, the worst first</summary>"
        f"{table(header, rows)}{note}</details>"
    )


def _interval(statistic: Statistic, form: str) -> str:
    if statistic.low is None or statistic.high is None:
        return ""
    return f"{statistic.low:{form}} to {statistic.high:{form}}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
