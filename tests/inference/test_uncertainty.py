import numpy as np
import pytest

from medseg.inference.uncertainty import uncertainty


def probabilities(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("task", "classes", "expected"),
    [
        ("multiclass", (1.0, 0.0, 0.0), 0.0),
        ("multiclass", (1 / 3, 1 / 3, 1 / 3), 1.0),
        ("multiclass", (0.5, 0.5), 1.0),
        ("multiclass", (0.5, 0.5, 0.0), np.log(2) / np.log(3)),
        ("multilabel", (0.0, 1.0), 0.0),
        ("multilabel", (1.0, 0.5), 1.0),
    ],
)
def test_sure_is_zero_and_undecided_is_one(task, classes, expected):
    found = uncertainty(probabilities(*classes), task)
    assert found.shape == (1, 1, 1, 1)
    assert found.item() == pytest.approx(expected, abs=1e-4)
