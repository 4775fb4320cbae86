from dataclasses import replace

import numpy as np
import pytest
import torch
from plans import plan_for_tests
from subjects import ORIENTATIONS, ellipsoids, oblique, subject_for_tests

from medseg import sampling
from medseg.geometry import Geometry
from medseg.prepare.pipeline import prepare
from medseg.prepare.prepared import Placement
from medseg.prepare.restore import class_masks, native_logits, restore, restore_probabilities


def sure_logits(prepared, plan):
    """What a perfect network would say: +-1 for every class."""
    label = torch.from_numpy(np.array(prepared.label)).long()
    if plan.task == "multiclass":
        label = torch.nn.functional.one_hot(label[0], plan.num_outputs).movedim(-1, 0)
    return 2.0 * label - 1


def there_and_back(subject, plan):
    prepared = prepare(subject, plan)
    return restore(
        native_logits(sure_logits(prepared, plan), prepared.placement), prepared.placement, plan
    )


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("geometry", [
    Geometry((7, 9, 5), (0.8, 1.1, 3.0), (3.0, -4.0, 5.0)),
    oblique((7, 9, 5), (0.8, 1.1, 3.0)),
], ids=["straight", "oblique"])  # fmt: skip
def test_a_label_map_comes_back_exactly_from_all_48_orientations(geometry):
    values = np.array([0, 3, 700], dtype=np.int32)
    canonical = subject_for_tests(
        values[ellipsoids(geometry.size, geometry.spacing_mm)][None], geometry
    )
    canonical.image[:, 0] = canonical.image[:, :, :, -1] = 0  # a border to crop
    plan = plan_for_tests(label_values=(0, 3, 700), spacing_mm=geometry.spacing_mm)
    expected = prepare(canonical, plan)
    assert expected.placement.box_size == (6, 9, 4)
    inside = np.zeros(geometry.size, dtype=bool)
    inside[1:, :, :-1] = True
    for orientation in ORIENTATIONS:
        subject = replace(
            canonical,
            image=orientation.apply(canonical.image),
            label=orientation.apply(canonical.label),
            geometry=geometry.reoriented(orientation),
        )
        prepared = prepare(subject, plan)
        np.testing.assert_array_equal(prepared.image, expected.image)
        np.testing.assert_array_equal(prepared.label, expected.label)
        restored = restore(
            native_logits(sure_logits(prepared, plan), prepared.placement), prepared.placement, plan
        )
        assert restored.dtype == np.int32
        np.testing.assert_array_equal(
            restored, orientation.apply(np.where(inside, canonical.label[0], 0))
        )


@pytest.mark.parametrize(("size", "spacing_mm", "target_mm"), [
    ((96, 96, 32), (1.0, 1.0, 3.0), (1.5, 1.5, 1.5)),
    ((80, 88, 80), (1.0, 0.9, 1.0), (1.4, 1.2, 1.3)),
    ((34, 30, 36), (2.0, 2.0, 2.0), (0.9, 1.1, 1.0)),
], ids=["thick slices", "coarser", "finer"])  # fmt: skip
@pytest.mark.parametrize("turned", [ORIENTATIONS[0], ORIENTATIONS[29]], ids=["RAS", "turned"])
def test_a_resampled_label_map_comes_back_in_place(size, spacing_mm, target_mm, turned):
    geometry = oblique(size, spacing_mm).reoriented(turned)
    label = turned.apply(ellipsoids(size, spacing_mm)[None])
    restored = there_and_back(
        subject_for_tests(label, geometry), plan_for_tests(spacing_mm=target_mm)
    )
    for value in (1, 2):
        assert dice(restored == value, label[0] == value) >= 0.98


def test_an_image_without_a_world_frame_comes_back_exactly():
    geometry = Geometry((21, 18, 1), direction=((0, -1, 0), (1, 0, 0), (0, 0, 1)), world=False)
    label = 255 * (ellipsoids(geometry.size, (1, 1, 1))[None] > 0).astype(np.int32)
    plan = plan_for_tests(
        dim=2, world=False, class_names=("background", "cell"), label_values=(0, 255)
    )
    subject = subject_for_tests(label, geometry)
    np.testing.assert_array_equal(prepare(subject, plan).label, label > 0)
    np.testing.assert_array_equal(there_and_back(subject, plan), label[0])


