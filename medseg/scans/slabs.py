"""A large array part by part, so that what is computed of it stays small."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Index = tuple[slice, ...]


def slabs(array: npt.NDArray[Any], elements: int = 1 << 18) -> Iterator[Index]:
    """Indices of parts of about so many elements, which together are the whole.

    They lie one after another in memory, whatever the order of the axes is.
    """
    whole = [slice(None)] * array.ndim
    strides = [
        abs(stride) if length > 1 else 0
        for stride, length in zip(array.strides, array.shape, strict=True)
    ]
    axis = int(np.argmax(strides))
    length = array.shape[axis]
    rows = max(1, elements * length // max(1, array.size))
    for start in range(0, length, rows):
        whole[axis] = slice(start, min(start + rows, length))
        yield tuple(whole)
