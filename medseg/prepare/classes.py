"""The values in a user's label files to the plan's class indices."""

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.plan.plan import Plan

ClassLayers = npt.NDArray[np.uint8]


def class_layers(label: npt.NDArray[np.int32], plan: Plan) -> ClassLayers:
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
    masks = plan.class_names if plan.task == "multilabel" else plan.class_names[1:]
    if len(label) == len(masks) and (len(masks) > 1 or plan.task == "multilabel"):
        present = (label != 0).astype(np.uint8)
        return present if plan.task == "multilabel" else _merge(present)
    if len(label) != 1:
        raise ScanError(
            f"{len(label)} mask files, but the plan has {len(masks)} classes ({', '.join(masks)}); "
            "give one label map, or one mask file per class"
        )
    if plan.task == "multiclass":
        return _indices(label[0], plan)[None]
    _check_values(label[0], plan, (0, *plan.label_values))
    return np.stack([label[0] == value for value in plan.label_values]).astype(np.uint8)


def _merge(masks: ClassLayers) -> ClassLayers:
    merged = np.zeros((1, *masks.shape[1:]), dtype=np.uint8)
    for index, mask in enumerate(masks, start=1):
        merged[0][mask != 0] = index
    return merged


def _indices(label: npt.NDArray[np.int32], plan: Plan) -> ClassLayers:
    _check_values(label, plan, plan.label_values)
    order = np.argsort(plan.label_values)
    values = np.array(plan.label_values)[order]
    out = np.empty(label.shape, dtype=np.uint8)
    for plane, target in zip(label, out, strict=True):  # searchsorted answers in 8 bytes a voxel
        target[...] = order[np.searchsorted(values, plane)]
    return out


def _check_values(label: npt.NDArray[np.int32], plan: Plan, known: tuple[int, ...]) -> None:
    unknown: set[int] = set()
    for plane in label:
        unknown.update(np.setdiff1d(plane, known).tolist())
    if unknown:
        named = zip(plan.class_names, plan.label_values, strict=True)
        raise ScanError(
            f"label has the value {', '.join(map(str, sorted(unknown)[:5]))}"
            f"{', ...' * (len(unknown) > 5)}, but the plan's classes are "
            f"{', '.join(f'{name} = {value}' for name, value in named)}; "
            "add it to classes or mend the label"
        )
