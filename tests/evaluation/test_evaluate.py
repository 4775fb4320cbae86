from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import MachineError, MedsegError, ScanError
from medseg.evaluation.evaluate import evaluate_folders, score_case
from medseg.geometry import Geometry
from medseg.progress import Silent
from medseg.scans.write import write_label_map

SIZE = (10, 9, 8)
GRID = Geometry(SIZE, (1.0, 1.5, 2.0), origin=(3.0, -4.0, 5.0))


class Warnings(Silent):
    def __init__(self):
        self.said = []

    def warn(self, message):
        self.said.append(message)


def label(shift, values=(1, 2)):
    array = np.zeros(SIZE, np.int32)
    array[2 + shift : 6 + shift, 2:7, 1:4] = values[0]
    array[2 + shift : 6 + shift, 2:7, 4:7] = values[1]
    return array


def write(path, array, geometry=GRID):
    return write_label_map(array, geometry, path, None)


def test_folders_give_the_scores_of_their_cases(tmp_path):
    for number in range(3):
        write(tmp_path / "reference" / f"case{number}.nii.gz", label(0))
        write(tmp_path / "prediction" / f"case{number}_seg.nii.gz", label(number))
    summary, problems = evaluate_folders(tmp_path / "prediction", tmp_path / "reference")

    assert problems == ()
    assert [row.value for row in summary.classes] == [1, 2]
    names = {"class 1": 1, "class 2": 2}
    expected = [
        one for n in range(3) for one in score_case(f"case{n}", label(n), label(0), GRID, names)
    ]
    assert [one.dice for one in summary.scores] == [one.dice for one in expected]
    for one, other in zip(summary.scores, expected, strict=True):
        assert one.hd95_mm == pytest.approx(other.hd95_mm, abs=1e-5)


def test_classes_can_be_named_and_value_zero_asked_for(tmp_path):
    reference = write(tmp_path / "reference.png", label(0, (0, 255))[..., 4:5], FLAT)
    prediction = write(tmp_path / "prediction.png", label(1, (0, 255))[..., 4:5], FLAT)
    summary, _ = evaluate_folders(
        prediction, reference, classes={"membrane": 0, "interior": 255}, tolerance_mm=0
    )
    assert [(row.name, row.value) for row in summary.classes] == [
        ("membrane", 0),
        ("interior", 255),
    ]
    assert summary.unit == "px"
    assert summary.tolerance_mm == 0
    assert 0 < summary.classes[0].dice.mean < 1


FLAT = Geometry((*SIZE[:2], 1), world=False)


def test_one_mask_per_class(tmp_path):
    for name, value in (("liver", 1), ("Spleen_mask", 2)):
        write(tmp_path / "r" / "a" / f"{name}.nii.gz", (label(0) == value).astype(np.uint8) * 255)
    for name, value in (("liver", 1), ("spleen", 2), ("more", 1)):
        write(tmp_path / "p" / "a_seg" / f"{name}.nii.gz", (label(1) == value).astype(np.uint8))
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "r")
    assert problems == ()
    assert {row.name for row in summary.classes} == {"liver", "spleen"}
    assert {row.dice.mean for row in summary.classes} == {0.75}

    with pytest.raises(
        MedsegError, match=r"^a: reference: has no mask of more, but of liver, spleen"
    ):
        evaluate_folders(tmp_path / "p", tmp_path / "r", classes={"more": 1})


def test_what_cannot_be_scored_is_named_and_the_rest_is_done(tmp_path):
    for name in ("good", "lost", "moved", "broken"):
        write(tmp_path / "r" / f"{name}.nii.gz", label(0))
    write(tmp_path / "p" / "good.nii.gz", label(0))
    write(tmp_path / "p" / "moved.nii.gz", label(0), replace(GRID, origin=(300.0, 0.0, 0.0)))
    (tmp_path / "p" / "broken.nii.gz").write_text("no scan")
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "r")

    assert {one.case for one in summary.scores} == {"good"}
    assert {problem.name for problem in problems} == {"lost", "moved", "broken"}
    assert all(problem.what and problem.remedy for problem in problems)


