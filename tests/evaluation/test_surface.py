from itertools import product

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from medseg.evaluation.surface import diagonal, surface, surface_score


def blobs(size, seed):
    """Two overlapping masks that also touch the image's border."""
    random = np.random.default_rng(seed)
    sigma = [1.5 if length > 1 else 0 for length in size]
    first = ndimage.gaussian_filter(random.normal(size=size), sigma, mode="nearest")
    second = first + 0.5 * ndimage.gaussian_filter(random.normal(size=size), sigma, mode="nearest")
    return first > 0.1, second > 0.1


def slow_surface(mask):
    """Voxels with a face neighbour outside of the mask; beyond the image all is outside."""
    axes = [axis for axis in range(mask.ndim) if mask.shape[axis] > 1]
    found = set()
    for voxel in map(tuple, np.argwhere(mask)):
        for axis, step in product(axes, (-1, 1)):
            near = tuple(p + step * (axis == a) for a, p in enumerate(voxel))
            inside = all(0 <= p < n for p, n in zip(near, mask.shape, strict=True))
            if not inside or not mask[near]:
                found.add(voxel)
    return found


def slow_score(prediction, reference, spacing, tolerance):
    first = np.array(sorted(slow_surface(prediction))) * spacing
    second = np.array(sorted(slow_surface(reference))) * spacing
    distances = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
    there, back = distances.min(1), distances.min(0)
    within = (there <= tolerance + 1e-9).sum() + (back <= tolerance + 1e-9).sum()
    return max(np.percentile(there, 95), np.percentile(back, 95)), within / (len(there) + len(back))


@pytest.mark.parametrize("size", [(17, 13), (17, 13, 1), (9, 11, 7), (1, 12, 9)])
def test_surface_is_what_erosion_removes(size):
    mask, _ = blobs(size, 3)
    assert 0 < mask.sum() < mask.size
    assert {tuple(voxel) for voxel in np.argwhere(surface(mask))} == slow_surface(mask)


def test_a_flat_image_has_an_outline_and_no_faces():
    mask = np.zeros((9, 9, 1), bool)
    mask[2:7, 2:7] = True
    assert surface(mask).sum() == 16


def test_a_lone_voxel_is_surface():
    assert surface(np.ones((1, 1, 1), bool)).all()


@pytest.mark.parametrize(
    ("size", "spacing"),
    [((17, 13), (0.7, 2.0)), ((17, 13, 1), (0.7, 2.0, 5.0)), ((9, 11, 7), (0.8, 0.8, 3.0))],
)
@pytest.mark.parametrize("tolerance", [0.0, 0.8, 2.5])
def test_score_equals_the_literal_definition(size, spacing, tolerance):
    prediction, reference = blobs(size, 5)
    score = surface_score(prediction, reference, spacing, tolerance)
    hd95, share = slow_score(prediction, reference, np.array(spacing), tolerance)

    assert score is not None
    assert score.hd95 == pytest.approx(hd95, abs=1e-9)
    assert score.surface_dice == pytest.approx(share, abs=1e-12)
    assert 0 < share < 1 or tolerance == 2.5


def test_score_is_symmetric_and_perfect_for_equal_masks():
    prediction, reference = blobs((9, 11, 7), 7)
    assert surface_score(prediction, reference, (1, 1, 2), 1) == surface_score(
        reference, prediction, (1, 1, 2), 1
    )
    assert surface_score(reference, reference, (1, 1, 2), 0) == (0.0, 1.0)


def test_empty_masks():
    empty, full = np.zeros((3, 4, 12), bool), np.ones((3, 4, 12), bool)

    assert surface_score(empty, empty, (1, 1, 1), 1) is None
    assert surface_score(empty, full, (1, 1, 1), 1) == (13.0, 0.0)
    assert surface_score(full, empty, (1, 1, 1), 1) == (13.0, 0.0)
    assert diagonal((3, 4, 1), (1, 1, 9)) == 5.0


def test_a_distance_of_one_tolerance_is_within_it_in_single_precision():
    prediction, reference = np.zeros((2, 9, 9), bool)
    prediction[2:6, 2:6] = True
    reference[3:7, 2:6] = True
    spacing = (float(np.float32(1.0000001)), 1.0)
    score = surface_score(prediction, reference, spacing, 1.0)
    assert spacing[0] > 1
    assert score is not None
    assert score.surface_dice == 1.0


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.2, 3.0)])
def test_agrees_with_monai(spacing):
    prediction, reference = blobs((12, 14, 9), 11)
    pair = [torch.from_numpy(mask[None, None]) for mask in (prediction, reference)]
    hd95 = compute_hausdorff_distance(
        *pair, include_background=True, percentile=95, spacing=spacing
    )
    share = compute_surface_dice(
        *pair, class_thresholds=[1.3], include_background=True, spacing=spacing
    )
    score = surface_score(prediction, reference, spacing, 1.3)

    assert score is not None
    assert score.hd95 == pytest.approx(float(hd95), rel=1e-5)
    assert score.surface_dice == pytest.approx(float(share), abs=1e-6)
