"""Channels that a case lacks, or that training drops, are not seen; one always is."""

import numpy as np
import pytest
import torch
from plans import plan_for_tests

from medseg.patches.augment import Augment
from medseg.patches.randomness import Stream, generator
from medseg.patches.sampler import PatchBatch, PatchSampler, drop_channels
from medseg.patches.torchio_transform import TorchioTransforms, build_transforms
from tests.patches.cases import stored_case

SIZE = (20, 20, 20)


def lacking(*absent, number=1):
    case = stored_case(SIZE, number=number, channels=3)
    case.prepared.image[list(absent)] = 0
    object.__setattr__(case, "absent", absent)  # it is frozen
    return case


def plan(dim=3, **fields):
    fields = {"channels": 3, "batch_size": 4, "patch_size": (8,) * dim, **fields}
    return plan_for_tests(dim=dim, **fields)


def rng(seed=0):
    return generator(Stream.CHANNEL_DROPOUT, seed, 0)


@pytest.mark.parametrize("chance", [0.1, 0.2, 0.5])
def test_each_channel_is_dropped_as_often_as_said(chance):
    dropped = drop_channels(np.zeros((20_000, 4), dtype=bool), chance, rng())
    # Where all four would go, which is rare, one stays: a quarter of these for each channel.
    np.testing.assert_allclose(dropped.mean(axis=0), chance - chance**4 / 4, atol=0.012)
    both = (dropped[:, 0] & dropped[:, 1]).mean()
    assert both == pytest.approx(chance**2 - chance**4 / 2, abs=0.012)


@pytest.mark.parametrize("chance", [0.2, 0.99])
def test_the_last_channel_is_never_dropped(chance):
    absent = rng(1).random((2_000, 3)) < 0.5
    absent[absent.all(axis=1)] = (True, False, True)
    dropped = drop_channels(absent, chance, rng())
    assert not dropped.all(axis=1).any()
    assert (dropped | ~absent).all()
    one = absent.sum(axis=1) == 2
    np.testing.assert_array_equal(dropped[one], absent[one])


def test_what_stays_of_all_is_any_of_them_alike():
    dropped = drop_channels(np.zeros((9_000, 3), dtype=bool), 0.999, rng())
    np.testing.assert_allclose((~dropped).mean(axis=0), 1 / 3, atol=0.02)


def test_without_the_setting_a_batch_says_nothing_of_channels():
    patches = PatchSampler([stored_case(SIZE, channels=3)], plan(), seed=0)
    assert patches.batch(0).absent is None


def test_dropout_changes_nothing_else_of_a_batch():
    cases = [stored_case(SIZE, channels=3)]
    plain, dropping = (
        PatchSampler(cases, plan(channel_dropout=chance), seed=3).batch(5) for chance in (0.0, 0.4)
    )
    assert torch.equal(plain.image, dropping.image)
    assert torch.equal(plain.label, dropping.label)


def test_what_is_hidden_is_a_pure_function_of_the_step():
    one, two = (
        PatchSampler([stored_case(SIZE, channels=3)], plan(channel_dropout=0.5), seed=3)
        for _ in range(2)
    )
    shown = [one.batch(step).absent for step in range(6)]
    for step in reversed(range(6)):
        assert torch.equal(two.batch(step).absent, shown[step])
    assert len({tuple(each.flatten().tolist()) for each in shown}) > 1
    other = PatchSampler([stored_case(SIZE, channels=3)], plan(channel_dropout=0.5), seed=4)
    assert any(not torch.equal(other.batch(s).absent, shown[s]) for s in range(6))


def test_what_a_case_lacks_is_hidden_always():
    cases = [lacking(0, 2), lacking(1, number=2), lacking(number=3)]
    patches = PatchSampler(cases, plan(channel_dropout=0.3), seed=0, margin=0.0)
    for step in range(12):
        batch = patches.batch(step)
        for image, absent in zip(batch.image, batch.absent, strict=True):
            empty = (image.flatten(1) == 0).all(dim=1)  # of a case; a dropped one is still there
            assert (absent | ~empty).all()
            assert not absent.all()


@pytest.mark.parametrize("strength", ["none", "light", "default"])
def test_no_augmentation_brings_an_absent_channel_back(dim, strength):
    hidden = torch.tensor([[True, False, False], [False, True, True]])
    augment = Augment.for_plan(plan(dim), strength, seed=0)
    image = torch.randn((2, 3, *(8,) * dim))
    image[hidden] = 0
    label = torch.ones((2, 1, *(8,) * dim), dtype=torch.uint8)
    for step in range(20):
        result = augment(PatchBatch(image, label, hidden), step)
        empty = (result.image.flatten(2) == 0).all(dim=2)
        assert torch.equal(empty, hidden)
        shown = augment(PatchBatch(image, label), step).image
        assert torch.equal(result.image[~hidden], shown[~hidden])


def test_nor_does_a_users_own_transform(dim):
    hidden = torch.tensor([[True, False, False]])
    noise = TorchioTransforms(build_transforms([("RandomNoise", {"std": 1})]), (1.0,) * dim, 0)
    image = torch.zeros((1, 3, *(8,) * dim))
    label = torch.ones((1, 1, *(8,) * dim), dtype=torch.uint8)
    noisy = noise(PatchBatch(image, label, hidden), 0)
    assert noisy.image.abs().max() > 0
    result = Augment.for_plan(plan(dim), "none", seed=0)(noisy, 0)
    assert torch.equal((result.image.flatten(2) == 0).all(dim=2), hidden)
