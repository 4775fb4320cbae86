"""Which classes there are, and which value each has in the files."""

import pytest

from medseg.errors import MedsegError, SettingsError
from medseg.plan.classes import choose_classes, choose_task, class_weights
from medseg.scans.regions import regions_of
from tests.plan.facts import case


def labelled(*layers, overlap=False):
    counts = tuple(dict.fromkeys(values, 10) for values in layers)
    return case(label_values=counts, overlap=overlap)


def of(*cases, task="multiclass", declared=None):
    classes = choose_classes(cases, task, declared, "set by you")
    return dict(zip(classes.names, classes.values, strict=True))


def test_values_found_are_classes_in_order():
    found = of(labelled((0, 255)), labelled((0, 7)))
    assert list(found.items()) == [("background", 0), ("class_7", 7), ("class_255", 255)]


def test_declared_names_are_used_and_a_background_is_added():
    assert of(labelled((0, 2, 1)), declared={"back": 2, "front": 1}) == {
        "background": 0,
        "front": 1,
        "back": 2,
    }
    assert list(of(labelled((0, 255)), declared={"inside": 255, "membrane": 0})) == [
        "membrane",
        "inside",
    ]


def test_declared_classes_may_be_absent_and_the_reason_says_so():
    classes = choose_classes([labelled((0, 1))], "multiclass", {"a": 1, "rare": 2}, "set by you")
    assert classes.values == (0, 1, 2)
    assert "never seen in the labels: rare" in classes.reason


def test_without_zero_the_smallest_value_is_the_background():
    classes = choose_classes([labelled((3, 2))], "multiclass", None, "")
    assert classes.values == (2, 3)
    assert "2, the smallest value, is taken as background" in classes.reason


def test_multilabel_has_no_background():
    assert of(labelled((0, 4, 9)), task="multilabel") == {"class_4": 4, "class_9": 9}


def test_mask_files_are_classes_in_their_order():
    masks = labelled((0, 255), (0, 1), (0,))
    assert of(masks) == {"background": 0, "class_1": 1, "class_2": 2, "class_3": 3}
    assert of(masks, task="multilabel") == {"class_1": 255, "class_2": 1, "class_3": 1}
    names = {"lung": 1, "heart": 2, "liver": 3}
    assert list(of(masks, task="multilabel", declared=names)) == ["lung", "heart", "liver"]
    with pytest.raises(MedsegError, match="each case has 3 mask files"):
        of(masks, declared={"lung": 1})


def test_overlapping_masks_are_multilabel_unless_set():
    apart, over = labelled((0, 1), (0, 1)), labelled((0, 1), (0, 1), overlap=True)
    assert choose_task([apart, apart], None)[0] == "multiclass"
    assert choose_task([apart, over], None)[0] == "multilabel"
    task, reason = choose_task([apart, over], "multiclass")
    assert (task, reason) == ("multiclass", "set by you; where masks overlap the later file wins")


def test_nothing_to_learn_and_too_much_are_refused():
    with pytest.raises(MedsegError, match="hold only background"):
        of(labelled((0,)))
    with pytest.raises(MedsegError, match="hold only background"):
        of(labelled((0,)), task="multilabel")
    with pytest.raises(MedsegError, match="at most 255 classes are possible"):
        of(labelled(range(256)))
    assert len(of(labelled(range(255)))) == 255


def test_too_many_values_that_number_objects_are_called_so():
    with pytest.raises(MedsegError, match="seem to number objects; give every object"):
        of(labelled(range(400)), labelled(range(290)))
    shared = range(0, 900, 3)
    with pytest.raises(MedsegError, match="label maps and not images"):
        of(labelled(shared), labelled(shared))


def test_weights_are_in_the_order_of_the_classes():
    names = ("background", "organ", "lesion")
    assert class_weights(names, {"lesion": 5}) == (1, 1, 5)
    assert class_weights(names, None) == (1, 1, 1)
    for asked in ({"kidney": 2}, {"organ": 0, "lesion": 0}):
        with pytest.raises(SettingsError, match="class_weights"):
            class_weights(names, asked)


def test_regions_are_multilabel_classes_of_the_values_declared():
    cases = [case(label_values=({0: 10, 1: 5, 2: 5, 4: 5, 7: 1},))]
    regions = regions_of({"whole": (1, 2, 4), "core": (1, 4), "enhancing": 4})
    assert choose_task(cases, None, regions)[0] == "multilabel"
    with pytest.raises(SettingsError, match="overlap"):
        choose_task(cases, "multiclass", regions)
    classes = choose_classes(cases, "multilabel", None, "set by you", regions)
    assert classes.names == ("whole", "core", "enhancing")
    assert classes.values == (2, 1, 4)
    assert classes.regions == ((1, 2, 4), (1, 4), (4,))
    assert "in no region: 7" in classes.reason
    masks = [case(label_values=({0: 10, 1: 5}, {0: 10, 1: 5}))]
    with pytest.raises(MedsegError, match="one label map"):
        choose_classes(masks, "multilabel", None, "set by you", regions)
