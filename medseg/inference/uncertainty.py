"""How sure a prediction is, voxel by voxel."""

import math

import numpy as np
import numpy.typing as npt

from medseg.plan.plan import Task

Probabilities = npt.NDArray[np.float32]


def uncertainty(probabilities: Probabilities, task: Task) -> Probabilities:
    """Entropy of the class probabilities, as a share of the largest possible: 0 sure, 1 undecided.

    Multilabel: the largest entropy among the classes, each of which is a yes or no.

    Shape:
        probabilities: (classes, *size) -> (1, *size).
    """
    parts = probabilities.clip(1e-7, 1)
    if task == "multilabel":
        rest = (1 - probabilities).clip(1e-7, 1)
        entropy = -(parts * np.log2(parts) + rest * np.log2(rest))
        return entropy.max(axis=0, keepdims=True)
    entropy = -(parts * np.log(parts)).sum(axis=0, keepdims=True)
    return (entropy / math.log(len(parts))).clip(0, 1)
