from math import prod

import pytest
import torch
from networks.fill import changed, difference, fill

from medseg.networks.point_rend import (
    Features,
    PointRendHead,
    num_points,
    training_points,
    uncertainty,
    voxel_centres,
)
from medseg.sampling import labels_at, sample_points, upsample

STRIDES = [(4, 4), (2, 1), (3, 3), (6, 2), (2, 2, 2), (1, 2, 2), (1, 4, 4), (3, 1, 2)]


def features(size, strides, seed=0, classes=3, batch=2):
    """A detail map at full resolution, a decoder's map and coarse logits at the stem's stride."""
    random = torch.Generator().manual_seed(seed)
    whole = [length * stride for length, stride in zip(size, strides, strict=True)]
    detail = torch.randn(batch, 4, *whole, generator=random)
    decoded = torch.randn(batch, 5, *size, generator=random)
    return Features((detail, decoded), torch.randn(batch, classes, *size, generator=random))


def head_for(strides, classes=3, multilabel=False):
    return fill(PointRendHead((4, 5), classes, strides, multilabel=multilabel)).eval()


def every_voxel(size, batch=2):
    return torch.arange(prod(size)).expand(batch, -1)


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_with_every_point_selected_it_is_the_dense_evaluation(strides, multilabel, monkeypatch):
    monkeypatch.setattr("medseg.networks.point_rend._INFERENCE_FACTOR", 1000)
    given = features((3, 2, 4)[: len(strides)], strides)
    head = head_for(strides, multilabel=multilabel)
    with torch.no_grad():
        found = head(given)
        size = given.fine[0].shape[2:]
        assert found.shape == (2, 3, *size)
        dense = head.mlp(given, voxel_centres(every_voxel(size), size)).unflatten(2, size)
        assert difference(found, dense) < 1e-6
        with changed(head, "mlp.hidden.1.weight"):
            assert difference(head(given), dense) > 1e-3


def test_at_a_stride_of_one_the_least_certain_voxels_are_predicted_once():
    given = features((48, 40), (1, 1))
    with torch.no_grad():
        refined = head_for((1, 1))(given)
    changed = (refined != given.coarse).any(1).sum(dim=(1, 2))
    assert 0 < changed.max() <= 4 * num_points((48, 40))


def test_only_the_least_certain_voxels_are_predicted_again(dim):
    strides = (2,) * dim
    given = features({2: (48, 40), 3: (24, 20, 12)}[dim], strides)
    size = given.fine[0].shape[2:]
    count = 4 * num_points(size)
    assert count < prod(size) / 2
    with torch.no_grad():
        coarse = upsample(given.coarse, strides).flatten(2)
        refined = head_for(strides)(given).flatten(2)
    again = (refined != coarse).any(1)
    assert again.sum(1).tolist() == [count, count]
    doubt = uncertainty(coarse, multilabel=False)
    for item in range(2):
        assert doubt[item, again[item]].min() >= doubt[item, ~again[item]].max()


def test_each_doubling_refines_what_the_one_before_found():
    """The first of two steps changes logits that the second step then interpolates."""
    strides = (4, 4)
    given = features((16, 16), strides)
    head = head_for(strides)
    with torch.no_grad():
        first = head._refine(given, upsample(given.coarse, (2, 2)))
        expected = head._refine(given, upsample(first, (2, 2)))
        assert torch.equal(head(given), expected)


def test_points_follow_the_surface():
    assert num_points((80, 80)) == 2 * num_points((40, 40))
    assert num_points((80, 80, 80)) == 4 * num_points((40, 40, 40))
    assert num_points((64, 16)) == num_points((32, 32))
    assert num_points((1, 1)) >= 1
    assert num_points((512, 512)) >= (512 // 16) ** 2  # the paper's count for such a crop


@pytest.mark.parametrize("multilabel", [False, True])
def test_three_quarters_of_the_points_are_the_least_certain(dim, multilabel):
    """With logits that grow away from the plane x = 0.5, they are those next to it."""
    torch.manual_seed(0)
    along = (torch.arange(64) + 0.5) / 64 - 0.5
    field = along.view(1, 1, 64, *[1] * (dim - 1)).expand(2, 1, 64, *[2] * (dim - 1))
    coarse = field if multilabel else torch.cat([field, -field, field - 9], 1)
    coarse = coarse.clone().requires_grad_()
    points = training_points(coarse, 1000, multilabel=multilabel)
    assert points.shape == (2, 1000, dim)
    assert not points.requires_grad
    assert points.min() >= 0
    assert points.max() <= 1
    distance = (points[..., 0] - 0.5).abs()
    # Of 3000 uniform points the 750 nearest lie within 1/8; of 250 more, a quarter does as well.
    near = (distance < 0.14).float().mean(1)
    assert ((near > 0.75) & (near < 0.85)).all()
    # Along the other axes and beyond the plane, they are anywhere.
    assert (points[..., -1].mean(1) - 0.5).abs().max() < 0.05
    assert distance.amax(1).min() > 0.45


def test_uncertainty_is_the_distance_to_the_runner_up():
    logits = torch.tensor([[[5.0, 1.0], [4.0, -2.0], [-9.0, 0.9]]])
    assert uncertainty(logits, multilabel=False).tolist() == [[-1.0, pytest.approx(-0.1)]]
    assert uncertainty(logits, multilabel=True).tolist() == [[-4.0, pytest.approx(-0.9)]]


@pytest.mark.parametrize("size", [(4, 7), (3, 5, 2)], ids=str)
def test_voxel_centres_are_where_the_voxels_are(size):
    points = voxel_centres(every_voxel(size), size)
    image = torch.randn(2, 3, *size)
    torch.testing.assert_close(sample_points(image, points), image.flatten(2))
    labels = torch.arange(prod(size)).reshape(1, 1, *size).expand(2, 1, *size)
    assert torch.equal(labels_at(labels, points), every_voxel(size)[:, None])


def test_a_linear_field_is_seen_where_it_is():
    """The whole way of a position: chosen voxel, centre, sample; of maps of any resolution."""
    size = (12, 8)
    points = voxel_centres(every_voxel(size, batch=1), size)
    inside = ((points > 0.25) & (points < 0.75)).all(-1)[0]
    for resolution in (size, (6, 4), (3, 8)):
        axes = [(torch.arange(n) + 0.5) / n for n in resolution]
        field = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
        found = sample_points(field, points)[0].T
        torch.testing.assert_close(found[inside], points[0, inside])


def test_training_reads_the_same_points_that_it_hands_on(dim):
    given = features((4, 6, 2)[:dim], (2,) * dim)
    given.coarse.requires_grad_()
    head = head_for((2,) * dim)
    output = head.training_output(given)
    assert output.logits.shape == (2, 3, *given.fine[0].shape[2:])
    assert output.points.shape == (2, num_points(output.logits.shape[2:]), dim)
    torch.testing.assert_close(output.point_logits, head.mlp(given, output.points))
    output.point_logits.sum().backward()
    assert given.coarse.grad.abs().sum() > 0


def test_the_network_of_the_points_starts_near_the_coarse_logits():
    """It predicts a correction: with its last layer at zero it says what the coarse logits say."""
    given = features((4, 4), (2, 2))
    head = head_for((2, 2))
    torch.nn.init.zeros_(head.mlp.last.weight)
    torch.nn.init.zeros_(head.mlp.last.bias)
    points = torch.rand(2, 9, 2)
    torch.testing.assert_close(head.mlp(given, points), sample_points(given.coarse, points))
