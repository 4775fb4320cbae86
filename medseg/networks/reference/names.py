"""Names -> networks of others, MONAI's and segmentation_models_pytorch's among them."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch import nn

from medseg.errors import MedsegError
from medseg.files import machine_error
from medseg.networks.reference.dense import DenseVoxelNet, SkipDenseNet
from medseg.networks.reference.fcn import FCN, SegNet
from medseg.networks.reference.miniseg import MiniSeg
from medseg.networks.reference.monai import PLANNED, monai_network
from medseg.networks.reference.network import Planned, ReferenceNetwork
from medseg.networks.reference.smp import smp_network
from medseg.networks.reference.unet import UNet

CLASSICS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "unet": (UNet, 16),
    "residual_unet": (partial(UNet, residual=True), 16),
    "fcn": (FCN, 32),
    "segnet": (SegNet, 32),
    "miniseg": (MiniSeg, 16),
    "densevoxelnet": (DenseVoxelNet, 4),
    "skipdensenet": (SkipDenseNet, 16),
}
"""Name -> class, and what every axis of its input must be a multiple of."""

ALIASES = {
    "unet3d": "unet",
    "residual_unet3d": "residual_unet",
    "fcn3d": "fcn",
    "densevoxelnet3d": "densevoxelnet",
    "densenet3d": "skipdensenet",
    "unetpp": "monai:BasicUNetPlusPlus",
    "highresnet": "monai:HighResNet",
    "vnet3d": "monai:VNet",
    "unetr": "monai:UNETR",
    "pspnet": "smp:PSPNet:resnet34",
    "deeplab": "smp:DeepLabV3Plus:resnet34",
}
"""Names that Pytorch-Medical-Segmentation had -> what is built."""


def reference_network(name: str, plan: Planned, arguments: Mapping[str, Any]) -> ReferenceNetwork:
    """Build a network of others.

    Args:
        name: A name in `CLASSICS` or `ALIASES`, or "monai:CLASS" or "smp:ARCHITECTURE:ENCODER".
        plan: What its arguments follow.
        arguments: Of its class; they go before what is planned.

    Raises:
        MedsegError: If there is none of that name, or it does not take such arguments.
    """
    full = ALIASES.get(name, name)
    kind, _, rest = full.partition(":")
    try:
        if kind == "monai" and rest in PLANNED:
            network, multiples = monai_network(rest, plan, arguments)
        elif kind == "smp" and rest:
            network, multiples = smp_network(rest, plan, arguments)
        elif full in CLASSICS:
            build, multiple = CLASSICS[full]
            network = build(plan.dim, plan.channels, plan.num_outputs, **arguments)
            multiples = (multiple,) * plan.dim
        else:
            raise _unknown(name)
    except MedsegError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise machine_error(error, f"network = {name}") or MedsegError(
            f"network = {name}, network_arguments = {dict(arguments)}",
            f"cannot be built ({reason})",
            "change or leave out network_arguments",
        ) from None
    return ReferenceNetwork(network, plan.num_outputs, multiples)


def _unknown(name: str) -> MedsegError:
    known = [*CLASSICS, *ALIASES, *(f"monai:{network}" for network in PLANNED)]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return MedsegError(
        f"network = {name}",
        "there is none of that name",
        f"{hint} (and smp:ARCHITECTURE:ENCODER; docs/networks.md)",
    )
