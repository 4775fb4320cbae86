"""What one case earns, class by class, on the scan's own grid."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from medseg.evaluation.boxes import Box, class_boxes, mask_box
from medseg.evaluation.overlap import Mask, dice, iou
from medseg.evaluation.surface import Part, surface_score
from medseg.geometry import Geometry
from medseg.records import Frozen

Labels = npt.NDArray[np.integer]

NO_CLASS = -(2**31)
"""What no class has for a value: both sides have it where a voxel is not scored."""


class ClassScore(Frozen):
    """One class of one case; where neither mask holds the class it is left out.

    Attributes:
        case: Name of the case.
        class_name: Name of the class.
        value: The value it has in label maps; 1 where each class is a mask.
        dice: Twice the shared voxels over the sum of both masks; None, like the next three, where
            left out.
        iou: Shared voxels over those of either mask.
        hd95_mm: The larger of the two directed 95th percentiles of surface distance; in pixels for
            files without a world frame.
        surface_dice: Share of both surfaces within the tolerance of the other.
        volume_ml: Volume of the prediction; None, like the next two, for files without a world
            frame.
        reference_volume_ml: Volume of the reference.
        volume_error_ml: Prediction minus reference.
        volume_error_percent: The same in percent of the reference; None where that is empty.
    """

    case: str
    class_name: str
    value: int
    dice: float | None
    iou: float | None
    hd95_mm: float | None
    surface_dice: float | None
    volume_ml: float | None
    reference_volume_ml: float | None
    volume_error_ml: float | None
    volume_error_percent: float | None


def score_case(
    name: str,
    prediction: Labels,
    reference: Labels,
    geometry: Geometry,
    classes: Mapping[str, int],
    tolerance_mm: float = 1.0,
) -> tuple[ClassScore, ...]:
    """Compare two label maps, each class in the box that holds it: many classes cost little.

    Args:
        name: Name of the case.
        prediction: Values as in the files, (*size).
        reference: Values as in the files, (*size).
        geometry: The grid both are on; distances are in pixels where it has no world frame.
        classes: Name -> value in the files; 0 may be among them.
        tolerance_mm: Tolerance of the surface Dice.
    """
    boxes = class_boxes((prediction, reference), tuple(classes.values()))
    scores: list[ClassScore] = []
    for label, box in zip(classes.items(), boxes, strict=True):
        masks = prediction[box] == label[1], reference[box] == label[1]
        part = _part(box, prediction.shape)
        scores.append(_score(name, label, masks, part, geometry, tolerance_mm))
    return tuple(scores)


def score_layers(
    name: str,
    prediction: Labels,
    reference: Labels,
    geometry: Geometry,
    classes: Mapping[str, int],
    tolerance_mm: float = 1.0,
) -> tuple[ClassScore, ...]:
    """Compare one mask per class.

    As `score_case`, but the arrays are (classes, *size), their layers in the order of `classes`.
    """
    masks = ((ours != 0, theirs != 0) for ours, theirs in zip(prediction, reference, strict=True))
    return tuple(
        score_class(name, label, pair, geometry, tolerance_mm)
        for label, pair in zip(classes.items(), masks, strict=True)
    )


def score_class(
    name: str,
    label: tuple[str, int],
    masks: tuple[Mask, Mask],
    geometry: Geometry,
    tolerance_mm: float = 1.0,
) -> ClassScore:
    """Compare two masks of one class.

    As `score_case`, with name and value of the class, and its masks, (*size) each: prediction,
    reference.
    """
    box = mask_box(masks)
    part = _part(box, masks[0].shape)
    return _score(name, label, (masks[0][box], masks[1][box]), part, geometry, tolerance_mm)


def _part(box: Box, size: tuple[int, ...]) -> Part:
    return Part(tuple(axis.start for axis in box), size)


def _score(
    case: str,
    label: tuple[str, int],
    masks: tuple[Mask, Mask],
    part: Part,
    geometry: Geometry,
    tolerance_mm: float,
) -> ClassScore:
    prediction, reference = masks
    distances = surface_score(prediction, reference, geometry.spacing_mm, tolerance_mm, part)
    voxels, expected = (int(np.count_nonzero(mask)) for mask in masks)
    voxel_ml = float(np.prod(geometry.spacing_mm)) / 1000 if geometry.world else None
    return ClassScore(
        case=case,
        class_name=label[0],
        value=label[1],
        dice=dice(prediction, reference),
        iou=iou(prediction, reference),
        hd95_mm=distances.hd95 if distances else None,
        surface_dice=distances.surface_dice if distances else None,
        volume_ml=voxels * voxel_ml if voxel_ml is not None else None,
        reference_volume_ml=expected * voxel_ml if voxel_ml is not None else None,
        volume_error_ml=(voxels - expected) * voxel_ml if voxel_ml is not None else None,
        volume_error_percent=100 * (voxels - expected) / expected if expected else None,
    )
