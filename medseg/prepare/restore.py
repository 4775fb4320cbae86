"""From logits on the prepared grid to the scan's own grid: `prepare` backwards."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medseg.plan.plan import Plan, Task
from medseg.prepare.crop import crop
from medseg.prepare.prepared import Placement
from medseg.sampling import resize_rows, resize_slabs, slab_rows

Slab = tuple[slice, Tensor]
"""Rows of the first axis of the content box at the scan's own spacing, and (outputs, rows, ...)."""


def native_logits(logits: Tensor, placement: Placement) -> Iterator[Slab]:
    """Logits at the scan's own spacing, in parts along the first axis of the content box.

    Linear between voxels, and exact where the spacing was kept. One slab at a time, in float32 at
    least.

    Shape:
        logits: (outputs, *prepared size).
    """
    return resize_slabs(logits.detach(), placement.box_size, (1, 1, 1), antialias=False)


def mean_logits(members: Sequence[Tensor], placement: Placement, task: Task) -> Iterator[Slab]:
    """What several networks say together: the logits of the mean of their class probabilities.

    Each may have seen the scan at a spacing of its own; they meet on the scan's. Probabilities are
    averaged rather than logits, so that no network counts more for being surer of itself than
    others are (as a network trained for longer is).

    Shape:
        members: (outputs, *prepared size) each; their prepared sizes may differ.
    """
    if len(members) == 1:
        yield from native_logits(members[0], placement)
        return
    size = placement.box_size
    largest = max(members, key=Tensor.numel)
    for rows in slab_rows(largest.shape, size):
        slabs = (
            resize_rows(logits.detach(), rows, size, (1, 1, 1), antialias=False)
            for logits in members
        )
        mean = torch.stack([_likely(slab, task) for slab in slabs]).mean(0)
        yield rows, mean.logit() if task == "multilabel" else mean.log()


def restore(slabs: Iterable[Slab], placement: Placement, plan: Plan) -> npt.NDArray[np.int32]:
    """The label map in the file's grid; outside the content box it is background.

    Args:
        slabs: Of `native_logits` or `mean_logits`, on any device.
        placement: What `prepare` did to the scan.
        plan: The classes and their values in the user's files.

    Returns:
        Multiclass: (*native size) of `plan.label_values`. Regions that a map can tell apart: the
        same, over 0. Other multilabel plans: (outputs, *native size) of 0 and 1.
    """
    values = np.array(plan.label_values, dtype=np.int32)
    painted = plan.task == "multilabel" and plan.one_map
    if painted:
        native = np.zeros(placement.native.size, dtype=np.int32)
    elif plan.task == "multilabel":
        native = np.zeros((len(values), *placement.native.size), dtype=np.int32)
    else:
        native = np.full(placement.native.size, values[0], dtype=np.int32)
    box = _content(native, placement)
    for rows, slab in slabs:
        if painted:
            for value, inside in zip(values, (slab > 0).cpu().numpy(), strict=True):
                box[rows][inside] = value
        elif plan.task == "multilabel":
            box[:, rows] = (slab > 0).cpu().numpy()
        else:
            winner = slab.max(dim=0).indices  # argmax takes eight times as long on CPU
            box[rows] = values[winner.cpu().numpy()]
    return native


def class_masks(
    label: npt.NDArray[np.int32], plan: Plan
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Name and mask, (*size), of each scored class of what `restore` gives."""
    for index, name in enumerate(plan.class_names):
        if name in plan.scored_classes:
            inside = np.isin(label, plan.values_of(index)) if plan.one_map else label[index] != 0
            yield name, inside


def restore_probabilities(
    slabs: Iterable[Slab], placement: Placement, plan: Plan
) -> npt.NDArray[np.float32]:
    """Class probabilities in the file's grid, (outputs, *native size).

    Outside the content box it is surely background.
    """
    native = np.zeros((plan.num_outputs, *placement.native.size), dtype=np.float32)
    if plan.task == "multiclass":
        native[0] = 1
    box = _content(native, placement)
    for rows, slab in slabs:
        box[:, rows] = _likely(slab, plan.task).cpu().numpy()
    return native


def _likely(logits: Tensor, task: Task) -> Tensor:
    """Class probabilities, (outputs, ...)."""
    return logits.sigmoid() if task == "multilabel" else logits.softmax(dim=0)


def _content(native: npt.NDArray[np.generic], placement: Placement) -> npt.NDArray[np.generic]:
    """The content box in canonical axes, a view: what is written to it lands in the file's axes."""
    return crop(placement.orientation.apply(native), placement.box_start, placement.box_size)
