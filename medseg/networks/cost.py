"""What a training step takes in memory, found without computing anything."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from medseg.networks.masked import MaskedAutoencoder
from medseg.networks.segmenter import Segmenter
from medseg.types import Labels

_COPIES_OF_WEIGHTS = 5
"""Weights, gradients, AdamW's two moments, the running average."""
_WORKING_SHARE = 1.5
"""Gradients of activations and the libraries' workspaces, on top of what is kept for backward."""
_HALF_SHARE = 0.75
"""Of a network's activations, what mixed precision leaves: norms and resampling stay in float32."""


class _Kept:
    """Counts what is kept for the backward pass beside the weights; each storage once."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._weights = {_identity(weight) for weight in weights}
        self._always: dict[int, int] = {}
        self._within: dict[int, int] | None = None
        self._largest = 0

    def note(self, tensor: Tensor) -> Tensor:
        """Count a tensor; give it back, as a hook for saved tensors must."""
        identity = _identity(tensor)
        if identity not in self._weights:
            kept = self._always if self._within is None else self._within
            kept[identity] = tensor.untyped_storage().nbytes()
        return tensor

    def watch(self, block: nn.Module) -> None:
        """Of a block that is computed again for the backward pass, only the input is kept."""
        block.register_forward_pre_hook(self._enter)
        block.register_forward_hook(self._leave)

    def _enter(self, block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        del block
        self.note(inputs[0])
        self._within = {}

    def _leave(self, *_: Any) -> None:  # noqa: ANN401 - torch hands over what the module gave
        self._largest = max(self._largest, sum((self._within or {}).values()))
        self._within = None

    @property
    def bytes(self) -> int:
        """What is kept, and the largest block that is computed again."""
        return sum(self._always.values()) + self._largest


def _identity(tensor: Tensor) -> int:
    """What tells storages apart on the meta device, where every address is 0."""
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]


def training_bytes(
    build: Callable[[], Segmenter | MaskedAutoencoder],
    shape: tuple[int, ...],
    loss: Callable[[Any, Labels], Tensor] | None = None,
    *,
    layers: int = 1,
    half: bool = False,
) -> int:
    """Memory of one training step, from a dry run on torch's meta device.

    Args:
        build: Makes the network.
        shape: (batch, channels, *patch).
        loss: Of the network's output and the labels; with many classes it takes as much as the
            network. None leaves it out.
        layers: Of the labels.
        half: Whether the network computes in mixed precision; losses never do.
    """
    with torch.device("meta"), torch.enable_grad():
        network = build().eval()  # nothing is recomputed in a dry run
        kept = _Kept(network.parameters())
        for block in network.encoder.recomputed_blocks:
            kept.watch(block)
        with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
            output = network.training_output(torch.empty(shape))
            activations = kept.bytes
            if loss is not None:
                loss(output, torch.empty((shape[0], layers, *shape[2:]), dtype=torch.uint8))
    compared = kept.bytes - activations + output[0].nbytes
    activations *= _HALF_SHARE if half else 1
    weights = sum(weight.nbytes for weight in network.parameters())
    return int(_COPIES_OF_WEIGHTS * weights + _WORKING_SHARE * (activations + compared))