def test_predicted_values_that_no_reference_has_are_said(tmp_path):
    reference = write(tmp_path / "r.nii.gz", label(0, (1, 255)))
    prediction = write(tmp_path / "p.nii.gz", label(0, (1, 2)))
    progress = Warnings()
    evaluate_folders(prediction, reference, progress=progress)
    assert len(progress.said) == 1
    assert "hold 2," in progress.said[0]


def scan_of(array, seed=0):
    """What a scanner makes of a label: whole numbers, below 0 too."""
    noise = np.random.default_rng(seed).normal(0, 10, array.shape)
    return np.rint(noise + 60 * array).astype(np.int32)


@pytest.mark.parametrize("side", ["prediction", "reference"])
def test_an_image_taken_for_a_label_map_is_refused_as_one(tmp_path, side):
    files = {
        name: write(tmp_path / f"{name}.nii.gz", label(0)) for name in ("prediction", "reference")
    }
    write(files[side], scan_of(label(0)))
    with pytest.raises(
        MedsegError, match=rf"{side}\.nii\.gz: holds \d+ values .* as an image does"
    ):
        evaluate_folders(**files)


def test_an_atlas_of_many_regions_is_no_image(tmp_path):
    atlas = np.kron(np.arange(60).reshape(5, 4, 3), np.ones((3, 3, 3), np.int32)).astype(np.int32)
    grid = Geometry(atlas.shape)
    file = write(tmp_path / "atlas.nii.gz", atlas, grid)
    summary, problems = evaluate_folders(file, file)
    assert problems == ()
    assert len(summary.classes) == 59
    assert {row.dice.mean for row in summary.classes} == {1.0}


