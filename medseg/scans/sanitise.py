"""Voxel values that can be trusted: finite floats for images, whole numbers for labels.

Plane by plane: nothing of a scan's size is made beside the result.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError

MAX_BROKEN = 0.5
"""Share of a channel's voxels that may be NaN or infinite."""

_STORAGE = 0.02
"""How far from a whole number the way a file stores numbers may leave one: labels saved as scaled
or short floats come back as 1.00002. What interpolation invents is all over the place."""
_LABEL_TYPES = (np.uint8, np.uint16, np.int16, np.int32)


def finite_image(name: str, values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Voxels as float32, with NaN and infinities set to their channel's finite minimum.

    Args:
        name: The file's name, for messages.
        values: (channels, *size).

    Returns:
        The image, and one line for each mended channel.

    Raises:
        ScanError: If more than `MAX_BROKEN` of a channel is not finite.
    """
    with np.errstate(over="ignore"):
        image = np.array(values, dtype=np.float32, order="C")
    warnings: list[str] = []
    for index, channel in enumerate(image) if values.dtype.kind == "f" else ():
        sound = sum(int(np.count_nonzero(np.isfinite(plane))) for plane in channel)
        share = 1 - sound / channel.size
        if sound == channel.size:
            continue
        which = f"{name} channel {index}" if len(image) > 1 else name
        if share > MAX_BROKEN:
            raise ScanError(
                which,
                f"{share:.1%} of the voxels are NaN or infinite, at most {MAX_BROKEN:.0%} can be "
                "mended",
                "export it again",
            )
        lowest = min(plane[np.isfinite(plane)].min(initial=np.inf) for plane in channel)
        for plane in channel:
            plane[~np.isfinite(plane)] = lowest
        warnings.append(
            f"{which}: {100 * share:.3g}% of voxels were NaN or infinite, set to the minimum"
        )
    return image, warnings


def whole_label(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One layer of label values in the smallest type that holds them, from equal channels.

    Values are whole up to a rounding of storage.

    Args:
        name: The file's name, for messages.
        values: (channels, *size).

    Returns:
        (*size), uint8 wherever that is enough.

    Raises:
        ScanError: If channels differ, or a value is not a whole number of 32 bits.
    """
    layer = values[0]
    if any(not np.array_equal(layer, other) for other in values[1:]):
        raise _colours(name, values)
    if layer.dtype.kind == "f":
        _check_whole(name, layer)
    low, high = round(float(layer.min())), round(float(layer.max()))
    if layer.dtype.kind != "f":
        low, high = int(layer.min()), int(layer.max())
    for dtype in _LABEL_TYPES:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return _rounded(layer, dtype) if layer.dtype.kind == "f" else layer.astype(dtype)
    raise ScanError(
        name, f"label values from {low:g} to {high:g} do not fit 32 bits", "renumber the classes"
    )


def _rounded(layer: npt.NDArray[Any], dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
    out = np.empty(layer.shape, dtype)
    for plane, target in zip(_planes(layer), _planes(out), strict=True):
        target[...] = np.rint(plane)
    return out


def _check_whole(name: str, layer: npt.NDArray[Any]) -> None:
    """Refuse what is no label map, and say what it looks like."""
    broken, example, low, high = 0, 0.0, np.inf, -np.inf
    for plane in _planes(layer):
        if not np.isfinite(plane).all():
            raise ScanError(
                name, "a label holds NaN or infinite values", "save it as whole numbers"
            )
        apart = np.abs(plane - np.rint(plane)) > _STORAGE
        if apart.any():
            example = float(plane[apart][0])
            broken += int(np.count_nonzero(apart))
        low, high = min(low, float(plane.min())), max(high, float(plane.max()))
    if not broken:
        return
    what = f"label value {example:.6g} is not a whole number, nor are {broken / layer.size:.1%} of "
    what += f"the voxels, values from {low:.6g} to {high:.6g}"
    if low >= 0 and high <= 1 + _STORAGE:
        raise ScanError(name, f"{what}: a map of probabilities", "threshold it, at 0.5 for one")
    if broken > layer.size / 2:
        raise ScanError(name, f"{what}: an image and no label map", "give the label map")
    raise ScanError(name, what, "save class values (resample labels by nearest neighbour)")


def _colours(name: str, values: npt.NDArray[Any]) -> ScanError:
    """Channels that differ: a picture of classes in colours, as far as it holds few of them."""
    seen: set[tuple[float, ...]] = set()
    for planes in zip(*(_planes(channel) for channel in values), strict=True):
        found = np.unique(np.stack([plane.ravel() for plane in planes]), axis=1).T
        seen.update(tuple(row) for row in found.tolist())
        if len(seen) > 1000:
            break
    what = f"a label of {len(values)} channels that differ"
    if len(seen) <= 256:
        shown = ", ".join(str(tuple(int(v) for v in row)) for row in sorted(seen)[:4])
        what += f", with {len(seen)} colours ({shown}{', ...' * (len(seen) > 4)})"
    return ScanError(
        name, what, "save one channel that holds class values, or one mask file per class"
    )


def _planes(layer: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Planes along the last axis but one of a contiguous layer, as views."""
    yield from layer
