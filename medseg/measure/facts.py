"""The fingerprint: what a dataset's cases look like. Small, and equal to itself after JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medseg.geometry import Array, Size, Vector
from medseg.measure.places import Place, places
from medseg.measure.texture import Texture, texture
from medseg.records import Frozen
from medseg.scans.case import Subject
from medseg.scans.content import content_box

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)
_QUANTILES = (np.arange(1000) + 0.5) / 1000
_MOST_CLASSES = 1000
_PLAIN = 2  # so many values have nothing between them
_MOST_VALUES = 1_000_000  # a distribution is known well enough from so many of its values


class Box(NamedTuple):
    """Part of a grid: its first voxel, and its voxels per axis."""

    start: Size
    size: Size


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
        box_size: Voxels of the content box per axis; it begins at `box_start`.
        channels: One entry per channel.
        label_values: Value in the file -> voxels, per label layer; nothing if unlabelled.
        extents: Value in the file -> the box that it fills, per label layer; 0 has none.
        places: Value in the file -> where its voxels lie, likewise.
        overlap: Whether a voxel is marked in more than one layer.
        marked: Voxels that are marked in any layer.
        common: Voxels that are marked in every layer.
        ignored: Voxels that nobody annotated, of all layers; they are in no other count.
        outside_box: Labelled voxels outside the content box, where nothing is learned or predicted.
        textures: How the values of a layer lie beside each other, per label layer; nothing for
            layers of one or two values.
        digest: Hash of everything the case was read from; '' where it was not read from files.
        image_digests: Hash of each image file, to find scans that stand in a dataset twice.
        absent: Channels that are not there; what `channels` says of them is of no scan.
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
    extents: tuple[dict[int, Box], ...] = ()
    places: tuple[dict[int, Place], ...] = ()
    box_start: Size = (0, 0, 0)
    outside_box: int = 0
    ignored: int = 0
    textures: tuple[dict[int, Texture], ...] = ()
    digest: str = ""
    image_digests: tuple[str, ...] = ()
    marked: int = 0
    common: int = 0
    absent: tuple[int, ...] = ()

    @property
    def present(self) -> dict[int, ChannelFacts]:
        """The channels that are there, by their place."""
        return {at: facts for at, facts in enumerate(self.channels) if at not in self.absent}

    @property
    def flat(self) -> bool:
        """Whether this is a 2D image rather than a volume."""
        return not self.world and self.size[2] == 1


class Fingerprint(Frozen):
    """A dataset: the facts of its cases, in natural order."""

    cases: tuple[CaseFacts, ...]


def case_facts(
    subject: Subject, layers: Iterable[Array] | None = None, ignore_label: int | None = None
) -> CaseFacts:
    """Measure one case. Plane by plane: little is made beside the subject itself.

    Args:
        subject: Its image, and its label if `layers` are none.
        layers: Of its label, (*size) each, asked for one at a time.
        ignore_label: Value of voxels that nobody annotated.
    """
    orientation = subject.geometry.to_canonical()
    geometry = subject.geometry.reoriented(orientation)
    image = orientation.apply(subject.image)
    start, box_size = content_box(image)
    box = tuple(slice(first, first + n) for first, n in zip(start, box_size, strict=True))
    if layers is None:
        layers = () if subject.label is None else subject.label
    found = _look_at((orientation.apply(layer) for layer in layers), geometry.size, ignore_label)
    marked = sum(n for layer in found.values for value, n in layer.items() if value)
    if found.overlap:
        marked = int(np.count_nonzero(found.marked))
    return CaseFacts(
        name=subject.name,
        size=geometry.size,
        spacing_mm=geometry.spacing_mm,
        codes=subject.geometry.codes if geometry.world else "",
        world=geometry.world,
        box_size=box_size,
        channels=tuple(_channel_facts(channel, channel[box], found.marked) for channel in image),
        label_values=found.values,
        overlap=found.overlap,
        extents=found.extents,
        places=found.places,
        textures=found.textures,
        box_start=start,
        ignored=found.ignored,
        outside_box=marked - int(np.count_nonzero(found.marked[box])),
        marked=marked,
        common=found.common,
        absent=subject.absent,
    )


class _Label(NamedTuple):
    """Where any layer marks something, (*size), whether two do at one place; layer by layer."""

    marked: npt.NDArray[np.bool_]
    common: int
    overlap: bool
    values: tuple[dict[int, int], ...]
    extents: tuple[dict[int, Box], ...]
    places: tuple[dict[int, Place], ...]
    textures: tuple[dict[int, Texture], ...]
    ignored: int


def _look_at(layers: Iterable[Array], size: Size, ignore_label: int | None) -> _Label:
    marked = np.zeros(size, dtype=np.bool_)
    overlap, ignored = False, 0
    values: list[dict[int, int]] = []
    extents: list[dict[int, Box]] = []
    found: list[dict[int, Place]] = []
    textures: list[dict[int, Texture]] = []
    in_all = marked
    for number, layer in enumerate(layers):
        in_all = marked.copy() if number == 1 else in_all
        for plane, target, common in zip(layer, marked, in_all, strict=True):
            here = plane != 0
            if ignore_label is not None:
                here &= plane != ignore_label
            overlap = overlap or bool((here & target).any())
            target |= here
            if number:
                common &= here
        values.append(_voxels_per_value(layer))
        ranked, names = _ranked(layer, values[-1])
        extents.append(_extents(ranked, names))
        found.append(places(ranked, names))
        textures.append(texture(layer) if len(values[-1]) > _PLAIN else {})
        if ignore_label is not None:
            ignored += values[-1].pop(ignore_label, 0)
            for facts in (extents[-1], found[-1], textures[-1]):
                facts.pop(ignore_label, None)
    common = int(np.count_nonzero(in_all))
    return _Label(
        marked,
        common,
        overlap,
        tuple(values),
        tuple(extents),
        tuple(found),
        tuple(textures),
        ignored,
    )


def _ranked(layer: Array, counted: Mapping[int, int]) -> tuple[Array, dict[int, int]]:
    """The layer with small values alone, and which of the file's each stands for.

    Nothing stands for any where values are too many to be classes.
    """
    values = [value for value in counted if value]
    if len(values) > _MOST_CLASSES:
        return layer, {}
    if not values or (values[0] > 0 and values[-1] <= _MOST_CLASSES):
        return layer, {value: value for value in values}
    ranks = np.array(values)
    ranked = np.empty(layer.shape, dtype=np.uint16)
    for plane, target in zip(layer, ranked, strict=True):
        target[...] = np.where(plane == 0, 0, np.searchsorted(ranks, plane) + 1)
    return ranked, dict(enumerate(values, start=1))


def _extents(ranked: Array, names: Mapping[int, int]) -> dict[int, Box]:
    """The box that each value fills."""
    boxes = ndimage.find_objects(ranked, max(names, default=1)) if names else []
    return {name: _box(boxes[value - 1]) for value, name in names.items()}


def _box(found: tuple[slice, ...]) -> Box:
    i, j, k = found
    return Box((i.start, j.start, k.start), (i.stop - i.start, j.stop - j.start, k.stop - k.start))


def _channel_facts(channel: Array, box: Array, marked: npt.NDArray[np.bool_]) -> ChannelFacts:
    minimum = channel.min()
    inside = _marked(channel, marked)
    foreground = _some(inside)
    at_minimum = sum(int(np.count_nonzero(plane == minimum)) for plane in box)
    return ChannelFacts(
        minimum=float(minimum),
        maximum=float(channel.max()),
        mean=float(channel.mean(dtype=np.float64)),
        percentiles=_floats(np.percentile(_sample(channel), PERCENTILES)),
        background_share=at_minimum / box.size,
        whole_numbers=all(bool((plane == np.rint(plane)).all()) for plane in channel),
        foreground=_floats(np.quantile(foreground, _QUANTILES)) if foreground.size else (),
    )


def _marked(channel: Array, marked: npt.NDArray[np.bool_]) -> Array:
    """The values of marked voxels; of large scans, in planes at an even step."""
    step = -(-int(np.count_nonzero(marked)) // (4 * _MOST_VALUES)) or 1
    return np.concatenate([p[m] for p, m in zip(channel[::step], marked[::step], strict=True)])


def _sample(channel: Array) -> Array:
    """All values of a small scan; of a large one, those at an even step along each axis."""
    if channel.size <= _MOST_VALUES:
        return channel.ravel()
    step = int(np.ceil((channel.size / _MOST_VALUES) ** (1 / 3)))
    steps = [min(step, max(1, length // 8)) for length in channel.shape]
    return _some(channel[:: steps[0], :: steps[1], :: steps[2]].ravel())


def _voxels_per_value(layer: Array) -> dict[int, int]:
    """Voxels of each value, in order of the values."""
    counted: Counter[int] = Counter()
    small = layer.dtype.kind == "u" and layer.dtype.itemsize < 4
    for plane in layer:
        if small:
            counts = np.bincount(plane.ravel())
            values = np.flatnonzero(counts)
            counted.update(dict(zip(values.tolist(), counts[values].tolist(), strict=True)))
        else:
            found = np.unique(plane, return_counts=True)
            counted.update(dict(zip(*(part.tolist() for part in found), strict=True)))
    return {int(value): counted[value] for value in sorted(counted)}


def _some(values: Array) -> Array:
    """Values at an even step, so that a large scan costs no more than a small one."""
    return values[:: -(-values.size // _MOST_VALUES) or 1]


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in np.asarray(values, dtype=np.float32))
