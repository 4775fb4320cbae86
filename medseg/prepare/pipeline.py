"""From a subject to what the network sees: orient, crop, normalise, resample."""

from medseg.errors import ScanError
from medseg.geometry import Orientation
from medseg.plan.plan import Plan
from medseg.prepare.classes import class_layers
from medseg.prepare.crop import crop
from medseg.prepare.prepared import Placement, Prepared
from medseg.prepare.resample import normalised_and_resampled, resample_label, resampled_size
from medseg.scans.case import Subject
from medseg.scans.content import content_box

_AS_IT_IS = Orientation((0, 1, 2), (False, False, False))


def prepare(subject: Subject, plan: Plan) -> Prepared:
    """Bring one subject into the plan's orientation, spacing, intensities and classes.

    Intensities are normalised before they are resampled: outliers are clipped before they can ring,
    and the background is still one value.

    Raises:
        ScanError: If the subject has other channels, or other label values, than the plan, or has
            a world frame and the plan has none, or the reverse.
    """
    if subject.geometry.world != plan.world:
        kinds = ("an image without a world frame", "a scan with a world frame")
        raise ScanError(
            subject.name,
            f"{kinds[subject.geometry.world]}, but the plan is made for {kinds[plan.world]}",
            "give files of the formats that the model was trained on",
        )
    if len(subject.image) != plan.channels:
        raise ScanError(
            subject.name,
            f"image has {len(subject.image)} channels, but the plan is made for {plan.channels}",
            "give every channel of the case, and only those",
        )
    orientation = subject.geometry.to_canonical() if plan.world else _AS_IT_IS
    image = orientation.apply(subject.image)
    start, box_size = content_box(image)
    spacing_mm = subject.geometry.reoriented(orientation).spacing_mm
    size = resampled_size(box_size, spacing_mm, plan.spacing_mm, plan.slice_axis)
    placement = Placement(subject.geometry, orientation, start, box_size, size)
    inside = crop(image, start, box_size)
    prepared = normalised_and_resampled(inside, plan.normalisation, size, plan.image_orders)
    if subject.label is None:
        return Prepared(subject.name, prepared, None, placement)
    layers = class_layers(crop(orientation.apply(subject.label), start, box_size), plan)
    num_classes = 2 if plan.task == "multilabel" else plan.num_outputs
    label = resample_label(layers, size, num_classes)
    return Prepared(subject.name, prepared, label, placement)
