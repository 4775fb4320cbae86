"""Where the classes are, so that patches can be cut there without searching."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.plan.plan import Plan

_PER_CLASS = 4000

Rows = npt.NDArray[np.int32]


class Foreground(NamedTuple):
    """Voxels of a prepared label by class.

    Attributes:
        rows: (i, j, k) of random voxels of each foreground class, class by class.
        ends: One entry per class index: where its rows end; they begin where the one before ends.
        voxels: One entry per class index: all that it has.
    """

    rows: Rows
    ends: tuple[int, ...]
    voxels: tuple[int, ...]


def foreground(label: npt.NDArray[Any] | None, plan: Plan) -> Foreground:
    """Random voxels of each foreground class, at most 4000 of each, the same ones every time.

    Plane by plane: no list of all voxels of a class is made.

    Args:
        label: Class layers as in `Prepared`; None has no foreground.
        plan: Tells whether layers hold indices or classes.
    """
    if label is None:
        return Foreground(
            np.empty((0, 3), np.int32), (0,) * plan.num_outputs, (0,) * plan.num_outputs
        )
    random = np.random.default_rng(0)
    multilabel = plan.task == "multilabel"
    counts = _counts(label, plan.num_outputs, multilabel=multilabel)
    parts: list[Rows] = [np.empty((0, 3), dtype=np.int32)]
    ends: list[int] = []
    for index, per_plane in enumerate(counts):
        if multilabel or index > 0:
            layer, value = (label[index], 1) if multilabel else (label[0], index)
            parts += _drawn(layer, value, per_plane, random)
        ends.append(sum(map(len, parts)))
    voxels = tuple(int(per_plane.sum()) for per_plane in counts)
    return Foreground(np.concatenate(parts), tuple(ends), voxels)


def _counts(label: npt.NDArray[Any], classes: int, *, multilabel: bool) -> npt.NDArray[np.int64]:
    """Voxels of each class in each plane, (classes, planes)."""
    if multilabel:
        return np.array([[np.count_nonzero(plane) for plane in layer] for layer in label])
    return np.array([np.bincount(plane.ravel(), minlength=classes) for plane in label[0]]).T


def _drawn(
    layer: npt.NDArray[Any],
    value: int,
    per_plane: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> list[Rows]:
    """Some voxels of one class, in the order in which they lie."""
    total = int(per_plane.sum())
    ranks = np.arange(total)
    if total > _PER_CLASS:
        ranks = np.sort(random.choice(total, _PER_CLASS, replace=False, shuffle=False))
    ends = np.cumsum(per_plane)
    rows: list[Rows] = []
    for plane in np.unique(np.searchsorted(ends, ranks, side="right")):
        first, last = ends[plane] - per_plane[plane], ends[plane]
        chosen = ranks[(ranks >= first) & (ranks < last)] - first
        positions = np.argwhere(layer[plane] == value)[chosen]
        rows.append(np.insert(positions, 0, plane, axis=1).astype(np.int32))
    return rows
