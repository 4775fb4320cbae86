import numpy as np
import pytest

from medseg.evaluation.scores import score_case, score_layers
from medseg.geometry import Geometry

SIZE = (6, 5, 4)
GRID = Geometry(SIZE, (1.0, 2.0, 5.0))


def label_maps():
    reference = np.zeros(SIZE, np.int32)
    reference[1:4, 1:4, 1:3] = 7
    prediction = np.roll(reference, 1, axis=0)
    prediction[0, 0, 0] = 255
    return prediction, reference


def test_one_score_per_class_with_signed_volume_errors():
    prediction, reference = label_maps()
    prediction[prediction == 7] = 0
    prediction[1:3, 1:4, 1:3] = 7
    organ, stray, absent = score_case(
        "a", prediction, reference, GRID, {"organ": 7, "stray": 255, "absent": 9}
    )

    assert (organ.case, organ.class_name, organ.value) == ("a", "organ", 7)
    assert organ.reference_volume_ml == pytest.approx(18 * 10 / 1000)
    assert organ.volume_error_ml == pytest.approx(-0.06)
    assert organ.volume_error_percent == pytest.approx(-100 / 3)
    assert organ.dice == pytest.approx(2 * 12 / 30)

    assert (stray.dice, stray.iou, stray.surface_dice) == (0, 0, 0)
    assert stray.hd95_mm == pytest.approx(np.linalg.norm([6, 10, 20]))
    assert stray.volume_error_percent is None

    assert absent.dice is absent.iou is absent.hd95_mm is absent.surface_dice is None
    assert absent.volume_ml == 0


def test_value_zero_can_be_scored():
    _, reference = label_maps()
    (score,) = score_case("a", reference, reference, GRID, {"membrane": 0})
    assert score.dice == 1
    assert score.volume_ml == pytest.approx((6 * 5 * 4 - 18) / 100)


def test_layers_equal_one_label_map_per_class():
    prediction, reference = label_maps()
    classes = {"organ": 7, "stray": 255}
    layers = [np.stack([m == v for v in classes.values()]).astype(int) for m in label_maps()]

    assert score_layers("a", *layers, GRID, classes) == score_case(
        "a", prediction, reference, GRID, classes
    )


def test_files_without_a_unit_have_no_volume():
    prediction, reference = label_maps()
    grid = Geometry(SIZE, world=False)
    (score,) = score_case("a", prediction, reference, grid, {"organ": 7})
    assert score.volume_ml is score.reference_volume_ml is score.volume_error_ml is None
    assert score.volume_error_percent == 0
