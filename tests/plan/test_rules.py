"""Laws of the plan: what the data says decides, axes are values, and limits are kept."""

from itertools import permutations, product
from math import prod
from typing import Any

import pytest

from medseg.errors import MedsegError, SettingsError
from medseg.hparams import HParams
from medseg.measure.facts import Fingerprint
from medseg.measure.places import Place
from medseg.plan.classes import Declared
from medseg.plan.patch import Candidate, Limits
from medseg.plan.plan import Plan
from medseg.plan.rules import make_plan
from tests.plan.facts import case, channel, many, photo


def bytes_per_voxel(candidate: Candidate) -> int:
    return 100 * candidate.batch_size * prod(candidate.patch_size)


def planned(fingerprint: Fingerprint, limits: Limits | None = None, **settings: Any) -> Plan:
    return make_plan(fingerprint, HParams(**settings), bytes_per_voxel, limits=limits)


def total_strides(plan: Plan) -> tuple[int, ...]:
    steps = [plan.stem_strides, *plan.stage_strides]
    return tuple(prod(axis) for axis in zip(*steps, strict=True))


SIZES = [
    ((0.5, 0.5, 5.0), (320, 300, 20)),
    ((1.0, 1.1, 1.3), (180, 220, 160)),
    ((0.7, 0.8, 2.0), (512, 500, 90)),
    ((1.0, 1.0, 1.0), (35, 50, 36)),
    ((1.0, 1.0, 1.0), (128, 128, 1)),
    ((1.0, 1.0, 1.0), (3, 90, 100)),
    ((1.0, 1.0, 1.0), (2, 3, 1)),
]


def test_hippocampus_is_covered_whole():
    plan = planned(many(case()))
    assert plan.patch_size == (40, 56, 40)
    assert plan.batch_size == 2
    assert plan.stem_strides == (2, 2, 2)
    assert total_strides(plan) == (8, 8, 8)
    assert plan.kernels == ((5, 5, 5),) * 3
    assert plan.flip_axes == ()
    assert plan.normalisation[0].kind == "image"


def test_a_plan_is_equal_to_itself_after_json(tmp_path):
    plan = planned(many(case(), case("b", (40, 41, 42))))
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


@pytest.mark.parametrize("encoder", ["convnext_mini", "convnext_tiny"])
@pytest.mark.parametrize(("spacing", "size"), SIZES)
def test_permuted_axes_permute_the_plan(spacing, size, encoder):
    straight = planned(many(case(size=size, spacing_mm=spacing)), encoder=encoder)
    for order in permutations(range(3)):

        def moved(values, order=order):
            return tuple(values[axis] for axis in order)

        turned = planned(many(case(size=moved(size), spacing_mm=moved(spacing))), encoder=encoder)
        assert turned.patch_size == moved(straight.patch_size)
        assert turned.spacing_mm == moved(straight.spacing_mm)
        assert turned.image_orders == moved(straight.image_orders)
        assert turned.stem_strides == moved(straight.stem_strides)
        assert turned.stage_strides == tuple(moved(stride) for stride in straight.stage_strides)
        assert turned.kernels == tuple(moved(kernel) for kernel in straight.kernels)
        assert turned.batch_size == straight.batch_size


@pytest.mark.parametrize(("spacing", "size"), SIZES)
def test_only_ratios_of_spacings_matter(spacing, size):
    small = planned(many(case(size=size, spacing_mm=spacing)))
    large = planned(many(case(size=size, spacing_mm=tuple(4 * s for s in spacing))))
    fields = ("patch_size", "stem_strides", "stage_strides", "kernels", "image_orders")
    assert [getattr(small, name) for name in fields] == [getattr(large, name) for name in fields]


@pytest.mark.parametrize("encoder", ["convnext_mini", "convnext_tiny"])
@pytest.mark.parametrize(("spacing", "size"), SIZES)
@pytest.mark.parametrize("dim", [2, 3])
def test_strides_divide_the_patch_and_leave_tokens(spacing, size, dim, encoder):
    plan = planned(many(case(size=size, spacing_mm=spacing)), dim=dim, encoder=encoder)
    assert len(plan.kernels) == len(plan.stage_strides) + 1
    for patch, total in zip(plan.patch_size, total_strides(plan), strict=True):
        assert patch % total == 0
        assert total == 1 or patch // total >= 4
    assert all(width % 2 == 1 for kernel in plan.kernels for width in kernel)
    assert prod(plan.patch_size) <= (2**17 if dim == 3 else 2**16)


