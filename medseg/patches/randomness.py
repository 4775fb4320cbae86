"""Random numbers that belong to a step, not to an object: nothing here has a state to lose."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the numbers are for; equal steps of different streams have nothing in common."""

    ORDER = 0
    POSITIONS = 1
    AUGMENTATION = 2
    EXTRA_TRANSFORMS = 3
    TRAINING = 4
    CHANNEL_DROPOUT = 5


_RANK = 0
"""Of the process among those that train together. There is one; each of several needs its own."""


def generator(stream: Stream, seed: int, step: int) -> np.random.Generator:
    """A fresh generator that is decided by its arguments alone, none of them negative."""
    return np.random.default_rng(np.random.SeedSequence([seed, _RANK, step, int(stream)]))
