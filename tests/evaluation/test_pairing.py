from pathlib import Path

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation.pairing import pair
from medseg.geometry import Geometry
from medseg.scans.marks import mark
from medseg.scans.write import write_label_map


def folder(root, name, *files):
    for file in files:
        path = root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root / name


def pairs_of(root, predictions, references):
    found, problems, _, *_ = pair(
        folder(root, "prediction", *predictions), folder(root, "reference", *references)
    )
    return {one.reference.name: one.prediction.name for one in found}, problems


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("scan.nii.gz", "scan.nii.gz"),
        ("scan_seg.nii.gz", "scan.nii.gz"),
        ("case_1.nii.gz", "case_001.nii.gz"),
        ("p1/scan.nii.gz", "p1_scan.nii.gz"),
        ("p1_scan.nii.gz", "labels/p1/scan_seg.nii.gz"),
        ("Mu\u0308ller.nii.gz", "M\u00fcller.nii.gz"),
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


def voxels(path, kind, seed=0):
    """A label map of one ball-like box, or a scan of it."""
    mask = np.zeros((9, 8, 7), np.int32)
    mask[2:6, 2:6, 1:5] = 1
    noise = np.random.default_rng(seed).normal(0, 10, mask.shape)
    array = mask if kind == "label" else np.rint(60 * mask + noise).astype(np.int32)
    return write_label_map(array, Geometry(mask.shape), path)


def test_a_scan_is_never_the_prediction_nor_the_label(tmp_path):
    for side in ("p", "r"):
        voxels(tmp_path / side / "a.nii.gz", "scan")
        voxels(tmp_path / side / "a_seg.nii.gz", "label")
    found, problems, _, *_ = pair(tmp_path / "p", tmp_path / "r")
    assert problems == []
    ((prediction, reference),) = found
    assert [path.name for path in prediction.files] == ["a_seg.nii.gz"]
    assert [path.name for path in reference.files] == ["a_seg.nii.gz"]


def test_a_copy_of_the_label_beside_a_prediction_is_told_by_the_mark(tmp_path):
    voxels(tmp_path / "r" / "a_seg.nii.gz", "label")
    voxels(tmp_path / "p" / "a_seg.nii.gz", "label")
    mask = voxels(tmp_path / "p" / "a.nii.gz", "label")
    found, problems, _, *_ = pair(tmp_path / "p", tmp_path / "r")
    assert found == []
    assert "a.nii.gz, a_seg.nii.gz" in problems[0].what
    mark(mask)
    ((prediction, _),), problems, *_ = pair(tmp_path / "p", tmp_path / "r")
    assert (prediction.files, problems) == ((mask,), [])


def test_extra_outputs_are_no_predictions(tmp_path):
    names = ["a.nii.gz", *(f"a_{what}.nii.gz" for what in ("probabilities", "uncertainty"))]
    found, problems = pairs_of(tmp_path, names, ["a.nii.gz"])
    assert (found, problems) == ({"a": "a"}, [])


@pytest.mark.parametrize(
    ("predictions", "references"),
    [
        ("p{}/scan.nii.gz", "p{}/scan_seg.nii.gz"),
        ("p{}/scan.nii.gz", "labels/p{}/scan.nii.gz"),
        ("p{}/scan_seg.nii.gz", "p{}/masks/scan.nii.gz"),
        ("sub-{}_T1w.nii.gz", "derivatives/labels/sub-{}/anat/sub-{}_T1w_seg.nii.gz"),
        ("sub-{}/anat/sub-{}_T1w.nii.gz", "derivatives/labels/sub-{}/anat/sub-{}_T1w_seg.nii.gz"),
        ("a{}_0000.nii.gz", "deep/down/here/a{}.nii.gz"),
    ],
)
def test_trees_pair_by_path(tmp_path, predictions, references):
    ours, theirs = (
        [name.replace("{}", str(n)) for n in (1, 2, 3)] for name in (predictions, references)
    )
    found, problems, _, *_ = pair(
        folder(tmp_path, "prediction", *ours), folder(tmp_path, "reference", *theirs)
    )
    assert problems == []
    assert [(p.files[0].relative_to(tmp_path / "prediction").as_posix(),
             r.files[0].relative_to(tmp_path / "reference").as_posix())
            for p, r in found] == list(zip(ours, theirs, strict=True))  # fmt: skip


def test_one_patients_mask_is_never_anothers(tmp_path):
    with pytest.raises(MedsegError, match="like names"):
        pairs_of(tmp_path, ["p1/scan.nii.gz"], ["p2/scan.nii.gz"])
    found, problems = pairs_of(
        tmp_path / "more",
        ["p1/scan.nii.gz", "p3/scan.nii.gz"],
        ["p1/scan.nii.gz", "p2/scan.nii.gz"],
    )
    assert found == {"p1/scan": "p1/scan"}
    assert [problem.name for problem in problems] == ["p2/scan"]


def test_a_tree_of_label_maps_is_not_a_folder_of_masks(tmp_path):
    for side in ("p", "r"):
        for name in ("p1/anna1", "p1/anna2", "p2/ben1", "p2/ben2"):
            voxels(tmp_path / side / f"{name}.nii.gz", "label")
    found, problems, _, *_ = pair(tmp_path / "p", tmp_path / "r")
    assert problems == []
    assert [one.reference.name for one in found] == ["anna1", "anna2", "ben1", "ben2"]


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
    ((prediction, reference),), *_ = pair(ours, theirs)
    assert prediction.name == "p1_seg"
    assert [file.name for file in reference.files] == ["label.nii.gz"]


def test_two_files_need_no_like_names(tmp_path):
    root = folder(tmp_path, "x", "a.png", "b.png")
    ((prediction, reference),), problems, *_ = pair(root / "a.png", root / "b.png")
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
