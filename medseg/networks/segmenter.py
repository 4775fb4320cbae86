"""Detail stem + encoder + decoder + head: the whole network."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import nn
from torch.nn import functional as F

from medseg.networks.layers.nd import CONVOLUTIONS, channels_last, pad_to_multiples
from medseg.networks.layers.norm import ChannelNorm
from medseg.networks.point_rend import Features, HeadOutput
from medseg.sampling import upsample
from medseg.types import Images, Logits, Maps


@runtime_checkable
class Encoder(Protocol):
    """What every encoder promises: maps, finest first, and their channels and total strides."""

    out_channels: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def recomputed_blocks(self) -> Sequence[nn.Module]:
        """Modules that training computes a second time instead of keeping what they need."""
        ...

    def __call__(self, x: Images) -> list[Maps]:
        """(batch, channels, *spatial) -> one map per stage."""
        ...


@runtime_checkable
class Head(Protocol):
    """What every head promises: features as in `Features` -> logits at the patch's resolution."""

    def training_output(self, features: Features) -> HeadOutput:
        """What the loss reads."""
        ...

    def __call__(self, features: Features) -> Logits:
        """What the user gets."""
        ...


class DetailStem(nn.Module):
    """A small convolution at full resolution: what the head needs to see of edges.

    Args:
        in_channels: Channels of the image.
        channels: Channels of the output.
        kernel: Odd width per axis.
    Shape:
        x: (batch, in_channels, *spatial) -> (batch, channels, *spatial).
    """

    def __init__(self, in_channels: int, channels: int, kernel: Sequence[int]) -> None:
        super().__init__()
        padding = tuple(width // 2 for width in kernel)
        self.convolution = CONVOLUTIONS[len(kernel)](
            in_channels, channels, tuple(kernel), padding=padding
        )
        self.norm = ChannelNorm(channels)

    def forward(self, x: Images) -> Maps:
        """Convolve."""
        return F.gelu(self.norm(self.convolution(channels_last(x))))


class DenseHead(nn.Module):
    """Logits at every voxel from the same maps the point head reads: the yardstick for it.

    Args:
        fine_channels: Channels of the detail map and of the decoder's map, or of the latter alone.
        num_outputs: Classes.
        strides: Stride of the decoder's map per axis.
    Shape:
        features as in `Features` -> (batch, classes, *coarse size * strides).
    """

    def __init__(
        self, fine_channels: Sequence[int], num_outputs: int, strides: Sequence[int]
    ) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[len(strides)]
        self.strides = tuple(strides)
        width = fine_channels[0]
        self.reduce = convolution(fine_channels[-1], width, 1)
        self.norm = ChannelNorm(width)
        self.last = convolution(width, num_outputs, 1)

    def training_output(self, features: Features) -> HeadOutput:
        """Dense logits alone."""
        return HeadOutput(self(features))

    def forward(self, features: Features) -> Logits:
        """Evaluate everywhere."""
        *detail, decoded = features.fine
        x = upsample(self.reduce(decoded), self.strides)
        x = F.gelu(self.norm(sum(detail, start=x)))
        return self.last(x) + upsample(features.coarse, self.strides)


class Segmenter(nn.Module):
    """An image in, logits at its resolution out.

    Args:
        detail: The detail stem, or None where the encoder starts at stride 1.
        encoder: Reads the image, or the detail stem's output.
        decoder: Reads the encoder's maps.
        coarse: The decoder's output -> logits at its resolution.
        head: `PointRendHead` or `DenseHead`.
        reads_detail: Whether the encoder reads the detail stem's output instead of the image.
    Shape:
        x: (batch, channels, *spatial), any size -> (batch, classes, *spatial).
    """

    def __init__(
        self,
        detail: nn.Module | None,
        encoder: Encoder,
        decoder: nn.Module,
        coarse: nn.Module,
        head: Head,
        *,
        reads_detail: bool,
    ) -> None:
        super().__init__()
        self.reads_detail = reads_detail
        self.detail = detail
        self.encoder = encoder
        self.decoder = decoder
        self.coarse = coarse
        self.head = head
        self.total_strides = encoder.strides[-1]

    def features(self, x: Images) -> Features:
        """What the head reads; every axis of `x` must be divisible by its total stride."""
        detail = None if self.detail is None else self.detail(x)
        read = detail if detail is not None and self.reads_detail else x
        decoded = self.decoder(self.encoder(read))
        fine = (decoded,) if detail is None else (detail, decoded)
        return Features(fine, self.coarse(decoded))

    def training_output(self, x: Images) -> HeadOutput:
        """What the loss reads."""
        return self.head.training_output(self.features(x))

    def forward(self, x: Images) -> Logits:
        """Segment; sizes that do not divide by the total stride are padded and cropped back."""
        size = x.shape[2:]
        logits = self.head(self.features(pad_to_multiples(x, self.total_strides)))
        return logits[(..., *(slice(length) for length in size))]
