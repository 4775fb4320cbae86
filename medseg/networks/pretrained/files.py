"""Files of weights, from whomever: nothing in them is executed, and their size is known first."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from medseg.errors import MedsegError
from medseg.machine import available_memory_bytes

_WRAPPERS = ("state_dict", "model_state_dict", "model_ema", "model", "module")
"""Where training programs put the weights among other things."""
_REMEDY = "give a .safetensors file or a PyTorch state dict; docs/pretrained.md lists which"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file or a torch state dict, by name.

    Raises:
        MedsegError: If there is no such file, it is no file of weights, or it is too large.
    """
    if not path.is_file():
        raise MedsegError(f"pretrained = {path}: no such file; {_REMEDY}")
    try:
        _check_size(path)
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise MedsegError(
            f"pretrained = {path}: cannot be read as weights ({reason}); {_REMEDY}"
        ) from None
    return _tensors(stored, path)


def _check_size(path: Path) -> None:
    """What a zip archive claims to be packed may be far larger than the file."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
    if size > available_memory_bytes():
        raise ValueError(f"it holds {size / 1e9:.3g} GB, more than the memory that is free")


def _tensors(stored: Any, path: Path) -> dict[str, Tensor]:  # noqa: ANN401 - anyone's file
    while isinstance(stored, Mapping):
        inner = next((stored[name] for name in _WRAPPERS if name in stored), None)
        if not isinstance(inner, Mapping):
            break
        stored = inner
    if not isinstance(stored, Mapping):
        raise MedsegError(f"pretrained = {path}: holds no named weights; {_REMEDY}")
    return {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
