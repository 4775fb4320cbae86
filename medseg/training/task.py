"""The training step: a thin shell around the network for Lightning."""

from collections.abc import Callable
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from medseg.networks.masked import MaskedAutoencoder
from medseg.networks.segmenter import Segmenter
from medseg.patches.augment import Augment
from medseg.patches.randomness import Stream, generator
from medseg.patches.sampler import PatchBatch
from medseg.training.decay import parameter_groups
from medseg.training.schedule import Budget, learning_rate_factor
from medseg.types import Labels

Learner = Segmenter | MaskedAutoencoder
"""What can be trained: its `training_output` goes into a loss."""


class Optimisation(NamedTuple):
    """How weights are changed: AdamW, warm-up and cosine, the slower the nearer to the image."""

    learning_rate: float
    weight_decay: float
    warmup: float
    layer_decay: float = 1.0


class Task(lightning.LightningModule):
    """One step is a pure function of the weights and (seed, step).

    Args:
        network: Its `training_output` goes into the loss.
        loss: Of that output and the labels.
        augment: Runs on the device that trains.
        optimisation: Peak learning rate and the like.
        budget: Says how far the schedule is.
        seed: Of the run.
    """

    def __init__(
        self,
        network: Learner,
        loss: Callable[[Any, Labels], Tensor],
        augment: Augment,
        optimisation: Optimisation,
        budget: Budget,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self._loss = loss
        self._augment = augment
        self._optimisation = optimisation
        self._budget = budget
        self._seed = seed

    def on_train_batch_start(self, batch: PatchBatch, batch_idx: int) -> None:
        """Set what depends on the step: the learning rate and the random numbers."""
        del batch, batch_idx
        position = self._budget.position(self.global_step)
        factor = learning_rate_factor(position, self._optimisation.warmup)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self._optimisation.learning_rate * factor * group["share"]
        rng = generator(Stream.TRAINING, self._seed, self.global_step)
        torch.manual_seed(int(rng.integers(2**63)))

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Augment, predict, compare."""
        del batch_idx
        batch = self._augment(batch, self.global_step)
        return self._loss(self.network.training_output(batch.image), batch.label)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; what does not mix values is not decayed.

        Each group's share of the learning rate stands in it; the first has all of it.
        """
        groups = parameter_groups(
            self.network, self._optimisation.weight_decay, self._optimisation.layer_decay
        )
        # Lightning clips no gradients for a fused optimizer that scales them itself.
        fused = self.trainer.precision == "32-true"
        return torch.optim.AdamW(groups, lr=self._optimisation.learning_rate, fused=fused)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how much of the budget is used."""
        reached = self._budget.reached
        plateau = None if reached.plateau is None else tuple(reached.plateau)
        checkpoint["budget"] = {**reached._asdict(), "plateau": plateau}
