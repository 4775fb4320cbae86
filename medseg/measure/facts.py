"""The fingerprint: what a dataset's cases look like. Small, and equal to itself after JSON."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Array, Size, Vector
from medseg.measure.texture import Texture, texture
from medseg.progress import Progress, Silent
from medseg.records import Frozen
from medseg.scans.case import Case, Problem, Subject
from medseg.scans.content import content_box
from medseg.scans.notes import Note, folded
from medseg.scans.read import read_subject

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)
_QUANTILES = (np.arange(1000) + 0.5) / 1000
_PLAIN = 2  # so many values have nothing between them
_MOST_VALUES = 1_000_000  # a distribution is known well enough from so many of its values


class ChannelFacts(Frozen):
    """Intensities of one channel.

    Attributes:
        minimum: Of the whole scan, as `maximum` and `mean`.
        percentiles: At `PERCENTILES`.
        background_share: Share of the content box at exactly the minimum: padding, masked-out air.
        whole_numbers: Whether all values are whole, as a scanner's own are.
        foreground: 1000 evenly spaced quantiles of the labelled voxels' intensities: a sample
            without chance. Empty where nothing is labelled.
    """

    minimum: float
    maximum: float
    mean: float
    percentiles: tuple[float, ...]
    background_share: float
    whole_numbers: bool
    foreground: tuple[float, ...]


class CaseFacts(Frozen):
    """One case, in canonical axis order (pixel order where there is no world frame).

    Attributes:
        name: The case's name.
        size: Voxels per axis.
        spacing_mm: Per axis.
        codes: Where the file's own axes point to, such as 'LPS'; '' without a world frame.
        world: Whether the file has a world frame.
        box_size: Voxels of the content box per axis.
        channels: One entry per channel.
        label_values: Value in the file -> voxels, per label layer; nothing if unlabelled.
        overlap: Whether a voxel is marked in more than one layer.
        outside_box: Marked voxels outside the content box: they cannot be learnt.
        textures: How the values of a layer lie beside each other, per label layer; nothing for
            layers of one or two values.
    """

    name: str
    size: Size
    spacing_mm: Vector
    codes: str
    world: bool
    box_size: Size
    channels: tuple[ChannelFacts, ...]
    label_values: tuple[dict[int, int], ...]
    overlap: bool
    outside_box: int = 0
    textures: tuple[dict[int, Texture], ...] = ()

    @property
    def flat(self) -> bool:
        """Whether this is a 2D image rather than a volume."""
        return not self.world and self.size[2] == 1


class Fingerprint(Frozen):
    """A dataset: the facts of its cases, in natural order."""

    cases: tuple[CaseFacts, ...]


def case_facts(subject: Subject) -> CaseFacts:
    """Measure one case."""
    orientation = subject.geometry.to_canonical()
    geometry = subject.geometry.reoriented(orientation)
    image = orientation.apply(subject.image)
    start, box_size = content_box(image)
    box = tuple(slice(first, first + n) for first, n in zip(start, box_size, strict=True))
    layers = () if subject.label is None else tuple(orientation.apply(subject.label))
    marks = np.zeros(geometry.size, dtype=np.int32)
    for layer in layers:
        marks += layer != 0
    marked = int(np.count_nonzero(marks))
    values = tuple(_voxels_per_value(layer) for layer in layers)
    return CaseFacts(
        name=subject.name,
        size=geometry.size,
        spacing_mm=geometry.spacing_mm,
        codes=subject.geometry.codes if geometry.world else "",
        world=geometry.world,
        box_size=box_size,
        channels=tuple(_channel_facts(channel, channel[box], marks > 0) for channel in image),
        label_values=values,
        overlap=bool((marks > 1).any()),
        outside_box=marked - int(np.count_nonzero(marks[box])),
        textures=tuple(
            texture(layer) if len(found) > _PLAIN else {}
            for layer, found in zip(layers, values, strict=True)
        ),
    )


def fingerprint(
    cases: Sequence[Case], progress: Progress | None = None
) -> tuple[Fingerprint, tuple[Problem, ...]]:
    """Read and measure every case.

    Args:
        cases: In natural order.
        progress: Hears how far it is, and what had to be mended in which case.

    Returns:
        The cases that could be read, and why the others could not.
    """
    progress = progress or Silent()
    facts: list[CaseFacts] = []
    problems: list[Problem] = []
    notes: list[tuple[str, Note]] = []
    for case in progress.track(cases, "looking at the scans", len(cases)):
        try:
            subject = read_subject(case)
        except ScanError as error:
            problems.append(Problem.from_error(case.name, error))
            continue
        notes += [(case.name, note) for note in subject.warnings]
        facts.append(case_facts(subject))
    for line in folded(notes):
        progress.warn(line)
    return Fingerprint(cases=tuple(facts)), tuple(problems)


def _channel_facts(channel: Array, box: Array, marked: npt.NDArray[np.bool_]) -> ChannelFacts:
    foreground = _some(channel[marked])
    return ChannelFacts(
        minimum=float(channel.min()),
        maximum=float(channel.max()),
        mean=float(channel.mean(dtype=np.float64)),
        percentiles=_floats(np.percentile(_some(channel.ravel()), PERCENTILES)),
        background_share=float(np.mean(box == channel.min())),
        whole_numbers=bool((channel == np.rint(channel)).all()),
        foreground=_floats(np.quantile(foreground, _QUANTILES)) if foreground.size else (),
    )


def _voxels_per_value(layer: Array) -> dict[int, int]:
    values, counts = np.unique(layer, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def _some(values: Array) -> Array:
    """Values at an even step, so that a large scan costs no more than a small one."""
    return values[:: -(-values.size // _MOST_VALUES) or 1]


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values, dtype=np.float32))
