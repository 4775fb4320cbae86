"""What is odd about a scan that is to be predicted, said before a mask of it is trusted."""

from math import prod

from medseg.errors import ScanError
from medseg.geometry import Orientation, Size, Vector
from medseg.machine import available_memory_bytes
from medseg.plan.ct_units import ONLY_AIR
from medseg.plan.intensity_rules import AIR_HU
from medseg.plan.plan import Plan
from medseg.prepare.crop import crop
from medseg.prepare.pipeline import absent_channels
from medseg.prepare.resample import resampled_size
from medseg.scans.case import Case, Subject
from medseg.scans.content import content_box
from medseg.scans.kinds import looks_like_mask

FAR = 6.0
"""Times the model's spacing, or part of it, from which a scan's is doubted."""
_MOST_GROWTH, _MOST_VOXELS = 500, 1 << 28
"""Times its own voxels, and voxels, beyond which resampling is for a header that is wrong."""
_BYTES = 8
"""Per resampled voxel and channel: what comes in and what goes out of an axis' resampling."""


def scan_doubts(case: Case, subject: Subject, plan: Plan) -> tuple[str, ...]:
    """A line for each thing that makes the mask doubtful; each begins with the file's name.

    Args:
        case: The files, for their names.
        subject: Their voxels.
        plan: The model's.
    """
    doubts = [_lacking(case, subject)] if subject.absent else []
    there = [index for index in range(len(subject.image)) if index not in subject.absent]
    several = len(case.images) == len(there) > 1
    counts_as_absent = absent_channels(subject, plan)
    for number, index in enumerate(there):
        channel = subject.image[index]
        name = case.images[number if several else 0].name
        which = f"{name} channel {index}" if len(there) > len(case.images) else name
        if channel.min() == channel.max():
            so = "counts as absent" if index in counts_as_absent else "check the file"
            doubts.append(f"{which}: nothing in the scan: every voxel is {channel.flat[0]:g}; {so}")
        elif len(subject.image) == 1 and looks_like_mask(channel):
            doubts.append(
                f"{which}: holds a few whole numbers only, as a mask does; check that it is a scan"
            )
    if plan.world and plan.channels == 1:
        doubts += _odd_units(case.images[0].name, subject, plan)
    spacing_mm, model_mm = _spacings(subject, plan)
    if is_far(spacing_mm, model_mm, plan.network_axes) and plan.world:
        doubts.append(
            f"{case.images[0].name}: spacing of {_by(spacing_mm)} mm is far from the model's "
            f"{_by(model_mm)} mm; check its header"
        )
    return tuple(doubts)


def _lacking(case: Case, subject: Subject) -> str:
    names = [channel.name for channel in case.absent] or [f"{at}" for at in subject.absent]
    return (
        f"{case.images[0].name}: predicted without channel {', '.join(names)}, which is absent: "
        "less sure than with it"
    )


def _odd_units(name: str, subject: Subject, plan: Plan) -> list[str]:
    """CT is normalised over the training scans: in other units a scan is another picture."""
    low, high = float(subject.image.min()), float(subject.image.max())
    if low == high:
        return []
    if high <= ONLY_AIR:
        return [f"{name}: nothing but air in the scan: no value above {high:g}; check the file"]
    if plan.modality == "ct" and low > AIR_HU:
        return [
            f"{name}: no value below {low:g}, where the model's scans have air in Hounsfield units "
            f"(below {AIR_HU}): saved with 1024 added, scaled, or cut to the body? check the file"
        ]
    return []


def check_resampled(subject: Subject, plan: Plan) -> None:
    """Refuse a scan that the model's spacing would make too large, before anything is allocated.

    Raises:
        ScanError: With the size after resampling, and the likeliest cause.
    """
    size = size_at_model(subject, plan)
    free = available_memory_bytes()
    needed = _BYTES * plan.channels * prod(size)
    grown = prod(size) > _MOST_GROWTH * prod(subject.geometry.size) and prod(size) > _MOST_VOXELS
    if needed <= free and not grown:
        return
    size = size_at_model(subject, plan, crop_border=True)
    needed = _BYTES * plan.channels * prod(size)
    grown = grown and prod(size) > _MOST_VOXELS
    if needed > free or grown:
        raise too_large(subject, plan, size)


def too_large(subject: Subject, plan: Plan, size: Size) -> ScanError:
    """The error of a scan that takes more memory than there is."""
    spacing_mm, model_mm = _spacings(subject, plan)
    becomes = (
        f"out of memory: its {_times(subject.geometry.size)} voxels become {_times(size)} at the "
        f"model's spacing"
    )
    if is_far(spacing_mm, model_mm, plan.network_axes):
        return ScanError(
            subject.name,
            f"{becomes}, as its header says {_by(spacing_mm)} mm where the model has "
            f"{_by(model_mm)} mm",
            "check the spacing in its header",
        )
    gigabytes = _BYTES * plan.channels * prod(size) / 1e9
    return ScanError(
        subject.name,
        f"{becomes}, {gigabytes:.1f} GB at least",
        "close other programs, use a machine with more memory, or give the part that matters",
    )


def is_far(spacing_mm: Vector, model_mm: Vector, axes: tuple[int, ...]) -> bool:
    """Whether a spacing is many times the model's, or a small part of it, along any axis."""
    ratios = [spacing_mm[axis] / model_mm[axis] for axis in axes]
    return max(ratios) > FAR or min(ratios) < 1 / FAR


def size_at_model(subject: Subject, plan: Plan, *, crop_border: bool = False) -> Size:
    """Voxels after resampling to the model's spacing, with or without a constant border."""
    image = _orientation(subject, plan).apply(subject.image)
    if crop_border:
        image = crop(image, *content_box(image))
    first, second, third = image.shape[1:]
    spacing_mm, model_mm = _spacings(subject, plan)
    return resampled_size((first, second, third), spacing_mm, model_mm, plan.slice_axis)


def _orientation(subject: Subject, plan: Plan) -> Orientation:
    if plan.world:
        return subject.geometry.to_canonical()
    return Orientation((0, 1, 2), (False, False, False))


def _spacings(subject: Subject, plan: Plan) -> tuple[Vector, Vector]:
    """The scan's in the plan's axes, and the plan's, in mm."""
    return subject.geometry.reoriented(_orientation(subject, plan)).spacing_mm, plan.spacing_mm


def _by(spacing_mm: Vector) -> str:
    return " x ".join(f"{step:.4g}" for step in spacing_mm)


def _times(size: Size) -> str:
    return "x".join(map(str, size))
