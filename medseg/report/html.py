"""The parts that reports are put together from: one HTML file, no scripts, readable in the dark.

Names come from other people's files: every text passes `html.escape`, and a content policy forbids
the page to load or run anything.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from medseg.report.curves import COLOURS, Curve, chart_svg
from medseg.report.style import CSS
from medseg.scans.case import Problem

_CHARTS = (("loss", "Training loss"), ("dice", "Validation Dice"))


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """The whole file; `body` is HTML."""
    return _PAGE.format(title=escape(title), css=CSS, body=body)


def section(title: str, inside: str) -> str:
    """Nothing where there is nothing to show."""
    return f"<section><h2>{title}</h2>{inside}</section>" if inside else ""


def curves(given: Sequence[Curve]) -> str:
    """One chart per kind of curve."""
    figures: list[str] = []
    for kind, title in _CHARTS:
        shown = [curve for curve in given if curve.kind == kind and len(curve.values)]
        if shown:
            keys = "".join(
                f"<span>{swatch(COLOURS[index % len(COLOURS)])}{escape(one.name)}</span>"
                for index, one in enumerate(shown)
            )
            figures.append(
                f"<figure><figcaption><b>{title}</b> <span class=key>{keys}</span></figcaption>"
                f"{chart_svg(shown)}</figure>"
            )
    return element("div class=gallery", figures) if figures else ""


def problems(given: Sequence[Problem]) -> str:
    """What was left out; nothing where nothing was."""
    if not given:
        return ""
    rows = [[escape(text) for text in problem] for problem in given]
    return table(("file or case", "what is wrong", "what to do"), rows, words=True)


def pairs(given: Iterable[tuple[str, str]]) -> str:
    """Labels and values."""
    items = [
        f"<dt>{escape(label.replace('_', ' '))}</dt><dd>{escape(value)}</dd>"
        for label, value in given
    ]
    return element("dl", items) if items else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    """A table that scrolls sideways on a narrow screen; cells are HTML."""
    head = "".join(f"<th scope=col>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    kind = "words" if words else "numbers"
    return (
        f"<div class=scroll tabindex=0><table class={kind}><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def element(tag: str, inside: Iterable[str]) -> str:
    """An element; `tag` with its attributes."""
    return f"<{tag}>{''.join(inside)}</{tag.split()[0]}>"


def swatch(colour: str) -> str:
    """A dot of that colour."""
    return f"<i class=swatch style='background:{colour}'></i>"


def jpeg(image: Image.Image) -> str:
    """A picture inside the page."""
    return _data(image, "JPEG", quality=82, optimize=True)


def png(image: Image.Image) -> str:
    """Few colours: outlines compress to a few kilobytes."""
    return _data(image.quantize(64, Image.Quantize.FASTOCTREE), "PNG", optimize=True)


def _data(image: Image.Image, kind: str, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
