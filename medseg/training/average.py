"""The running average of the weights, which is the model."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

_LEARNING = "current_model_state"
"""Of a checkpoint: the weights that learn. Its `state_dict` holds their average."""


class Average(Callback):
    """Averages weights as training goes, on the device that trains; afterwards they are the model.

    Early weights are soon worthless, so the past counts less in the first steps: the average spans
    about the last ninth of what was done, until it spans what `decay` allows. A short run is
    averaged over its end too, not over its random start.

    Buffers are not averaged: those of numbers are averages of their own (batch statistics), or
    constants. The average is used with the buffers that the network has at the time.

    Args:
        network: Its weights are averaged; in training they are changed in place.
        decay: Weight of the past, per step, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._weights: list[Tensor] = [*network.parameters()]
        self._decay = decay
        self._average: list[Tensor] = []

    def on_train_start(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Begin with the weights as they are, or with the average of the run that goes on."""
        del trainer
        # Only now are the weights on the device that trains; for some devices they are made anew.
        self._weights = [*self._network.parameters()]
        begun = self._average or self._weights
        self._average = [
            average.detach().to(weight.device, copy=True)
            for average, weight in zip(begun, self._weights, strict=True)
        ]

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Take in the weights of this step; nothing waits for the device."""
        update = get_ema_multi_avg_fn(decay_at(trainer.global_step, self._decay))
        update(self._average, self._weights, None)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """The network is the average from now on."""
        self._exchange()

    @contextmanager
    def swapped(self) -> Generator[None, None, None]:
        """Within, the network has the average for its weights; nothing is copied."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Keep both; whoever reads the weights of a checkpoint gets the average."""
        del trainer
        checkpoint[_LEARNING] = checkpoint["state_dict"]
        average = dict(zip(map(id, self._weights), self._average, strict=True))
        names = pl_module.named_parameters(remove_duplicate=False)
        averaged = {name: average[id(weight)] for name, weight in names}
        checkpoint["state_dict"] = checkpoint["state_dict"] | averaged

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Go on with both."""
        del trainer
        averaged: dict[str, Tensor] = checkpoint["state_dict"]
        names = {id(weight): name for name, weight in pl_module.named_parameters()}
        self._average = [averaged[names[id(weight)]] for weight in self._weights]
        pl_module.load_state_dict(checkpoint[_LEARNING])

    def _exchange(self) -> None:
        for place, weight in enumerate(self._weights):
            self._average[place], weight.data = weight.data, self._average[place]


def decay_at(step: int, most: float) -> float:
    """Weight of the past after `step` steps: it rises towards 1, and stops at `most`."""
    return min(most, (1 + step) / (10 + step))
