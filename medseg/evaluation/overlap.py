"""How much two masks share, by counting voxels."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def dice(prediction: Mask, reference: Mask) -> float | None:
    """Twice the shared voxels over the sum of both; None where both masks are empty.

    Shape:
        prediction, reference: (*size), boolean.
    """
    both, total = _counts(prediction, reference)
    return 2 * both / total if total else None


def iou(prediction: Mask, reference: Mask) -> float | None:
    """Shared voxels over those of either; None where both masks are empty.

    Shape:
        prediction, reference: (*size), boolean.
    """
    both, total = _counts(prediction, reference)
    return both / (total - both) if total else None


def _counts(prediction: Mask, reference: Mask) -> tuple[int, int]:
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return int(np.count_nonzero(prediction & reference)), int(total)
