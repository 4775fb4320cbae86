import pytest

from medseg.errors import MedsegError
from medseg.scans.discover import ChannelRule, discover
from tests.scans.folders import fill

SUBJECTS = [f"sub-{n:02d}" for n in (1, 2, 3, 4)]


def raw(*what: str, sessions: tuple[str, ...] = ("",)) -> list[str]:
    return [
        f"{s}/{e and e + '/'}anat/{s}_{e and e + '_'}{w}.nii.gz"
        for s in SUBJECTS
        for e in sessions
        for w in what
    ]


def derived(*what: str, sessions: tuple[str, ...] = ("",), pipeline: str = "manual") -> list[str]:
    return [f"derivatives/{pipeline}/{name}" for name in raw(*what, sessions=sessions)]


def first(root, **settings) -> tuple[int, list[str], list[str]]:
    dataset = discover(root, **settings)
    assert dataset.problems == ()
    case = dataset.cases[0]
    assert {c.group for c in dataset.cases} == set(SUBJECTS)
    return len(dataset.cases), [p.name for p in case.images], [p.name for p in case.labels if p]


@pytest.mark.parametrize(
    ("label", "pipeline"),
    [
        ("T1w_label-lesion_seg", "labels"),
        ("T1w_seg-manual", "labels"),
        ("dseg", "manual"),
        ("T1w", "labels"),
        ("desc-lesion_mask", "x"),
    ],
)
def test_one_contrast(tmp_path, label, pipeline):
    fill(tmp_path, *raw("T1w"), *derived(label, pipeline=pipeline), "dataset_description.json")
    assert first(tmp_path) == (4, ["sub-01_T1w.nii.gz"], [f"sub-01_{label}.nii.gz"])


def test_the_contrast_that_the_labels_name_is_taken(tmp_path):
    fill(tmp_path, *raw("T1w", "T2w"), *derived("T2w_dseg"))
    assert first(tmp_path) == (4, ["sub-01_T2w.nii.gz"], ["sub-01_T2w_dseg.nii.gz"])
    assert "t1w" in "".join(discover(tmp_path).notes)


def test_labels_that_name_none_are_of_all_contrasts(tmp_path):
    fill(tmp_path, *raw("T1w", "FLAIR"), *derived("dseg"))
    dataset = discover(tmp_path)
    assert dataset.channel_rule == ChannelRule(kind="suffix", keys=("_flair", "_t1w"))
    assert [len(case.images) for case in dataset.cases] == [2] * 4
    assert "--pattern '*flair*|*'" in "".join(dataset.notes)
    chosen = first(tmp_path, pattern="*flair*|*")
    assert chosen == (4, ["sub-01_FLAIR.nii.gz"], ["sub-01_dseg.nii.gz"])


def test_sessions_and_runs_are_cases_of_one_subject(tmp_path):
    days = ("ses-01", "ses-02")
    what = ("run-1_T1w", "run-2_T1w")
    labels = derived("run-1_dseg", "run-2_dseg", sessions=days)
    fill(tmp_path, *raw(*what, sessions=days), *labels)
    assert first(tmp_path)[0] == 16


def test_each_contrast_with_a_label_of_its_own_is_a_case(tmp_path):
    fill(tmp_path, *raw("T1w", "T2w"), *derived("T1w_dseg", "T2w_dseg"))
    assert first(tmp_path)[0] == 8


def test_labels_that_name_what_they_show_are_classes(tmp_path):
    fill(tmp_path, *raw("T1w"), *derived("label-GM_mask", "label-WM_mask"))
    assert discover(tmp_path).class_values == {"gm": 1, "wm": 2}


def test_scans_that_were_derived_are_no_labels(tmp_path):
    fill(tmp_path, *raw("T1w"), *derived("desc-preproc_T1w", "dseg", pipeline="fmriprep"))
    assert first(tmp_path) == (4, ["sub-01_T1w.nii.gz"], ["sub-01_dseg.nii.gz"])


@pytest.mark.parametrize(
    "pattern", ["*T1w*", "sub-*/anat/*_T1w.nii.gz", "**/*T1w*.nii.gz", "*T1w*|*"]
)
def test_named_folders_and_a_pattern_choose_a_contrast(tmp_path, pattern):
    fill(tmp_path, *raw("T1w", "T2w"), *derived("T1w_seg-manual"))
    labels = tmp_path / "derivatives" / "manual"
    found = first(tmp_path, images=tmp_path, labels=labels, pattern=pattern)
    assert found == (4, ["sub-01_T1w.nii.gz"], ["sub-01_T1w_seg-manual.nii.gz"])


@pytest.mark.parametrize("pattern", ["*T2w*|*", "*T2W*|*seg*", "sub-*/anat/*T2w*|*"])
def test_a_contrast_that_is_asked_for_goes_before_what_labels_name(tmp_path, pattern):
    fill(tmp_path, *raw("T1w", "T2w"), *derived("T1w_seg-manual"))
    found = first(tmp_path, pattern=pattern)
    assert found == (4, ["sub-01_T2w.nii.gz"], ["sub-01_T1w_seg-manual.nii.gz"])


@pytest.mark.parametrize(
    ("pattern", "match"),
    [("/a/*", "relative"), ("../*", "relative"), ("a|b|c", "more than one"), ("a|", "empty")],
)
def test_a_pattern_that_is_none_is_refused(tmp_path, pattern, match):
    fill(tmp_path, *raw("T1w"), *derived("dseg"))
    with pytest.raises(MedsegError, match=match):
        discover(tmp_path, pattern=pattern)