def test_a_thick_axis_waits():
    plan = planned(many(case(size=(320, 320, 24), spacing_mm=(0.5, 0.5, 5.0))))
    assert plan.stem_strides == (2, 2, 1)
    assert plan.stage_strides[0] == (2, 2, 1)
    assert plan.kernels[0] == (5, 5, 1)
    assert plan.kernels[-1][2] >= 3
    assert plan.image_orders == (3, 3, 1)
    sides_mm = [n * s for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True)]
    assert max(sides_mm) < 1.3 * min(sides_mm)


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_few_slices_are_values_not_a_case(slices):
    plan = planned(many(case(size=(128, 128, slices))))
    assert plan.patch_size[2] == slices
    assert total_strides(plan) == (16, 16, 1)
    assert {kernel[2] for kernel in plan.kernels} == {min(5, 2 * slices - 1)}


def test_thin_slices_of_nominal_spacing_do_not_stop_the_others():
    plan = planned(many(case(size=(128, 128, 1), spacing_mm=(1.0, 1.0, 0.001))))
    assert total_strides(plan) == (16, 16, 1)


def test_paper_sizes_have_the_papers_stem_kernel_and_stages():
    plan = planned(many(photo()), dim=2, encoder="convnext_base")
    assert plan.stem_strides == (4, 4)
    assert plan.stage_strides == ((2, 2),) * 3
    assert plan.kernels == ((7, 7),) * 4


def test_less_memory_never_gives_more():
    fingerprint = many(case(size=(200, 240, 180), spacing_mm=(1.0, 0.9, 1.4)))
    voxels = None
    for megabytes in range(60, 0, -2):
        try:
            plan = planned(fingerprint, max_memory=megabytes * 10**6)
        except MedsegError:
            assert voxels is not None
            break
        now = plan.batch_size * prod(plan.patch_size)
        assert 100 * now <= megabytes * 10**6
        assert voxels is None or now <= voxels
        voxels = now
    else:
        pytest.fail("no limit was too small")


def test_the_patch_shrinks_before_the_batch():
    fingerprint = many(case(size=(200, 200, 200)))
    free = planned(fingerprint)
    small = planned(fingerprint, Limits(memory=15_000_000))
    assert prod(small.patch_size) < prod(free.patch_size)
    assert small.batch_size == free.batch_size
    tiny = planned(fingerprint, Limits(memory=3_500_000))
    assert tiny.patch_size == (32, 32, 32)
    assert tiny.batch_size == 1
    assert "memory" in tiny.reasons["batch_size"]


def test_too_little_memory_is_said_in_one_line():
    with pytest.raises(MedsegError, match=r"max_memory = .*; raise it") as caught:
        planned(many(case()), max_memory=1000)
    assert "\n" not in str(caught.value)


def test_a_larger_machine_gets_larger_patches():
    plan = planned(many(case(size=(400, 400, 400))), Limits(voxels=128**3))
    assert plan.patch_size == (128, 128, 128)
    assert plan.batch_size == 2


def test_what_the_user_sets_is_kept():
    plan = planned(
        many(case()),
        patch_size=(20, 24, 16),
        batch_size=3,
        spacing_mm=(2, 2, 2),
        steps=7,
        flips=("x", "z"),
        task="multilabel",
    )
    assert plan.patch_size == (20, 24, 16)
    assert (plan.batch_size, plan.steps, plan.flip_axes) == (3, 7, (0, 2))
    assert plan.spacing_mm == (2.0, 2.0, 2.0)
    for choice in ("patch_size", "batch_size", "spacing_mm", "steps", "flip_axes", "task"):
        assert "set by you" in plan.reasons[choice]


def test_a_set_patch_is_padded_to_the_strides():
    plan = planned(many(case()), patch_size=(33, 33, 33))
    assert plan.patch_size == (40, 40, 40)
    assert "33x33x33" in plan.reasons["patch_size"]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"time_budget": "15m"}, None),
        ({"epochs": 10}, 10 * 4),
        ({}, 150 * 8),
        ({"folds": 2}, 1000),
    ],
)
def test_steps(settings, steps):
    fingerprint = many(*(case(f"case {index}") for index in range(10)))
    assert planned(fingerprint, **settings).steps == steps


@pytest.mark.parametrize(
    ("spacing", "size", "axis"),
    [
        ((1.0, 1.0, 1.0), (30, 40, 50), 2),
        ((1.0, 3.0, 1.0), (30, 40, 50), 1),
        ((2.0, 2.0, 1.0), (30, 40, 50), 1),
        ((0.5, 3.0, 1.0), (1, 40, 50), 0),
    ],
)
def test_slices_are_cut_across_the_coarsest_axis(spacing, size, axis):
    plan = planned(many(case(size=size, spacing_mm=spacing)), dim=2, flips=("x", "y", "z"))
    assert plan.slice_axis == axis
    assert plan.volume_patch[axis] == 1
    assert plan.image_orders[axis] == 0
    assert plan.flip_axes == (0, 1)
    assert "xyz"[axis] + " is the slice axis" in plan.reasons["flip_axes"]


