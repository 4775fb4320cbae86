"""Absent channels enter no rule; without the setting nothing changes."""

from math import prod

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.hparams import HParams
from medseg.plan.doubts import doubts, misfits
from medseg.plan.intensity_rules import choose_modality, choose_normalisation
from medseg.plan.missing_channels import DROPOUT, absent_lines, constant_as_absent
from medseg.plan.overview import plan_table
from medseg.plan.plan import Plan
from medseg.plan.rules import make_plan
from tests.plan.facts import case, channel, many
from tests.plans import plan_for_tests

T1 = channel(minimum=5.0, maximum=900.0, background_share=0.7)
FLAIR = channel(minimum=-20.0, maximum=300.0, background_share=0.2, whole_numbers=False)
EMPTY = channel(minimum=0.0, maximum=0.0, mean=0.0, background_share=1.0, whole_numbers=True)

NAMES = ("t1", "flair")


def complete(*names):
    return [case(name, channels=(T1, FLAIR)) for name in names]


def without(name, *absent):
    channels = tuple(EMPTY if at in absent else each for at, each in enumerate((T1, FLAIR)))
    return case(name, channels=channels, absent=absent)


def planned(cases, **settings):
    return make_plan(many(*cases), HParams(**settings), lambda made: 100 * prod(made.patch_size))


def test_intensities_of_absent_channels_count_nowhere():
    whole = complete("a", "b")
    partly = [*whole, *(without(name, 1) for name in "cdefg")]
    assert choose_normalisation(partly, "other") == choose_normalisation(whole, "other")
    for cases in ([without("c", 1)], partly):
        minimum = np.median([min(f.minimum for f in c.present.values()) for c in cases])
        assert f"values from {minimum:g} to" in choose_modality(cases)[1]
    assert choose_modality([without("c", 1)])[1].startswith("values from 5 to 900")


def test_a_channel_of_one_value_counts_as_absent():
    flat = case("b", channels=(T1, channel(minimum=7.0, maximum=7.0)))
    found = many(*complete("a"), flat, without("c", 0))
    counted = constant_as_absent(found, NAMES)
    assert [each.absent for each in counted.cases] == [(), (1,), (0,)]
    lines = [*absent_lines(found, counted, NAMES)]
    assert lines == [
        "t1: absent in 1 of 3 cases (c)",
        "flair: has one value only in 1 of 3 cases (b): counts as absent",
    ]
    assert any("one value only" in line for line in doubts(found.cases))
    assert not any("one value only" in line for line in doubts(counted.cases))


def test_a_case_of_nothing_is_no_case_that_lacks_channels():
    flat = channel(minimum=7.0, maximum=7.0)
    nothing = case("b", channels=(EMPTY, flat), absent=(0,))
    assert "every voxel is 7" in misfits([*complete("a"), nothing])["b"].what
    assert constant_as_absent(many(nothing, *complete("a")), NAMES).cases[0].absent == (0,)


def test_a_channel_that_no_case_has_is_refused():
    with pytest.raises(MedsegError, match="flair: is absent in all 2 cases"):
        constant_as_absent(many(without("a", 1), without("b", 1)), NAMES)


def test_a_plan_without_the_setting_is_as_before():
    plan = planned(complete(*"abcdef"))
    assert plan.channel_dropout == 0
    assert "channel_dropout" not in plan.reasons


def test_the_plan_says_how_channels_are_dropped_and_why():
    plan = planned([*complete(*"abcde"), without("f", 0)], missing_channels="absent")
    assert plan.channel_dropout == DROPOUT
    (row,) = [row for row in plan_table(plan).rows if row[0] == "channel_dropout"]
    assert row[1] == "0.2"
    assert "lack" in row[2]
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_only_channel_is_never_dropped():
    plan = planned([case(name) for name in "abcdef"], missing_channels="absent")
    assert plan.channel_dropout == 0
    assert "always there" in plan.reasons["channel_dropout"]


def test_a_plan_from_before_bears_no_absent_channel():
    plan = plan_for_tests(channels=2)
    old = plan.model_dump_json(exclude={"channel_dropout"})
    assert Plan.model_validate_json(old) == plan
    assert plan.channel_dropout == 0


@pytest.mark.parametrize(("chance", "channels"), [(1.0, 2), (-0.1, 2), (0.2, 1)])
def test_a_plan_of_impossible_dropout_is_refused(chance, channels):
    with pytest.raises(ValueError, match="channel_dropout"):
        plan_for_tests(channels=channels, channel_dropout=chance)


def test_pretraining_wants_every_channel():
    with pytest.raises(MedsegError, match="missing_channels"):
        HParams.build({"missing_channels": "absent", "pretrain": "masked"})
