"""Where the classes are, so that patches can be cut there without searching."""

from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.plan.plan import Plan

_PER_CLASS = 4000


def foreground_rows(label: npt.NDArray[Any] | None, plan: Plan) -> npt.NDArray[np.int32]:
    """Random voxels of each foreground class, the same ones every time.

    Args:
        label: Class layers as in `Prepared`; None has no foreground.
        plan: Tells whether layers hold indices or classes.

    Returns:
        Rows of (class index, i, j, k), sorted by class, at most 4000 per class.
    """
    rows = [np.empty((0, 4), dtype=np.int32)]
    if label is None:
        return rows[0]
    random = np.random.default_rng(0)
    first = 0 if plan.task == "multilabel" else 1
    for index in range(first, plan.num_outputs):
        mask = label[index] != 0 if plan.task == "multilabel" else label[0] == index
        voxels = np.flatnonzero(mask)
        if voxels.size > _PER_CLASS:
            voxels = np.sort(random.choice(voxels, _PER_CLASS, replace=False, shuffle=False))
        positions = np.unravel_index(voxels, mask.shape)
        rows.append(np.stack([np.full(voxels.size, index), *positions], axis=1).astype(np.int32))
    return np.concatenate(rows)
