"""Classes that training will never see, and copies on both sides, are named before it begins."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plan.facts import case, channel
from plans import plan_for_tests

from medseg.geometry import Geometry, Orientation
from medseg.hparams import HParams
from medseg.prepare.prepared import Placement, StoredCase
from medseg.training.doubts import Labels, copies, unseen_channels, unseen_classes
from medseg.training.parts import Dealt, Parts

PLACEMENT = Placement(
    Geometry((4, 4, 4)), Orientation((0, 1, 2), (False,) * 3), (0, 0, 0), (4, 4, 4), (4, 4, 4)
)


def stored(name, voxels, folder=Path("none")):
    return StoredCase(name, folder, 1, False, PLACEMENT, (0,) * len(voxels), voxels)


def lines(found, kept, training, validation, plan=None, **settings):
    """Lines for cases by name: label values (or layers) in the files, voxels when prepared."""
    facts = [case(name, **said) for name, said in found.items()]
    labels = Labels(plan or plan_for_tests(), facts, [stored(*item) for item in kept.items()])
    parts = Parts(training=tuple(training), validation=tuple(validation))
    groups = {name: name for name in found}
    dealt = Dealt(parts, groups, by_folds=settings.pop("by_folds", True))
    return [*unseen_classes(labels, dealt, HParams(**settings))]


def holding(*values, **changes):
    return {"label_values": ({0: 90, **dict.fromkeys(values, 5)},), **changes}


ALL = (90, 5, 5)


def test_nothing_is_said_where_all_is_seen():
    found = {name: holding(1, 2) for name in "abc"}
    assert lines(found, dict.fromkeys("abc", ALL), "bc", "a") == []


def test_a_class_in_validation_cases_alone_is_named_with_the_fold_that_trains_it():
    found = {"a": holding(1, 2), "b": holding(1), "c": holding(1)}
    kept = {"a": ALL, "b": (95, 5, 0), "c": (95, 5, 0)}
    (line,) = lines(found, kept, "bc", "a", folds=3)
    assert line == (
        "class 2 (lesion): in 1 of 3 cases (a), none of which trains, so it cannot be learned; "
        "--fold 1 trains on it, or deal the cases yourself with --split"
    )


def test_the_fold_that_is_recommended_trains_every_class():
    found = {"a": holding(2), "b": holding(1), "c": holding(), "d": holding()}
    kept = {"a": (95, 0, 5), "b": (95, 5, 0), "c": (99, 0, 0), "d": (99, 0, 0)}
    (line,) = lines(found, kept, "bcd", "a", folds=4)
    assert "--fold 2 trains on it" in line  # fold 1 would lose the organ instead


def test_beside_a_given_split_no_fold_is_recommended():
    found = {"a": holding(1, 2), "b": holding(1)}
    (line,) = lines(found, {"a": ALL, "b": (95, 5, 0)}, "b", "a", by_folds=False)
    assert line.endswith("let one of them train, with --split")


def test_a_class_of_which_resampling_leaves_nothing_is_named_with_the_spacing_that_keeps_it():
    plan = plan_for_tests(spacing_mm=(2.0, 2.0, 2.0))
    fine, coarse = (1.0, 0.8, 1.5), (2.0, 2.0, 2.0)
    found = {
        "a": holding(1, 2, spacing_mm=fine), "b": holding(1, 2, spacing_mm=(1.0, 1.0, 1.0)),
        "c": holding(1, spacing_mm=coarse), "d": holding(1, spacing_mm=coarse),
    }  # fmt: skip
    (line,) = lines(found, dict.fromkeys("abcd", (95, 5, 0)), "abc", "d", plan=plan)
    assert line == (
        "class 2 (lesion): in 2 of 3 training cases, in none of them after resampling to 2x2x2 mm; "
        "set --spacing-mm 1 0.8 1 to keep it"
    )


def test_a_class_lost_in_some_cases_is_counted():
    plan = plan_for_tests(spacing_mm=(2.0, 2.0, 2.0))
    found = {name: holding(1, 2) for name in "abc"}
    kept = {"a": ALL, "b": (95, 5, 0), "c": ALL}
    (line,) = lines(found, kept, "abc", "", plan=plan)
    assert "in 3 of 3 training cases, in 2 of them after resampling" in line


def test_a_class_lost_without_resampling_has_another_reason():
    found = {name: holding(1, 2) for name in "abc"}
    (line,) = lines(found, dict.fromkeys("abc", (95, 5, 0)), "ab", "c")
    assert "outside the scan's content" in line
    assert "spacing" not in line


def test_the_walked_axis_is_not_blamed():
    plan = plan_for_tests(dim=2, slice_axis=2)
    found = {name: holding(1, 2, spacing_mm=(1.0, 1.0, 7.0)) for name in "ab"}
    (line,) = lines(found, dict.fromkeys("ab", (95, 5, 0)), "a", "b", plan=plan)
    assert "resampling" not in line


def test_a_class_that_no_case_has_is_named():
    found = {name: holding(1) for name in "ab"}
    (line,) = lines(found, dict.fromkeys("ab", (95, 5, 0)), "a", "b")
    assert line.startswith("class 2 (lesion): in none of 2 cases")


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_mask_files_are_counted_from_one(task):
    layers = ({0: 90, 255: 10}, {0: 95, 255: 5})
    found = {"a": {"label_values": layers}, "b": {"label_values": (layers[0], {0: 100})}}
    values = (0, 1, 2) if task == "multiclass" else (255, 255)
    plan = plan_for_tests(task=task, label_values=values)
    first = (0,) if task == "multiclass" else ()
    kept = {"a": (*first, 10, 5), "b": (*first, 10, 0)}
    (line,) = lines(found, kept, "b", "a", plan=plan)
    assert line.startswith("class 2 (lesion): in 1 of 2 cases (a), none of which trains")


def copy_lines(tmp_path, facts, images, training, validation):
    cases = {}
    for name, image in images.items():
        folder = tmp_path / name
        folder.mkdir()
        np.save(folder / "image.npy", image)
        cases[name] = stored(name, (1,), folder)
    parts = Parts(training=tuple(training), validation=tuple(validation))
    return [*copies(facts, cases, Dealt(parts, {}))]


def test_copies_on_both_sides_are_named(tmp_path):
    same, other = np.ones((1, 4, 4, 4), np.float32), np.zeros((1, 4, 4, 4), np.float32)
    facts = [
        case("a", image_digests=("1",)), case("b", image_digests=("1",)),
        case("c", image_digests=("2",)), case("d", image_digests=("3",)),
        case("e", channels=(channel(mean=1.0),)), case("f", channels=(channel(mean=1.0),)),
    ]  # fmt: skip
    images = {"a": other, "b": same, "c": 2 * same, "d": 3 * same, "e": same, "f": other}
    (line,) = copy_lines(tmp_path, facts, images, "bdf", "ace")
    # b is the file a; d has the voxels of none; c and e only look like others.
    assert line.startswith(
        "1 of 3 validation scans are trained on too, under another name (a is b), so"
    )


def test_copies_in_other_files_are_known_by_their_voxels(tmp_path):
    same = np.ones((1, 4, 4, 4), np.float32)
    facts = [case(name, image_digests=(name,)) for name in "abc"]
    images = {"a": same, "b": 2 * same, "c": same}
    (line,) = copy_lines(tmp_path, facts, images, "bc", "a")
    assert "(a is c)" in line


def test_copies_on_one_side_and_a_single_case_are_nobodys_business(tmp_path):
    facts = [case("a", image_digests=("1",)), case("b", image_digests=("1",))]
    images = dict.fromkeys("ab", np.ones((1, 4, 4, 4), np.float32))
    assert copy_lines(tmp_path, facts, images, "ab", "") == []
    assert [*copies(facts[:1], {}, Dealt(Parts(training=("a",), validation=("a",)), {}))] == []


def test_a_channel_that_no_training_case_has_is_named():
    one, two = (
        replace(stored(name, ALL), absent=absent) for name, absent in (("a", (1,)), ("b", (0, 1)))
    )
    (line,) = unseen_channels([one, two], ("t1", "flair"))
    assert line.startswith("flair: absent in all 2 cases that train")
    assert [*unseen_channels([one, stored("c", ALL)], ("t1", "flair"))] == []