def test_flips_skip_the_slice_axis():
    plan = planned(many(case(spacing_mm=(1.0, 3.0, 1.0))), dim=2, flips=("z",))
    assert plan.flip_axes == (1,)


@pytest.mark.parametrize("settings", [{}, {"flips": ("x",)}, {"dim": 2}])
def test_left_and_right_become_each_other_as_their_names_and_places_say(settings):
    moments = ((16.0, 16.0, 16.0), (0.0, 0.0))
    sides = {1: Place((8, 25, 18), *moments), 2: Place((26, 25, 18), *moments)}
    classes = {"lung_left": 1, "lung_right": 2}
    cases = many(case("a", spacing_mm=(1.0, 1.0, 2.0), places=(sides,)))
    hparams = HParams(**settings)
    plan = make_plan(cases, hparams, bytes_per_voxel, Declared(classes))
    assert (plan.flip_axes, plan.exchanged) == ((0,), ((1, 2),))
    assert "lung_left and lung_right exchanged" in plan.reasons["flip_axes"]
    assert plan.reasons["exchanged"] != ""
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_photographs():
    plan = planned(many(photo()), dim=2)
    assert (plan.modality, plan.channels, plan.world) == ("rgb", 3, False)
    assert plan.patch_size == (256, 256)
    assert plan.batch_size == 2
    assert plan.flip_axes == (0, 1)
    assert plan.spacing_mm == (1.0, 1.0, 1.0)


def test_photographs_need_two_dimensions():
    with pytest.raises(SettingsError, match="--dim 2"):
        planned(many(photo()))


def test_ct_is_clipped_and_scaled_over_the_dataset():
    low = channel(minimum=-1024.0, maximum=2000.0, foreground=tuple(range(-100, 900)))
    high = channel(minimum=-1000.0, maximum=1500.0, foreground=tuple(range(900, 1900)))
    plan = planned(many(case(channels=(low,)), case("b", channels=(high,))))
    rule = plan.normalisation[0]
    assert (plan.modality, rule.kind) == ("ct", "dataset")
    assert rule.low == pytest.approx(-90, abs=1)
    assert rule.high == pytest.approx(1889, abs=1)
    assert rule.mean == pytest.approx(899.5, abs=1)


@pytest.mark.parametrize(
    "changes", [{"minimum": -5.0}, {"minimum": -1024.0, "whole_numbers": False}]
)
def test_other_ranges_are_not_ct(changes):
    assert planned(many(case(channels=(channel(**changes),)))).modality == "other"


def test_much_background_normalises_the_body_channel_by_channel():
    masked, full = channel(background_share=0.7), channel(background_share=0.2)
    plan = planned(many(case(channels=(masked, full))))
    assert [rule.kind for rule in plan.normalisation] == ["body", "image"]


def test_thick_slices_take_the_thinner_tenth():
    cases = [
        case(str(index), (200, 200, 20), spacing_mm=(1.0, 1.0, 4.0 + index)) for index in range(11)
    ]
    plan = planned(many(*cases))
    assert plan.spacing_mm == (1.0, 1.0, 5.0)
    mild = [case(str(z), (200, 200, 90), spacing_mm=(1.0, 1.0, z)) for z in (1.5, 2.0, 2.5)]
    assert planned(many(*mild)).spacing_mm == (1.0, 1.0, 2.0)


@pytest.mark.parametrize("dim", [2, 3])
def test_every_choice_has_a_reason(dim):
    plan = planned(many(case()), dim=dim)
    explained = {*plan.reasons}
    decided = {
        "slice_axis", "task", "classes", "modality", "normalisation", "spacing_mm", "image_orders",
        "patch_size", "batch_size", "stage_strides", "kernels", "flip_axes", "steps",
    }  # fmt: skip
    assert decided <= explained
    assert all(plan.reasons.values())


def test_larger_cases_never_get_smaller_patches_until_the_cap():
    volumes = [prod(planned(many(case(size=(n, n, n)))).patch_size) for n in range(8, 49, 4)]
    assert volumes == sorted(volumes)
    assert all(n**3 <= volume for n, volume in zip(range(8, 49, 4), volumes, strict=True))


def test_all_sizes_of_small_volumes_can_be_planned():
    for size in product((1, 2, 7, 8, 31), repeat=3):
        plan = planned(many(case(size=size)))
        assert all(p >= n for p, n in zip(plan.patch_size, size, strict=True))
