import numpy as np
import pytest

from medseg.evaluation.boxes import class_boxes
from medseg.evaluation.overlap import dice, iou
from medseg.evaluation.scores import score_case, score_layers
from medseg.evaluation.surface import surface_score
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


def scattered(size, values, seed):
    """Blobs of each value, some at the border, some of one voxel; and the same, moved a little."""
    random = np.random.default_rng(seed)
    reference = np.zeros(size, np.int32)
    for value in values:
        centre = [int(random.integers(length)) for length in size]
        box = tuple(
            slice(max(c - random.integers(4), 0), c + 1 + random.integers(4)) for c in centre
        )
        reference[box] = value
    prediction = np.roll(reference, 1, axis=0)
    prediction[random.random(size) < 0.01] = values[0]
    return prediction, reference


@pytest.mark.parametrize("size", [(20, 23, 17), (30, 25, 1), (24, 31)])
@pytest.mark.parametrize("seed", range(3))
def test_scores_in_boxes_are_those_of_the_whole_image(size, seed):
    values = [1, 2, 3, 40, 65535, 65536, 70000, -3, 0]
    prediction, reference = scattered(size, values, seed)
    spacing = (0.7, 1.3, 2.9)[: len(size)]
    grid = Geometry((*size, 1)[:3], (*spacing, 1.0)[:3])
    classes = {f"class {value}": value for value in values}
    if len(size) == 2:
        prediction, reference = prediction[..., None], reference[..., None]
    for score in score_case("a", prediction, reference, grid, classes):
        masks = prediction == score.value, reference == score.value
        whole = surface_score(*masks, grid.spacing_mm, 1.0)
        assert (score.dice, score.iou) == (dice(*masks), iou(*masks))
        assert (score.hd95_mm, score.surface_dice) == (whole or (None, None))
        assert score.volume_ml == pytest.approx(masks[0].sum() * np.prod(grid.spacing_mm) / 1000)
    layers = [np.stack([found == value for value in values]) for found in (prediction, reference)]
    apart = score_layers("a", *(layer.astype(np.uint8) for layer in layers), grid, classes)
    assert apart == score_case("a", prediction, reference, grid, classes)


def test_a_box_reaches_one_voxel_beyond_its_class_and_not_beyond_the_image():
    first, second = np.zeros((2, 9, 8, 1), np.uint8)
    first[3:5, 7] = 2
    second[6, 2] = 2
    assert class_boxes((first, second), (2, 5)) == [
        (slice(2, 8), slice(1, 9), slice(0, 2)),
        (slice(0, 0),) * 3,
    ]
