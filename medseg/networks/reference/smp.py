"""Any architecture of segmentation_models_pytorch with any of its encoders; 2D."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from medseg.errors import MedsegError
from medseg.networks.reference.network import Planned

_MULTIPLE = 32


def smp_network(
    name: str, plan: Planned, arguments: Mapping[str, Any]
) -> tuple[nn.Module, tuple[int, ...]]:
    """Build one, with random weights.

    Args:
        name: Architecture and encoder, such as "DeepLabV3Plus:resnet34".
        plan: Channels and classes.
        arguments: Of the architecture's class.

    Returns:
        The network, and what every axis of its input must be a multiple of.

    Raises:
        MedsegError: If the package is missing, or the plan is 3D.
    """
    if plan.dim != 2:
        raise MedsegError(f"network = smp:{name}", "is 2D", "set --dim 2, or another network")
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        raise MedsegError(
            f"network = smp:{name}",
            "needs segmentation_models_pytorch",
            "install it with: pip install 'medseg[smp]'",
        ) from None
    architecture, _, encoder = name.partition(":")
    network = smp.create_model(
        architecture,
        encoder or "resnet34",
        encoder_weights=None,
        in_channels=plan.channels,
        classes=plan.num_outputs,
        **arguments,
    )
    return network, (_MULTIPLE,) * plan.dim
