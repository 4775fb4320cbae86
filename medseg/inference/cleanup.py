"""What is mended in a predicted mask, class by class: stray pieces and holes."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from medseg.records import Frozen

Mask = npt.NDArray[np.bool_]
_TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a corner are of one piece."""


class Cleanup(Frozen):
    """What is done to the mask of one class.

    Attributes:
        largest: Keep its largest piece alone.
        least_mm3: Drop pieces smaller than this; in pixels for files without a world frame.
        fill: Fill holes: background that the class encloses.
    """

    largest: bool = False
    least_mm3: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    fill: bool = False

    def __str__(self) -> str:
        """In words, such as 'largest piece, holes filled'."""
        said = (
            "largest piece" if self.largest else "",
            f"pieces from {self.least_mm3:.3g} mm3" if self.least_mm3 else "",
            "holes filled" if self.fill else "",
        )
        return ", ".join(filter(None, said)) or "as it is"


def cleaned(mask: Mask, rule: Cleanup, voxel_mm3: float) -> Mask:
    """A mask (*size) as the rule has it; other classes are not looked at."""
    if rule.largest or rule.least_mm3:
        mask = _without_strays(mask, rule, voxel_mm3)
    if rule.fill:
        mask = ndimage.binary_fill_holes(mask)
    return mask


def _without_strays(mask: Mask, rule: Cleanup, voxel_mm3: float) -> Mask:
    pieces, count = ndimage.label(mask, _TOUCHING)
    if count == 0:
        return mask
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = sizes * voxel_mm3 >= rule.least_mm3
    if rule.largest:
        kept &= np.arange(count + 1) == sizes.argmax()
    kept[0] = False
    return kept[pieces]


def clean_labels(
    label: npt.NDArray[np.int32],
    background: int,
    rules: Mapping[int, Cleanup],
    voxel_mm3: float,
) -> None:
    """Mend a label map in place.

    What leaves a class becomes background, what enters one was background.

    Args:
        label: (*size).
        background: Its value.
        rules: Value of a class -> what is done to it.
        voxel_mm3: Volume of a voxel.
    """
    for value, rule in rules.items():
        (box,) = ndimage.find_objects((label == value).view(np.uint8)) or (None,)
        if box is None:
            continue
        part = label[box]
        before = part == value
        after = cleaned(before, rule, voxel_mm3)
        part[before & ~after] = background
        part[after & ~before & (part == background)] = value


def clean_layers(
    layers: npt.NDArray[np.int32], rules: Mapping[int, Cleanup], voxel_mm3: float
) -> None:
    """Mend masks of 0 and 1, (classes, *size), in place; rules go by the class's index."""
    for index, rule in rules.items():
        layers[index] = cleaned(layers[index] != 0, rule, voxel_mm3)
