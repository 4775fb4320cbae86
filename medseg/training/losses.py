"""What training minimises: overlap and cross-entropy over the patch, the same at points too.

A voxel whose label is `IGNORED` has no part in any of it: no gradient, and no weight in a mean.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from medseg.networks.point_rend import HeadOutput
from medseg.plan.plan import Task
from medseg.sampling import labels_at
from medseg.training.terms import (
    Compared,
    boundary,
    compared,
    cross_entropy,
    dice,
    focal,
    merge_hidden,
    tversky,
)
from medseg.types import Labels, Logits

Loss = Callable[[HeadOutput, Labels], Tensor]
_Term = Callable[[Compared, Tensor], Tensor]

_BOUNDARY_SHARE = 0.5


class _Terms(NamedTuple):
    """What is added up."""

    overlap: _Term
    per_voxel: _Term
    edges: bool = False


_TERMS = {
    "dice_ce": _Terms(dice, cross_entropy),
    "dice_focal": _Terms(dice, focal),
    "tversky_ce": _Terms(tversky, cross_entropy),
    "boundary": _Terms(dice, cross_entropy, edges=True),
}
LOSSES = tuple(_TERMS)


def build_loss(
    name: str,
    task: Task,
    *,
    with_background: bool = False,
    class_weights: Sequence[float] | None = None,
    hidden: Sequence[tuple[int, ...]] = (),
) -> Loss:
    """The loss of a network's output.

    Overlap is computed over the whole batch, so that a class which one patch lacks does not make
    its loss jump. At the points of a point head it is the same loss again, overlap included, as in
    Mask2Former (Cheng et al. 2022, arXiv:2112.01527); edges are seen in the patch alone.

    Args:
        name: One of `LOSSES`.
        task: multiclass compares a softmax over classes with one layer of class indices, multilabel
            a sigmoid per class with as many layers.
        with_background: Whether overlap counts class 0 of multiclass, as a class of its own.
        class_weights: One per class, in every term; None weighs all alike.
        hidden: Sets of classes that background may be, as `types.hidden_in` numbers them.
    """
    exclusive = task == "multiclass"
    terms = _TERMS[name]

    def weights(logits: Logits) -> tuple[Tensor, Tensor]:
        """Of each class in the cross-entropy, and in the overlap."""
        every = logits.new_tensor(class_weights or [1.0] * logits.shape[1])
        counted = every.clone()
        if exclusive and not with_background:
            counted[0] = 0
        return every, counted

    def cost(of: Compared) -> Tensor:
        every, counted = weights(of.logits)
        return terms.overlap(of, counted) + terms.per_voxel(of, every)

    def compare(logits: Logits, labels: Labels) -> Compared:
        merged = merge_hidden(logits.float(), labels, hidden)
        return compared(*merged, exclusive=exclusive)

    def loss(output: HeadOutput, labels: Labels) -> Tensor:
        patch = compare(output.logits, labels)
        total = cost(patch)
        if terms.edges:
            total = total + _BOUNDARY_SHARE * boundary(patch, weights(patch.logits)[1])
        if output.points is not None and output.point_logits is not None:
            points = compare(output.point_logits, labels_at(labels, output.points))
            total = total + cost(points)
        return total

    return loss
