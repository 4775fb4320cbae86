"""Numbers over training steps, drawn as inline SVG that takes the page's text colour."""

import io
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#3b82f6", "#f97316", "#22a06b", "#a855f7")
"""Lines of one chart, in order; they read on white and on black."""

_INK = "#010203"
"""Stands for the text colour, which is known only when the page is shown: light or dark."""
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medseg",
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_MOST_POINTS = 300


class Curve(NamedTuple):
    """How a number went during training.

    Attributes:
        name: What it is, for the legend.
        kind: The chart it belongs to.
        steps: Training steps, ascending.
        values: One per step; NaN where there is none.
    """

    name: str
    kind: Literal["loss", "dice"]
    steps: Sequence[float]
    values: Sequence[float]


def chart_svg(curves: Sequence[Curve]) -> str:
    """One chart, without any text of a user's: names belong to the page's legend."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.4, 2.5), layout="constrained")
        axes = figure.add_subplot()
        for index, curve in enumerate(curves):
            _draw(axes, curve, COLOURS[index % len(COLOURS)])
        axes.set_xlabel("training step")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.15, color=_INK)
        axes.margins(x=0.02)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    # Ids would clash between the charts of a page; clip paths and markers are named by content.
    svg = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", svg[svg.index("<svg") :])
    return svg.replace(_INK, "currentColor")


def _draw(axes: Axes, curve: Curve, colour: str) -> None:
    steps, values = np.asarray(curve.steps, float), np.asarray(curve.values, float)
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    if curve.kind == "loss" and len(values) > 30:
        axes.plot(*_thinned(steps, values, _MOST_POINTS), color=colour, alpha=0.3, linewidth=0.8)
        axes.plot(*_thinned(steps, values, 30), color=colour, linewidth=1.8)
    else:
        steps, values = _thinned(steps, values, _MOST_POINTS)
        marker = "o" if len(values) <= 30 else ""
        axes.plot(steps, values, color=colour, linewidth=1.8, marker=marker, markersize=3.5)


def _thinned(steps: np.ndarray, values: np.ndarray, most: int) -> tuple[list[float], list[float]]:
    """At most `most` points, each the mean of its stretch."""
    stretches = [part for part in np.array_split(np.arange(len(steps)), most) if len(part)]
    return (
        [float(steps[part].mean()) for part in stretches],
        [float(values[part].mean()) for part in stretches],
    )
