"""Slices with the outlines of reference and prediction."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from medseg.evaluation.scores import ClassScore
from medseg.geometry import Geometry

Array = npt.NDArray[Any]
Masks = npt.NDArray[np.bool_]

COLOURS = (
    "#ff4d5e", "#29b6ff", "#ffd02e", "#4ee06b", "#c78bff", "#ff9440", "#33d9c4", "#ff8ac4",
)  # fmt: skip
"""Classes in order, told apart on grey and by colour-blind eyes as far as eight colours can be."""

_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
_DPI = 100
_LONG_SIDE = 760


@dataclass(frozen=True)
class Example:
    """One case to look at.

    Attributes:
        name: The case's name.
        caption: Why it is shown.
        image: (channels, *size) in the file's own axes; any intensities.
        geometry: The grid of the arrays.
        reference: Values as in the files (*size), or one mask per class (classes, *size).
        prediction: Like `reference`.
        dice: Mean of its classes, if there is one.
    """

    name: str
    caption: str
    image: Array
    geometry: Geometry
    reference: Array
    prediction: Array
    dice: float | None


class Layers(NamedTuple):
    """A slice as three pictures of one size that lie on each other, and where it was cut.

    Attributes:
        picture: The image, RGB.
        reference: Solid outlines on nothing, RGBA.
        prediction: Dashed outlines on nothing, RGBA.
        place: Such as 'slice 12 of 35'; empty for a 2D image.
    """

    picture: Image.Image
    reference: Image.Image
    prediction: Image.Image
    place: str


class _Slice(NamedTuple):
    """A slice in screen order: rows from top to bottom, columns from left to right."""

    image: Array
    reference: Masks
    prediction: Masks
    width_mm: float
    height_mm: float
    edges: str
    place: str


def pick_examples(scores: Sequence[ClassScore]) -> dict[str, str]:
    """The three cases with the lowest mean Dice, lowest first, and the median case: name -> why."""
    dice: dict[str, list[float]] = {}
    for score in scores:
        if score.dice is not None:
            dice.setdefault(score.case, []).append(score.dice)
    ranked = sorted(dice, key=lambda name: sum(dice[name]) / len(dice[name]))
    picked: dict[str, str] = {}
    picked.update(zip(ranked, ("worst", "second worst", "third worst"), strict=False))
    for name in ranked[len(ranked) // 2 :][:1]:
        picked.setdefault(name, "median")
    return picked


def draw_example(example: Example, values: Sequence[int]) -> Layers:
    """The slice with the largest reference, across the axis with the coarsest spacing.

    Volumes are shown in canonical axes, letters at the edges; 2D images as their pixels lie.

    Args:
        example: The case.
        values: Value of each class in label maps, in the order of their colours.
    """
    cut = _cut(example, values)
    size = _pixels(cut)
    return Layers(
        picture=_picture(cut, size),
        reference=_outlines(cut, cut.reference, size, dashed=False),
        prediction=_outlines(cut, cut.prediction, size, dashed=True),
        place=cut.place,
    )


def overlay_png(
    image: Array, label: Array, geometry: Geometry, classes: Mapping[str, int]
) -> bytes:
    """A PNG of the slice with the largest prediction, outlined in the order of `classes`.

    Args:
        image: (channels, *size).
        label: Values as in the files (*size), or one mask per class (classes, *size).
        geometry: The grid of both.
        classes: Name -> value.
    """
    layers = draw_example(
        Example("", "", image, geometry, label, label, None), list(classes.values())
    )
    file = io.BytesIO()
    picture = layers.picture.convert("RGBA")
    Image.alpha_composite(picture, layers.reference).convert("RGB").save(file, "PNG")
    return file.getvalue()


def _cut(example: Example, values: Sequence[int]) -> _Slice:
    orientation = example.geometry.to_canonical()
    grid = example.geometry.reoriented(orientation)
    image, reference, prediction = (
        orientation.apply(array) for array in (example.image, example.reference, example.prediction)
    )
    axis = _slice_axis(grid)
    index = _fullest(reference if (reference != 0).any() else prediction, axis)
    # The axes that remain: the first runs along the rows, the second from the top down.
    across, down = (other for other in range(3) if other != axis)
    slices = grid.size[axis]

    def on_screen(array: Array) -> Array:
        plane = np.take(array, index, axis=axis + array.ndim - 3).swapaxes(-1, -2)
        return plane[..., ::-1, :] if grid.world else plane

    codes = grid.codes
    return _Slice(
        image=on_screen(image),
        reference=_masks(on_screen(reference), values),
        prediction=_masks(on_screen(prediction), values),
        width_mm=grid.size[across] * grid.spacing_mm[across],
        height_mm=grid.size[down] * grid.spacing_mm[down],
        edges=_OPPOSITE[codes[across]] + codes[across] + codes[down] + _OPPOSITE[codes[down]]
        if grid.world
        else "",
        place=f"slice {index + 1} of {slices}" if slices > 1 else "",
    )


def _slice_axis(grid: Geometry) -> int:
    """The axis of length 1, else the one with the coarsest spacing; of equals the last."""
    if 1 in grid.size:
        return grid.size.index(1)
    coarsest = max(grid.spacing_mm)
    return max(axis for axis in range(3) if grid.spacing_mm[axis] > 0.99 * coarsest)


def _fullest(label: Array, axis: int) -> int:
    """Index of the slice with most labelled voxels; the middle one where there are none."""
    lead = label.ndim - 3
    others = tuple(other for other in range(label.ndim) if other != axis + lead)
    areas = np.count_nonzero(label, axis=others)
    return int(areas.argmax()) if areas.any() else len(areas) // 2


def _masks(plane: Array, values: Sequence[int]) -> Masks:
    """One mask per class from a plane of values, or of one layer per class."""
    if plane.ndim == 3:
        return plane != 0
    return np.stack([plane == value for value in values]) if values else np.zeros((0, 1, 1), bool)


def _pixels(cut: _Slice) -> tuple[int, int]:
    scale = _LONG_SIDE / max(cut.width_mm, cut.height_mm)
    return max(round(cut.width_mm * scale), 40), max(round(cut.height_mm * scale), 40)


def _picture(cut: _Slice, size: tuple[int, int]) -> Image.Image:
    """RGB as it is; otherwise the first channel in grey."""
    colour = len(cut.image) == 3 and not cut.edges
    if colour:
        plane = np.moveaxis(cut.image, 0, -1)
        low, high = min(float(plane.min()), 0.0), float(plane.max())
    else:
        plane = cut.image[0]
        low, high = _window(plane, cut.reference, cut.prediction)
    shades = np.clip((plane - low) / ((high - low) or 1), 0, 1) * 255
    pixels = Image.fromarray(shades.astype(np.uint8)).convert("RGBA")
    picture = pixels.resize(size, Image.Resampling.BICUBIC)
    return Image.alpha_composite(picture, _letters(cut.edges, size)).convert("RGB")


def _window(plane: Array, *layers: Masks) -> tuple[float, float]:
    """Contrast for the surroundings of what is marked: air and bone elsewhere may saturate."""
    marked = np.any(np.concatenate(layers), axis=0, keepdims=True)[0]
    box: list[slice] = []
    for axis, length in enumerate(marked.shape if marked.any() else ()):
        inside = np.flatnonzero(marked.any(axis=1 - axis))
        margin = 3 + (inside[-1] - inside[0]) // 2
        box.append(slice(max(inside[0] - margin, 0), min(inside[-1] + margin + 1, length)))
    low, high = (float(end) for end in np.percentile(plane[tuple(box)], (0.5, 99.5)))
    return low, high


def _outlines(cut: _Slice, masks: Masks, size: tuple[int, int], *, dashed: bool) -> Image.Image:
    axes = _canvas(size)
    rows, columns = cut.image.shape[1:]
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    # Thin lines where voxels are small on screen: they must not cover a vessel.
    width = float(np.clip(0.3 * size[0] / columns, 0.7, 2.8))
    for index, mask in enumerate(masks):
        if mask.any():
            # A frame of background closes the outlines that touch the edge of the image.
            axes.contour(
                np.arange(-1, columns + 1),
                np.arange(-1, rows + 1),
                np.pad(mask, 1).astype(float),
                levels=[0.5],
                colors=[COLOURS[index % len(COLOURS)]],
                linewidths=width,
                linestyles=[(0, (2.5, 1.5))] if dashed else "solid",
            )
    return _rendered(axes)


def _letters(edges: str, size: tuple[int, int]) -> Image.Image:
    """Left, right, top and bottom, such as LRAP."""
    axes = _canvas(size)
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    for letter, (x, y) in zip(edges, places, strict=False):
        axes.text(
            x, y, letter, color="white", fontsize=20,
            ha="left" if x < 0.5 else "right" if x > 0.5 else "center",
            va="bottom" if y < 0.5 else "top" if y > 0.5 else "center",
            path_effects=[withStroke(linewidth=3, foreground="black")],
        )  # fmt: skip
    return _rendered(axes)


def _canvas(size: tuple[int, int]) -> Axes:
    """Axes from 0 to 1 that fill a transparent picture."""
    figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI)
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return axes


def _rendered(axes: Axes) -> Image.Image:
    canvas = FigureCanvasAgg(axes.get_figure(root=True))
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))
