"""The values in a user's label files to the plan's class indices."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.plan.plan import Plan
from medseg.types import IGNORED

ClassLayers = npt.NDArray[np.uint8]


def layer_by_layer(
    layers: Iterable[npt.NDArray[Any]], count: int, plan: Plan
) -> Iterator[ClassLayers]:
    """Class indices in one layer (multiclass), or one 0/1 layer per class (multilabel).

    `IGNORED` where the file has the plan's ignore label. One after another, as the layers are that
    they are made of.

    Several mask files are taken in class order, whatever their nonzero values. As classes that
    exclude each other, the later file wins where they overlap.

    Args:
        layers: One label map, or the mask files, each (*size).
        count: How many they are.
        plan: Names the classes and the values they have in label maps.

    Yields:
        (*size), one layer (multiclass) or one for each class (multilabel).

    Raises:
        ScanError: If a label map has a value, or the files a number, that the plan does not know.
    """
    multilabel = plan.task == "multilabel"
    if count > 1:
        _check_masks(count, plan.class_names if multilabel else plan.class_names[1:])
        masks = (_mask(layer != 0, layer == plan.ignore_label) for layer in layers)
        if multilabel:
            yield from masks
        else:
            yield _merged(masks)
        return
    (layer,) = layers
    if plan.regions:
        for values in plan.regions:
            yield _mask(np.isin(layer, values), layer == plan.ignore_label)
        return
    if not multilabel:
        yield _positions(layer, plan.label_values, plan)
        return
    positions = _positions(layer, (0, *plan.label_values), plan)
    for index in range(1, plan.num_outputs + 1):
        yield _mask(positions == index, positions == IGNORED)


def _check_masks(count: int, names: Sequence[str]) -> None:
    if count != len(names):
        raise ScanError(
            "label",
            f"{count} mask files, but there are {len(names)} classes ({', '.join(names)})",
            "give one label map, or one mask file per class",
        )


def _merged(masks: Iterable[ClassLayers]) -> ClassLayers:
    merged: ClassLayers | None = None
    for index, mask in enumerate(masks, start=1):
        merged = np.zeros(mask.shape, dtype=np.uint8) if merged is None else merged
        np.putmask(merged, mask == IGNORED, IGNORED)
        np.putmask(merged, mask == 1, index)
    assert merged is not None  # there were several
    return merged


def _mask(inside: npt.NDArray[np.bool_], ignored: npt.NDArray[np.bool_] | bool) -> ClassLayers:
    """1 inside, 0 outside, `IGNORED` where nobody annotated."""
    mask = inside.view(np.uint8)
    np.putmask(mask, ignored, IGNORED)
    return mask


def _positions(label: npt.NDArray[Any], known: Sequence[int], plan: Plan) -> ClassLayers:
    """Where in `known` each voxel's value stands."""
    order = np.argsort(known)
    values = np.array(known)[order]
    out = np.empty(label.shape, dtype=np.uint8)
    unknown: set[int] = set()
    # Plane by plane, since searchsorted answers in 8 bytes a voxel.
    for plane, target in zip(label, out, strict=True):
        rank = np.searchsorted(values, plane).clip(max=len(values) - 1)
        strange = values[rank] != plane
        target[...] = order[rank]
        if plan.ignore_label is not None:
            np.putmask(target, plane == plan.ignore_label, IGNORED)
        if strange.any():
            unknown.update({*np.unique(plane[strange]).tolist()} - {plan.ignore_label})
    if unknown:
        shown = ", ".join(map(str, sorted(unknown)[:5])) + ", ..." * (len(unknown) > 5)
        named = zip(plan.class_names, plan.label_values, strict=True)
        classes = ", ".join(f"{name} = {value}" for name, value in named)
        raise ScanError(
            "label",
            f"has the value {shown}, but the classes are {classes}",
            "add it to classes or mend the label",
        )
    return out
