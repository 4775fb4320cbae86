"""What training minimises: overlap and cross-entropy over the patch, the latter at points too."""

from collections.abc import Callable

from monai.losses.dice import DiceFocalLoss, DiceLoss
from torch import Tensor
from torch.nn import functional as F

from medseg.networks.point_rend import HeadOutput
from medseg.plan.plan import Task
from medseg.sampling import labels_at
from medseg.types import Labels, Logits

Loss = Callable[[HeadOutput, Labels], Tensor]

# Not MONAI's DiceCELoss: it takes a softmax over the classes of multilabel tasks as well.
_OVERLAP = {"dice_ce": DiceLoss, "dice_focal": DiceFocalLoss}
LOSSES = tuple(_OVERLAP)


def build_loss(name: str, task: Task, *, with_background: bool = False) -> Loss:
    """The loss of a network's output.

    Dice is computed over the whole batch, so that a class which one patch lacks does not make its
    loss jump. At the points of a point head it is the same loss again, Dice included, as in
    Mask2Former (Cheng et al. 2022, arXiv:2112.01527).

    Args:
        name: One of `LOSSES`.
        task: multiclass compares a softmax over classes with one layer of class indices, multilabel
            a sigmoid per class with as many layers.
        with_background: Whether Dice counts class 0 of multiclass, as a class of its own.
    """
    exclusive = task == "multiclass"
    overlap = _OVERLAP[name](
        include_background=not exclusive or with_background,
        to_onehot_y=exclusive,
        softmax=exclusive,
        sigmoid=not exclusive,
        batch=True,
    )

    def compare(logits: Tensor, labels: Tensor) -> Tensor:
        total = overlap(logits.float(), labels if exclusive else labels.float())
        if name == "dice_ce":
            total = total + _cross_entropy(logits.float(), labels, exclusive)
        return total

    def loss(output: HeadOutput, labels: Labels) -> Tensor:
        total = compare(output.logits, labels)
        if output.points is not None and output.point_logits is not None:
            total = total + compare(output.point_logits, labels_at(labels, output.points))
        return total

    return loss


def _cross_entropy(logits: Logits, labels: Labels, exclusive: bool) -> Tensor:
    if exclusive:
        return F.cross_entropy(logits, labels[:, 0].long())
    return F.binary_cross_entropy_with_logits(logits, labels.float())
