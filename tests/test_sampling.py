import pytest
import torch
from torch.nn import functional as F

from medseg import sampling
from medseg.sampling import labels_at, resize, resize_labels, resize_slabs, sample_points, upsample


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def keys(t):
    t = abs(t)
    if t < 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def tent(t):
    return max(0.0, 1 - abs(t))


def literal_axis(values, new_length, order, antialias):
    """One axis, one voxel at a time."""
    kernel = {1: tent, 3: keys}[order]
    step = len(values) / new_length
    width = max(1.0, step) if antialias else 1.0
    out = []
    for index in range(new_length):
        centre = (index + 0.5) * step - 0.5
        weights = [kernel((voxel - centre) / width) for voxel in range(len(values))]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("length", "new_length"), [(9, 4), (5, 13), (7, 1), (1, 5), (70, 150)])
def test_an_axis_equals_the_literal_reference(order, antialias, length, new_length):
    x = random(length)
    literal = literal_axis(x.tolist(), new_length, order, antialias)
    got = resize(x[None], (new_length,), (order,), antialias)[0]
    torch.testing.assert_close(got, torch.tensor(literal), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("order", "mode"), [(1, "bilinear"), (3, "bicubic")])
@pytest.mark.parametrize("size", [(5, 6), (40, 31), (9, 50)])
def test_planes_equal_torch_with_antialias(order, mode, size):
    x = random(2, 20, 17)
    theirs = F.interpolate(x[None], size=size, mode=mode, antialias=True, align_corners=False)[0]
    torch.testing.assert_close(resize(x, size, (order, order)), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(13, 6, 8), (3, 5, 4), (6, 5, 19)])
def test_volumes_equal_torch_without_antialias(size):
    x = random(2, 6, 5, 8)
    linear = F.interpolate(x[None], size=size, mode="trilinear", align_corners=False)[0]
    torch.testing.assert_close(resize(x, size, (1, 1, 1), antialias=False), linear)
    nearest = F.interpolate(x[None], size=size, mode="nearest-exact")[0]
    assert torch.equal(resize(x, size, (0, 0, 0)), nearest)


def test_axes_of_one_volume_have_their_own_orders():
    x = random(1, 6, 5, 8)
    mixed = resize(x, (9, 5, 16), (3, 1, 0))
    apart = resize(resize(x, (9, 5, 8), (3, 3, 3)), (9, 5, 16), (0, 0, 0))
    torch.testing.assert_close(mixed, apart)


def test_an_axis_that_keeps_its_length_is_exact():
    x = random(2, 6, 5, 8)
    assert resize(x, (6, 5, 8), (3, 3, 3)) is x
    shuffled = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        resize(x, (6, 9, 8), (3, 3, 3))[:, shuffled], resize(x[:, shuffled], (6, 9, 8), (3, 3, 3))
    )


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("size", [(3, 11, 5), (25, 2, 30)])
def test_a_constant_stays_constant(order, size):
    resized = resize(torch.full((1, 7, 8, 9), 3.5), size, (order,) * 3)
    torch.testing.assert_close(resized, torch.full((1, *size), 3.5))


def test_slabs_make_up_the_whole(monkeypatch):
    monkeypatch.setattr(sampling, "_SLAB_ELEMENTS", 300)
    x = random(3, 6, 5, 8)
    for size in [(11, 4, 8), (6, 9, 3), (4, 5, 8), (6, 5, 8)]:
        slabs = list(resize_slabs(x, size, (1, 1, 1), antialias=False))
        assert len(slabs) > 1
        assert [row for rows, _ in slabs for row in range(rows.start, rows.stop)] == [
            *range(size[0])
        ]
        whole = resize(x, size, (1, 1, 1), antialias=False)
        torch.testing.assert_close(torch.cat([part for _, part in slabs], dim=1), whole)


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match=r"order must be 0 .* got 2"):
        resize(torch.zeros(1, 4), (5,), (2,))


