"""Pretrained weights into an encoder."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medseg.errors import MedsegError
from medseg.networks.layers.folding import Foldable
from medseg.networks.pretrained.adapt import Adapter, MisfitError, adapters
from medseg.networks.pretrained.files import read_weights
from medseg.networks.pretrained.layouts import Renamed, find_layout, renamed
from medseg.networks.pretrained.report import Adapted, PretrainedReport

_SAME_NAMES = 0.9
"""Share of names, within the stages that both have, that tells the same network."""
_SAME_SHAPES = 0.5
"""Share of these that must fit: other windows leave most of them, other widths next to none."""
_USUAL_WINDOW = 8
"""Of SwinV2's published weights for images of 256 pixels."""
_BESIDE = ("_extra_state", "num_batches_tracked")


def load_pretrained(
    encoder: nn.Module, path: Path, *, new_axis: int | None = None
) -> PretrainedReport:
    """Copy a file's weights into an encoder, adapted where shapes differ.

    Args:
        encoder: A `Pyramid`, changed in place.
        path: A safetensors file or a torch state dict, in a layout of docs/pretrained.md.
        new_axis: Spatial axis of a 3D encoder that weights of images lack; only they need it.

    Raises:
        MedsegError: If the file cannot be read, or holds another network.
    """
    return take_weights(encoder, read_weights(path), path, new_axis)


def take_weights(
    encoder: nn.Module, weights: dict[str, Tensor], path: Path, new_axis: int | None
) -> PretrainedReport:
    """`load_pretrained` for the weights of a file that is read."""
    layout, prefix = find_layout(weights)
    theirs = renamed(weights, layout, prefix)
    ours: dict[str, Tensor] = encoder.state_dict()
    read_as = f"pretrained = {path} (read as {layout.name})"
    _check_names(theirs, ours, encoder, read_as)
    assumed = _assume_windows(theirs, ours)
    fitted = fit_weights(theirs, ours, adapters(encoder, _lacking(theirs, ours, new_axis, read_as)))
    if len(fitted.tensors) < _SAME_SHAPES * (len(fitted.tensors) + len(fitted.misfits)):
        raise MedsegError(
            read_as,
            f"of another size: {len(fitted.misfits)} weights do not fit, first "
            f"{'; '.join(fitted.misfits[:2])}",
            "choose the encoder that they were trained with",
        )
    encoder.load_state_dict({**ours, **fitted.tensors})
    used = {weight.theirs for name, weight in theirs.items() if name in ours}
    adapted = {weight.name for weight in fitted.adapted}
    return PretrainedReport(
        path,
        layout.name,
        tuple(_weights(name for name in fitted.tensors if name not in adapted)),
        tuple(fitted.adapted),
        tuple(name for name in weights if name not in used),
        tuple(fitted.misfits),
        tuple(_weights(name for name in ours if name not in theirs)),
        assumed,
    )


class Fitted(NamedTuple):
    """Weights by our names, what was changed for it, and what did not fit."""

    tensors: dict[str, Tensor]
    adapted: list[Adapted]
    misfits: list[str]


def fit_weights(
    theirs: Mapping[str, Renamed], ours: Mapping[str, Tensor], adapt: Mapping[str, Adapter]
) -> Fitted:
    """Bring weights to the shapes of ours, by name."""
    fitted = Fitted({}, [], [])
    for name, wanted in ours.items():
        if name not in theirs:
            continue
        original = theirs[name].tensor
        shapes = f"{_shape(original)}, needed {_shape(wanted)}"
        original = original.to(wanted.dtype)
        try:
            new = adapt[name].fit(original) if name in adapt else original
            fitted.tensors[name] = _same_but_for_ones(new, wanted)
        except (MisfitError, RuntimeError, IndexError):
            fitted.misfits.append(f"{name} {shapes}")
            continue
        if not torch.equal(new.flatten(), original.flatten()) and not name.endswith(_BESIDE):
            change = f"{_shape(original)} to {_shape(wanted)}"
            fitted.adapted.append(Adapted(name, change, adapt[name].how))
    return fitted


def _check_names(
    theirs: Mapping[str, Renamed], ours: Mapping[str, Tensor], encoder: nn.Module, read_as: str
) -> None:
    """Refuse another network: other names within the stages that both have."""
    stages = {_stage(name) for name in theirs} & {_stage(name) for name in ours} - {None}
    their_names, our_names = (
        [name for name in _weights(names) if _stage(name) in stages] for names in (theirs, ours)
    )
    only_theirs = [name for name in their_names if name not in ours]
    only_ours = [name for name in our_names if name not in theirs]
    shared = len(our_names) - len(only_ours)
    if shared and shared >= _SAME_NAMES * (shared + len(only_ours) + len(only_theirs)):
        return
    # Where no stage is common, all names are foreign.
    strange = next(iter(only_theirs if stages else theirs), None)
    lacks = next(iter(only_ours if stages else ours), None)
    reasons: list[str] = []
    if strange is not None:
        weight = theirs[strange]
        reasons.append(f"the file has {weight.theirs} {_shape(weight.tensor)}")
    if lacks is not None:
        reasons.append(f"the network has {lacks} {_shape(ours[lacks])}")
    remedy = "choose the encoder that they were trained with"
    if any(isinstance(module, Foldable) for module in encoder.modules()):
        remedy += ", and of a run of medseg last.ckpt, as model.safetensors is folded"
    raise MedsegError(read_as, f"weights of another network: {', '.join(reasons)}", remedy)


def _weights(names: Iterable[str]) -> list[str]:
    """Those of weights, without counters and settings that stand beside them."""
    return [name for name in names if not name.endswith(_BESIDE)]


def _stage(name: str) -> int | None:
    """Which stage a weight of ours belongs to, the way to it included."""
    found = re.match(r"(?:stem|(merges|stages)\.(\d+))\.", name)
    if found is None:
        return None
    return int(found[2] or 0) + (found[1] == "merges")


def _assume_windows(theirs: dict[str, Renamed], ours: Mapping[str, Tensor]) -> str:
    """Add the window of position biases where the file does not tell it.

    Returns:
        What was assumed, in words.
    """
    ending = "bias._extra_state"
    unknown = [name for name in ours if name.endswith(ending) and name not in theirs]
    for name in unknown:
        hidden = theirs.get(name.replace("_extra_state", "hidden.weight"))
        if hidden is not None:
            window = torch.full(hidden.tensor.shape[1:], _USUAL_WINDOW)
            theirs[name] = Renamed("", window)
    if not any(name in theirs for name in unknown):
        return ""
    return f"trained with windows of {_USUAL_WINDOW}: the file has no relative_coords_table"


def _lacking(
    theirs: Mapping[str, Renamed], ours: Mapping[str, Tensor], new_axis: int | None, read_as: str
) -> int | None:
    """The axis that their weights lack."""
    want = max(w.ndim for name, w in ours.items() if name.startswith("stem."))
    stem = [w.tensor.ndim for name, w in theirs.items() if name.startswith("stem.")]
    have = max(stem, default=want)
    if have == want:
        return None
    if have == 4 and want == 5:
        assert new_axis is not None
        return new_axis
    raise MedsegError(
        read_as,
        f"weights with {have - 2} spatial axes, and the network has {want - 2}",
        "choose weights of images or of the same dim",
    )


def _same_but_for_ones(tensor: Tensor, like: Tensor) -> Tensor:
    """Axes of length 1 are a matter of writing."""
    lengths = [length for length in tensor.shape if length != 1]
    if lengths != [length for length in like.shape if length != 1]:
        raise MisfitError
    return tensor.reshape(like.shape).to(like.dtype)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
