"""Names -> networks. Settings stop here: what is below takes plain values and ready-made parts."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from medseg.networks.decoder import Decoder
from medseg.networks.encoders.convnext import SIZES, ConvNeXt
from medseg.networks.point_rend import PointRendHead
from medseg.networks.segmenter import DenseHead, DetailStem, Encoder, Head, Segmenter

_DETAIL_CHANNELS = 16

ENCODERS: dict[str, Callable[..., Encoder]] = {
    name: partial(ConvNeXt, size=size) for name, size in SIZES.items()
}


def _point_rend(
    fine_channels: Sequence[int], num_outputs: int, strides: Sequence[int], *, multilabel: bool
) -> Head:
    return PointRendHead(fine_channels, num_outputs, strides, multilabel=multilabel)


def _dense(
    fine_channels: Sequence[int], num_outputs: int, strides: Sequence[int], *, multilabel: bool
) -> Head:
    del multilabel
    return DenseHead(fine_channels, num_outputs, strides)


HEADS: dict[str, Callable[..., Head]] = {"pointrend": _point_rend, "dense": _dense}


@runtime_checkable
class Architecture(Protocol):
    """What a network is built from; a `Plan` has it."""

    @property
    def channels(self) -> int:
        """Of the image."""
        ...

    @property
    def num_outputs(self) -> int:
        """Classes."""
        ...

    @property
    def stem_strides(self) -> tuple[int, ...]:
        """Stride of the encoder's stem per axis."""
        ...

    @property
    def stage_strides(self) -> tuple[tuple[int, ...], ...]:
        """Stride before each later stage, per axis."""
        ...

    @property
    def kernels(self) -> tuple[tuple[int, ...], ...]:
        """Depthwise kernel of each stage, per axis."""
        ...


def build_segmenter(
    plan: Architecture, encoder: str, head: str, *, multilabel: bool, drop_path: float = 0.0
) -> Segmenter:
    """The network that a plan describes.

    Args:
        plan: Channels, classes, strides and kernels.
        encoder: A key of `ENCODERS`.
        head: A key of `HEADS`.
        multilabel: Whether classes are independent.
        drop_path: Stochastic depth of the encoder's last block.
    """
    has_detail = any(stride > 1 for stride in plan.stem_strides)
    detail = None
    if has_detail:
        kernel = [min(3, width) for width in plan.kernels[0]]
        detail = DetailStem(plan.channels, _DETAIL_CHANNELS, kernel)
    encoder_network = ENCODERS[encoder](
        in_channels=_DETAIL_CHANNELS if has_detail else plan.channels,
        stem_strides=plan.stem_strides,
        stage_strides=plan.stage_strides,
        kernels=plan.kernels,
        drop_path=drop_path,
    )
    channels = encoder_network.out_channels
    fine_channels = (_DETAIL_CHANNELS, channels[0]) if has_detail else (channels[0],)
    head_network = HEADS[head](
        fine_channels, plan.num_outputs, plan.stem_strides, multilabel=multilabel
    )
    decoder = Decoder(channels, encoder_network.strides, plan.kernels)
    return Segmenter(detail, encoder_network, decoder, head_network, plan.num_outputs)
