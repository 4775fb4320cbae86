"""Voxel values that can be trusted: finite floats for images, whole numbers for labels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError

MAX_BROKEN = 0.5
"""Share of a channel's voxels that may be NaN or infinite."""

_INT32 = np.iinfo(np.int32)


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
    for index, channel in enumerate(image):
        broken = ~np.isfinite(channel)
        share = float(broken.mean())
        if share == 0:
            continue
        which = f"{name} channel {index}" if len(image) > 1 else name
        if share > MAX_BROKEN:
            raise ScanError(
                f"{which}: {share:.1%} of the voxels are NaN or infinite, "
                f"at most {MAX_BROKEN:.0%} can be mended; export it again"
            )
        channel[broken] = channel[~broken].min()
        warnings.append(
            f"{which}: {100 * share:.3g}% of voxels were NaN or infinite, set to the minimum"
        )
    return image, warnings


def whole_label(name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """One layer of label values as int32, from equal channels.

    Args:
        name: The file's name, for messages.
        values: (channels, *size).

    Raises:
        ScanError: If channels differ, or a value is not a whole number of 32 bits.
    """
    layer = values[0]
    if layer.dtype.kind == "f" and not np.isfinite(layer).all():
        raise ScanError(f"{name}: a label holds NaN or infinite values; save it as whole numbers")
    if any(not np.array_equal(layer, other) for other in values[1:]):
        raise ScanError(
            f"{name}: a label of {len(values)} channels that differ; save one channel that holds "
            "class values, or one mask file per class"
        )
    if layer.dtype.kind == "f" and not np.array_equal(layer, np.rint(layer)):
        example = layer[layer != np.rint(layer)][0]
        raise ScanError(
            f"{name}: label value {example:g} is not a whole number; save class values "
            "(resample labels by nearest neighbour)"
        )
    if layer.min() < _INT32.min or layer.max() > _INT32.max:
        raise ScanError(
            f"{name}: label values from {layer.min():g} to {layer.max():g} do not fit 32 bits; "
            "renumber the classes"
        )
    return layer.astype(np.int32)
