from dataclasses import replace

import numpy as np
import pytest
from plans import plan_for_tests
from subjects import ORIENTATIONS, ellipsoids, oblique, subject_for_tests

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.plan.plan import Normalisation
from medseg.prepare.pipeline import prepare


def test_arrays_are_what_their_contract_says():
    geometry = oblique((12, 14, 6), (1.0, 1.0, 3.0)).reoriented(ORIENTATIONS[17])
    label = np.zeros((1, *geometry.size), dtype=np.int32)
    subject = subject_for_tests(label, geometry, channels=2)
    prepared = prepare(subject, plan_for_tests(channels=2, spacing_mm=(1.5, 1.0, 1.5)))
    assert prepared.placement.size == (8, 14, 12)
    assert prepared.image.shape == (2, 8, 14, 12)
    assert prepared.image.dtype == np.float32
    assert prepared.label.shape == (1, 8, 14, 12)
    assert prepared.label.dtype == np.uint8
    assert prepared.placement.native == geometry


def test_resampling_keeps_a_ramp_in_world_space():
    geometry = Geometry((30, 20, 12), (1.0, 1.5, 3.0))
    ramp = geometry.to_world(np.moveaxis(np.indices(geometry.size), 0, -1)) @ (1.0, -2.0, 0.5)
    label = np.zeros((1, *geometry.size), dtype=np.int32)
    subject = replace(subject_for_tests(label, geometry), image=ramp[None].astype(np.float32))
    rule = Normalisation(kind="dataset", low=-1e6, high=1e6)
    target = (1.5, 1.5, 1.5)
    prepared = prepare(subject, plan_for_tests(spacing_mm=target, normalisation=(rule,)))
    resized = geometry.resized(prepared.placement.size)
    voxels = np.moveaxis(np.indices(resized.size), 0, -1)
    expected = resized.to_world(voxels) @ (1.0, -2.0, 0.5)
    middle = np.s_[3:-3, :, 4:-4]
    np.testing.assert_allclose(
        prepared.image[0][middle], expected[middle], atol=0.05
    )  # a widened cubic is not exact on ramps


def test_only_the_content_is_kept():
    geometry = Geometry((10, 11, 12))
    subject = subject_for_tests(np.zeros((1, *geometry.size), dtype=np.int32), geometry)
    subject.image[:, :2] = subject.image[:, :, :, 9:] = 0
    placement = prepare(subject, plan_for_tests()).placement
    assert (placement.box_start, placement.box_size) == ((2, 0, 0), (8, 11, 9))


@pytest.mark.parametrize("world", [True, False])
def test_a_dataset_without_world_frame_is_never_turned(world):
    geometry = Geometry((6, 5, 1), direction=((-1, 0, 0), (0, -1, 0), (0, 0, 1)), world=world)
    subject = subject_for_tests(ellipsoids((6, 5, 1), (1, 1, 1))[None], geometry)
    prepared = prepare(subject, plan_for_tests(dim=2, world=world))
    expected = subject.label[:, ::-1, ::-1] if world else subject.label
    np.testing.assert_array_equal(prepared.label, expected)


def test_an_unlabelled_subject_has_no_label():
    geometry = Geometry((6, 5, 4))
    subject = subject_for_tests(np.zeros((1, 6, 5, 4), dtype=np.int32), geometry)
    assert prepare(replace(subject, label=None), plan_for_tests()).label is None


def test_other_channels_are_refused():
    geometry = Geometry((6, 5, 4))
    subject = subject_for_tests(np.zeros((1, 6, 5, 4), dtype=np.int32), geometry, channels=3)
    with pytest.raises(ScanError, match="3 channels, but the plan is made for 1; give every"):
        prepare(subject, plan_for_tests())


@pytest.mark.parametrize("world", [True, False])
def test_images_and_volumes_are_not_taken_for_each_other(world):
    geometry = Geometry((6, 5, 4), world=world)
    subject = subject_for_tests(np.zeros((1, 6, 5, 4), dtype=np.int32), geometry)
    with pytest.raises(ScanError, match=r": (an image|a scan) with.*, but the plan .*; give files"):
        prepare(subject, plan_for_tests(world=not world))
