"""The values in a user's label files to the plan's class indices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.plan.plan import Plan

ClassLayers = npt.NDArray[np.uint8]


def class_layers(label: npt.NDArray[np.integer[Any]], plan: Plan) -> ClassLayers:
    """Class indices in one layer (multiclass), or one 0/1 layer per class (multilabel).

    Several mask files are taken in class order, whatever their nonzero values. As classes that
    exclude each other, the later file wins where they overlap.

    Args:
        label: One label map, or one layer per mask file: (layers, *size).
        plan: Names the classes and the values they have in label maps.

    Returns:
        (1, *size) or (classes, *size).

    Raises:
        ScanError: If a label map has a value, or the files a number, that the plan does not know.
    """
    multilabel = plan.task == "multilabel"
    if len(label) > 1:
        masks = _masks(label, plan.class_names if multilabel else plan.class_names[1:])
        return masks if multilabel else _merge(masks)
    if not multilabel:
        return _positions(label, plan.label_values, plan)
    positions = _positions(label[0], (0, *plan.label_values), plan)
    indices = np.arange(1, plan.num_outputs + 1, dtype=np.uint8)
    return (positions == indices[:, None, None, None]).astype(np.uint8)


def _masks(label: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> ClassLayers:
    if len(label) != len(names):
        raise ScanError(
            f"{len(label)} mask files, but there are {len(names)} classes ({', '.join(names)}); "
            "give one label map, or one mask file per class"
        )
    return (label != 0).astype(np.uint8)


def _merge(masks: ClassLayers) -> ClassLayers:
    merged = np.zeros((1, *masks.shape[1:]), dtype=np.uint8)
    for index, mask in enumerate(masks, start=1):
        merged[0][mask != 0] = index
    return merged


def _positions(
    label: npt.NDArray[np.integer[Any]], known: Sequence[int], plan: Plan
) -> ClassLayers:
    """Where in `known` each voxel's value stands."""
    order = np.argsort(known)
    values = np.array(known)[order]
    out = np.empty(label.shape, dtype=np.uint8)
    unknown: set[int] = set()
    size = label.shape[-2:]
    # Plane by plane, since searchsorted answers in 8 bytes a voxel.
    for plane, target in zip(label.reshape(-1, *size), out.reshape(-1, *size), strict=True):
        rank = np.searchsorted(values, plane).clip(max=len(values) - 1)
        unknown.update(plane[values[rank] != plane].tolist())
        target[...] = order[rank]
    if unknown:
        shown = ", ".join(map(str, sorted(unknown)[:5])) + ", ..." * (len(unknown) > 5)
        named = zip(plan.class_names, plan.label_values, strict=True)
        classes = ", ".join(f"{name} = {value}" for name, value in named)
        raise ScanError(
            f"label has the value {shown}, but the classes are {classes}; "
            "add it to classes or mend the label"
        )
    return out
