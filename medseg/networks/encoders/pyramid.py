"""What all encoders share: stages of blocks, each at a coarser scale than the one before."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import accumulate
from operator import mul
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medseg.networks.layers.batch_norm import still_statistics
from medseg.networks.layers.nd import channels_last
from medseg.networks.layers.window_attention import WindowAttention
from medseg.types import Images, Maps


class Levels(NamedTuple):
    """The scales an encoder walks down; one entry per stage, each with one value per axis.

    Attributes:
        steps: Stride into each stage, the stem's first.
        kernels: Odd width of depthwise kernels.
        windows: Tokens of an attention window.
        mixers: Tokens of a window in which a linear layer mixes tokens.
    """

    steps: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    windows: tuple[tuple[int, ...], ...]
    mixers: tuple[tuple[int, ...], ...]

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Cumulative stride of each stage."""
        return tuple(accumulate(self.steps, lambda a, b: tuple(map(mul, a, b))))


class Savers(NamedTuple):
    """Ways to train in less memory; results are the same.

    Attributes:
        checkpointing: Keep no activations inside blocks, compute them again for the backward pass.
            Chen et al. 2016, arXiv:1604.06174.
        attention_chunks: Parts that attention's windows are worked off in, one after the other.
            Liu et al. 2022, arXiv:2111.09883.
    """

    checkpointing: bool = False
    attention_chunks: int = 1


class Pyramid(nn.Module):
    """Image -> feature maps, finest first.

    Args:
        stem: Image -> the first stage's tokens.
        merges: From each stage's map to the input of the next.
        stages: Blocks of each stage; every block maps (batch, channels, *spatial) to the same.
        out_channels: Channels of each stage.
        strides: Cumulative stride of each stage per axis.
        checkpointing: As in `Savers`.
    Shape:
        x: (batch, channels, *spatial), each axis divisible by its last stride
        -> per stage (batch, out_channels[stage], *spatial / strides[stage]).
    """

    def __init__(
        self,
        stem: nn.Module,
        merges: Iterable[nn.Module],
        stages: Iterable[Iterable[nn.Module]],
        out_channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        *,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = tuple(out_channels)
        self.strides = tuple(tuple(stride) for stride in strides)
        self.checkpointing = checkpointing
        self.stem = stem
        self.merges = nn.ModuleList(merges)
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)

    def forward(self, x: Images) -> list[Maps]:
        """Encode."""
        return self.from_stem(self.stem(channels_last(x)))

    def from_stem(self, x: Maps) -> list[Maps]:
        """Encode what the stem gave."""
        maps = [self._stage(self.stages[0], x)]
        for merge, stage in zip(self.merges, self.stages[1:], strict=True):
            maps.append(self._stage(stage, merge(maps[-1])))
        return maps

    @property
    def recomputed_blocks(self) -> list[nn.Module]:
        """Modules that training computes a second time instead of keeping what they need."""
        if self.checkpointing:
            return [block for stage in self.stages for block in stage.children()]
        attentions = (module for module in self.modules() if isinstance(module, WindowAttention))
        return [attention for attention in attentions if attention.chunks > 1]

    def _stage(self, stage: nn.Module, x: Maps) -> Maps:
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        for block in stage.children():
            x = _computed_again(block, x) if again else block(x)
        return x


def _computed_again(block: nn.Module, x: Maps) -> Maps:
    """The block's output; the backward pass computes it a second time."""
    return checkpoint(
        block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), still_statistics(block))
    )
