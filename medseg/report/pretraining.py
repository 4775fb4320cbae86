"""The report of a pretraining: scans as they are, as they were seen, and as they were restored."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from medseg.files import write_text
from medseg.report.curves import Curve
from medseg.report.html import curves, element, jpeg, page, pairs, problems, section
from medseg.scans.case import Problem

_LONG_SIDE = 320


@dataclass(frozen=True)
class Restored:
    """A slice in three states, (rows, columns) each.

    Attributes:
        name: The case's name.
        original: As prepared.
        masked: As the network saw it.
        restored: What it saw, and what it made of the rest.
    """

    name: str
    original: npt.NDArray[Any]
    masked: npt.NDArray[Any]
    restored: npt.NDArray[Any]


@dataclass(frozen=True)
class PretrainingContent:
    """What the report shows.

    Attributes:
        title: Name of the run.
        facts: Label and value: when, how long, what with, how well.
        curves: Of the loss.
        examples: Slices to look at.
        reasons: Choice and why, as in the plan.
        problems: What was left out.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    examples: Sequence[Restored]
    reasons: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]


def write_pretraining_report(path: Path, content: PretrainingContent) -> None:
    """Write the page, whole or not at all."""
    body = "\n".join(
        (
            f"<header><h1>{escape(content.title)}</h1></header>",
            section("This run", pairs(content.facts)),
            section(
                "Original, masked, restored",
                element("div class=gallery", map(_figure, content.examples)),
            ),
            section("Training", curves(content.curves)),
            section("Left out", problems(content.problems)),
            section("What the data decided", pairs(content.reasons)),
        )
    )
    write_text(path, page(content.title, body))


def _figure(example: Restored) -> str:
    low, high = np.percentile(example.original, [0.5, 99.5])
    planes = (example.original, example.masked, example.restored)
    images = "".join(
        f"<img alt='{word}' src='{jpeg(_picture(plane, float(low), float(high)))}'>"
        for word, plane in zip(("original", "masked", "restored"), planes, strict=True)
    )
    caption = f"<figcaption><b>{escape(example.name)}</b></figcaption>"
    return f"<figure><div class=triple>{images}</div>{caption}</figure>"


def _picture(plane: npt.NDArray[Any], low: float, high: float) -> Image.Image:
    shades = np.clip((plane - low) / ((high - low) or 1), 0, 1) * 255
    image = Image.fromarray(shades.astype(np.uint8))
    scale = _LONG_SIDE / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)))
