"""medseg: train a segmentation model on a folder of scans, and get masks for new scans."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medseg.api import Mask, Model, load_model, train
    from medseg.errors import MedsegError
    from medseg.hparams import HParams

__version__ = "0.1.0"
__all__ = ["HParams", "Mask", "MedsegError", "Model", "__version__", "load_model", "train"]

_HOMES = {
    **dict.fromkeys(("Mask", "Model", "load_model", "train"), "medseg.api"),
    "MedsegError": "medseg.errors",
    "HParams": "medseg.hparams",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: `medseg --help` needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'medseg' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
