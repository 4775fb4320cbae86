"""A network of others as the one-stage encoder of a segmenter: its only map is its logits."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from medseg.errors import MedsegError
from medseg.networks.layers.nd import pad_to_multiples
from medseg.types import Images, Maps


class Planned(NamedTuple):
    """What the plan says that a network may need.

    Attributes:
        dim: Spatial axes.
        channels: Of the image.
        num_outputs: Classes.
        patch_size: Voxels per axis.
        steps: Stride into each level after the first, per axis.
        kernels: Width of convolutions of each level, per axis.
        total_strides: Product of all steps per axis.
    """

    dim: int
    channels: int
    num_outputs: int
    patch_size: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    total_strides: tuple[int, ...]


class Reference(NamedTuple):
    """How to build one network.

    Attributes:
        arguments: Of its class, beside channels and classes.
        multiples: What every axis of its input must be a multiple of.
    """

    arguments: Mapping[str, Any]
    multiples: tuple[int, ...]


class ReferenceNetwork(nn.Module):
    """Image -> its logits, as the one map of an encoder; padded for the network, cropped after.

    Args:
        network: Image -> logits of the image's size, or a list that begins with them.
        num_outputs: Classes.
        multiples: What every axis of the input must be a multiple of.
    Shape:
        x: (batch, channels, *spatial) -> one map (batch, num_outputs, *spatial).
    """

    recomputed_blocks: Sequence[nn.Module] = ()

    def __init__(self, network: nn.Module, num_outputs: int, multiples: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.out_channels = (num_outputs,)
        self.strides = ((1,) * len(multiples),)
        self.multiples = tuple(multiples)

    def forward(self, x: Images) -> list[Maps]:
        """Segment."""
        try:
            logits = self.network(pad_to_multiples(x, self.multiples))
        except ValueError as error:  # of a norm that has one value to normalise
            raise MedsegError(
                "network",
                f"cannot read {len(x)} patches of {tuple(x.shape[2:])} voxels ({error})",
                "raise batch_size or patch_size",
            ) from None
        logits = logits if isinstance(logits, Tensor) else logits[0]
        return [logits[(..., *(slice(length) for length in x.shape[2:]))]]
