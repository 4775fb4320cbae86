"""MONAI's networks, with arguments that follow the plan."""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from medseg.networks.reference.network import Planned, Reference

_FILTERS = (32, 64, 128, 256, 320, 320)
"""nnU-Net's, finest first."""


def _dynunet(plan: Planned) -> Reference:
    """nnU-Net's network: strides and kernels per axis."""
    levels = len(plan.kernels)
    kernels = [tuple(min(width, 3) for width in kernel) for kernel in plan.kernels]
    return Reference(
        {
            "kernel_size": kernels,
            "strides": [(1,) * plan.dim, *plan.steps],
            "upsample_kernel_size": list(plan.steps),
            "filters": _FILTERS[:levels],
        },
        plan.total_strides,
    )


def _attention_unet(plan: Planned) -> Reference:
    levels = len(plan.kernels)
    return Reference(
        {"channels": _FILTERS[:levels], "strides": list(plan.steps)}, plan.total_strides
    )


def _unetr(plan: Planned) -> Reference:
    """Its position embedding is tied to one size: the patch, in whole tokens of 16 voxels."""
    size = tuple(16 * ceil(length / 16) for length in plan.patch_size)
    return Reference({"img_size": size}, (16,) * plan.dim)


def _fixed(multiple: int, **arguments: int) -> Callable[[Planned], Reference]:
    """A network that halves every axis a fixed number of times; `multiple` is 2 to their power."""

    def planned(plan: Planned) -> Reference:
        # Norms have nothing to normalise where one voxel is left.
        first = 2 * multiple if max(plan.patch_size) <= multiple else multiple
        return Reference(arguments, (first, *[multiple] * (plan.dim - 1)))

    return planned


PLANNED: dict[str, Callable[[Planned], Reference]] = {
    "DynUNet": _dynunet,
    "SwinUNETR": _fixed(32),
    "SegResNet": _fixed(8, init_filters=16),
    "VNet": _fixed(16),
    "UNETR": _unetr,
    "HighResNet": _fixed(1),
    "AttentionUnet": _attention_unet,
    "BasicUNetPlusPlus": _fixed(16),
    "MedNeXt": _fixed(16, kernel_size=3),
}


def monai_network(
    name: str, plan: Planned, arguments: Mapping[str, Any]
) -> tuple[nn.Module, tuple[int, ...]]:
    """Build one of `PLANNED`.

    Args:
        name: The class in `monai.networks.nets`.
        plan: Channels, classes, patch and strides.
        arguments: Of the class; they go before what is planned.

    Returns:
        The network, and what every axis of its input must be a multiple of.
    """
    from monai.networks import nets  # takes seconds

    reference = PLANNED[name](plan)
    own = {
        "spatial_dims": plan.dim,
        "in_channels": plan.channels,
        "out_channels": plan.num_outputs,
        **reference.arguments,
    }
    if name == "VNet":
        own["dropout_dim"] = plan.dim
    with _SettingsAreNumbers():
        return getattr(nets, name)(**{**own, **arguments}), reference.multiples


class _SettingsAreNumbers(TorchFunctionMode):
    """Within, `linspace` has values on the meta device too: SwinUNETR reads its settings off it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch's own type
        """Call, on the CPU where it must."""
        del types
        kwargs = kwargs or {}
        if func is torch.linspace:
            kwargs = {**kwargs, "device": "cpu"}
        return func(*args, **kwargs)
