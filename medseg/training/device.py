"""What a device bears in training: memory, size of a patch, number format, equal repeats."""

from typing import Any

import torch

from medseg.errors import SettingsError
from medseg.machine import available_memory_bytes
from medseg.plan.patch import GPU_VOXELS, Limits

_MEMORY_SHARE = 0.7
"""Of the free memory, what a training step may take; the rest is for data and the system."""
_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def limits(device: str, dim: int, held: int) -> Limits:
    """What a training step may need.

    Args:
        device: As `pick_device` names it.
        dim: Of the network.
        held: Bytes of main memory that are taken now and will not be by the first step.
    """
    if not device.startswith("cuda"):
        return Limits(memory=int(_MEMORY_SHARE * (available_memory_bytes() + held)))
    free, _ = torch.cuda.mem_get_info(device)
    return Limits(GPU_VOXELS[dim], int(_MEMORY_SHARE * free))


def check_repeats(device: str, *, deterministic: bool) -> None:
    """Refuse equal repeats where there are none.

    Raises:
        SettingsError: On a GPU.
    """
    if deterministic and device.startswith("cuda"):
        raise SettingsError(
            f"deterministic = True, device = {device}",
            "PyTorch cannot repeat the gradients of interpolation on a GPU",
            "set --device cpu, or leave out deterministic",
        )


def number_format(device: str, precision: str) -> str:
    """32, or bf16 or 16, in which a network computes where it is safe.

    Args:
        device: As torch names it.
        precision: One of these; or auto, which is half precision where a GPU gains by it.
    """
    if precision != "auto":
        return precision
    if not device.startswith("cuda"):
        return "32"
    return "bf16" if torch.cuda.is_bf16_supported() else "16"


def for_lightning(device: torch.device, precision: str) -> dict[str, Any]:
    """The device, and the number format that is asked for, as arguments of Lightning's Trainer.

    Args:
        device: Where to train.
        precision: As `number_format` takes it.
    """
    # A device without a number has None for one, whatever the annotation says.
    one = [device.index] if device.index is not None else 1  # pyright: ignore[reportUnnecessaryComparison]
    return {
        "accelerator": "gpu" if device.type == "cuda" else device.type,
        "devices": one,
        "precision": _PRECISIONS[number_format(str(device), precision)],
    }
