"""Names -> networks. Settings stop here: what is below takes plain values and ready-made parts."""

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil
from typing import Protocol, runtime_checkable

from pydantic import Field, JsonValue
from torch import nn

from medseg.families import is_small
from medseg.networks.decoder import Decoder, FirstMap
from medseg.networks.encoders import convnext, gmlp, repmlp, repmlpnet, resmlp, swin_mlp, swinv2
from medseg.networks.encoders.pyramid import Levels, Savers
from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.point_rend import PointRendHead
from medseg.networks.reference.names import reference_network
from medseg.networks.reference.network import Planned
from medseg.networks.segmenter import DenseHead, DetailStem, Encoder, Head, Segmenter
from medseg.plan.topology import attention_window, mixing_window
from medseg.records import Frozen

_DETAIL_CHANNELS = 16

ENCODERS: dict[str, Callable[..., Encoder]] = {
    name: partial(build, size=size)
    for build, sizes in (
        (convnext.convnext, convnext.SIZES),
        (swinv2.swinv2, swinv2.SIZES),
        (swin_mlp.swin_mlp, swin_mlp.SIZES),
        (gmlp.gmlp, gmlp.SIZES),
        (resmlp.resmlp, resmlp.SIZES),
        (repmlp.repmlp_resnet, repmlp.SIZES),
        (repmlpnet.repmlpnet, repmlpnet.SIZES),
    )
    for name, size in sizes.items()
}


def _dense(
    fine_channels: Sequence[int], num_outputs: int, strides: Sequence[int], *, multilabel: bool
) -> Head:
    del multilabel
    return DenseHead(fine_channels, num_outputs, strides)


HEADS: dict[str, Callable[..., Head]] = {"pointrend": PointRendHead, "dense": _dense}


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
    def patch_size(self) -> tuple[int, ...]:
        """Voxels per axis."""
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


def levels(plan: Architecture) -> Levels:
    """The scales that a plan describes, and the windows that suit the maps of its patch."""
    steps = (plan.stem_strides, *plan.stage_strides)
    bare = Levels(steps, plan.kernels, (), ())
    maps = [
        [ceil(length / stride) for length, stride in zip(plan.patch_size, strides, strict=True)]
        for strides in bare.strides
    ]
    return bare._replace(
        windows=tuple(map(attention_window, maps, plan.kernels)),
        mixers=tuple(map(mixing_window, plan.kernels)),
    )


class NetworkChoice(Frozen):
    """Which network a plan is made into.

    Attributes:
        encoder: A key of `ENCODERS`.
        head: A key of `HEADS`.
        network: A network of others that takes the place of encoder and decoder, as in
            `reference.names`.
        arguments: Of that network.
    """

    encoder: str
    head: str
    network: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


def build_network(
    plan: Architecture,
    choice: NetworkChoice,
    *,
    multilabel: bool,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Segmenter:
    """The network that a plan describes, ours or one of others.

    Raises:
        MedsegError: If the network of others cannot be built.
    """
    if choice.network is None:
        return build_segmenter(
            plan,
            choice.encoder,
            choice.head,
            multilabel=multilabel,
            drop_path=drop_path,
            savers=savers,
        )
    dim = len(plan.patch_size)
    wants = Planned(
        dim,
        plan.channels,
        plan.num_outputs,
        plan.patch_size,
        plan.stage_strides,
        plan.kernels,
        levels(plan).strides[-1],
    )
    network = reference_network(choice.network, wants, choice.arguments)
    fine_channels = (_DETAIL_CHANNELS, plan.num_outputs)
    return Segmenter(
        _detail_stem(plan),
        network,
        FirstMap(),
        nn.Identity(),
        HEADS[choice.head](fine_channels, plan.num_outputs, (1,) * dim, multilabel=multilabel),
        reads_detail=False,
    )


def _detail_stem(plan: Architecture) -> DetailStem:
    kernel = [min(3, width) for width in plan.kernels[0]]
    return DetailStem(plan.channels, _DETAIL_CHANNELS, kernel)


def build_segmenter(
    plan: Architecture,
    encoder: str,
    head: str,
    *,
    multilabel: bool,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Segmenter:
    """The network that a plan describes.

    Args:
        plan: Channels, classes, patch, strides and kernels.
        encoder: A key of `ENCODERS`.
        head: A key of `HEADS`.
        multilabel: Whether classes are independent.
        drop_path: Stochastic depth of the encoder's last block.
        savers: Ways to train in less memory.
    """
    has_detail = any(stride > 1 for stride in plan.stem_strides)
    detail = _detail_stem(plan) if has_detail else None
    # The papers' encoders read images, as their pretrained weights do.
    reads_detail = has_detail and is_small(encoder)
    encoder_network = ENCODERS[encoder](
        in_channels=_DETAIL_CHANNELS if reads_detail else plan.channels,
        levels=levels(plan),
        drop_path=drop_path,
        savers=savers,
    )
    channels = encoder_network.out_channels
    fine_channels = (_DETAIL_CHANNELS, channels[0]) if has_detail else (channels[0],)
    head_network = HEADS[head](
        fine_channels, plan.num_outputs, plan.stem_strides, multilabel=multilabel
    )
    decoder = Decoder(channels, encoder_network.strides, plan.kernels)
    coarse = CONVOLUTIONS[len(plan.patch_size)](channels[0], plan.num_outputs, 1)
    return Segmenter(
        detail, encoder_network, decoder, coarse, head_network, reads_detail=reads_detail
    )
