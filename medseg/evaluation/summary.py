"""From many scores to a few numbers to trust: means with bootstrap intervals over cases."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from medseg.evaluation.scores import ClassScore
from medseg.files import write_text
from medseg.records import Frozen

Metric = Literal[
    "dice", "iou", "hd95_mm", "surface_dice", "volume_error_ml", "volume_error_percent"
]
METRICS: tuple[Metric, ...] = get_args(Metric)
DRAWS = 2000
"""Bootstrap samples; enough to fix the second digit of an interval's ends."""


class Statistic(Frozen):
    """One metric over the cases.

    Attributes:
        mean: None where no case has the metric.
        low: Lower end of the 95 % bootstrap interval; None, like `high`, with fewer than two cases.
        high: Its upper end.
        cases: Cases that count.
        left_out: Cases without the metric: neither mask holds the class, or it has no value there.
            A case in which nobody looked for the class is not among them.
    """

    mean: float | None
    low: float | None
    high: float | None
    cases: int
    left_out: int


class Row(Frozen):
    """All metrics of one class, or of the mean of all classes. Fields are `ClassScore`'s."""

    name: str
    value: int | None
    dice: Statistic
    iou: Statistic
    hd95_mm: Statistic
    surface_dice: Statistic
    volume_error_ml: Statistic
    volume_error_percent: Statistic


class Summary(Frozen):
    """The result of an evaluation.

    Attributes:
        classes: One row per class, in the order of the scores.
        overall: The mean of the class means; its cases are those that count in at least one class.
        tolerance_mm: Tolerance of the surface Dice.
        unit: Unit of distances: "px" for files without a world frame.
        scores: What it was made from.
    """

    classes: tuple[Row, ...]
    overall: Row
    tolerance_mm: float
    unit: Literal["mm", "px"]
    scores: tuple[ClassScore, ...]

    def save(self, path: Path) -> None:
        """Write as JSON; a reader sees the whole file or the one before."""
        # Pydantic's own JSON refuses names of files that are no text.
        write_text(path, json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False))


def summarise(
    scores: Sequence[ClassScore],
    *,
    tolerance_mm: float = 1.0,
    seed: int = 0,
) -> Summary:
    """Average over cases, with 95 % bootstrap intervals.

    The same cases are drawn for every class, so the interval of the overall mean knows that a hard
    case is hard for all of its classes.

    Args:
        scores: From `score_case` or `score_layers`, any number of cases.
        tolerance_mm: What they were scored with; recorded.
        seed: Of the draws.
    """
    cases = {name: index for index, name in enumerate(dict.fromkeys(s.case for s in scores))}
    labels = list(dict.fromkeys((s.class_name, s.value) for s in scores))
    looked_for = Counter((s.class_name, s.value) for s in scores)
    draws = _draws(len(cases), seed)
    rows: dict[Metric, list[Statistic]] = {}
    for metric in METRICS:
        table = np.full((len(labels), len(cases)), np.nan)
        for score in scores:
            value = getattr(score, metric)
            if value is not None:
                table[labels.index((score.class_name, score.value)), cases[score.case]] = value
        there = [*(looked_for[label] for label in labels), len(cases)]
        rows[metric] = _statistics(table, draws, there)
    made = [
        Row(name=name, value=value, **{metric: rows[metric][index] for metric in METRICS})
        for index, (name, value) in enumerate([*labels, ("mean of classes", None)])
    ]
    return Summary(
        classes=tuple(made[:-1]),
        overall=made[-1],
        tolerance_mm=tolerance_mm,
        unit="px" if scores and all(s.volume_ml is None for s in scores) else "mm",
        scores=tuple(scores),
    )


def summary_table(summary: Summary) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Title, header and rows for `Progress.table`."""
    header = (
        "class",
        "Dice [95 %]",
        "IoU",
        f"HD95 ({summary.unit})",
        f"surface Dice at {summary.tolerance_mm:g} {summary.unit}",
        "volume error",
        "cases",
        "left out",
    )
    rows = summary.classes if len(summary.classes) == 1 else (*summary.classes, summary.overall)
    cells = [_cells(row) for row in rows]
    cases = len({score.case for score in summary.scores})
    unknown = [cases - row.dice.cases - row.dice.left_out for row in rows]
    if any(unknown):
        header = (*header, "not annotated")
        cells = [(*each, str(count)) for each, count in zip(cells, unknown, strict=True)]
    return "Evaluation", header, tuple(cells)


def volume_error(row: Row) -> str:
    """Such as '+0.12 mL (+3.4 %)'; without mL where files have no world frame."""
    relative = number(row.volume_error_percent.mean, "+.1f")
    if row.volume_error_ml.mean is None:
        return f"{relative} %"
    return f"{row.volume_error_ml.mean:+.3g} mL ({relative} %)"


def number(value: float | None, form: str) -> str:
    """`value` in the format, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def _cells(row: Row) -> tuple[str, ...]:
    dice = number(row.dice.mean, ".3f")
    if row.dice.low is not None:
        dice += f" [{row.dice.low:.3f}, {row.dice.high:.3f}]"
    plain = row.value is None or row.name in (f"class {row.value}", f"class_{row.value}")
    return (
        row.name if plain else f"{row.name} ({row.value})",
        dice,
        number(row.iou.mean, ".3f"),
        number(row.hd95_mm.mean, ".2f"),
        number(row.surface_dice.mean, ".3f"),
        volume_error(row),
        str(row.dice.cases),
        str(row.dice.left_out),
    )


def _draws(cases: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each case is drawn, (DRAWS, cases)."""
    if not cases:
        return np.zeros((DRAWS, 0))
    shares = np.full(cases, 1 / cases)
    return np.random.default_rng(seed).multinomial(cases, shares, size=DRAWS).astype(np.float64)


def _statistics(
    table: npt.NDArray[np.float64], draws: npt.NDArray[np.float64], there: Sequence[int]
) -> list[Statistic]:
    """One per class, then the mean of classes, from (classes, cases) with NaN where left out.

    `there` is in how many cases each of them was looked for.
    """
    known = (~np.isnan(table)).astype(np.float64)
    filled = np.nan_to_num(table)
    means = _rows_mean(filled.sum(1), known.sum(1))
    drawn = _rows_mean(filled @ draws.T, known @ draws.T)
    means = np.append(means, _mean_of_classes(means[:, None]))
    drawn = np.vstack([drawn, _mean_of_classes(drawn)])
    counts = [*(int(count) for count in known.sum(1)), int(known.any(0).sum())]
    return [
        _statistic(float(mean), row, count, total - count)
        for mean, row, count, total in zip(means, drawn, counts, there, strict=True)
    ]


def _statistic(mean: float, drawn: npt.NDArray[np.float64], cases: int, left_out: int) -> Statistic:
    low = high = None
    if cases > 1:
        # A draw may hold no case with this class; it says nothing about it.
        low, high = (float(end) for end in np.nanpercentile(drawn, (2.5, 97.5)))
    return Statistic(
        mean=mean if cases else None, low=low, high=high, cases=cases, left_out=left_out
    )


def _mean_of_classes(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return _rows_mean(np.nansum(means, 0), (~np.isnan(means)).sum(0, dtype=np.float64))


def _rows_mean(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum over count, NaN where nothing was counted."""
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
