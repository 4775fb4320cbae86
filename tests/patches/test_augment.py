from typing import get_args

import numpy as np
import pytest
import torch
from plans import plan_for_tests
from torch.nn import functional as F

from medseg.hparams import HParams
from medseg.patches import intensity, spatial
from medseg.patches.augment import STRENGTHS, Augment
from medseg.patches.sampler import PatchBatch
from medseg.types import IGNORED

SIZES = {2: (20, 24), 3: (10, 12, 9)}
dims = pytest.mark.parametrize("dim", [2, 3])


def augment_of(dim, strength="default", flip_axes=(), **more):
    return Augment(strength, SIZES[dim], flip_axes, (1.0,) * dim, **more)


def batch_of(size, items=4, channels=2, layers=1):
    random = torch.Generator().manual_seed(0)
    image = torch.randn((items, channels, *size), generator=random)
    label = torch.randint(0, 4, (items, layers, *size), generator=random, dtype=torch.uint8)
    return PatchBatch(image, label)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a[:2], b[:2], strict=True))


def neutral(augment, shape):
    """Parameters that change nothing."""
    nothing = Augment("none", augment.patch_size, (), augment.spacing_mm)
    return nothing.sample(shape, 0, 0)


def turned(augment, shape, degrees, scale=1.0):
    """Parameters that turn every item in its first plane, and scale it."""
    free = spatial.free_axes(augment.patch_size, augment.spacing_mm)
    angles = np.zeros((shape[0], len(free) * (len(free) - 1) // 2), dtype=np.float32)
    angles[:, 0] = np.radians(degrees)
    extent = [n * s for n, s in zip(augment.patch_size, augment.spacing_mm, strict=True)]
    scales = np.full(shape[0], scale, dtype=np.float32)
    matrices = spatial.affine_matrices(angles, scales, free, extent)
    return neutral(augment, shape)._replace(matrices=matrices)


def test_the_settings_name_the_strengths_there_are():
    assert set(get_args(HParams.model_fields["augmentation"].annotation)) == set(STRENGTHS)


def test_light_is_half_of_default_without_elastic_and_low_resolution():
    light, default = STRENGTHS["light"], STRENGTHS["default"]
    for name, chance in default._asdict().items():
        left_out = name in ("elastic", "low_resolution")
        assert getattr(light, name) == (0 if left_out else chance / 2)


@dims
def test_a_step_is_pure(dim):
    augment, batch = augment_of(dim, flip_axes=(0, 1)), batch_of(SIZES[dim])
    kept = PatchBatch(*(tensor.clone() for tensor in batch[:2]))
    forwards = [augment(batch, step) for step in range(12)]
    backwards = [augment_of(dim, flip_axes=(0, 1))(batch, s) for s in reversed(range(12))][::-1]
    assert all(map(same, forwards, backwards))
    assert same(batch, kept)
    assert len({float(result.image.sum()) for result in forwards}) == 12


def test_the_seed_decides():
    batch = batch_of(SIZES[2], items=8)
    assert not same(augment_of(2)(batch, 0), augment_of(2, seed=1)(batch, 0))


def test_global_random_numbers_stand_still():
    state = torch.random.get_rng_state()
    for step in range(10):
        augment_of(3)(batch_of(SIZES[3]), step)
    assert torch.equal(torch.random.get_rng_state(), state)


@dims
def test_strength_none_is_the_identity(dim):
    augment = augment_of(dim, "none", flip_axes=(0, 1))
    batch = batch_of(SIZES[dim])
    assert same(augment(batch, 3), batch)


@dims
def test_items_that_are_not_drawn_stay_bit_by_bit(dim):
    augment, batch = augment_of(dim, "light", flip_axes=(0,)), batch_of(SIZES[dim], items=6)
    nothing = neutral(augment, batch.image.shape)
    fields = [name for name in nothing._fields if name != "noise_seed"]
    kept = changed = 0
    for step in range(15):
        parameters = augment.sample(batch.image.shape, 0, step)
        result = augment.apply(batch, parameters)
        for item in range(6):
            drawn = any(
                (getattr(parameters, f)[item] != getattr(nothing, f)[item]).any() for f in fields
            )
            equal = torch.equal(result.image[item], batch.image[item])
            assert equal or drawn
            kept, changed = kept + (not drawn), changed + (drawn and not equal)
    assert kept > 20
    assert changed > 20


@dims
def test_probabilities_are_those_stated(dim):
    augment = augment_of(dim, flip_axes=(1,))
    items, chances = 4000, STRENGTHS["default"]
    drawn = augment.sample((items, 1), 0, 0)
    eye = np.eye(dim, dtype=np.float32)
    moved = 1 - (1 - chances.rotation) * (1 - chances.scale)
    seen = {
        "moved": ((drawn.matrices != eye).any(axis=(1, 2)).mean(), moved),
        "elastic": (drawn.displacements.reshape(items, -1).any(axis=1).mean(), chances.elastic),
        "flip": (drawn.flips[:, 1].mean(), chances.flip),
        "noise": ((drawn.noise_stds != 0).mean(), chances.noise),
        "blur": ((drawn.blur_sigmas != 0).mean(), chances.blur),
        "brightness": ((drawn.brightness != 1).mean(), chances.brightness),
        "contrast": ((drawn.contrasts != 1).mean(), chances.contrast),
        "zoom": ((drawn.zooms != 1).mean(), chances.low_resolution),
        "inverted": ((drawn.inverted_gammas != 1).mean(), chances.inverted_gamma),
        "gamma": ((drawn.gammas != 1).mean(), chances.gamma),
    }
    assert all(abs(share - chance) < 0.03 for share, chance in seen.values()), seen


@dims
def test_only_allowed_axes_are_flipped(dim):
    augment = augment_of(dim, flip_axes=(1,))
    batch = batch_of(SIZES[dim])
    flips = augment.sample((500, 1), 0, 0).flips
    assert flips[:, 1].any()
    assert not np.delete(flips, 1, axis=1).any()
    parameters = neutral(augment, batch.image.shape)
    parameters.flips[:2, 1] = True
    result = augment.apply(batch, parameters)
    for before, after in zip(batch[:2], result[:2], strict=True):
        assert torch.equal(after[:2], before[:2].flip(3))
        assert torch.equal(after[2:], before[2:])


@dims
def test_the_grid_is_torchs(dim):
    """Oracle: `affine_grid` and `grid_sample`, whose matrices count axes backwards."""
    size = SIZES[dim]
    batch, rng = batch_of(size, layers=3), np.random.default_rng(0)
    matrices = (np.eye(dim) + 0.2 * rng.normal(size=(4, dim, dim))).astype(np.float32)
    still = np.zeros((4, dim, *(2,) * dim), dtype=np.float32)
    backwards = torch.from_numpy(matrices[:, ::-1, ::-1].copy())
    grid = F.affine_grid(
        torch.cat([backwards, torch.zeros(4, dim, 1)], 2), [4, 1, *size], align_corners=False
    )
    image, label = spatial.warp(*batch[:2], matrices, still, size)
    torch.testing.assert_close(
        image, F.grid_sample(batch.image, grid, align_corners=False), atol=1e-4, rtol=0
    )
    nearest = F.grid_sample(batch.label + 1.0, grid, mode="nearest", align_corners=False)
    expected = torch.where(nearest == 0, IGNORED, nearest - 1)
    assert (expected == IGNORED).any()
    assert (label == expected).float().mean() > 0.999


@dims
def test_displacements_shift_in_voxels(dim):
    """A displacement that is the same everywhere is a shift of the image and of every layer."""
    size = SIZES[dim]
    batch = batch_of(size, layers=3)
    shifts = np.zeros((4, dim, *(3,) * dim), dtype=np.float32)
    shifts[:, 1] = 2 * 3 / size[1]
    still = np.tile(np.eye(dim, dtype=np.float32), (4, 1, 1))
    image, label = spatial.warp(*batch[:2], still, shifts, size)
    torch.testing.assert_close(image[:, :, :, :-3], batch.image[:, :, :, 3:], atol=1e-4, rtol=0)
    assert torch.equal(label[:, :, :, :-3], batch.label[:, :, :, 3:])


@dims
def test_image_and_label_stay_aligned(dim):
    """A ramp, labelled by its sign: both move alike, up to half a voxel per axis."""
    size = SIZES[dim]
    grids = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    image = torch.stack(grids).sum(dim=0).expand(8, 1, *size)
    batch = PatchBatch(image, (1 + (image > 0)).to(torch.uint8))
    augment = augment_of(dim, flip_axes=(0, 1))
    moved = 0
    for step in range(10):
        parameters = augment.sample(image.shape, 0, step)
        spatial_only = neutral(augment, image.shape)._replace(
            matrices=parameters.matrices,
            displacements=parameters.displacements,
            flips=parameters.flips,
        )
        new_image, new_label, _ = augment.apply(batch, spatial_only)
        clear = (new_image.abs() > 0.5 * dim) & (new_label != IGNORED)
        assert clear.float().mean() > 0.4
        assert torch.equal(new_label[clear], (1 + (new_image > 0)).to(torch.uint8)[clear])
        moved += int((new_label != batch.label).flatten(1).any(dim=1).sum())
    assert moved > 30


def test_rotations_are_rigid_in_mm():
    """A quarter turn maps a box of a x b voxels onto one of the same mm."""
    augment = Augment("default", (24, 24), (), (1.0, 2.0))
    image = torch.zeros(1, 1, 24, 24)
    image[..., 4:20, 10:14] = 1  # 16 mm x 8 mm
    batch = PatchBatch(image, image.to(torch.uint8))
    label = augment.apply(batch, turned(augment, (1, 1), 90)).label[0, 0]
    there = label == 1
    assert there.any(dim=1).sum() == 8
    assert there.any(dim=0).sum() == 8
    assert there.sum() == 64


def test_matrices_are_proper_rotations_in_mm():
    extent = np.array([24.0, 48.0, 30.0])
    angles = np.array([[0.3, -0.2, 0.5], [0, 0, 0]], dtype=np.float32)
    turn, still = spatial.affine_matrices(
        angles, np.ones(2, np.float32), (0, 1, 2), extent.tolist()
    )
    in_mm = turn * extent[:, None] / extent
    np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(in_mm) > 0
    np.testing.assert_array_equal(still, np.eye(3))


def test_scales_are_fields_of_view():
    augment = augment_of(2)
    image = torch.zeros(1, 1, *SIZES[2])
    image[..., 6:14, 8:16] = 1
    batch = PatchBatch(image, image.to(torch.uint8))
    label = augment.apply(batch, turned(augment, (1, 1), 0, scale=2.0)).label[0, 0]
    assert (label == 1).sum() == 16


@pytest.mark.parametrize(
    ("patch_size", "spacing_mm", "free"),
    [
        ((32, 32, 32), (1, 1, 1), (0, 1, 2)),
        ((32, 32, 32), (1, 1, 3), (0, 1, 2)),
        ((32, 32, 32), (1, 1, 3.1), (0, 1)),
        ((64, 64, 16), (1, 1, 1), (0, 1)),
        ((16, 64, 64), (1, 5, 5), ()),
    ],
)
def test_coarse_and_thin_axes_are_left_alone(patch_size, spacing_mm, free):
    augment = Augment("default", patch_size, (), spacing_mm)
    assert spatial.free_axes(patch_size, spacing_mm) == free
    drawn = augment.sample((200, 1), 0, 0)
    for axis in set(range(3)) - set(free):
        unit = np.eye(3, dtype=np.float32)[axis]
        assert (drawn.matrices[:, axis] == unit).all()
        assert (drawn.matrices[:, :, axis] == unit).all()
        assert not drawn.displacements[:, axis].any()
    image = batch_of(patch_size, items=1, channels=1).image
    for change in (
        lambda x: intensity.blur_(x, np.ones(1, np.float32), free),
        lambda x: intensity.lower_resolution_(x, np.full(1, 0.5, np.float32), free),
    ):
        constant = image.mean(dim=tuple(2 + a for a in free), keepdim=True).expand_as(image).clone()
        before = constant.clone()
        change(constant)
        torch.testing.assert_close(constant, before, atol=1e-5, rtol=0)


def test_2d_is_3d_with_a_thin_axis():
    flat = Augment("default", (24, 20), (0, 1), (1.0, 1.5))
    thin = Augment("default", (24, 20, 1), (0, 1), (1.0, 1.5, 1.0))
    batch = batch_of((24, 20), items=8)
    for step in range(10):
        wide = thin(PatchBatch(*(tensor[..., None] for tensor in batch[:2])), step)
        image, label, _ = flat(batch, step)
        torch.testing.assert_close(wide.image[..., 0], image, atol=1e-4, rtol=0)
        assert (wide.label[..., 0] == label).float().mean() > 0.999


@dims
def test_a_margin_is_cut_off_and_brings_in_context(dim):
    size = SIZES[dim]
    box = tuple(length + 8 for length in size)
    wide = batch_of(box)
    patch = PatchBatch(*(tensor[(..., *(slice(4, -4),) * dim)] for tensor in wide[:2]))
    augment = augment_of(dim)
    assert same(augment.apply(wide, neutral(augment, wide.image.shape)), patch)
    wide.image[:, 1] = 1
    parameters = turned(augment, wide.image.shape, 20)
    parameters.displacements[...] = 0.1
    alone, context = augment.apply(patch, parameters).image, augment.apply(wide, parameters).image
    inside = alone[:, 1] > 1 - 1e-5
    assert not inside.all()
    assert (context[:, 1] > 1 - 1e-5).sum() > inside.sum()
    torch.testing.assert_close(context[:, 0][inside], alone[:, 0][inside], atol=1e-4, rtol=0)


@dims
def test_noise_has_the_deviation_asked_for(dim):
    image = torch.zeros(3, 1, *(64, 64, 16)[:dim])
    intensity.add_noise_(image, np.array([0, 0.1, 0.3], dtype=np.float32), seed=1)
    stds = image.flatten(1).std(dim=1)
    torch.testing.assert_close(stds, torch.tensor([0, 0.1, 0.3]), atol=0.01, rtol=0)


@dims
def test_blur_is_a_gaussian(dim):
    image = torch.zeros(1, 1, *(15,) * dim)
    image[(0, 0, *(7,) * dim)] = 1
    intensity.blur_(image, np.array([0.8], dtype=np.float32), range(dim))
    line = torch.exp(-0.5 * (torch.arange(-7, 8) / 0.8) ** 2)
    expected = line / line.sum()
    for _ in range(dim - 1):
        expected = expected[..., None] * (line / line.sum())
    torch.testing.assert_close(image[0, 0], expected, atol=2e-3, rtol=0)
    constant = torch.full((1, 1, *(6,) * dim), 2.0)
    intensity.blur_(constant, np.array([1.0], dtype=np.float32), range(dim))
    torch.testing.assert_close(constant, torch.full_like(constant, 2.0))


@dims
def test_brightness_and_contrast_are_per_channel(dim):
    image = batch_of(SIZES[dim]).image
    before = image.clone()
    factors = np.ones((4, 2), dtype=np.float32)
    factors[1] = (0.8, 1.2)
    intensity.scale_brightness_(image, factors)
    torch.testing.assert_close(image[1, 0], before[1, 0] * 0.8)
    torch.testing.assert_close(image[1, 1], before[1, 1] * 1.2)
    assert torch.equal(image[[0, 2, 3]], before[[0, 2, 3]])
    image = before.clone()
    intensity.scale_contrast_(image, factors)
    narrow, wide = image[1]
    torch.testing.assert_close(narrow.std(), before[1, 0].std() * 0.8)
    torch.testing.assert_close(narrow.mean(), before[1, 0].mean())
    assert wide.std() > before[1, 1].std()
    assert (wide.min(), wide.max()) == (before[1, 1].min(), before[1, 1].max())


@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_keeps_moments_and_order_and_bends_the_right_end(inverted):
    image = torch.rand(1, 1, 30, 30, generator=torch.Generator().manual_seed(0)) * 4 - 3
    before = image.clone()
    intensity.change_gamma_(image, np.full((1, 1), 1.5, np.float32), inverted)
    torch.testing.assert_close(image.mean(), before.mean())
    torch.testing.assert_close(image.std(), before.std())
    assert torch.equal(image.flatten().argsort(), before.flatten().argsort())
    middle = (image.min() + image.max()) / 2
    assert (image.median() > middle) == inverted  # a power above 1 draws towards the start


def test_gamma_leaves_a_constant_image_alone():
    image = torch.full((1, 1, 8, 8), 3.0)
    intensity.change_gamma_(image, np.full((1, 1), 0.8, np.float32), inverted=False)
    assert torch.equal(image, torch.full_like(image, 3.0))


@dims
def test_low_resolution_keeps_the_shape_and_loses_detail(dim):
    image = batch_of((16,) * dim).image
    before = image.clone()
    intensity.lower_resolution_(image, np.array([1, 1, 0.5, 0.5], np.float32), range(dim))
    assert torch.equal(image[:2], before[:2])
    assert image.shape == before.shape
    assert (image[2:].diff(dim=2).std() / before[2:].diff(dim=2).std()) < 0.7
    ramp = torch.arange(16.0).expand(1, 1, *(16,) * dim).clone()
    intensity.lower_resolution_(ramp, np.array([0.5], np.float32), range(dim))
    assert (ramp - torch.arange(16.0)).abs().max() <= 1  # stays in place


def test_half_precision_training_does_not_touch_the_positions():
    batch, augment = batch_of(SIZES[2]), augment_of(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = [augment(batch, step) for step in range(5)]
    assert all(map(same, inside, [augment(batch, step) for step in range(5)]))


@pytest.mark.parametrize(
    ("overrides", "degrees"),
    [
        ({"dim": 3, "flip_axes": (0, 1, 2)}, 30),
        ({"dim": 2, "flip_axes": (0, 1)}, 30),
        ({"dim": 2, "flip_axes": (0, 1), "world": False}, 180),
        ({"dim": 2, "flip_axes": (0,), "world": False}, 30),
    ],
)
def test_only_images_without_an_upright_turn_all_the_way(overrides, degrees):
    plan = plan_for_tests(spacing_mm=(1.0, 2.0, 3.0), **overrides)
    augment = Augment.for_plan(plan, "default", seed=3)
    assert augment.rotation_degrees == degrees
    assert augment.spacing_mm == (1.0, 2.0, 3.0)[: plan.dim]
    assert augment.seed == 3
