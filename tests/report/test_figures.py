import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from medseg.evaluation.scores import ClassScore
from medseg.geometry import Geometry
from medseg.report.figures import COLOURS, draw_example, overlay_png, pick_examples
from tests.report.content import CLASSES, example

VALUES = list(CLASSES.values())


def score(case, dice):
    empty = dict.fromkeys(ClassScore.model_fields)
    return ClassScore.model_validate(
        empty | {"case": case, "class_name": "a", "value": 1, "dice": dice}
    )


def centre(layer, colour):
    """Where a colour is in a layer: mean column and row as shares of its size."""
    pixels = np.asarray(layer.convert("RGBA")).astype(int)
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    rows, columns = np.nonzero(
        (np.abs(pixels[..., :3] - rgb).sum(-1) < 40) & (pixels[..., 3] > 200)
    )
    return columns.mean() / pixels.shape[1], rows.mean() / pixels.shape[0]


def test_the_three_worst_and_the_median():
    scores = [score(f"c{i}", i / 10) for i in (7, 1, 3, 9, 5, 2, 8)]
    assert pick_examples(scores) == {
        "c1": "worst",
        "c2": "second worst",
        "c3": "third worst",
        "c5": "median",
    }


def test_few_cases_are_shown_once_and_unscored_ones_not_at_all():
    assert pick_examples([score("a", 0.5), score("b", None)]) == {"a": "worst"}
    assert pick_examples([score("b", 0.9), score("a", 0.5)]) == {"a": "worst", "b": "second worst"}
    assert pick_examples([]) == {}


def test_outlines_lie_where_the_labels_are():
    layers = draw_example(example("a", 2), VALUES)
    assert layers.picture.size == layers.reference.size == layers.prediction.size

    # Pixels keep their order: the first axis to the right, the second down.
    across, down = centre(layers.reference, COLOURS[0])
    assert across == pytest.approx(8 / 20, abs=0.01)
    assert down == pytest.approx(8 / 18, abs=0.01)
    assert centre(layers.prediction, COLOURS[0])[0] == pytest.approx(9 / 20, abs=0.02)
    assert centre(layers.reference, COLOURS[1])[0] == pytest.approx(16.5 / 20, abs=0.01)


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_volumes_look_alike_whatever_their_axes(flips):
    plain = example("a", 3)
    orientation = tuple(slice(None, None, flip) for flip in flips)
    affine = np.diag([*plain.geometry.spacing_mm, 1.0]) @ np.diag([*flips, 1.0])
    turned = replace(
        plain,
        image=plain.image[(slice(None), *orientation)],
        reference=plain.reference[orientation],
        prediction=plain.prediction[orientation],
        geometry=Geometry.from_affine(plain.geometry.size, affine),
    )
    expected, layers = draw_example(plain, VALUES), draw_example(turned, VALUES)
    for name in ("picture", "reference", "prediction"):
        assert np.array_equal(getattr(layers, name), getattr(expected, name))


def test_volumes_show_front_up():
    layers = draw_example(example("a", 3), VALUES)
    assert centre(layers.reference, COLOURS[0])[1] == pytest.approx(1 - 8 / 18, abs=0.01)


def test_the_slice_with_the_largest_reference_across_the_coarsest_axis():
    size = (6, 12, 10)
    reference = np.zeros(size, np.int32)
    reference[2, 3:5, 3:5] = 3
    reference[4, 3:9, 3:9] = 3
    one = replace(
        example("a", 3),
        image=np.zeros((1, *size)),
        geometry=Geometry(size, (5.0, 1.0, 2.0)),
        reference=reference,
        prediction=np.zeros(size, np.int32),
    )
    layers = draw_example(one, VALUES)
    width, height = layers.picture.size
    assert layers.place == "slice 5 of 6"
    assert height / width == pytest.approx(10 * 2.0 / 12, abs=0.01)
    assert np.asarray(layers.prediction)[..., 3].max() == 0


def test_one_mask_per_class_draws_as_a_label_map_does():
    one = example("a", 3)
    masks = replace(
        one,
        reference=np.stack([one.reference == value for value in VALUES]).astype(np.uint8),
        prediction=np.stack([one.prediction == value for value in VALUES]).astype(np.uint8),
    )
    for layer, other in zip(draw_example(one, VALUES), draw_example(masks, VALUES), strict=True):
        assert np.array_equal(layer, other)


def test_photographs_keep_their_colours():
    one = example("a", 2)
    image = np.zeros_like(one.image)
    image[0], image[1] = 255, 128
    picture = np.asarray(draw_example(replace(one, image=image), VALUES).picture)
    assert np.abs(picture.reshape(-1, 3).mean(0) - (255, 128, 0)).max() < 1


def test_a_constant_image_without_labels_can_be_drawn():
    one = example("a", 3)
    nothing = np.zeros_like(one.reference)
    layers = draw_example(
        replace(one, image=np.ones_like(one.image), reference=nothing, prediction=nothing), VALUES
    )
    assert layers.place == "slice 4 of 6"
    assert np.asarray(layers.reference)[..., 3].max() == 0


def test_overlay_is_a_png_with_outlines(dim):
    one = example("a", dim)
    file = io.BytesIO(overlay_png(one.image, one.prediction, one.geometry, CLASSES))
    picture = Image.open(file)
    assert picture.format == "PNG"
    assert centre(picture, COLOURS[0])[0] == pytest.approx(9 / 20, abs=0.01)