@pytest.mark.parametrize("slab", [1 << 22, 50])
@pytest.mark.parametrize("size", [(9, 8, 7), (4, 3, 5), (6, 11, 6)])
def test_labels_are_the_largest_share_of_the_one_hot(monkeypatch, slab, size):
    monkeypatch.setattr(sampling, "_SLAB_ELEMENTS", slab)
    label = torch.randint(0, 4, (2, 6, 5, 6), generator=torch.Generator().manual_seed(1))
    one_hot = F.one_hot(label, 4).movedim(-1, 1).double()
    shares = F.interpolate(one_hot, size=size, mode="trilinear", align_corners=False)
    best = shares.amax(dim=1, keepdim=True)
    expected = (shares > best - 1e-5).long().argmax(dim=1)  # the first of those that tie
    resized = resize_labels(label.to(torch.uint8), size, 4)
    assert resized.dtype == torch.uint8
    assert torch.equal(resized.long(), expected)


def test_ties_go_to_the_lower_class():
    assert resize_labels(torch.tensor([[3, 1]]), (3,), 4).tolist() == [[3, 1, 1]]
    assert resize_labels(torch.tensor([[0, 1]]), (1,), 2).tolist() == [[0]]


def test_labels_that_keep_their_size_are_exact():
    label = torch.randint(0, 9, (1, 6, 5, 6))
    assert torch.equal(resize_labels(label, (6, 5, 6), 9), label)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_linear_field_is_sampled_exactly(dim):
    size = (5, 6, 7)[:dim]
    slopes = torch.tensor([3.0, -2.0, 0.5])[:dim]
    centres = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in size], indexing="ij")
    field = torch.stack([(torch.stack(centres, -1) @ slopes), centres[0]])[None]
    inside = 0.1 + 0.8 * torch.rand(1, 50, dim, generator=torch.Generator().manual_seed(0))
    sampled = sample_points(field, inside)
    expected = torch.stack([inside @ slopes, inside[..., 0]], dim=1)
    torch.testing.assert_close(sampled, expected)


@pytest.mark.parametrize("dim", [2, 3])
def test_points_at_voxel_centres_give_the_voxels(dim):
    size = (5, 6, 7)[:dim]
    x = random(2, 3, *size)
    centres = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in size], indexing="ij")
    points = torch.stack(centres, -1).reshape(1, -1, dim).expand(2, -1, -1)
    torch.testing.assert_close(sample_points(x, points), x.flatten(2))


def test_points_beyond_the_centres_take_the_border():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    corners = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]])
    assert sample_points(x, corners).flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_points_keep_the_dtype_and_its_accuracy(dtype):
    x, points = (
        random(1, 2, 40, 50),
        torch.rand(1, 30, 2, generator=torch.Generator().manual_seed(2)),
    )
    sampled = sample_points(x.to(dtype), points)
    assert sampled.dtype == dtype
    tolerance = 2 * torch.finfo(dtype).eps * x.abs().max().item() + 1e-5
    torch.testing.assert_close(
        sampled.double(), sample_points(x, points).double(), atol=tolerance, rtol=0
    )


def test_point_sampling_has_the_right_gradient():
    x = random(1, 1, 3, 4, 3).double().requires_grad_()
    points = torch.rand(1, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.autograd.gradcheck(lambda maps: sample_points(maps, points), x)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_point_has_the_label_of_its_voxel(dim):
    size = (5, 6, 7)[:dim]
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 9, (2, 3, *size), generator=generator, dtype=torch.uint8)
    points = torch.rand(2, 40, dim, generator=generator)
    points[:, 0], points[:, 1] = 0, 1
    found = labels_at(labels, points)
    assert found.dtype == torch.uint8
    for item in range(2):
        for point in range(40):
            voxel = [min(int(p * n), n - 1) for p, n in zip(points[item, point], size, strict=True)]
            assert torch.equal(found[item, :, point], labels[(item, slice(None), *voxel)])


@pytest.mark.parametrize("factors", [(2, 4), (2, 1, 4), (1, 1, 1)])
def test_upsample_equals_resize_and_leaves_factor_one_alone(factors):
    x = random(2, 3, *(4, 5, 3)[: len(factors)])
    size = [n * factor for n, factor in zip(x.shape[2:], factors, strict=True)]
    expected = torch.stack([resize(item, size, (1,) * len(size)) for item in x])
    torch.testing.assert_close(upsample(x, factors), expected)