def test_overlapping_classes_come_back_exactly():
    geometry = oblique((9, 8, 7)).reoriented(ORIENTATIONS[13])
    random = np.random.default_rng(0)
    label = random.integers(0, 2, size=(3, *geometry.size)).astype(np.int32)
    plan = plan_for_tests(task="multilabel", class_names=("a", "b", "c"), label_values=(1, 1, 1))
    restored = there_and_back(subject_for_tests(label, geometry), plan)
    np.testing.assert_array_equal(restored, label)


def test_a_volume_walked_by_slices_keeps_them():
    geometry = oblique((90, 96, 5), (0.5, 0.5, 6.0))
    label = ellipsoids(geometry.size, geometry.spacing_mm)[None]
    plan = plan_for_tests(dim=2, slice_axis=2, spacing_mm=(0.7, 0.7, 1.0))
    prepared = prepare(subject_for_tests(label, geometry), plan)
    assert prepared.placement.size == (64, 69, 5)
    restored = restore(
        native_logits(sure_logits(prepared, plan), prepared.placement), prepared.placement, plan
    )
    for value in (1, 2):
        assert dice(restored == value, label[0] == value) >= 0.98


def random_case(task="multiclass"):
    native = oblique((10, 12, 9)).reoriented(ORIENTATIONS[21])
    orientation = native.to_canonical()
    placement = Placement(native, orientation, (1, 2, 0), (8, 9, 9), (5, 9, 12))
    logits = torch.randn(3, *placement.size, generator=torch.Generator().manual_seed(0))
    names = ("a", "b", "c")
    return logits, placement, plan_for_tests(task=task, class_names=names, label_values=(4, 5, 6))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_slabs_change_nothing(monkeypatch, task):
    logits, placement, plan = random_case(task)
    whole = restore(native_logits(logits, placement), placement, plan)
    likely = restore_probabilities(native_logits(logits, placement), placement, plan)
    monkeypatch.setattr(sampling, "_SLAB_ELEMENTS", 500)
    parts = [part.shape[1] for _, part in native_logits(logits, placement)]
    assert len(parts) > 3
    np.testing.assert_array_equal(restore(native_logits(logits, placement), placement, plan), whole)
    np.testing.assert_allclose(
        restore_probabilities(native_logits(logits, placement), placement, plan), likely, atol=1e-6
    )


def test_probabilities_agree_with_the_label_map():
    logits, placement, plan = random_case()
    likely = restore_probabilities(native_logits(logits, placement), placement, plan)
    assert likely.dtype == np.float32
    assert likely.shape == (3, *placement.native.size)
    np.testing.assert_allclose(likely.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(
        likely.argmax(axis=0) + 4, restore(native_logits(logits, placement), placement, plan)
    )
    assert (placement.orientation.apply(likely)[0, 0] == 1).all()


def test_multilabel_probabilities_agree_with_the_masks():
    logits, placement, plan = random_case("multilabel")
    likely = restore_probabilities(native_logits(logits, placement), placement, plan)
    np.testing.assert_array_equal(
        likely > 0.5, restore(native_logits(logits, placement), placement, plan)
    )
    assert (placement.orientation.apply(likely)[:, 0] == 0).all()


def test_regions_come_back_as_the_map_they_were_made_of():
    """Nested regions written over each other; without an order, one mask each."""
    geometry = Geometry((8, 9, 7), (1.0, 1.0, 1.0))
    label = np.zeros((1, *geometry.size), dtype=np.int32)
    label[0, 1:7, 1:8, 1:6], label[0, 2:6, 2:7, 2:5], label[0, 3:5, 3:6, 3:4] = 2, 1, 4
    subject = subject_for_tests(label, geometry)
    regions = {"class_names": ("whole", "core", "enhancing"), "regions": ((1, 2, 4), (1, 4), (4,))}
    plan = plan_for_tests(task="multilabel", label_values=(2, 1, 4), **regions)
    assert plan.one_map
    restored = there_and_back(subject, plan)
    np.testing.assert_array_equal(restored, label[0])
    for name, mask in class_masks(restored, plan):
        values = dict(zip(plan.class_names, plan.regions, strict=True))[name]
        np.testing.assert_array_equal(mask, np.isin(label[0], values))
    apart = plan_for_tests(task="multilabel", label_values=(1, 1, 1), **regions)
    assert not apart.one_map
    masks = there_and_back(subject, apart)
    np.testing.assert_array_equal(masks, [np.isin(label[0], values) for values in apart.regions])
