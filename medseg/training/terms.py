"""The parts of a loss: how far probabilities are from labels, over known voxels alone.

Every term weighs classes, and answers 0 at its best and about 1 or more at its worst. A batch in
which nothing is known costs 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from medseg.types import IGNORED, Labels, Logits, hidden_in

_SMOOTH = 1e-5
"""Keeps a class that is nowhere from dividing 0 by 0 (MONAI's value)."""
_FOCUS = 2.0
_NEVER = -1e4
"""A logit that leaves a class no probability, and no gradient."""
_FALSE_POSITIVE, _FALSE_NEGATIVE = 0.3, 0.7
_FEW = 1.0
"""Voxels of edge below which their share says little; a network begins without any."""
_EDGE, _NEAR = 3, 5
"""Widths in voxels of the neighbourhoods in which an edge is seen, and is met by another."""


class Compared(NamedTuple):
    """Predictions beside what they should be; voxels may be of any number of axes, or points.

    Attributes:
        logits: (batch, classes, *any), float32.
        target: The same shape: 1 where a class is, 0 elsewhere and where nobody knows.
        known: (batch, 1 or classes, *any): 1, or 0 where the label is `IGNORED`.
        place: Where a voxel has one class (softmax): which, (batch, 1, *any), any where it is
            unknown. None where it has any number of them (a sigmoid each).
    """

    logits: Logits
    target: Tensor
    known: Tensor
    place: Tensor | None

    @property
    def probabilities(self) -> Tensor:
        """Of each class, (batch, classes, *any)."""
        return self.logits.sigmoid() if self.place is None else self.logits.softmax(1)

    @property
    def surprise(self) -> Tensor:
        """Cross-entropy of each voxel, (batch, 1 or classes, *any); 0 where it is unknown."""
        if self.place is not None:
            return -self.logits.log_softmax(1).gather(1, self.place) * self.known
        each = F.binary_cross_entropy_with_logits(self.logits, self.target, reduction="none")
        return each * self.known


def merge_hidden(
    logits: Logits, labels: Labels, hidden: Sequence[tuple[int, ...]]
) -> tuple[Logits, Labels]:
    """Where background may be a class that nobody looked for, take all of these for background.

    The marginal loss of partly annotated cases: Shi et al. 2021, arXiv:2007.03868; for any overlap
    Fidon et al. 2021, arXiv:2107.03846. The probabilities of the set are added up, and none of its
    classes is found or missed there.

    Args:
        logits: (batch, classes, *any), of classes that exclude each other.
        labels: (batch, 1, *any).
        hidden: Sets of class indices, as `types.hidden_in` numbers them.

    Returns:
        The same, without numbers of sets in the labels.
    """
    for number, classes in enumerate(hidden):
        here = labels == hidden_in(number)
        together = logits[:, [0, *classes]].logsumexp(1, keepdim=True)
        unlikely = torch.tensor(classes, device=logits.device)
        others = logits.index_fill(1, unlikely, _NEVER)[:, 1:]
        logits = torch.where(here, torch.cat([together, others], 1), logits)
        labels = labels.masked_fill(here, 0)
    return logits, labels


def compared(logits: Logits, labels: Labels, *, exclusive: bool) -> Compared:
    """Bring logits and labels to one shape."""
    there = labels != IGNORED
    labels, known = labels * there, there.to(logits.dtype)
    if not exclusive:
        return Compared(logits, labels.to(logits.dtype), known, None)
    index = labels.long()
    target = torch.zeros_like(logits.detach()).scatter_(1, index, known)
    return Compared(logits, target, known, index)


def cross_entropy(of: Compared, weights: Tensor) -> Tensor:
    """Mean over the known voxels, each weighed by its class; weights: (classes,)."""
    return _mean(of.surprise, of, weights)


def focal(of: Compared, weights: Tensor) -> Tensor:
    """Cross-entropy, the less the surer: Lin et al. 2017, arXiv:1708.02002.

    With exclusive classes the probability is that of the softmax, the background's included.
    """
    surprise = of.surprise
    return _mean((1 - (-surprise).exp()) ** _FOCUS * surprise, of, weights)


def dice(of: Compared, weights: Tensor) -> Tensor:
    """1 - soft Dice, each class over the whole batch; weights: (classes,)."""
    shared, predicted, there = _sums(of)
    return _average(1 - (2 * shared + _SMOOTH) / (predicted + there + _SMOOTH), weights)


def tversky(of: Compared, weights: Tensor) -> Tensor:
    """As Dice, but what is missed counts more than what is too much.

    Salehi et al. 2017, arXiv:1706.05721.
    """
    shared, predicted, there = _sums(of)
    wrong = _FALSE_POSITIVE * (predicted - shared) + _FALSE_NEGATIVE * (there - shared)
    return _average(1 - (shared + _SMOOTH) / (shared + wrong + _SMOOTH), weights)


def boundary(of: Compared, weights: Tensor) -> Tensor:
    """1 - F1 of the edges, which may lie two voxels apart.

    Bokhovkin and Burnaev 2019, arXiv:1905.07852. Differs: over the whole batch; an edge beside
    unknown voxels is none.
    """
    beside_unknown = _widened(1 - of.known, _EDGE)
    predicted, there = (
        (_widened(1 - mask, _EDGE) - (1 - mask)) * (1 - beside_unknown)
        for mask in (of.probabilities, of.target)
    )
    precision = _share(predicted, _widened(there, _NEAR))
    recall = _share(there, _widened(predicted, _NEAR))
    f1 = 2 * precision * recall / (precision + recall)
    return _average(1 - f1, weights)


def _sums(of: Compared) -> tuple[Tensor, Tensor, Tensor]:
    """Per class: voxels shared, predicted and there, (classes,) each."""
    predicted = of.probabilities * of.known
    return _per_class(predicted * of.target), _per_class(predicted), _per_class(of.target)


def _per_class(x: Tensor) -> Tensor:
    return x.flatten(2).sum(dim=(0, 2))


def _share(part: Tensor, of: Tensor) -> Tensor:
    """How much of `part` lies in `of`, per class."""
    return (_per_class(part * of) + _FEW) / (_per_class(part) + _FEW)


def _widened(x: Tensor, width: int) -> Tensor:
    pool = F.max_pool2d if x.ndim == 4 else F.max_pool3d
    return pool(x, width, stride=1, padding=width // 2)


def _average(per_class: Tensor, weights: Tensor) -> Tensor:
    return (per_class * weights).sum() / weights.sum()


def _mean(per_voxel: Tensor, of: Compared, weights: Tensor) -> Tensor:
    each = weights.view(-1, *(1 for _ in range(per_voxel.ndim - 2)))
    weight = of.known * (each if of.place is None else weights[of.place])
    return (per_voxel * weight).sum() / weight.sum().clamp(min=_SMOOTH)
