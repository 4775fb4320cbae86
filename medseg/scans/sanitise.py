"""Voxel values that can be trusted: finite floats for images, whole numbers for labels.

Part by part: beside what comes in and what goes out, a few megabytes.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.scans.doubtful_labels import differing_channels, lost_in_rounding, not_whole
from medseg.scans.notes import Note
from medseg.scans.slabs import slabs

MAX_BROKEN = 0.5
"""Share of a channel's voxels that may be NaN or infinite."""

ROUNDING = 0.01
"""Label values this near to a whole number are that number, whatever they were stored as."""
_NOISE = 1e-5
"""Values of one class may differ by so much; 1/255 and 1/65535 are a mask's."""
_MOST_ROUNDING = 0.25
_HALF_A_STEP = 0.51

Label = npt.NDArray[np.integer[Any]]


def finite_image(name: str, values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], list[Note]]:
    """Voxels as float32, with NaN and infinities set to their channel's finite minimum.

    Args:
        name: The file's name, for messages.
        values: (channels, *size).

    Returns:
        The image, and a note for each mended channel.

    Raises:
        ScanError: If more than `MAX_BROKEN` of a channel is not finite.
    """
    with np.errstate(over="ignore"):
        image = np.array(values, dtype=np.float32, order="C")
    notes: list[Note] = []
    for index, channel in enumerate(image) if values.dtype.kind == "f" else ():
        broken = sum(_count_broken(channel[part]) for part in slabs(channel))
        if broken == 0:
            continue
        share = broken / channel.size
        which = f"{name} channel {index}" if len(image) > 1 else name
        if share > MAX_BROKEN:
            raise ScanError(
                which,
                f"{share:.1%} of the voxels are NaN or infinite, "
                f"at most {MAX_BROKEN:.0%} can be mended",
                "export it again",
            )
        _mend(channel)
        what = "voxels that were NaN or infinite are set to the minimum"
        notes.append(Note(which, what, f"{100 * share:.3g}% of voxels"))
    return image, notes


def _count_broken(part: npt.NDArray[Any]) -> int:
    return part.size - int(np.count_nonzero(np.isfinite(part)))


def _mend(channel: npt.NDArray[np.float32]) -> None:
    low = min(
        float(np.min(channel[part], where=np.isfinite(channel[part]), initial=np.inf))
        for part in slabs(channel)
    )
    for part in slabs(channel):
        channel[part] = np.where(np.isfinite(channel[part]), channel[part], np.float32(low))


def whole_label(name: str, values: npt.NDArray[Any], step: float = 0.0) -> Label:
    """One layer of label values, from equal channels, in the smallest type that holds them.

    Values that a rounding of storage made of whole numbers are whole again: scaled integers are
    off by half a step, floats by their precision.

    Args:
        name: The file's name, for messages.
        values: (channels, *size).
        step: Between neighbouring values that the file can store; 0 where it does not scale.

    Returns:
        (*size) as uint8, uint16 or int32; with negative values int8, int16 or int32.

    Raises:
        ScanError: If channels differ, or a value is not a whole number of 32 bits.
    """
    layer = values[0]
    if not _equal_channels(values):
        raise differing_channels(name, values)
    low, high = _range(name, layer)
    if layer.dtype.kind == "f":
        _check_whole(name, layer, (low, high), step)
        if round(low) == round(high) and high - low > max(step, _NOISE):
            raise lost_in_rounding(name, (low, high))
    dtype = _smallest(name, round(low), round(high))
    if layer.dtype == dtype:
        return layer
    label = np.empty_like(layer, dtype=dtype)
    for part in slabs(layer):
        label[part] = np.rint(layer[part]) if layer.dtype.kind == "f" else layer[part]
    return label


def _equal_channels(values: npt.NDArray[Any]) -> bool:
    layer = values[0]
    return all(
        np.array_equal(layer[part], other[part], equal_nan=layer.dtype.kind == "f")
        for other in values[1:]
        for part in slabs(layer)
    )


def _range(name: str, layer: npt.NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest value; whole numbers are exact."""
    broken = 0
    if layer.dtype.kind == "f":
        broken = sum(_count_broken(layer[part]) for part in slabs(layer))
    if broken:
        raise ScanError(
            name,
            f"a label holds NaN or infinite values, in {broken} of {layer.size} voxels",
            "save it as whole numbers, 0 where nothing is marked",
        )
    return layer.min().item(), layer.max().item()


def _check_whole(
    name: str, layer: npt.NDArray[Any], span: tuple[float, float], step: float
) -> None:
    """Refuse fractions that no rounding explains."""
    precision = float(np.finfo(layer.dtype).eps)
    base = max(ROUNDING, min(_HALF_A_STEP * step, _MOST_ROUNDING))
    fractions, worst, farthest = 0, layer.flat[0], 0.0
    for index in slabs(layer):
        part = layer[index]
        off = np.abs(part - np.rint(part)).astype(np.float64)
        allowed = np.clip(precision * np.abs(part.astype(np.float64)), base, _MOST_ROUNDING)
        far = off > allowed
        found = int(np.count_nonzero(far))
        fractions += found
        if found and off.max() > farthest:
            farthest, worst = float(off.max()), part.flat[int(off.argmax())]
    if fractions:
        raise not_whole(name, str(worst), fractions / layer.size, span, step)


def _smallest(name: str, low: int, high: int) -> type[np.integer[Any]]:
    types = (np.uint8, np.uint16, np.int32) if low >= 0 else (np.int8, np.int16, np.int32)
    for dtype in types:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    raise ScanError(
        name, f"label values from {low:g} to {high:g} do not fit 32 bits", "renumber the classes"
    )
