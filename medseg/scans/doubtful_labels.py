"""What a label that cannot be one looks like, and what would mend it."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.scans.slabs import slabs

_FRINGE = 0.3
"""Up to this share of fractions, they are the edges of something; beyond it, all there is."""
_MOST_COLOURS = 256
_SHOWN = 4


def not_whole(
    name: str, worst: str, share: float, span: tuple[float, float], step: float
) -> ScanError:
    """The error of a label with fractions.

    Args:
        name: The file's name.
        worst: The value farthest from any whole number, as stored.
        share: Of the voxels that hold fractions.
        span: Smallest and largest value.
        step: Between neighbouring values that the file can store; 0 where it does not scale.
    """
    low, high = span
    found = (
        f"label value {worst} is not a whole number ({_percent(share)} of the voxels hold "
        f"fractions, values go from {low:g} to {high:g})"
    )
    if step > 1:
        return ScanError(
            name,
            f"{found}: it is stored as integers times {step:g}, so classes nearer than that "
            "cannot be told apart any more",
            "save the original as integers, without a scale",
        )
    if low >= 0 and high <= 1:
        remedy = "threshold it at 0.5 and save 0 and 1"
        return ScanError(name, f"{found}: it looks like a probability map", remedy)
    if share <= _FRINGE:
        remedy = "resample labels by nearest neighbour, from the original"
        return ScanError(name, f"{found}: it looks like a label resampled linearly", remedy)
    return ScanError(
        name,
        f"{found}: it looks like an image, not a label map",
        "give the label file, or save class values as whole numbers",
    )


def lost_in_rounding(name: str, span: tuple[float, float]) -> ScanError:
    """The error of a label all of whose values would become one whole number.

    Args:
        name: The file's name.
        span: Smallest and largest value.
    """
    low, high = span
    return ScanError(
        name,
        f"label values from {low:g} to {high:g} would all be {round(low)}: a mask divided by 255 "
        "or 65535?",
        "save whole numbers, one for each class",
    )


def differing_channels(name: str, values: npt.NDArray[Any]) -> ScanError:
    """The error of a label whose channels differ.

    Args:
        name: The file's name.
        values: (channels, *size).
    """
    found = f"a label of {len(values)} channels that differ"
    painted = len(values) == 3 and values.max() > 1  # three masks of 0 and 255 are pure colours
    if not painted and all(_is_mask(channel) for channel in values):
        return ScanError(
            name,
            f"{found}, each a mask of its own: one class per channel, or frames of one label?",
            "save one mask file per class, or one channel that holds class values",
        )
    colours = _colours(values)
    if colours:
        shown = ", ".join(map(str, colours[:_SHOWN])) + ", ..." * (len(colours) > _SHOWN)
        numbers = ", ".join(f"{n} for {colour}" for n, colour in enumerate(colours[:_SHOWN]))
        return ScanError(
            name,
            f"{found}: a colour mask of {len(colours)} colours ({shown})",
            f"save one channel that holds class values, such as {numbers}",
        )
    return ScanError(
        name,
        found,
        "save one channel that holds class values, or one mask file per class",
    )


def _is_mask(channel: npt.NDArray[Any]) -> bool:
    """Whether a channel holds 0 and at most one other value."""
    others: set[float] = set()
    for part in slabs(channel):
        others.update(np.unique(channel[part]).tolist())
        if len(others - {0}) > 1:
            return False
    return True


def _colours(values: npt.NDArray[Any]) -> list[tuple[int, ...]]:
    """The colours of an RGB mask, the commonest first; none where they are too many."""
    if len(values) != 3 or values.dtype != np.uint8:
        return []
    counts: Counter[int] = Counter()
    for part in slabs(values[0]):
        red, green, blue = (channel[part].astype(np.int32) for channel in values)
        codes, voxels = np.unique(red << 16 | green << 8 | blue, return_counts=True)
        if len(codes) > _MOST_COLOURS:
            return []
        counts.update(dict(zip(codes.tolist(), voxels.tolist(), strict=True)))
    if len(counts) > _MOST_COLOURS:
        return []
    return [(code >> 16, code >> 8 & 255, code & 255) for code, _ in counts.most_common()]


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
