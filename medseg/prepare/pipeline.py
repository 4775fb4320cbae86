"""From a subject to what the network sees: orient, crop, normalise, resample."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Orientation
from medseg.plan.plan import Normalisation, Plan
from medseg.prepare.classes import layer_by_layer
from medseg.prepare.crop import crop
from medseg.prepare.prepared import Placement, Prepared
from medseg.prepare.resample import normalised_slabs, resample_layer, resampled_size
from medseg.scans.case import Subject
from medseg.scans.content import content_box

_ABSENT = Normalisation(kind="image")
"""Of one value it makes 0, the mean of whatever a channel has where it is there."""
_AS_IT_IS = Orientation((0, 1, 2), (False, False, False))


def prepare(subject: Subject, plan: Plan) -> Prepared:
    """Bring one subject into the plan's orientation, spacing, intensities and classes.

    Intensities are normalised before they are resampled: outliers are clipped before they can ring,
    and the background is still one value.

    Raises:
        ScanError: If the subject has other channels, or other label values, than the plan, or has
            a world frame and the plan has none, or the reverse.
    """
    placement = place(subject, plan)
    image = np.empty((plan.channels, *placement.size), dtype=np.float32)
    for channel, rows, slab in image_slabs(subject, placement, plan):
        image[channel, rows] = slab
    if subject.label is None:
        return Prepared(subject.name, image, None, placement)
    layers = list(label_layers(subject.label, len(subject.label), placement, plan))
    label = np.stack(layers) if len(layers) > 1 else layers[0][None]
    return Prepared(subject.name, image, label, placement)


def place(subject: Subject, plan: Plan) -> Placement:
    """Where a subject's voxels go.

    Raises:
        ScanError: As `prepare`, labels apart.
    """
    if subject.geometry.world != plan.world:
        kinds = ("an image without a world frame", "a scan with a world frame")
        raise ScanError(
            subject.name,
            f"{kinds[subject.geometry.world]}, but the plan is made for {kinds[plan.world]}",
            "give files of the formats that the model was trained on",
        )
    if subject.absent and not plan.channel_dropout:
        raise ScanError(
            subject.name,
            f"has no channel {', '.join(map(str, subject.absent))}, and the model was not trained "
            "for scans that lack one",
            "give every channel, or train with --missing-channels absent",
        )
    if len(subject.image) != plan.channels:
        raise ScanError(
            subject.name,
            f"image has {len(subject.image)} channels, but the plan is made for {plan.channels}",
            "give every channel of the case, and only those",
        )
    orientation = subject.geometry.to_canonical() if plan.world else _AS_IT_IS
    start, box_size = content_box(orientation.apply(subject.image))
    spacing_mm = subject.geometry.reoriented(orientation).spacing_mm
    size = resampled_size(box_size, spacing_mm, plan.spacing_mm, plan.slice_axis)
    return Placement(subject.geometry, orientation, start, box_size, size)


def absent_channels(subject: Subject, plan: Plan) -> tuple[int, ...]:
    """Channels that are not there; where the plan bears it, those of one value too, but not all."""
    if not plan.channel_dropout:
        return subject.absent
    constant = {at for at, channel in enumerate(subject.image) if _is_constant(channel)}
    return subject.absent if len(constant) == len(subject.image) else tuple(sorted(constant))


def _is_constant(channel: npt.NDArray[np.float32]) -> bool:
    first = channel[0, 0, 0]
    return all(bool((plane == first).all()) for plane in channel)


def image_slabs(
    subject: Subject, placement: Placement, plan: Plan
) -> Iterator[tuple[int, slice, npt.NDArray[np.float32]]]:
    """The prepared image part by part: a scan need not be in memory twice.

    Yields:
        Channel, rows of its first axis, and what is there; in the order of the whole array.
    """
    image, absent = _content(subject.image, placement), absent_channels(subject, plan)
    for index, (channel, rule) in enumerate(zip(image, plan.normalisation, strict=True)):
        rule = _ABSENT if index in absent else rule
        for rows, slab in normalised_slabs(channel, rule, placement.size, plan.image_orders):
            yield index, rows, slab


def label_layers(
    layers: Iterable[npt.NDArray[Any]], count: int, placement: Placement, plan: Plan
) -> Iterator[npt.NDArray[np.uint8]]:
    """The layers of the prepared label, one after another.

    Args:
        layers: As in the files, (*native size) each; asked for one at a time.
        count: How many they are.
        placement: Where voxels go.
        plan: The classes.

    Raises:
        ScanError: If they are not what the plan says.
    """
    num_classes = 2 if plan.task == "multilabel" else plan.num_outputs
    inside = (_content(layer, placement) for layer in layers)
    for layer in layer_by_layer(inside, count, plan):
        yield resample_layer(layer, placement.size, num_classes)


def _content(array: npt.NDArray[Any], placement: Placement) -> npt.NDArray[Any]:
    """The content box in canonical axes (a view)."""
    oriented = placement.orientation.apply(array)
    return crop(oriented, placement.box_start, placement.box_size)
