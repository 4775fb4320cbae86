"""What becomes of labels where left and right are mirrored: a left kidney is then a right one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from medseg.plan.plan import Plan
from medseg.prepare.prepared import mirrored_set
from medseg.types import Labels, hidden_in


@dataclass(frozen=True)
class Exchange:
    """Classes that change places.

    Attributes:
        axis: The network axis from left to right.
        layers: Which layer each layer is taken from (multilabel); None where there is one for all.
        values: What each value of that one becomes, of all that a byte holds.
    """

    axis: int
    layers: tuple[int, ...] | None = None
    values: tuple[int, ...] = ()

    @classmethod
    def for_plan(cls, plan: Plan, hidden: Sequence[tuple[int, ...]] = ()) -> "Exchange | None":
        """That of a plan, if it exchanges any.

        Args:
            plan: With pairs of classes.
            hidden: Sets of classes that background may be, as `unannotated_sets` has them.
        """
        if plan.left_right is None or not plan.exchanged:
            return None
        if plan.task == "multilabel":
            return cls(plan.left_right, plan.mirrored_classes)
        values = [*range(256)]
        values[: plan.num_outputs] = plan.mirrored_classes
        for number, classes in enumerate(hidden):
            values[hidden_in(number)] = hidden_in(hidden.index(mirrored_set(classes, plan)))
        return cls(plan.left_right, values=tuple(values))

    def apply_(self, label: Labels, flips: npt.NDArray[np.bool_]) -> None:
        """Exchange in place, in the items that are mirrored: (batch, dim) flags."""
        values = torch.tensor(self.values, dtype=label.dtype, device=label.device)
        for item in np.flatnonzero(flips[:, self.axis]).tolist():
            if self.layers is not None:
                label[item] = label[item, list(self.layers)]
            else:
                label[item] = values[label[item].long()]
