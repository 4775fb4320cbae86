from pathlib import Path

import pytest

from medseg.errors import MedsegError
from medseg.evaluation.pairing import pair


def folder(root, name, *files):
    for file in files:
        path = root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root / name


def pairs_of(root, predictions, references):
    found, problems = pair(
        folder(root, "prediction", *predictions), folder(root, "reference", *references)
    )
    return {one.reference.name: one.prediction.name for one in found}, problems


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("scan.nii.gz", "scan.nii.gz"),
        ("scan_seg.nii.gz", "scan.nii.gz"),
        ("Scan.NII.GZ", "scan.mha"),
        ("scan_seg.png", "label_scan.png"),
        ("scan_0000_seg.nii.gz", "scan.nii.gz"),
        ("scan_seg/liver.nii.gz", "scan/liver.nii.gz"),
    ],
)
def test_names_that_belong_together(tmp_path, prediction, reference):
    found, problems = pairs_of(tmp_path, [prediction], [reference])
    assert len(found) == 1
    assert problems == []


def test_names_that_differ_by_a_number_stay_apart(tmp_path):
    names = ["case_0000", "case_0001", "case_0010"]
    found, problems = pairs_of(
        tmp_path, [f"{name}_seg.nii.gz" for name in names], [f"{name}.nii.gz" for name in names]
    )
    assert found == {name: f"{name}_seg" for name in names}
    assert problems == []


def test_equal_names_win_over_like_names(tmp_path):
    found, problems = pairs_of(tmp_path, ["a.png", "a_seg.png"], ["a.png", "a_seg.png"])
    assert found == {"a": "a", "a_seg": "a_seg"}
    assert problems == []


def test_missing_and_ambiguous_predictions_are_named(tmp_path):
    found, problems = pairs_of(
        tmp_path, ["a.png", "b_seg.png", "b_mask.png"], ["a.png", "b.png", "c10.png", "c2.png"]
    )
    assert found == {"a": "a"}
    assert [problem.name for problem in problems] == ["b", "c2", "c10"]
    assert "b_mask, b_seg" in problems[0].what
    assert "no prediction" in problems[1].what


def test_labels_are_told_from_images_in_a_cases_folder(tmp_path):
    ours = folder(tmp_path, "prediction", "p1_seg.nii.gz")
    theirs = folder(tmp_path, "reference", "p1/t1.nii.gz", "p1/label.nii.gz", "p1/notes.txt")
    ((prediction, reference),), _ = pair(ours, theirs)
    assert prediction.name == "p1_seg"
    assert [file.name for file in reference.files] == ["label.nii.gz"]


def test_two_files_need_no_like_names(tmp_path):
    root = folder(tmp_path, "x", "a.png", "b.png")
    ((prediction, reference),), problems = pair(root / "a.png", root / "b.png")
    assert (prediction.name, reference.name, problems) == ("a", "b", [])


@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [
        ("nowhere", "one", "does not exist"),
        ("one", "one/a.png", "two files or two folders"),
        ("one", "empty", "no label maps"),
        ("one", "other", "like names"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path, prediction, reference, message):
    folder(tmp_path, "one", "a.png")
    folder(tmp_path, "other", "b.png")
    folder(tmp_path, "empty", "notes.txt")
    with pytest.raises(MedsegError, match=message) as error:
        pair(tmp_path / prediction, tmp_path / reference)
    assert "\n" not in str(error.value)


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    folder(tmp_path, "one", "a.png")

    def refuses(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuses)
    with pytest.raises(MedsegError, match=r"one: cannot be looked at \(Permission denied\); check"):
        pair(tmp_path / "one", tmp_path / "one")
