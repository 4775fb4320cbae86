"""What is mended in a predicted mask, class by class: stray pieces and holes."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from medseg.geometry import Geometry
from medseg.plan.plan import Plan
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


Rules = Mapping[str, Cleanup]
"""By the name of the class."""


def pieces_of(mask: Mask) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """The number of each voxel's piece, (*size), 0 outside; and the voxels of pieces 1, 2, ..."""
    pieces, count = ndimage.label(mask, _TOUCHING)
    return pieces, np.bincount(pieces.ravel(), minlength=count + 1)[1:]


def filled(mask: Mask) -> Mask:
    """A mask (*size) without holes; of a plane, holes in the plane."""
    widths = [int(length > 1) for length in mask.shape]
    parts, _ = ndimage.label(~np.pad(mask, [(width, width) for width in widths]))
    within = zip(widths, mask.shape, strict=True)
    inner = tuple(slice(width, width + length) for width, length in within)
    return mask | (parts[inner] != parts.flat[0])


def cleaned(mask: Mask, rule: Cleanup, voxel_mm3: float) -> Mask:
    """A mask (*size) as the rule has it; other classes are not looked at."""
    if rule.largest or rule.least_mm3:
        pieces, sizes = pieces_of(mask)
        kept = np.concatenate([[False], sizes * voxel_mm3 >= rule.least_mm3])
        if rule.largest and len(sizes):
            kept &= np.arange(len(kept)) == 1 + sizes.argmax()
        mask = kept[pieces]
    return filled(mask) if rule.fill and mask.any() else mask


def voxel_mm3(geometry: Geometry) -> float:
    """Volume of a voxel; 1 for files without a world frame."""
    return float(np.prod(geometry.spacing_mm)) if geometry.world else 1.0


def mend(label: npt.NDArray[np.int32], plan: Plan, rules: Rules, geometry: Geometry) -> None:
    """Mend what `restore` gives, in place.

    What leaves a class becomes background, what enters one was background.

    Args:
        label: (*size) of values, or (classes, *size) of 0 and 1. A map of regions stays as it is.
        plan: Names and values of the classes.
        rules: What is done to which class.
        geometry: The scan's grid.
    """
    if not can_be_mended(plan):
        return
    volume = voxel_mm3(geometry)
    for index, (name, value) in enumerate(zip(plan.class_names, plan.label_values, strict=True)):
        if name not in rules:
            continue
        if plan.task == "multilabel":
            label[index] = cleaned(label[index] != 0, rules[name], volume)
            continue
        (box,) = ndimage.find_objects((label == value).view(np.uint8)) or (None,)
        if box is not None:
            part, background = label[box], plan.label_values[0]
            before = part == value
            after = cleaned(before, rules[name], volume)
            part[before & ~after] = background
            part[after & ~before & (part == background)] = value


def can_be_mended(plan: Plan) -> bool:
    """Whether there is a background to give voxels to, and classes do not overlap in one map."""
    return plan.has_background or (plan.task == "multilabel" and not plan.one_map)


def agreed(several: Sequence[Rules]) -> dict[str, Cleanup]:
    """The rules of models that predict together: what most of them have learned."""
    names = dict.fromkeys(name for rules in several for name in rules)
    found: dict[str, Cleanup] = {}
    for name in names:
        each = [rules.get(name, Cleanup()) for rules in several]
        rule = Cleanup(
            largest=sum(one.largest for one in each) > len(each) / 2,
            least_mm3=median(one.least_mm3 for one in each),
            fill=sum(one.fill for one in each) > len(each) / 2,
        )
        if rule != Cleanup():
            found[name] = rule
    return found