LAYOUTS = {
    "flat": ("{}.nii.gz", "{}_seg.nii.gz"),
    "two folders": ("images/{}.nii.gz", "labels/{}.nii.gz"),
    "nnU-Net": ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"),
    "case folders": ("{}/ct.nii.gz", "{}/label.nii.gz"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("named", ["{}.nii.gz", "{}_seg.nii.gz"])
def test_a_dataset_with_its_scans_is_a_reference(tmp_path, layout, named):
    image, reference = LAYOUTS[layout]
    expected = []
    for number in range(3):
        name, truth = f"case{number}", label(0)
        write(tmp_path / "d" / image.format(name), scan_of(truth, number))
        write(tmp_path / "d" / reference.format(name), truth)
        write(tmp_path / "p" / named.format(name), label(number))
        expected += score_case(name, label(number), truth, GRID, {"class 1": 1, "class 2": 2})
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "d")
    assert problems == ()
    assert {one.case: one.dice for one in summary.scores} == {s.case: s.dice for s in expected}
    assert len({one.dice for one in summary.scores}) == 3


def test_a_reference_on_another_grid_is_brought_to_the_predictions(tmp_path):
    fine = np.kron(label(0), np.ones((2, 2, 2), np.int32))
    half = replace(GRID, spacing_mm=(0.5, 0.75, 1.0), origin=(2.75, -4.375, 4.5))
    finer = replace(half, size=fine.shape)
    prediction = write(tmp_path / "p.nii.gz", fine, finer)
    reference = write(tmp_path / "r.nii.gz", label(0))
    progress = Warnings()
    summary, _ = evaluate_folders(prediction, reference, progress=progress)
    assert [row.dice.mean for row in summary.classes] == [1.0, 1.0]
    assert summary.scores[0].volume_ml == pytest.approx(4 * 5 * 3 * 3 / 1000)
    assert len(progress.said) == 1
    assert progress.said[0].startswith("r: r.nii.gz: ")


def test_what_happens_to_many_references_is_one_line(tmp_path):
    for n in range(3):
        write(tmp_path / "p" / f"{n}.nii.gz", label(0))
        write(tmp_path / "r" / f"{n}.nii.gz", label(0), replace(GRID, spacing_mm=(1.0, 1.5, 1.9)))
    progress = Warnings()
    evaluate_folders(tmp_path / "p", tmp_path / "r", progress=progress)
    (line,) = progress.said
    assert "on another grid" in line
    assert "3 cases, first 0" in line


def test_a_folder_compared_with_itself_is_said(tmp_path):
    write(tmp_path / "r" / "a.nii.gz", label(0))
    progress = Warnings()
    evaluate_folders(tmp_path / "r", tmp_path / "r", progress=progress)
    assert [line for line in progress.said if "compared with itself" in line]


def test_the_classes_have_the_datasets_names(tmp_path):
    write(tmp_path / "d" / "imagesTr" / "a_0000.nii.gz", scan_of(label(0)))
    write(tmp_path / "d" / "labelsTr" / "a.nii.gz", label(0))
    text = '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1, "lesion": 2},'
    (tmp_path / "d" / "dataset.json").write_text(text + '"file_ending": ".nii.gz"}')
    write(tmp_path / "p" / "a.nii.gz", label(1))
    summary, _ = evaluate_folders(tmp_path / "p", tmp_path / "d")
    assert {row.name: row.value for row in summary.classes} == {"organ": 1, "lesion": 2}


def test_a_full_process_is_not_a_damaged_file(tmp_path, monkeypatch):
    file = write(tmp_path / "r.nii.gz", label(0))

    def fails(path):
        raise ScanError(path.name, "damaged", "copy it again") from OSError(24, "Too many", "r")

    monkeypatch.setattr("medseg.evaluation.opened.read_label_map", fails)
    with pytest.raises(MachineError, match="too many open files"):
        evaluate_folders(file, file, classes={"a": 1})


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_length(tmp_path, tolerance):
    with pytest.raises(MedsegError, match="tolerance"):
        evaluate_folders(tmp_path, tmp_path, tolerance_mm=tolerance)


def test_what_nobody_annotated_is_not_scored(tmp_path):
    """As if both sides ended where the annotation ends."""
    sparse = label(0)
    sparse[:, 4:] = 9
    reference = write(tmp_path / "reference.nii.gz", sparse)
    prediction = write(tmp_path / "prediction.nii.gz", label(1))
    summary, _ = evaluate_folders(prediction, reference, ignore_label=9)
    part = np.s_[:, :4]
    assert [row.value for row in summary.classes] == [1, 2]
    for one in summary.scores:
        ours, theirs = label(1)[part] == one.value, sparse[part] == one.value
        both, total = np.count_nonzero(ours & theirs), ours.sum() + theirs.sum()
        assert one.dice == pytest.approx(2 * both / total)
    whole, _ = evaluate_folders(prediction, reference)
    assert [row.value for row in whole.classes] == [1, 2, 9]


def test_regions_are_scored_as_they_overlap(tmp_path):
    reference = write(tmp_path / "reference.nii.gz", label(0))
    prediction = write(tmp_path / "prediction.nii.gz", label(1))
    summary, _ = evaluate_folders(prediction, reference, {"whole": (1, 2), "core": 2})
    found = {one.class_name: one.dice for one in summary.scores}
    for name, values in (("whole", (1, 2)), ("core", (2,))):
        ours, theirs = np.isin(label(1), values), np.isin(label(0), values)
        both, total = np.count_nonzero(ours & theirs), ours.sum() + theirs.sum()
        assert found[name] == pytest.approx(2 * both / total)


def test_what_nobody_annotated_in_a_mask_is_not_scored(tmp_path):
    true = np.zeros(SIZE, np.uint8)
    true[2:6] = 1
    ours, theirs = true.copy(), true.copy()
    ours[6:8], theirs[6:8] = 1, 9
    for case in ("case1", "case2"):
        write(tmp_path / "theirs" / case / "scan.nii.gz", scan_of(true))
        for name in ("a", "b"):
            write(tmp_path / "ours" / case / f"{name}.nii.gz", ours)
            write(tmp_path / "theirs" / case / f"label_{name}.nii.gz", theirs)
    summary, _ = evaluate_folders(tmp_path / "ours", tmp_path / "theirs", ignore_label=9)
    assert [score.dice for score in summary.scores] == [1, 1, 1, 1]
    assert summary.scores[0].reference_volume_ml == pytest.approx(4 * 9 * 8 * 3 / 1000)
