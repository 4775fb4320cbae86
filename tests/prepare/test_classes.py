import numpy as np
import pytest
from plans import plan_for_tests

from medseg.errors import ScanError
from medseg.prepare.classes import layer_by_layer
from medseg.types import IGNORED


def class_layers(label, plan):
    return np.stack(list(layer_by_layer(label, len(label), plan)))


def volume(*layers):
    return np.array(layers, dtype=np.int32).reshape(len(layers), -1, 1, 1)


def test_values_become_indices_in_the_plan_s_order():
    plan = plan_for_tests(label_values=(0, 255, -7))
    layers = class_layers(volume([0, -7, 255, 0]), plan)
    assert layers.dtype == np.uint8
    assert layers.ravel().tolist() == [0, 2, 1, 0]


def test_mask_files_merge_and_the_later_wins():
    layers = class_layers(volume([255, 255, 0], [0, 9, 0]), plan_for_tests())
    assert layers.shape == (1, 3, 1, 1)
    assert layers.ravel().tolist() == [1, 2, 0]


def test_mask_files_stay_apart_as_multilabel():
    layers = class_layers(volume([255, 255, 0], [0, 9, 0]), plan_for_tests(task="multilabel"))
    assert layers.reshape(2, -1).tolist() == [[1, 1, 0], [0, 1, 0]]


def test_a_label_map_comes_apart_as_multilabel():
    plan = plan_for_tests(task="multilabel", label_values=(2, 5))
    layers = class_layers(volume([0, 5, 2, 5]), plan)
    assert layers.reshape(2, -1).tolist() == [[0, 0, 1, 0], [0, 1, 0, 1]]


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_an_unknown_value_is_named_with_rule_and_remedy(task):
    values = (0, 1, 2) if task == "multiclass" else (1, 2)
    with pytest.raises(ScanError, match=r"value 7, 9, but .*lesion = 2; add it to classes or mend"):
        class_layers(volume([0, 9, 7, 1]), plan_for_tests(task=task, label_values=values))


def test_many_unknown_values_stay_one_short_line():
    with pytest.raises(ScanError, match=r"value 3, 4, 5, 6, 7, \.\.\., but"):
        class_layers(volume(range(60)), plan_for_tests())


def test_a_wrong_number_of_mask_files_is_named():
    with pytest.raises(
        ScanError, match=r"3 mask files, but there are 2 classes \(organ, lesion\);"
    ):
        class_layers(volume([0], [1], [1]), plan_for_tests())


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_masks_are_asked_for_one_at_a_time(task):
    asked = []

    def read():
        for index, layer in enumerate(volume([255, 255, 0], [0, 9, 0])):
            asked.append(index)
            yield layer

    layers = layer_by_layer(read(), 2, plan_for_tests(task=task))
    next(layers)
    assert asked == ([0] if task == "multilabel" else [0, 1])


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("value", [9, 255, 0])
def test_the_ignore_label_is_no_class_of_any_task(task, value):
    values = (3, 1, 2) if task == "multiclass" else (1, 2)
    plan = plan_for_tests(task=task, label_values=values, ignore_label=value)
    layers = class_layers(volume([1, value, 2, value]), plan)
    expected = [[1, IGNORED, 2, IGNORED]]
    if task == "multilabel":
        expected = [[1, IGNORED, 0, IGNORED], [0, IGNORED, 1, IGNORED]]
    assert layers.reshape(len(layers), -1).tolist() == expected
    with pytest.raises(ScanError, match="has the value 7,"):
        class_layers(volume([1, value, 7]), plan)


def test_masks_ignore_where_any_says_so_and_none_is_sure():
    masks = volume([1, 9, 0, 9], [0, 0, 0, 1])
    merged = class_layers(masks, plan_for_tests(ignore_label=9))
    assert merged.ravel().tolist() == [1, IGNORED, 0, 2]
    apart = class_layers(masks, plan_for_tests(task="multilabel", ignore_label=9))
    assert apart.reshape(2, -1).tolist() == [[1, IGNORED, 0, IGNORED], [0, 0, 0, 1]]


def test_regions_come_apart_as_they_overlap():
    plan = plan_for_tests(
        task="multilabel", label_values=(2, 4), regions=((1, 2, 4), (4,)), ignore_label=9
    )
    layers = class_layers(volume([0, 1, 2, 4, 5, 9]), plan)
    expected = [[0, 1, 1, 1, 0, IGNORED], [0, 0, 0, 1, 0, IGNORED]]
    assert layers.reshape(2, -1).tolist() == expected
