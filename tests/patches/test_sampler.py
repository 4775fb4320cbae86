from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from patches.cases import InMemory, stored_case
from plans import plan_for_tests

from medseg.patches.sampler import PADDING, PatchSampler
from medseg.prepare.prepared import Prepared
from medseg.types import IGNORED


def sampler(sizes, seed=0, margin=0.0, channels=1, **plan):
    cases = [stored_case(size, i, i + 1, channels) for i, size in enumerate(sizes)]
    return PatchSampler(cases, plan_for_tests(**plan), seed, margin)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a[:2], b[:2], strict=True))


def test_a_step_is_the_same_in_any_order_object_and_thread():
    sizes = [(20, 24, 18), (19, 17, 30), (10, 40, 20)]
    one, other = sampler(sizes, channels=4), sampler(sizes, channels=4)
    forwards = [one.batch(step) for step in range(12)]
    backwards = [other.batch(step) for step in reversed(range(12))][::-1]
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(one.batch, range(12)))
    assert all(map(same, forwards, backwards))
    assert all(map(same, forwards, threads))


@pytest.mark.parametrize("changed", [{"seed": 1}, {"step": 1}])
def test_seed_and_step_each_decide(changed):
    step = changed.pop("step", 0)
    sizes = [(30, 30, 30)] * 3
    assert not same(
        sampler(sizes, channels=4).batch(0), sampler(sizes, channels=4, **changed).batch(step)
    )


def test_every_case_is_visited_equally_often_in_each_pass():
    patches = sampler([(16, 16, 16)] * 5, batch_size=3)
    visits = [n for step in range(10) for n in patches.batch(step).image[:, 0, 8, 8, 8].tolist()]
    passes = [visits[i : i + 5] for i in range(0, 30, 5)]
    assert all(Counter(one) == Counter(range(1, 6)) for one in passes)
    assert len(set(map(tuple, passes))) > 1


@pytest.mark.parametrize(("batch_size", "foreground"), [(1, 1), (2, 1), (4, 1), (6, 2), (9, 3)])
def test_a_third_of_each_batch_is_centred_on_foreground(batch_size, foreground):
    patches = sampler([(9, 9, 9)], patch_size=(1, 1, 1), batch_size=batch_size)
    for step in range(20):
        assert (patches.batch(step).label[-foreground:] > 0).all()


def test_the_voxel_is_in_the_middle_unless_the_case_ends():
    case = stored_case((15, 15, 15), channels=4)
    voxel = np.array([[1, 7, 8, 14]], dtype=np.int32)
    plan = plan_for_tests(patch_size=(5, 4, 5), batch_size=1, channels=4)
    image = PatchSampler([InMemory(case.prepared, voxel)], plan, 0).batch(0).image[0]
    assert image[1:, 0, 0, 0].tolist() == [7 - 2, 8 - 2, 15 - 5]


def test_classes_are_drawn_equally_often_however_rare():
    patches = sampler([(9, 9, 9)], patch_size=(1, 1, 1), batch_size=1)
    drawn = Counter(patches.batch(step).label.item() for step in range(400))
    assert drawn[0] == 0
    assert abs(drawn[1] - 200) < 60


def test_uniform_patches_reach_every_position_and_stay_inside():
    patches = sampler([(11, 8, 8)], patch_size=(8, 8, 8), batch_size=6, channels=2)
    positions = torch.stack([patches.batch(step).image[:4, 1, 0, 0, 0] for step in range(50)])
    assert set(positions.flatten().tolist()) == {0, 1, 2, 3}


def test_what_lies_outside_a_small_case_is_padding_without_a_class():
    patches = sampler([(5, 30, 7)], patch_size=(8, 8, 8), batch_size=6)
    for step in range(10):
        image, label, _ = patches.batch(step)
        assert ((image == 1).sum(dim=(1, 2, 3, 4)) == 5 * 8 * 7).all()
        assert (image[image != 1] == PADDING).all()
        assert (label[image != 1] == IGNORED).all()
        assert (label[image == 1] != IGNORED).all()


