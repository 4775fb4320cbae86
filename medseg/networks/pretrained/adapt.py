"""One weight, brought to the shape that our network has, with its meaning kept.

The law for weights of images in networks of volumes: a volume of equal slices gives what the slice
gives.
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

Adapter = Callable[[Tensor], Tensor]


class MisfitError(ValueError):
    """The weight cannot be brought to our shape."""


class _Axis(NamedTuple):
    """Which of our spatial axes is new to weights that lack one; None where none is."""

    new: int | None

    def insert(self, tensor: Tensor, first: int, axes: int) -> Tensor:
        """Give the tensor all `axes` spatial axes, which begin at `first`."""
        if tensor.ndim - first < axes and self.new is not None:
            return tensor.unsqueeze(first + self.new)
        return tensor


def adapters(encoder: nn.Module, new_axis: int | None) -> dict[str, Adapter]:
    """For each weight that may need more than a copy: how foreign ones are brought to its shape.

    Args:
        encoder: Ours.
        new_axis: Spatial axis that weights of images lack.
    """
    axis = _Axis(new_axis)
    found: dict[str, Adapter] = {}
    for name, module in encoder.named_modules():
        for part, adapter in _of_module(module, axis):
            found[f"{name}.{part}"] = adapter
    return found


def _of_module(module: nn.Module, axis: _Axis) -> Iterator[tuple[str, Adapter]]:
    match module:
        case nn.Conv2d() | nn.Conv3d():
            yield "weight", _convolution(module, axis)
        case DepthwiseConv():
            yield "weight", lambda theirs: _centred(theirs, module.weight.shape, axis)
        case PatchMerging():
            strides = module.strides[::-1]
            spread = module.reduction.weight
            yield "reduction.weight", lambda w: _merged(w, spread.shape, strides, axis, mean=True)
            for part in ("weight", "bias") if module.norm_first else ():
                shape = (1, *module.norm.weight.shape)
                yield f"norm.{part}", lambda w, s=shape: _merged(w[None], s, strides, axis)[0]
        case PositionBias():
            yield "hidden.weight", lambda w: _with_column(w, module.hidden.weight.shape, axis)
            window = module.pretrained_window
            yield "_extra_state", lambda theirs: _with_window(theirs, window, axis)
        case TokenMixing() | SetMixing():
            yield "weight", lambda w: _kronecker(w, module.window, axis)
            yield "bias", lambda b: _repeated(b, module.window, axis)
            if isinstance(module, SetMixing):
                for i, kernel in enumerate(module.kernels):
                    yield f"kernels.{i}", lambda w, k=kernel: _centred(w, k.shape, axis)
        case _:
            pass


def _convolution(module: nn.Conv2d | nn.Conv3d, axis: _Axis) -> Adapter:
    shape = module.weight.shape

    def adapt(theirs: Tensor) -> Tensor:
        channels = _other_channels(theirs, shape[1])
        if module.kernel_size == module.stride and prod(module.stride) > 1:
            return _strided(channels, shape, axis)
        return _centred(channels, shape, axis)

    return adapt


def _other_channels(weight: Tensor, count: int) -> Tensor:
    """Input channels summed or repeated, the response to equal channels kept."""
    if weight.ndim < 3 or weight.shape[1] == count:
        return weight
    if count == 1:
        return weight.sum(1, keepdim=True)
    theirs = weight.shape[1]
    return weight[:, torch.arange(count) % theirs] * (theirs / count)


def _centred(weight: Tensor, shape: Sequence[int], axis: _Axis) -> Tensor:
    """A padded convolution of other widths: the same taps around the centre, zeros beyond."""
    weight = axis.insert(weight, 2, len(shape) - 2)
    _check(weight.ndim == len(shape))
    for at in range(2, len(shape)):
        extra = shape[at] - weight.shape[at]
        _check(extra % 2 == 0)
        if extra > 0:
            zeros = weight.new_zeros(*weight.shape[:at], extra // 2, *weight.shape[at + 1 :])
            weight = torch.cat([zeros, weight, zeros], at)
        elif extra < 0:
            weight = weight.narrow(at, -extra // 2, shape[at])
    return weight


def _strided(weight: Tensor, shape: Sequence[int], axis: _Axis) -> Tensor:
    """Boxes of other sizes: the response to a constant image is kept."""
    weight = axis.insert(weight, 2, len(shape) - 2)
    _check(weight.ndim == len(shape))
    for at in range(2, len(shape)):
        weight = _boxes(weight, at, shape[at])
    return weight


def _boxes(weight: Tensor, at: int, count: int, *, mean: bool = True) -> Tensor:
    """As many taps as asked for along an axis: neighbours are summed, or share what one had."""
    theirs = weight.shape[at]
    if theirs % count == 0:
        grouped = weight.unflatten(at, (count, theirs // count))
        return grouped.sum(at + 1) if mean else grouped.mean(at + 1)
    _check(count % theirs == 0)
    spread = weight.repeat_interleave(count // theirs, at)
    return spread * (theirs / count) if mean else spread


def _merged(
    weight: Tensor, shape: Sequence[int], strides: Sequence[int], axis: _Axis, *, mean: bool = False
) -> Tensor:
    """Weights over concatenated neighbours, (out, prod(strides) * channels), last axis slowest."""
    channels = shape[1] // prod(strides)
    neighbours = weight.shape[1] // channels
    _check(weight.shape[1] == neighbours * channels)
    mirrored = None if axis.new is None else len(strides) - 1 - axis.new
    flat = [stride for at, stride in enumerate(strides) if at != mirrored]
    if neighbours == prod(strides):
        return weight
    # Theirs has as many neighbours along each of its axes.
    side = round(neighbours ** (1 / max(len(flat), 1)))
    _check(side ** len(flat) == neighbours)
    weight = weight.unflatten(1, [*[side] * len(flat), channels])
    if mirrored is not None:
        weight = weight.unsqueeze(1 + mirrored)
    for at, stride in enumerate(strides):
        weight = _boxes(weight, 1 + at, stride, mean=mean)
    return weight.flatten(1)


def _with_column(weight: Tensor, shape: Sequence[int], axis: _Axis) -> Tensor:
    """Offsets along the new axis count for nothing."""
    if weight.shape[1] == shape[1]:
        return weight
    _check(axis.new is not None and weight.shape[1] + 1 == shape[1])
    assert axis.new is not None
    before, after = weight[:, : axis.new], weight[:, axis.new :]
    return torch.cat([before, weight.new_zeros(len(weight), 1), after], 1)


def _with_window(theirs: Tensor, window: Sequence[int], axis: _Axis) -> Tensor:
    widths = theirs.tolist()
    if len(widths) + 1 == len(window) and axis.new is not None:
        widths.insert(axis.new, window[axis.new])
    _check(len(widths) == len(window))
    return torch.tensor(widths)


def _kronecker(weight: Tensor, window: Sequence[int], axis: _Axis) -> Tensor:
    """Token mixing, slice by slice: (groups, tokens, tokens)."""
    tokens = prod(window)
    if weight.shape[-1] == tokens:
        return weight.reshape(-1, tokens, tokens)
    slices = _slices(weight.shape[-1], window, axis)
    assert axis.new is not None
    before, after = prod(window[: axis.new]), prod(window[axis.new + 1 :])
    planes = weight.reshape(-1, before, 1, after, before, 1, after)
    same = torch.eye(slices).view(1, 1, slices, 1, 1, slices, 1)
    return (planes * same).reshape(-1, tokens, tokens)


def _repeated(bias: Tensor, window: Sequence[int], axis: _Axis) -> Tensor:
    """A value per token, the same in every slice: (groups, tokens)."""
    tokens = prod(window)
    groups = bias.reshape(-1, bias.shape[-1])
    if bias.ndim == 1 or bias.shape[-1] == tokens:
        return bias.reshape(-1, tokens)
    slices = _slices(bias.shape[-1], window, axis)
    assert axis.new is not None
    planes = groups.reshape(len(groups), prod(window[: axis.new]), 1, -1)
    return planes.expand(-1, -1, slices, -1).reshape(-1, tokens)


def _slices(tokens: int, window: Sequence[int], axis: _Axis) -> int:
    """Tokens of our window along the new axis, if the others are theirs."""
    _check(axis.new is not None and tokens * window[axis.new] == prod(window))
    assert axis.new is not None
    return window[axis.new]


def _check(holds: bool) -> None:
    if not holds:
        raise MisfitError
