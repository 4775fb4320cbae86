"""Where the classes are, so that patches can be cut there without searching."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.plan.plan import Plan
from medseg.types import IGNORED

PER_CLASS = 4000

Rows = npt.NDArray[np.int32]


class Foreground(NamedTuple):
    """Voxels of a prepared label by class.

    Attributes:
        rows: (i, j, k) of random voxels of each foreground class, class by class; after them, where
            some voxels are ignored, of random ones that are not.
        ends: One entry per class index: where its rows end; they begin where the one before ends.
        voxels: One entry per class index: all that it has.
    """

    rows: Rows
    ends: tuple[int, ...]
    voxels: tuple[int, ...]


def foreground(layers: Iterable[npt.NDArray[Any]], plan: Plan) -> Foreground:
    """Random voxels of each foreground class, at most 4000 of each, the same ones every time.

    Plane by plane: no list of all voxels of a class is made.

    Args:
        layers: Of a label as in `Prepared`, one after another; none has no foreground.
        plan: Tells whether layers hold indices or classes.
    """
    random = np.random.default_rng(0)
    parts: list[Rows] = [np.empty((0, 3), dtype=np.int32)]
    ends: list[int] = []
    voxels: list[int] = []
    annotated: list[Rows] = []
    for layer in layers:
        if plan.task == "multilabel":
            counts = np.array([[np.count_nonzero(plane == 1) for plane in layer]])
            values = (1,)
        else:
            classes = range(plan.num_outputs)
            counts = np.array([np.bincount(p.ravel(), minlength=256)[classes] for p in layer]).T
            values = tuple(classes)
        for value, per_plane in zip(values, counts, strict=True):
            if value > 0:
                parts += _drawn(layer, value, per_plane, random)
            ends.append(sum(map(len, parts)))
            voxels.append(int(per_plane.sum()))
        annotated = annotated or _annotated(layer, random)
    parts += annotated
    nothing = (0,) * plan.num_outputs
    return Foreground(np.concatenate(parts), tuple(ends) or nothing, tuple(voxels) or nothing)


def _annotated(layer: npt.NDArray[Any], random: np.random.Generator) -> list[Rows]:
    """Some voxels of which the class is known; nothing where it is known of all."""
    known = np.array([np.count_nonzero(plane != IGNORED) for plane in layer])
    return _drawn(layer != IGNORED, True, known, random) if known.sum() < layer.size else []


def _drawn(
    layer: npt.NDArray[Any],
    value: int,
    per_plane: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> list[Rows]:
    """Some voxels of one class, in the order in which they lie."""
    total = int(per_plane.sum())
    ranks = np.arange(total)
    if total > PER_CLASS:
        ranks = np.sort(random.choice(total, PER_CLASS, replace=False, shuffle=False))
    ends = np.cumsum(per_plane)
    rows: list[Rows] = []
    for plane in np.unique(np.searchsorted(ends, ranks, side="right")):
        first, last = ends[plane] - per_plane[plane], ends[plane]
        chosen = ranks[(ranks >= first) & (ranks < last)] - first
        positions = np.argwhere(layer[plane] == value)[chosen]
        rows.append(np.insert(positions, 0, plane, axis=1).astype(np.int32))
    return rows
