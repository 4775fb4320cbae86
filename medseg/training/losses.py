"""What training minimises: overlap and cross-entropy over the patch, the latter at points too."""

from collections.abc import Callable

from monai.losses.dice import DiceCELoss, DiceFocalLoss
from torch import Tensor
from torch.nn import functional as F

from medseg.networks.point_rend import HeadOutput
from medseg.plan.plan import Task
from medseg.sampling import labels_at
from medseg.types import Labels

Loss = Callable[[HeadOutput, Labels], Tensor]

_DENSE = {"dice_ce": DiceCELoss, "dice_focal": DiceFocalLoss}


def build_loss(name: str, task: Task, *, with_background: bool = False) -> Loss:
    """The loss of a network's output.

    Dice is computed over the whole batch, so that a class which one patch lacks does not make its
    loss jump.

    Args:
        name: A key of `LOSSES`.
        task: multiclass compares a softmax over classes with one layer of class indices, multilabel
            a sigmoid per class with as many layers.
        with_background: Whether Dice counts class 0 of multiclass, as a class of its own.
    """
    exclusive = task == "multiclass"
    dense = _DENSE[name](
        include_background=not exclusive or with_background,
        to_onehot_y=exclusive,
        softmax=exclusive,
        sigmoid=not exclusive,
        batch=True,
    )

    def loss(output: HeadOutput, labels: Labels) -> Tensor:
        total = dense(output.logits.float(), labels if exclusive else labels.float())
        if output.points is None or output.point_logits is None:
            return total
        at_points = labels_at(labels, output.points)
        logits = output.point_logits.float()
        if exclusive:
            return total + F.cross_entropy(logits, at_points[:, 0].long())
        return total + F.binary_cross_entropy_with_logits(logits, at_points.float())

    return loss


LOSSES = tuple(_DENSE)
