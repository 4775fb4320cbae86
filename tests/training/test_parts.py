"""Who trains and who validates: groups stay together, a given split is used, doubts are said."""

import json

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.hparams import HParams
from medseg.scans.case import Case
from medseg.training.parts import Parts, deal, read_told


def dealt(cases, usable=None, others=(), begun=None, **settings):
    hparams = HParams(**settings)
    told = read_told(cases, others, hparams, begun)
    kept = told.of_interest(cases)
    return deal([case for case in kept if usable is None or case.name in usable], told, hparams)


def named(*names):
    return [Case(name, ()) for name in names]


VISITS = named(*(f"patient{p}_visit{v}" for p in range(7) for v in (1, 2)))


@pytest.mark.parametrize("fold", range(5))
def test_no_patient_is_on_two_sides_and_the_table_says_so(fold):
    found = dealt(VISITS, fold=fold)
    sides = [{name.split("_")[0] for name in side} for side in vars_of(found.parts)]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {f"patient{p}" for p in range(7)}
    rows = dict(found.rows)
    assert rows["groups"].startswith("7 patients of 14 cases, from the names (patient0: 2, ")
    validate = len(found.parts.validation)
    assert rows["split"] == f"fold {fold} of 5: {14 - validate} train, {validate} validate"
    assert found.warnings == ()


def test_each_case_validates_once_over_all_folds():
    validated = [name for fold in range(5) for name in dealt(VISITS, fold=fold).parts.validation]
    assert sorted(validated) == [case.name for case in VISITS]


def test_cases_by_themselves_are_dealt_as_ever():
    cases = named(*(f"hippocampus_{i:03d}" for i in range(200)))
    found = dealt(cases)
    assert found.parts.validation == tuple(case.name for case in cases[::5])
    assert len(found.parts.training) == 160
    assert dict(found.rows)["groups"] == "each case by itself"


def test_uneven_groups_make_uneven_folds_and_that_is_said():
    cases = named(*(f"p1_frame{i}" for i in range(9)), "p2", "p3", "p4", "p5")
    rows = dict(dealt(cases).rows)
    assert rows["split"] == (
        "fold 0 of 5: 4 train, 9 validate; the folds have 9, 1, 1, 1, 1 cases, "
        "since groups stay together"
    )


def test_uncertain_groups_are_said():
    (line,) = dealt(named(*(f"{a}_{b}" for a in range(6) for b in range(3)))).warnings
    assert "may begin with a patient's number" in line


def test_a_left_out_case_shifts_nobody_over_to_the_other_side():
    names = [case.name for case in VISITS]
    for lost in names:
        found = dealt(VISITS, usable=set(names) - {lost})
        patients = [{name[:8] for name in side} for side in vars_of(found.parts)]
        assert not patients[0] & patients[1]


def test_the_folders_split_is_used():
    cases = [Case(f"t{i}", (), part="training") for i in range(5)]
    cases += [Case("v1", (), part="validation"), Case("x", ())]
    found = dealt(cases, fold=2)
    assert found.parts.validation == ("v1",)
    assert found.parts.training == ("t0", "t1", "t2", "t3", "t4", "x")
    assert dict(found.rows)["split"] == "the dataset's own split: 6 train, 1 validate"
    assert any("1 cases are on neither side" in line and ": x;" in line for line in found.warnings)
    assert any("fold = 2 has no effect" in line for line in found.warnings)


def test_folders_that_have_one_side_alone_are_dealt_by_folds():
    cases = [Case(f"t{i}", (), part="training") for i in range(5)]
    assert dealt(cases).parts.validation == ("t0",)


def test_the_users_split_goes_before_the_folders(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"training": ["a"], "validation": ["b"]}))
    sides = {"a": "validation", "b": "training", "c": "validation"}
    cases = [Case(name, (), part=side) for name, side in sides.items()]
    found = dealt(cases, split=path)
    assert found.parts == Parts(training=("a",), validation=("b",))
    assert dict(found.rows)["split"] == "split.json: 1 train, 1 validate"
    assert any("does not name 1 of 3 cases, which are left out: c" in w for w in found.warnings)


def test_a_patient_on_both_sides_of_a_given_split_is_named_by_its_cases(tmp_path):
    path = tmp_path / "split.json"
    names = [case.name for case in VISITS]
    path.write_text(json.dumps({"train": names[1:], "val": names[:1]}))
    (line,) = dealt(VISITS, split=path).warnings
    assert "1 of the patients are on both sides" in line
    assert "patient0_visit1 validates, patient0_visit2 trains" in line
    path.write_text(json.dumps({"train": names[2:], "val": names[:2]}))
    assert dealt(VISITS, split=path).warnings == ()


def test_a_split_whose_cases_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("a,train\nb,train\nc,val\n")
    with pytest.raises(MedsegError, match=r"split .*none of the 1 cases that it validates can be"):
        dealt(named("a", "b", "c"), usable={"a", "b"}, split=path)
    assert dealt(named("a", "b", "c"), usable={"a", "c"}, split=path).parts.training == ("a",)


def test_a_run_that_goes_on_keeps_its_parts_whatever_the_settings_say(tmp_path):
    begun = Parts(training=("b", "a"), validation=("c",))
    found = dealt(named("a", "b", "c", "new"), begun=begun, split=tmp_path / "gone.json")
    assert found.parts == begun


def test_a_single_case_trains_and_validates():
    assert dealt(named("only")).parts == Parts(training=("only",), validation=("only",))


def test_the_setting_goes_before_the_names():
    found = dealt(VISITS, groups=r"visit\d", folds=2)
    sides = [{name.split("_")[1] for name in side} for side in vars_of(found.parts)]
    assert sides == [{"visit2"}, {"visit1"}]
    assert "as set by you" in dict(found.rows)["groups"]


def test_random_groups_never_stand_on_two_sides():
    random = np.random.default_rng(1)
    for _ in range(50):
        groups = random.integers(0, random.integers(2, 9), 20)
        cases = [Case(f"c{i:02d}", (), group=f"g{group}") for i, group in enumerate(groups)]
        for fold in range(5):
            found = dealt(cases, fold=fold)
            of = {case.name: case.group for case in cases}
            sides = [{of[name] for name in side} for side in vars_of(found.parts)]
            assert not sides[0] & sides[1]


def vars_of(parts):
    return parts.training, parts.validation
