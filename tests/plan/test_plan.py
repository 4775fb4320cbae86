"""A plan comes with a model file, from whomever: what no rule makes is refused."""

import math

import pytest
from plans import plan_for_tests
from pydantic import ValidationError

from medseg.plan.plan import Normalisation, Plan


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spacing_mm", (1.0, math.nan, 1.0)),
        ("spacing_mm", (1.0, math.inf, 1.0)),
        ("spacing_mm", (0.0, 1.0, 1.0)),
        ("spacing_mm", (1.0, 1.0, -1.0)),
        ("image_orders", (3, 2, 3)),
        ("image_orders", (3, 3, -1)),
        ("flip_axes", (3,)),
        ("flip_axes", (-1,)),
        ("flip_axes", (1, 1)),
        ("exchanged", ((1, 2),)),
        ("label_values", (0, 1, 2**31)),
        ("class_names", ()),
    ],
)
def test_values_that_nothing_has_are_refused_by_name(field, value):
    values = {"label_values": ()} if field == "class_names" else {}
    with pytest.raises(ValidationError, match=f"{field} must"):
        plan_for_tests(**values, **{field: value})


@pytest.mark.parametrize("field", ["low", "high", "mean", "std"])
def test_normalisation_is_finite(field):
    with pytest.raises(ValidationError, match="finite"):
        Normalisation(kind="dataset", **{field: math.inf})


@pytest.mark.parametrize("name", ["background", "Background", "BACKGROUND"])
def test_the_background_does_not_count_however_it_is_written(name):
    plan = plan_for_tests(class_names=(name, "organ", "lesion"))
    assert plan.has_background
    assert plan.scored_classes == {"organ": 1, "lesion": 2}


def test_what_the_user_calls_otherwise_counts():
    plan = plan_for_tests(class_names=("membrane", "organ", "lesion"))
    assert plan.scored_classes == {"membrane": 0, "organ": 1, "lesion": 2}


def test_a_second_background_is_a_class():
    plan = plan_for_tests(class_names=("background", "organ", "Background"))
    assert plan.scored_classes == {"organ": 1, "Background": 2}


@pytest.mark.parametrize(
    ("slice_axis", "axes"), [(None, (0, 1, 2)), (0, (1, 2)), (1, (0, 2)), (2, (0, 1))]
)
def test_a_network_sees_all_axes_but_the_slice_axis(slice_axis, axes):
    dim = 3 if slice_axis is None else 2
    plan = plan_for_tests(dim=dim, slice_axis=slice_axis, patch_size=(16, 32, 64)[:dim])
    assert plan.network_axes == axes
    assert tuple(plan.volume_patch[axis] for axis in axes) == plan.patch_size
    assert slice_axis is None or plan.volume_patch[slice_axis] == 1


@pytest.mark.parametrize("pairs", [((1, 1),), ((1, 3),), ((-1, 1),), ((1, 2), (2, 0))])
def test_exchanged_classes_are_pairs_of_those_there_are(pairs):
    assert plan_for_tests(flip_axes=(0,), exchanged=((1, 2),)).mirrored_classes == (0, 2, 1)
    with pytest.raises(ValidationError, match="exchanged must be pairs"):
        plan_for_tests(flip_axes=(0,), exchanged=pairs)


def test_classes_are_exchanged_along_a_left_right_axis_alone():
    for changes in ({}, {"flip_axes": (1,)}, {"flip_axes": (0,), "dim": 2, "slice_axis": 0}):
        with pytest.raises(ValidationError, match="exchanged must go with"):
            plan_for_tests(**{"exchanged": ((1, 2),), **changes})
    assert plan_for_tests().mirrored_classes == (0, 1, 2)


def test_a_plan_of_before_exchanges_nothing():
    kept = plan_for_tests(flip_axes=(0,)).model_dump()
    del kept["exchanged"]
    assert Plan.model_validate(kept).exchanged == ()
