"""Files of weights, from whomever: nothing in them is executed, and their size is known first."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from medseg.errors import MedsegError
from medseg.files import machine_error
from medseg.machine import available_memory_bytes

_WRAPPERS = ("state_dict", "model_state_dict", "model_ema", "model", "module")
"""Where training programs put the weights among other things."""
_DEEPEST = 8
_LONGEST_NAME = 200
_REMEDY = "give a .safetensors file or a PyTorch state dict; docs/pretrained.md lists which"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file or a torch state dict, by name.

    Raises:
        MedsegError: If there is no such file, it is no file of weights, or it is too large.
        MachineError: If the machine fails to read it.
    """
    if not path.is_file():
        raise MedsegError(f"pretrained = {path}", "no such file", _REMEDY)
    try:
        _check_size(path)
        if _is_safetensors(path):
            stored = load_file(path)
        else:
            with path.open("rb") as file:  # by its path, torch would judge it by its name
                stored = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise MedsegError(
            f"pretrained = {path}",
            "no file of weights, or it holds other Python objects beside them, which are not "
            "loaded",
            _REMEDY,
        ) from None
    except Exception as error:  # a broken file fails in more ways than can be listed
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise machine_error(error, f"pretrained = {path}") or MedsegError(
            f"pretrained = {path}", f"cannot be read as weights ({reason})", _REMEDY
        ) from None
    weights = {str(name): value for name, value in _innermost(stored).items() if _usable(value)}
    weights = {name: value for name, value in weights.items() if _printable(name)}
    if not weights:
        raise MedsegError(f"pretrained = {path}", "holds no named weights", _REMEDY)
    return weights


def _check_size(path: Path) -> None:
    """What a zip archive claims to be packed may be far larger than the file."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
    if size > available_memory_bytes():
        raise ValueError(f"it holds {size / 1e9:.3g} GB, more than the memory that is free")


def _is_safetensors(path: Path) -> bool:
    """By its content: the length of a header, and the header's first character."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _innermost(stored: Any) -> Mapping[Any, Any]:  # noqa: ANN401 - anyone's file
    """The weights, taken out of what a training program wrapped around them."""
    for _ in range(_DEEPEST):  # a file may say that a thing contains itself
        if not isinstance(stored, Mapping):
            return {}
        parts = (stored.get(name) for name in _WRAPPERS)
        inner = next((part for part in parts if isinstance(part, Mapping)), None)
        if inner is None:
            return stored
        stored = inner
    return {}


def _usable(value: object) -> bool:
    """Whether it is a plain tensor whose numbers are all in the file."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized or value.is_nested)
        and 0 < value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _printable(name: str) -> bool:
    """Whether a terminal may be shown it."""
    return name.isprintable() and len(name) <= _LONGEST_NAME
