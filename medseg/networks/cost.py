"""What a training step takes in memory, found without computing anything."""

from collections.abc import Callable

import torch
from torch import Tensor

from medseg.networks.segmenter import Segmenter

_COPIES_OF_WEIGHTS = 5
"""Weights, gradients, AdamW's two moments, the running average."""
_WORKING_SHARE = 1.5
"""Gradients of activations and the libraries' workspaces, on top of what is kept for backward."""


def training_bytes(build: Callable[[], Segmenter], shape: tuple[int, ...]) -> int:
    """Memory of one training step, from a dry run on torch's meta device.

    Args:
        build: Makes the network.
        shape: (batch, channels, *patch).
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        # Its only identity on the meta device, where every address is 0.
        kept[storage._cdata] = storage.nbytes()  # pyright: ignore[reportPrivateUsage]
        return tensor

    with torch.device("meta"), torch.enable_grad():
        network = build()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            output = network.training_output(torch.empty(shape))
    weights = sum(weight.nbytes for weight in network.parameters())
    activations = max(sum(kept.values()) - weights, 0) + output.logits.nbytes
    return int(_COPIES_OF_WEIGHTS * weights + _WORKING_SHARE * activations)
