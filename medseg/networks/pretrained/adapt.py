"""One weight, brought to the shape that our network has, with its meaning kept.

The law for weights of images in networks of volumes: a volume of equal slices gives what the slice
gives. The law for other strides and channels: a constant image, equal in all channels, gives what
it gave.
"""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medseg.networks.layers.depthwise import DepthwiseConv
from medseg.networks.layers.patch_merging import PatchMerging
from medseg.networks.layers.position_bias import PositionBias
from medseg.networks.layers.repmlpnet_unit import SetMixing
from medseg.networks.layers.token_mixing import TokenMixing


class MisfitError(ValueError):
    """The weight cannot be brought to our shape."""


class Adapter(NamedTuple):
    """How a foreign weight is brought to our shape.

    Attributes:
        how: In words.
        fit: Their tensor -> ours. Shapes that do not go together are a `MisfitError`, or an error
            of torch's.
    """

    how: str
    fit: Callable[[Tensor], Tensor]


def adapters(encoder: nn.Module, new_axis: int | None) -> dict[str, Adapter]:
    """For each weight that may need more than a copy: how it is adapted.

    Args:
        encoder: Ours.
        new_axis: Spatial axis that their weights lack; None: they have all of ours.
    """
    return {
        f"{name}.{part}": adapter
        for name, module in encoder.named_modules()
        for part, adapter in _of_module(module, new_axis)
    }


def _of_module(module: nn.Module, new: int | None) -> Iterator[tuple[str, Adapter]]:
    match module:
        case nn.Conv2d() | nn.Conv3d():
            yield "weight", _convolution(module, new)
        case DepthwiseConv():
            yield "weight", _kernel(module.weight.shape, new)
        case PatchMerging():
            yield from _merging(module, new)
        case PositionBias():
            window = module.pretrained_window
            how = "offsets along the new axis count for nothing"
            yield "hidden.weight", Adapter(how, lambda w: _with_column(w, len(window), new))
            yield "_extra_state", Adapter(how, lambda theirs: _with_width(theirs, window, new))
        case TokenMixing() | SetMixing():
            groups, window = len(module.weight), module.window
            how = "every slice by itself"
            yield "weight", Adapter(how, lambda w: _kronecker(w, groups, window, new))
            yield "bias", Adapter(how, lambda b: _repeated(b, groups, window, new))
            for i, kernel in enumerate(module.kernels if isinstance(module, SetMixing) else ()):
                yield f"kernels.{i}", _kernel(kernel.shape, new)
        case _:
            pass


def _convolution(module: nn.Conv2d | nn.Conv3d, new: int | None) -> Adapter:
    shape = module.weight.shape
    padded = any(module.padding)  # or it stands on boxes that do not overlap

    def fit(theirs: Tensor) -> Tensor:
        weight = _of_channels(_with_axis(theirs, shape, new), shape[1])
        return _centred(weight, shape) if padded else _boxes(weight, 2, shape[2:])

    return Adapter("taps around the centre" if padded else "summed or shared out", fit)


def _kernel(shape: Sequence[int], new: int | None) -> Adapter:
    def fit(theirs: Tensor) -> Tensor:
        return _centred(_with_axis(theirs, shape, new), shape)

    return Adapter("taps around the centre", fit)


def _merging(module: PatchMerging, new: int | None) -> Iterator[tuple[str, Adapter]]:
    """Their channels come neighbour by neighbour, the last axis slowest.

    A norm in front is that of each neighbour: repeated, or the mean of those that become one.
    """
    strides = module.strides

    def fit(theirs: Tensor, *, keep_sum: bool) -> Tensor:
        weight = theirs[None] if theirs.ndim == 1 else theirs
        return _merged(weight, channels, strides, new, keep_sum=keep_sum).squeeze(0)

    channels = module.reduction.in_features // prod(strides)
    how = "summed or shared out"
    yield "reduction.weight", Adapter(how, lambda w: fit(w, keep_sum=True))
    for part in ("weight", "bias") if module.norm_first else ():
        yield f"norm.{part}", Adapter(how, lambda w: fit(w, keep_sum=False))


def _with_axis(weight: Tensor, shape: Sequence[int], new: int | None) -> Tensor:
    """A kernel (out, in, *widths) with all our axes, and as many outputs."""
    _check(weight.ndim + (new is not None) == len(shape) and len(weight) == shape[0])
    return weight if new is None else weight.unsqueeze(2 + new)


