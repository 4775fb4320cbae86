"""Cases that do not fit are left out by name; only when none remains is it over."""

from pathlib import Path

import pytest

from medseg.errors import MedsegError
from medseg.plan.checks import check_cases
from medseg.scans.case import Case, Problem
from tests.plan.facts import case, channel, many, photo


def left_out(*cases, classes=None, channels=None):
    kept, problems = check_cases(many(*cases), classes, channels)
    assert len(kept.cases) + len(problems) == len(cases)
    return {problem.name: problem for problem in problems}


def test_cases_that_fit_are_kept():
    assert not left_out(case("a"), case("b"), classes={"front": 1, "back": 2})


def test_the_majority_decides_on_channels_unless_the_user_does():
    two = (channel(), channel())
    cases = [case("a"), case("b"), case("c", channels=two)]
    assert left_out(*cases)["c"].what == "2 channels instead of 1 channel, as in 2 of 3 cases"
    assert {*left_out(*cases, channels=2)} == {"a", "b"}


def test_volumes_and_images_do_not_mix():
    photo_of_one_channel = photo("c", channels=(channel(),))
    assert {*left_out(case("a"), case("b"), photo_of_one_channel)} == {"c"}


def test_unlabelled_cases_and_other_numbers_of_masks_are_named():
    masks = ({0: 9, 1: 1},) * 2
    cases = [
        case("a", label_values=masks),
        case("b", label_values=masks),
        case("c", label_values=masks[:1]),
        case("d", label_values=()),
    ]
    problems = left_out(*cases)
    assert {*problems} == {"c", "d"}
    assert problems["d"].what == "no label"


def test_a_value_that_no_class_has_is_named():
    odd = case("b", label_values=({0: 5, 1: 3, 9: 2},))
    problems = left_out(case("a"), odd, classes={"front": 1, "back": 2})
    assert "9" in problems["b"].what
    assert {*problems} == {"b"}
    assert not left_out(case("a"), odd)


def test_mask_files_may_mark_with_any_value():
    masks = case("a", label_values=({0: 9, 255: 1}, {0: 9, 1: 1}))
    assert not left_out(masks, classes={"front": 1, "back": 2})


def test_no_case_left_is_one_line_with_the_first_cause():
    with pytest.raises(MedsegError, match=r"0 of 1 cases .*; a: label has the value 2") as caught:
        check_cases(many(case("a")), {"front": 1})
    assert "\n" not in str(caught.value)


def test_no_case_at_all():
    with pytest.raises(MedsegError, match="no case was found"):
        check_cases(many(), None)


def test_files_that_cannot_be_read_are_the_cause_when_nothing_else_is():
    damaged = [Problem(name, f"{name}.nii.gz: damaged", "copy it again") for name in "ab"]
    with pytest.raises(
        MedsegError, match=r"^0 of 2 cases .*; a: a\.nii\.gz: damaged; copy it again$"
    ):
        check_cases(many(), None, unreadable=damaged)
    with pytest.raises(MedsegError, match=r"^0 of 3 cases .*; c: label has the value 2"):
        check_cases(many(case("c")), {"front": 1}, unreadable=damaged)


def test_several_label_maps_of_a_case_are_no_masks_of_classes():
    """Another rater or another time: as masks, every value but 0 would be the same class."""
    maps = case("b", label_values=({0: 9, 255: 1}, {0: 9, 1: 1, 2: 3}))
    masks = case("a", label_values=({0: 9, 255: 1}, {0: 9, 3: 1}))
    paths = (Path("d/rater1.nii.gz"), Path("d/rater2.nii.gz"))
    files = [Case(name, (Path(f"{name}.nii.gz"),), paths) for name in "ab"]
    kept, (problem,) = check_cases(many(masks, maps), None, files=files)
    assert [one.name for one in kept.cases] == ["a"]
    assert problem.name == "b"
    assert problem.what.startswith("rater2.nii.gz holds the values 1, 2: is each of the 2 label")
    assert "mask of one class, or a label map of its own" in problem.what
    assert "--labels DIR" in problem.remedy
    with pytest.raises(MedsegError, match="label file 2 holds the values 1, 2"):
        check_cases(many(maps), None)


def test_what_teaches_nothing_is_left_out_and_scans_alone_keep_it_so():
    constant = case("b", channels=(channel(minimum=0.0, maximum=0.0),))
    assert {*left_out(case("a"), constant)} == {"b"}
    kept, problems = check_cases(many(case("a"), constant), None, labelled=False)
    assert [one.name for one in kept.cases] == ["a"]
    assert problems[0].name == "b"
