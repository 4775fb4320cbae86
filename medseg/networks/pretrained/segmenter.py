"""Weights into a whole segmenter: of its encoder from anywhere, of the rest from another run."""

from pathlib import Path

import torch
from torch import Tensor, nn

from medseg.networks.pretrained.adapt import adapters
from medseg.networks.pretrained.files import read_weights
from medseg.networks.pretrained.layouts import Renamed, find_layout
from medseg.networks.pretrained.load import fit_weights, load_pretrained
from medseg.networks.pretrained.report import PretrainedReport
from medseg.networks.segmenter import Segmenter

_ENCODER = "encoder."


def start_from(network: Segmenter, path: Path, *, new_axis: int | None = None) -> PretrainedReport:
    """Copy a file's weights into a segmenter, adapted where shapes differ.

    A file of medseg's own has more than an encoder. Of its detail stem, decoder and head, what fits
    is taken too: all of it where classes, channels and plan are the same.

    Args:
        network: Changed in place.
        path: As in `load_pretrained`.
        new_axis: Spatial axis of a 3D network that weights of images lack.

    Raises:
        MedsegError: If the file cannot be read, or holds another encoder.
    """
    assert isinstance(network.encoder, nn.Module)
    report = load_pretrained(network.encoder, path, new_axis=new_axis)
    weights = read_weights(path)
    _, prefix = find_layout(weights)
    if not prefix.endswith(_ENCODER):
        return report
    base = prefix.removesuffix(_ENCODER)
    ours: dict[str, Tensor] = {
        name: weight
        for name, weight in network.state_dict().items()
        if not name.startswith(_ENCODER)
    }
    theirs = {
        name.removeprefix(base): Renamed(name, weight)
        for name, weight in weights.items()
        if name.startswith(base) and not name.startswith(prefix)
    }
    axes = max(weight.ndim for weight in ours.values())
    flat = max((weight.tensor.ndim for weight in theirs.values()), default=axes) < axes
    fitted = fit_weights(theirs, ours, adapters(network, new_axis if flat else None))
    with torch.no_grad():
        network.load_state_dict({**network.state_dict(), **fitted.tensors})
    adapted_names = {weight.name for weight in fitted.adapted}
    taken = {theirs[name].theirs for name in (*fitted.tensors, *ours) if name in theirs}
    return report._replace(
        loaded=(*report.loaded, *(name for name in fitted.tensors if name not in adapted_names)),
        adapted=(*report.adapted, *fitted.adapted),
        left_out=tuple(name for name in report.left_out if name not in taken),
        misfits=(*report.misfits, *fitted.misfits),
        missing=(*report.missing, *(name for name in ours if name not in theirs)),
    )
