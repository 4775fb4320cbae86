"""Intensities to numbers around zero."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medseg.plan.plan import Normalisation

Channel = npt.NDArray[np.float32]

_SAMPLE = 1 << 20
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
            values = body(channel) if rule.kind == "body" else channel
            mean = float(values.mean(dtype=np.float64))
            std = float(values.std(dtype=np.float64))
        target -= np.float32(mean)
        # Without contrast there is nothing to scale, only rounding errors to blow up.
        target *= np.float32(1 / std if std > 1e-6 * max(1.0, abs(mean)) else 0)
    return out


def body(channel: Channel) -> Channel:
    """The values above the background, in one row; all of them if that leaves none."""
    sample = channel.reshape(-1)[:: max(1, channel.size // _SAMPLE)]
    low, high = float(channel.min()), float(np.quantile(sample, 0.995))
    values = channel[channel > low + _BACKGROUND_SHARE * max(high - low, 0)]
    return values if values.size else channel.reshape(-1)
