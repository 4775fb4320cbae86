"""A channel that is not there is 0 once prepared, whatever normalises it; the cache knows it."""

import nibabel as nib
import numpy as np
import pytest
from plans import plan_for_tests
from subjects import ellipsoids, oblique, subject_for_tests

from medseg.errors import ScanError
from medseg.measure.digest import FileDigests
from medseg.measure.survey import measure_cases
from medseg.plan.plan import Normalisation
from medseg.prepare.cache import prepare_cases
from medseg.prepare.pipeline import absent_channels, prepare
from medseg.scans.case import Case, Channel, Subject
from medseg.scans.read import read_subject

GRID = oblique((12, 11, 10))
RULES = (
    Normalisation(kind="image"),
    Normalisation(kind="body"),
    Normalisation(kind="dataset", low=-100, high=300, mean=50, std=20),
)


@pytest.fixture
def case(tmp_path):
    """Two files, of which the second alone is given: the first channel is absent."""
    label = ellipsoids(GRID.size, GRID.spacing_mm)
    files = []
    for name in ("t1", "flair"):
        rng = np.random.default_rng([*name.encode()])
        image = (100 + 10 * rng.normal(size=GRID.size) + 50 * label).astype(np.float32)
        files.append(tmp_path / f"p_{name}.nii.gz")
        nib.save(nib.Nifti1Image(image, GRID.affine), files[-1])
    nib.save(nib.Nifti1Image(label.astype(np.uint8), GRID.affine), tmp_path / "seg.nii.gz")
    return Case("p", tuple(files), (tmp_path / "seg.nii.gz",))


def partly(case, place):
    left = tuple(path for at, path in enumerate(case.images) if at != place)
    return Case("p", left, case.labels, absent=(Channel(place, f"_{place}"),))


def plan(**fields):
    return plan_for_tests(channels=2, channel_dropout=0.2, **fields)


@pytest.mark.parametrize("place", [0, 1])
def test_an_absent_channel_has_its_place(case, place):
    whole, found = read_subject(case), read_subject(partly(case, place))
    assert found.absent == (place,)
    assert found.image.shape == whole.image.shape
    assert (found.image[place] == 0).all()
    np.testing.assert_array_equal(found.image[1 - place], whole.image[1 - place])
    np.testing.assert_array_equal(found.seen, whole.image[[1 - place]])
    assert found.geometry == whole.geometry


def test_a_file_of_several_channels_tells_no_places(tmp_path):
    path = tmp_path / "p_x.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5, 3), np.float32), np.eye(4)), path)
    with pytest.raises(ScanError, match="several channels"):
        read_subject(Case("p", (path,), absent=(Channel(1, "_y"),)), with_label=False)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_it_becomes_zero_and_leaves_the_others_alone(case, rule):
    both = plan(normalisation=(rule, rule), spacing_mm=(1.3, 1.0, 0.8))
    whole, found = (prepare(read_subject(c), both) for c in (case, partly(case, 0)))
    assert (found.image[0] == 0).all()
    np.testing.assert_array_equal(found.image[1], whole.image[1])
    np.testing.assert_array_equal(found.label, whole.label)


def test_a_constant_channel_is_absent_where_the_plan_bears_it():
    label = ellipsoids(GRID.size, GRID.spacing_mm)[None]
    subject = subject_for_tests(label, GRID, channels=2)
    subject.image[1] = 42
    assert absent_channels(subject, plan_for_tests(channels=2)) == ()
    assert absent_channels(subject, plan()) == (1,)
    rules = (RULES[2], RULES[2])
    assert (prepare(subject, plan(normalisation=rules)).image[1] == 0).all()
    subject.image[0] = 3
    assert absent_channels(subject, plan()) == ()  # of nothing, nothing is absent


def test_a_plan_that_did_not_learn_it_refuses(case):
    subject = read_subject(partly(case, 1))
    with pytest.raises(ScanError, match="not trained for scans that lack one") as error:
        prepare(subject, plan_for_tests(channels=2))
    assert "--missing-channels absent" in error.value.remedy


def test_the_cache_knows_what_is_absent(case, tmp_path):
    whole, lacking = case, partly(case, 0)
    for _ in range(2):  # made, then found
        (stored,), _ = prepare_cases([lacking], plan(), tmp_path / "cache")
        assert stored.absent == (0,)
        assert (np.asarray(stored.prepared.image[0]) == 0).all()
    (stored,), _ = prepare_cases([whole], plan(), tmp_path / "cache")
    assert stored.absent == ()


def test_the_same_file_in_another_place_is_another_case(case, tmp_path):
    file = case.images[0]
    digests = FileDigests(tmp_path / "files.jsonl")
    places = [
        Case("p", (file,), case.labels, absent=absent)
        for absent in ((), (Channel(0, "_a"),), (Channel(1, "_b"),))
    ]
    assert len({digests.of_case(each) for each in places}) == 3


def test_facts_say_what_is_absent_and_measure_the_rest_as_ever(case, tmp_path):
    (whole,), _ = measured(case, tmp_path)
    (lacking,), _ = measured(partly(case, 0), tmp_path)
    assert (whole.absent, lacking.absent) == ((), (0,))
    assert lacking.present == {1: whole.channels[1]}
    assert lacking.size == whole.size


def measured(case, tmp_path):
    found, problems = measure_cases([case], tmp_path / "kept")
    return found.cases, problems


def test_a_subject_of_before_has_all():
    assert Subject("a", np.zeros((1, 2, 2, 2), np.float32), None, GRID).absent == ()
