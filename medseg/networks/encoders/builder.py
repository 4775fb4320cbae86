"""The frame of every family's builder: a size and the plan's scales -> a pyramid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import nn

from medseg.networks.encoders.pyramid import Levels, Pyramid, Savers


@runtime_checkable
class Size(Protocol):
    """What the sizes of every family have."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks per stage."""
        ...

    @property
    def channels(self) -> int:
        """Channels of the first stage; each stage doubles them."""
        ...


class Stage(NamedTuple):
    """What the blocks of a stage, and the way into it, are made from.

    Attributes:
        number: From 0, the finest.
        channels: Of its map.
        drop_paths: Share of items whose branch is dropped in training, per block.
        step: Stride into the stage, per axis.
        kernel, window, mixer: The stage's own of those in `Levels`.
        attention_chunks: As in `Savers`.
    """

    number: int
    channels: int
    drop_paths: tuple[float, ...]
    step: tuple[int, ...]
    kernel: tuple[int, ...]
    window: tuple[int, ...]
    mixer: tuple[int, ...]
    attention_chunks: int


SizeT = TypeVar("SizeT", bound=Size)
Steps = Callable[[int, Sequence[Stage]], tuple[nn.Module, Sequence[nn.Module]]]


@dataclass(frozen=True)
class Builder(Generic[SizeT]):
    """Builds the encoders of a family.

    Attributes:
        steps: Channels of the image and all stages -> the stem, and the ways from stage to stage.
        blocks: A size and a stage -> the stage's blocks.
    """

    steps: Steps
    blocks: Callable[[SizeT, Stage], list[nn.Module]]

    def __call__(
        self,
        in_channels: int,
        size: SizeT,
        levels: Levels,
        drop_path: float = 0.0,
        savers: Savers = Savers(),
    ) -> Pyramid:
        """Build one.

        Args:
            in_channels: Channels of the image.
            size: Depths and widths; stages beyond the plan's are left away.
            levels: Strides, and those of kernels, windows and mixers that the family reads.
            drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
            savers: Ways to train in less memory.
        """
        stages = _stages(size, levels, drop_path, savers)
        stem, merges = self.steps(in_channels, stages)
        return Pyramid(
            stem,
            merges,
            (self.blocks(size, stage) for stage in stages),
            [stage.channels for stage in stages],
            levels.strides,
            checkpointing=savers.checkpointing,
        )


def _stages(size: Size, levels: Levels, drop_path: float, savers: Savers) -> list[Stage]:
    depths = size.depths[: len(levels.steps)]
    most = max(sum(depths) - 1, 1)
    rates = iter(drop_path * block / most for block in range(sum(depths)))
    stages: list[Stage] = []
    own = zip_longest(*levels, fillvalue=())  # there may be none of what no block reads
    for number, (depth, scale) in enumerate(zip(depths, own, strict=True)):
        channels, drop_paths = size.channels * 2**number, tuple(islice(rates, depth))
        stages.append(Stage(number, channels, drop_paths, *scale, savers.attention_chunks))
    return stages
