import pickle

import pytest

from medseg.errors import MachineError, MedsegError, ScanError, SettingsError, TrainingError
from medseg.scans.case import Problem


@pytest.mark.parametrize(
    "kind", [MedsegError, SettingsError, ScanError, TrainingError, MachineError]
)
def test_an_error_keeps_what_it_says_apart(kind):
    error = kind("a.nii.gz", "holds 2 channels; the plan: 1", "give one: the first")
    assert (error.subject, error.what) == ("a.nii.gz", "holds 2 channels; the plan: 1")
    assert error.remedy == "give one: the first"
    assert str(error) == "a.nii.gz: holds 2 channels; the plan: 1; give one: the first"
    assert error.each == (error,)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))


def test_several_errors_are_one_with_the_others_beside_it():
    wrong = [SettingsError(name, "is wrong", "mend it") for name in "abc"]
    error = SettingsError.all_of(wrong)
    assert [one.subject for one in error.each] == ["a", "b", "c"]
    assert str(error).splitlines() == [f"{name}: is wrong; mend it" for name in "abc"]
    assert str(SettingsError.all_of(wrong[2:])) == "c: is wrong; mend it"


def test_a_problem_says_what_an_error_does():
    problem = Problem.from_error("case1", ScanError("a.nii.gz", "is empty", "copy it again"))
    assert problem == ("case1", "a.nii.gz: is empty", "copy it again")
    assert str(problem) == "case1: a.nii.gz: is empty; copy it again"