def test_image_and_label_are_cut_at_the_same_place():
    case = stored_case((20, 21, 22), channels=4)
    image, label, _ = PatchSampler([case], plan_for_tests(channels=4), 0, margin=0.0).batch(3)
    i, j, k = (image[:, 1 + axis].long() for axis in range(3))
    assert case.prepared.label is not None
    assert torch.equal(torch.from_numpy(case.prepared.label)[0][i, j, k], label[:, 0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_cut_across_the_slice_axis(axis):
    sizes = [(12, 13, 14)]
    flat = sampler(sizes, dim=2, slice_axis=axis, patch_size=(8, 6), channels=4)
    image, label, _ = flat.batch(0)
    assert image.shape == (2, 4, 8, 6)
    assert label.shape == (2, 1, 8, 6)
    for slice_ in image:
        assert len(slice_[1 + axis].unique()) == 1
        first, second = (slice_[1 + a] for a in range(3) if a != axis)
        assert (first.diff(dim=0) == 1).all()
        assert (second.diff(dim=1) == 1).all()


def test_a_margin_adds_context_around_the_very_same_patch():
    sizes = [(40, 8, 20), (24, 7, 20)]
    plan = {"patch_size": (16, 8, 16), "batch_size": 4, "channels": 4}
    bare, wide = sampler(sizes, **plan), sampler(sizes, margin=0.25, **plan)
    for step in range(5):
        patch, box = bare.batch(step), wide.batch(step)
        assert box.image.shape == (4, 4, 24, 8, 24)  # no case is larger on the second axis
        assert same(patch, [tensor[:, :, 4:-4, :, 4:-4] for tensor in box[:2]])


def test_batches_are_contiguous_copies_of_read_only_maps(tmp_path):
    case = stored_case((20, 20, 20))
    np.save(tmp_path / "image.npy", case.prepared.image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    prepared = Prepared("a", mapped, case.prepared.label, case.prepared.placement)
    image, label, _ = PatchSampler(
        [InMemory(prepared, np.array([[1, *case.foreground[0]]]))], plan_for_tests(), 0
    ).batch(0)
    assert image.dtype == torch.float32
    assert label.dtype == torch.uint8
    assert image.is_contiguous()
    assert label.is_contiguous()
    image.zero_()
    assert (mapped == 1).all()


def test_a_case_without_foreground_still_gives_patches():
    case = stored_case((20, 20, 20))
    empty = InMemory(case.prepared, np.empty((0, 4), dtype=np.int32))
    batch = PatchSampler([empty], plan_for_tests(), 0, margin=0.0).batch(0)
    assert batch.image.shape == (2, 1, 16, 16, 16)


def test_a_case_without_label_teaches_no_class():
    case = stored_case((20, 20, 20))
    bare = Prepared("a", case.prepared.image, None, case.prepared.placement)
    unlabelled = InMemory(bare, np.empty((0, 4), np.int32))
    batch = PatchSampler([unlabelled], plan_for_tests(), 0, margin=0.0).batch(0)
    assert batch.label.shape == (2, 1, 16, 16, 16)
    assert (batch.label == IGNORED).all()
    assert batch.image.any()


def test_patches_of_a_sparsely_annotated_case_show_annotation():
    case = stored_case((40, 40, 40))
    label = np.full((1, 40, 40, 40), IGNORED, dtype=np.uint8)
    label[0, :, :, 30] = 0
    prepared = Prepared("a", case.prepared.image, label, case.prepared.placement)
    rows = np.array([[9, i, j, 30] for i in range(40) for j in range(40)], dtype=np.int32)
    sparse = InMemory(prepared, rows)
    assert sparse.annotated == (0, 1600)
    patches = PatchSampler([sparse], plan_for_tests(batch_size=4), 0)
    for step in range(10):
        assert (patches.batch(step).label == 0).flatten(1).any(dim=1).all()


def test_refuses_no_cases():
    with pytest.raises(ValueError, match="at least one case"):
        PatchSampler([], plan_for_tests(), 0)
