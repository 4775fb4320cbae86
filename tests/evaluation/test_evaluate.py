from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation.evaluate import evaluate_folders, score_case, summary_table
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

    _, problems = evaluate_folders(tmp_path / "p", tmp_path / "r", classes={"more": 1})
    assert "more" in problems[0].what


def test_what_cannot_be_scored_is_named_and_the_rest_is_done(tmp_path):
    for name in ("good", "lost", "moved", "broken"):
        write(tmp_path / "r" / f"{name}.nii.gz", label(0))
    write(tmp_path / "p" / "good.nii.gz", label(0))
    write(tmp_path / "p" / "moved.nii.gz", label(0), replace(GRID, origin=(0.0, 0.0, 0.0)))
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


def test_an_image_taken_for_a_prediction_is_said_in_one_short_line(tmp_path):
    reference = write(tmp_path / "r.nii.gz", label(0, (1, 255)))
    image = write(tmp_path / "p.nii.gz", np.arange(np.prod(SIZE), dtype=np.int32).reshape(SIZE))
    progress = Warnings()
    summary, _ = evaluate_folders(image, reference, progress=progress)
    others = np.prod(SIZE) - 1 - 2 - 5
    assert f"hold 2, 3, 4, 5, 6 and {others} more," in progress.said[0]
    assert [row[0] for row in summary_table(summary)[2][:2]] == ["class 1", "class 255"]


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_length(tmp_path, tolerance):
    with pytest.raises(MedsegError, match="tolerance"):
        evaluate_folders(tmp_path, tmp_path, tolerance_mm=tolerance)
