"""Intensities to numbers around zero."""

from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from medseg.plan.plan import Normalisation

Channel = npt.NDArray[np.float32]

_SAMPLE = 1 << 20
_TINY = float(np.finfo(np.float32).tiny)
# Air is hardly ever exactly constant: what is within this share of the range is background too.
_BACKGROUND_SHARE = 0.01


class Scaling(NamedTuple):
    """Clip to [low, high], subtract `mean`, multiply by `scale`."""

    low: float
    high: float
    mean: float
    scale: float

    def apply(self, part: Tensor) -> Tensor:
        """Normalise any part of the channel, in place."""
        return part.clamp_(self.low, self.high).sub_(self.mean).mul_(self.scale)


def scaling(channel: Channel, rule: Normalisation) -> Scaling:
    """What normalises one channel, (*spatial); constant channels become zero.

    Measured plane by plane: nothing of the channel's size is made.
    """
    if rule.kind == "dataset":
        low, high, mean, std = rule.low, rule.high, rule.mean, rule.std
    else:
        low, high = -inf, inf
        above = _background(channel) if rule.kind == "body" else None
        mean, std = _mean_and_std(channel, above)
        if above is not None and not _has_contrast(mean, std):
            # A body of one value, as a mask has: what it differs from is all that it tells.
            mean, std = _mean_and_std(channel, None)
    return Scaling(low, high, mean, 1 / std if _has_contrast(mean, std) else 0)


def _has_contrast(mean: float, std: float) -> bool:
    """Whether there is anything to scale, rather than rounding errors to blow up.

    They grow with the values, whose unit may be a small one.
    """
    return std > max(1e-6 * abs(mean), _TINY)


def _background(channel: Channel) -> float | None:
    """The value that the body is above; None where nothing would be left."""
    low, high = float(channel.min()), float(np.quantile(_sample(channel), 0.995))
    background = low + _BACKGROUND_SHARE * max(high - low, 0.0)
    return background if channel.max() > background else None


def _mean_and_std(channel: Channel, above: float | None) -> tuple[float, float]:
    """Of all values, or of those above one; plane by plane, to be precise without a large copy."""
    count, total, squares = 0, 0.0, 0.0
    for plane in channel:
        chosen = plane.ravel() if above is None else plane[plane > above]
        values = chosen.astype(np.float64)
        count += values.size
        total += float(values.sum())
        squares += float(values @ values)
    mean = total / count
    return mean, max(squares / count - mean * mean, 0.0) ** 0.5


def _sample(channel: Channel) -> Channel:
    """About a million values at an even step, whatever the order of the axes in memory."""
    step = max(1, channel.size // _SAMPLE)
    return np.concatenate([plane.ravel()[::step] for plane in channel])