def _of_channels(weight: Tensor, count: int) -> Tensor:
    """Input channels by turns, scaled; what the sum of all then lacks is shared out."""
    theirs = weight.shape[1]
    turns = weight[:, torch.arange(count) % theirs] * (theirs / count)
    lacking = weight.sum(1, keepdim=True) - turns.sum(1, keepdim=True)
    return weight if theirs == count else turns + lacking / count


def _centred(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """A padded convolution of other widths: the same taps around the centre, zeros beyond."""
    _check(weight.shape[1] == shape[1])
    for at in range(2, len(shape)):
        extra = shape[at] - weight.shape[at]
        _check(extra % 2 == 0)
        if extra > 0:
            zeros = weight.new_zeros(*weight.shape[:at], extra // 2, *weight.shape[at + 1 :])
            weight = torch.cat([zeros, weight, zeros], at)
        elif extra < 0:
            weight = weight.narrow(at, -extra // 2, shape[at])
    return weight


def _boxes(weight: Tensor, first: int, counts: Sequence[int], *, keep_sum: bool = True) -> Tensor:
    """Boxes of other sizes; the axes of a box begin at `first`.

    Args:
        weight: With one entry per place in the box.
        first: The box's first axis.
        counts: Places per axis that are wanted.
        keep_sum: Whether the sum over a box is kept, or else the size of its entries.
    """
    for at, count in enumerate(counts, start=first):
        theirs = weight.shape[at]
        if theirs % count == 0:
            grouped = weight.unflatten(at, (count, theirs // count))
            weight = grouped.sum(at + 1) if keep_sum else grouped.mean(at + 1)
        else:
            _check(count % theirs == 0)
            weight = weight.repeat_interleave(count // theirs, at)
            weight = weight * (theirs / count) if keep_sum else weight
    return weight


def _merged(
    weight: Tensor, channels: int, strides: Sequence[int], new: int | None, *, keep_sum: bool
) -> Tensor:
    """Weights over concatenated neighbours: (out, prod(strides) * channels)."""
    neighbours, rest = divmod(weight.shape[1], channels)
    _check(rest == 0)
    if new is None and neighbours == prod(strides):
        return weight
    axes = len(strides) - (new is not None)
    side = round(neighbours ** (1 / axes))
    _check(side**axes == neighbours)  # theirs are squares
    weight = weight.unflatten(1, [*[side] * axes, channels])
    if new is not None:
        weight = weight.unsqueeze(len(strides) - new)
    return _boxes(weight, 1, strides[::-1], keep_sum=keep_sum).flatten(1)


def _with_column(weight: Tensor, axes: int, new: int | None) -> Tensor:
    """Weights of an offset's parts, (hidden, axes), that of the new axis zero."""
    _check(weight.ndim == 2 and weight.shape[1] + (new is not None) == axes)
    if new is None:
        return weight
    return torch.cat([weight[:, :new], weight.new_zeros(len(weight), 1), weight[:, new:]], 1)


def _with_width(theirs: Tensor, window: Sequence[int], new: int | None) -> Tensor:
    """The window that a position bias was trained with; on the new axis any will do."""
    _check(theirs.ndim == 1)
    widths = theirs.tolist()
    if new is not None:
        widths.insert(new, window[new])
    _check(len(widths) == len(window) and min(widths) > 0)
    return torch.tensor(widths)


def _kronecker(weight: Tensor, groups: int, window: Sequence[int], new: int | None) -> Tensor:
    """Token mixing: (groups, tokens, tokens)."""
    before, slices, after = _around(window, new)
    planes = weight.reshape(groups, before, 1, after, before, 1, after)
    same = torch.eye(slices, dtype=weight.dtype).view(1, 1, slices, 1, 1, slices, 1)
    return (planes * same).reshape(groups, prod(window), prod(window))


def _repeated(bias: Tensor, groups: int, window: Sequence[int], new: int | None) -> Tensor:
    """A value per token, the same in every slice: (groups, tokens)."""
    before, slices, after = _around(window, new)
    planes = bias.reshape(groups, before, 1, after)
    return planes.expand(-1, -1, slices, -1).reshape(groups, prod(window))


def _around(window: Sequence[int], new: int | None) -> tuple[int, int, int]:
    """Tokens of a window along the axes before the new one, along it, and after it."""
    if new is None:
        return prod(window), 1, 1
    return prod(window[:new]), window[new], prod(window[new + 1 :])


def _check(holds: bool) -> None:
    if not holds:
        raise MisfitError
