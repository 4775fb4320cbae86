"""Intensities to numbers around zero."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medseg.plan.plan import Normalisation

Channel = npt.NDArray[np.float32]

_SAMPLE = 1 << 20
_TINY = float(np.finfo(np.float32).tiny)
# Air is hardly ever exactly constant: what is within this share of the range is background too.
_BACKGROUND_SHARE = 0.01


def normalise(
    image: npt.NDArray[np.float32], rules: Sequence[Normalisation]
) -> npt.NDArray[np.float32]:
    """Normalise each channel of (channels, *spatial) by its rule; constant channels become zero."""
    out = np.empty(image.shape, dtype=np.float32)
    for channel, rule, target in zip(image, rules, out, strict=True):
        if rule.kind == "dataset":
            np.clip(channel, rule.low, rule.high, out=target)
            mean, std = rule.mean, rule.std
        else:
            target[...] = channel
            above = _background(channel) if rule.kind == "body" else None
            mean, std = _mean_and_std(channel, above)
        target -= np.float32(mean)
        # Without contrast there is nothing to scale, only rounding errors to blow up. They grow
        # with the values, whose unit may be a small one.
        target *= np.float32(1 / std if std > max(1e-6 * abs(mean), _TINY) else 0)
    return out


def _background(channel: Channel) -> float | None:
    """The value that the body is above; None where nothing would be left."""
    step = max(1, channel.size // _SAMPLE)
    low, high = float(channel.min()), float(np.quantile(channel.reshape(-1)[::step], 0.995))
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
