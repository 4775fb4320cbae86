"""Every term of a loss against its formula, written out voxel by voxel."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from medseg.training import terms
from medseg.training.terms import compared
from medseg.types import IGNORED

SIZE = (5, 6, 4)
WEIGHTS = [0.5, 1.0, 3.0]


@pytest.fixture(params=[True, False], ids=["multiclass", "multilabel"])
def exclusive(request):
    return request.param


def drawn(exclusive, dim):
    """Logits (2, 3, *size) and labels of which a fifth is unknown."""
    rng = np.random.default_rng(dim)
    size = SIZE[:dim]
    logits = rng.normal(size=(2, 3, *size)).astype(np.float32)
    labels = rng.integers(0, 3 if exclusive else 2, (2, 1 if exclusive else 3, *size))
    labels[rng.random(labels.shape) < 0.2] = IGNORED
    return torch.from_numpy(logits), torch.from_numpy(labels.astype(np.uint8))


def literal(logits, labels, exclusive):
    """Class -> (probability, truth) of each known voxel; and per voxel (p of its truth, class)."""
    x, y = logits.double().numpy(), labels.numpy()
    pairs, surprises = {c: [] for c in range(3)}, []
    for b, *at in product(range(2), *map(range, x.shape[2:])):
        voxel = x[(b, slice(None), *at)]
        softmax = np.exp(voxel) / np.exp(voxel).sum()
        if exclusive and y[(b, 0, *at)] != IGNORED:
            true = y[(b, 0, *at)]
            surprises.append((softmax[true], true))
            for c in range(3):
                pairs[c].append((softmax[c], float(true == c)))
        if not exclusive:
            for c in range(3):
                true = y[(b, c, *at)]
                if true != IGNORED:
                    p = 1 / (1 + math.exp(-voxel[c]))
                    pairs[c].append((p, float(true)))
                    surprises.append((p if true else 1 - p, c))
    return pairs, surprises


def over_voxels(surprises, cost):
    total = sum(WEIGHTS[c] * cost(p) for p, c in surprises)
    return total / sum(WEIGHTS[c] for _, c in surprises)


def over_classes(pairs, share):
    scores = [1 - share(np.array(pairs[c])) for c in range(3)]
    return np.average(scores, weights=WEIGHTS)


def soft_dice(pairs):
    p, t = pairs.T
    return 2 * (p * t).sum() / (p.sum() + t.sum())


def soft_tversky(pairs):
    p, t = pairs.T
    hit = (p * t).sum()
    return hit / (hit + 0.3 * (p * (1 - t)).sum() + 0.7 * ((1 - p) * t).sum())


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "tversky"])
def test_a_term_is_its_formula(name, exclusive, dim):
    logits, labels = drawn(exclusive, dim)
    pairs, surprises = literal(logits, labels, exclusive)
    expected = {
        "cross_entropy": lambda: over_voxels(surprises, lambda p: -math.log(p)),
        "focal": lambda: over_voxels(surprises, lambda p: -((1 - p) ** 2) * math.log(p)),
        "dice": lambda: over_classes(pairs, soft_dice),
        "tversky": lambda: over_classes(pairs, soft_tversky),
    }[name]()
    found = getattr(terms, name)(
        compared(logits, labels, exclusive=exclusive), torch.tensor(WEIGHTS)
    )
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_focal_teaches_the_background_of_a_softmax():
    """Its logit is pulled down where something else is, and up where nothing is."""
    labels = torch.tensor([[[[0, 1]]]], dtype=torch.uint8)
    logits = torch.zeros(1, 2, 1, 2, requires_grad=True)
    terms.focal(compared(logits, labels, exclusive=True), torch.ones(2)).backward()
    assert logits.grad[0, 0, 0, 0] < 0 < logits.grad[0, 0, 0, 1]


def edges(mask, known, at):
    """Whether a voxel is the edge of a mask; beside unknown ones none is."""
    around = [
        tuple(i + d for i, d in zip(at, step, strict=True))
        for step in product((-1, 0, 1), repeat=mask.ndim)
    ]
    inside = [n for n in around if all(0 <= i < s for i, s in zip(n, mask.shape, strict=True))]
    if not all(known[n] for n in inside):
        return False
    return mask[at] and not all(mask[n] for n in inside)


def near(points, at):
    return any(max(abs(i - j) for i, j in zip(at, p, strict=True)) <= 2 for p in points)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_boundary_term_is_the_f1_of_edges(dim):
    """Of masks that are surely so, with edges listed voxel by voxel."""
    size = (14, 12, 6)[:dim]
    grid = np.indices(size)
    truth = sum((g - s // 2) ** 2 for g, s in zip(grid, size, strict=True)) <= 9
    found = np.roll(truth, -4, axis=0)
    known = grid[0] < 11
    voxels = list(product(*map(range, size)))
    expected = [v for v in voxels if edges(truth, known, v)]
    seen = [v for v in voxels if edges(found, known, v)]
    precision = (1 + sum(near(expected, v) for v in seen)) / (1 + len(seen))
    recall = (1 + sum(near(seen, v) for v in expected)) / (1 + len(expected))
    f1 = 2 * precision * recall / (precision + recall)
    assert 0.1 < f1 < 0.9
    logits = torch.from_numpy(np.where(found, 40.0, -40.0).astype(np.float32))[None, None]
    labels = torch.from_numpy(np.where(known, truth, IGNORED).astype(np.uint8))[None, None]
    term = terms.boundary(compared(logits, labels, exclusive=False), torch.ones(1))
    assert term.item() == pytest.approx(1 - f1, abs=1e-4)
