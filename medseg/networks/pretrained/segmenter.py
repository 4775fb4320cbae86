"""Weights into a whole segmenter: of its encoder from anywhere, of the rest from another run."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from medseg.errors import MedsegError
from medseg.networks.encoders.pyramid import Pyramid
from medseg.networks.pretrained.adapt import adapters
from medseg.networks.pretrained.files import read_weights
from medseg.networks.pretrained.layouts import Renamed
from medseg.networks.pretrained.load import fit_weights, take_weights
from medseg.networks.pretrained.report import PretrainedReport
from medseg.networks.segmenter import Segmenter

_ENCODER = "encoder."


def start_from(network: Segmenter, path: Path, *, new_axis: int | None = None) -> PretrainedReport:
    """Copy a file's weights into a segmenter, adapted where shapes differ.

    A file of medseg's own has more than an encoder. Of its detail stem, decoder and head, what fits
    is taken too: all of it where classes, channels and plan are the same. Networks of others take
    what has their names.

    Args:
        network: Changed in place.
        path: As in `load.load_pretrained`.
        new_axis: Spatial axis of a 3D network that weights of images lack.

    Raises:
        MedsegError: If the file cannot be read, or holds another network.
    """
    weights = read_weights(path)
    if isinstance(network.encoder, Pyramid):
        report = take_weights(network.encoder, weights, path, new_axis)
        return _with_rest(network, weights, report, new_axis, done=_ENCODER)
    nothing = PretrainedReport(path, "medseg", (), (), (), (), ())
    report = _with_rest(network, weights, nothing, new_axis)
    if not any(name.startswith(_ENCODER) for name in report.loaded):
        raise MedsegError(
            f"pretrained = {path}",
            "none of its weights has a name and shape of this network",
            "choose a run with the same network",
        )
    return report


def _with_rest(
    network: Segmenter,
    weights: Mapping[str, Tensor],
    report: PretrainedReport,
    new_axis: int | None,
    done: str | None = None,
) -> PretrainedReport:
    """Take what else fits of a file of ours; what begins with `done` is taken already."""
    base = next((name[: name.index(_ENCODER)] for name in weights if _ENCODER in name), None)
    if base is None:
        return report
    skipped = (done,) if done else ()
    ours: dict[str, Tensor] = {
        name: weight
        for name, weight in network.state_dict().items()
        if not name.startswith(skipped)
    }
    theirs = {
        name.removeprefix(base): Renamed(name, weight)
        for name, weight in weights.items()
        if name.startswith(base) and not name.removeprefix(base).startswith(skipped)
    }
    axes = max(weight.ndim for weight in ours.values())
    flat = max((weight.tensor.ndim for weight in theirs.values()), default=axes) < axes
    fitted = fit_weights(theirs, ours, adapters(network, new_axis if flat else None))
    network.load_state_dict({**network.state_dict(), **fitted.tensors})
    adapted = {weight.name for weight in fitted.adapted}
    used = {weight.theirs for name, weight in theirs.items() if name in ours}
    return report._replace(
        loaded=(*report.loaded, *(name for name in fitted.tensors if name not in adapted)),
        adapted=(*report.adapted, *fitted.adapted),
        left_out=tuple(name for name in report.left_out or weights if name not in used),
        misfits=(*report.misfits, *fitted.misfits),
        missing=(*report.missing, *(name for name in ours if name not in theirs)),
    )
