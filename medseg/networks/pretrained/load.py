"""Pretrained weights into an encoder, and a report of what became of each."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medseg.errors import MedsegError
from medseg.networks.pretrained.adapt import MisfitError, adapters
from medseg.networks.pretrained.files import read_weights
from medseg.networks.pretrained.layouts import find_layout, renamed

_SHOWN = 4


class PretrainedReport(NamedTuple):
    """What became of a file's weights.

    Attributes:
        path: The file.
        layout: Whose names they had.
        loaded: Our names of weights that were copied.
        adapted: Our name, and the shapes before and after, of weights that were changed to fit.
        left_out: Their names of weights that have no place here, such as classifiers.
        misfits: Our name and both shapes, of weights that could not be made to fit.
        missing: Our names of weights that the file does not have; they keep their random start.
    """

    path: Path
    layout: str
    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    left_out: tuple[str, ...]
    misfits: tuple[str, ...]
    missing: tuple[str, ...]

    def table(self) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Arguments of `Progress.table`."""
        rows = [("file", f"{self.path} ({self.layout})")]
        for what, names in (
            ("loaded", self.loaded),
            ("adapted", self.adapted),
            ("left out: no place for it", self.left_out),
            ("left out: does not fit", self.misfits),
            ("random: not in the file", self.missing),
        ):
            if names:
                rows.append((what, _listed(names)))
        return "Pretrained weights", ("what", "which"), tuple(rows)


def load_pretrained(
    encoder: nn.Module, path: Path, *, new_axis: int | None = None
) -> PretrainedReport:
    """Copy a file's weights into an encoder, adapted where shapes differ.

    Args:
        encoder: Changed in place.
        path: A safetensors file or a torch state dict, in a layout of docs/pretrained.md.
        new_axis: Spatial axis of a 3D encoder that weights of images lack.

    Raises:
        MedsegError: If the file cannot be read, or most of the encoder finds no weights in it.
    """
    weights = read_weights(path)
    layout = find_layout(weights)
    theirs = renamed(weights, layout)
    adapt = adapters(encoder, new_axis)
    ours = encoder.state_dict()
    found: dict[str, Tensor] = {}
    adapted: list[str] = []
    misfits: list[str] = []
    for name, tensor in ours.items():
        if name not in theirs:
            continue
        original = theirs[name][1]
        try:
            new = adapt[name](original) if name in adapt else original
            fitted = _same_but_for_ones(new, tensor)
        except MisfitError:
            misfits.append(f"{name} {_shape(original)}, needed {_shape(tensor)}")
            continue
        found[name] = fitted
        if original.numel() != tensor.numel():
            adapted.append(f"{name} {_shape(original)} to {_shape(tensor)}")
    changed = {entry.partition(" ")[0] for entry in adapted}
    report = PretrainedReport(
        path,
        layout.name,
        tuple(name for name in found if name not in changed),
        tuple(adapted),
        tuple(original for name, (original, _) in theirs.items() if name not in ours),
        tuple(misfits),
        tuple(name for name in ours if name not in theirs and not name.endswith("_extra_state")),
    )
    _check(report, len(ours))
    with torch.no_grad():
        encoder.load_state_dict({**ours, **found})
    return report


def _same_but_for_ones(tensor: Tensor, like: Tensor) -> Tensor:
    """Axes of length 1 are a matter of writing."""
    lengths = [length for length in tensor.shape if length != 1]
    if lengths != [length for length in like.shape if length != 1]:
        raise MisfitError
    return tensor.reshape(like.shape).to(like.dtype)


def _check(report: PretrainedReport, total: int) -> None:
    if 2 * (len(report.loaded) + len(report.adapted)) >= total:
        return
    reasons = [
        f"{len(names)} {what}, first {names[0]}"
        for what, names in (
            ("do not fit", report.misfits),
            ("are missing", report.missing),
            ("have no place", report.left_out),
        )
        if names
    ]
    raise MedsegError(
        f"pretrained = {report.path}: weights of another network (read as {report.layout}): "
        f"{'; '.join(reasons)}; choose the encoder they were trained with"
    )


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names)}: {shown}" + ", ..." * (len(names) > _SHOWN)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
