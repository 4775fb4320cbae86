"""What two sides call their classes decides which voxels are compared; no doubt is silent."""

import json

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation.evaluate import evaluate_folders
from medseg.evaluation.overlap import dice
from medseg.geometry import Geometry
from medseg.progress import Silent
from medseg.scans.write import write_label_map

SIZE = (10, 9, 8)
GRID = Geometry(SIZE, (1.0, 1.5, 2.0))


class Warnings(Silent):
    def __init__(self):
        self.said = []

    def warn(self, message):
        self.said.append(message)


def label(shift, values=(1, 2, 3)):
    array = np.zeros(SIZE, np.uint8)
    for place, value in enumerate(values):
        array[1 + shift : 5 + shift, 2:7, 2 * place : 2 * place + 2 + (shift and place)] = value
    return array


def sides(root, ours, theirs):
    """Label maps of equal values, and what a dataset.json on either side calls these."""
    for name, labels, shift in (("p", ours, 1), ("r", theirs, 0)):
        for case in ("a", "b"):
            write_label_map(label(shift), GRID, root / name / f"{case}.nii.gz")
        text = json.dumps({"labels": {"background": 0, **labels}})
        (root / name / "dataset.json").write_text(text)
    return root / "p", root / "r"


@pytest.mark.parametrize("third", [{}, {"heart": 3}, {"heart": 9}])
def test_predictions_that_lack_a_class_keep_their_own_values_of_the_others(tmp_path, third):
    theirs = {"liver": 1, "spleen": 2, "kidney": 3}
    folders = sides(tmp_path, {"liver": 2, "spleen": 1, **third}, theirs)
    told = Warnings()
    summary, _ = evaluate_folders(*folders, progress=told)
    found = {one.class_name: one.dice for one in summary.scores if one.case == "a"}
    ours, true = label(1), label(0)
    assert found == {
        "liver": dice(ours == 2, true == 1),
        "spleen": dice(ours == 1, true == 2),
        "kidney": 0,
    }
    assert [line for line in told.said if "names no kidney: counted as predicted nowhere" in line]


def test_names_that_have_nothing_in_common_are_said(tmp_path):
    folders = sides(tmp_path, {"foie": 1, "rate": 2, "rein": 3}, {"liver": 1, "spleen": 2, "x": 3})
    told = Warnings()
    summary, _ = evaluate_folders(*folders, progress=told)
    assert summary.scores[0].dice == dice(label(1) == 1, label(0) == 1)
    (line,) = told.said
    assert "values are taken to mean the same" in line


def test_no_mask_is_dropped_for_another_of_its_class(tmp_path):
    """Both mask_1 and seg_1 are of class 1 by their names: then they are maps of their own."""
    places = [(case, name) for case in ("a", "b") for name in ("seg_1", "mask_1", "label_2")]
    for number, (case, name) in enumerate(places):
        mask = (label(0) == 1 + number % 3).astype(np.uint8)
        for side in ("p", "r"):
            write_label_map(mask, GRID, tmp_path / side / case / f"{name}.nii.gz")
    summary, _ = evaluate_folders(tmp_path / "p", tmp_path / "r")
    assert len({one.case for one in summary.scores}) == len(places)


def test_label_maps_are_told_from_masks_by_more_than_the_first_few(tmp_path):
    for number in range(4):
        values = (1, 2, 3) if number > 1 else (1, 0, 0)
        for visit in ("visit1", "visit2"):
            for side in ("p", "r"):
                path = tmp_path / side / f"p{number}" / f"{visit}.nii.gz"
                write_label_map(label(int(side == "p"), values), GRID, path)
    summary, _ = evaluate_folders(tmp_path / "p", tmp_path / "r")
    assert [row.name for row in summary.classes] == ["class 1", "class 2", "class 3"]
    assert len({one.case for one in summary.scores}) == 8


def test_label_maps_of_the_one_class_that_is_named_are_no_masks_of_others(tmp_path):
    for case in ("p1", "p2"):
        for visit in ("visit1", "visit2"):
            for side in ("p", "r"):
                path = tmp_path / side / case / f"{visit}.nii.gz"
                write_label_map(label(int(side == "p"), (1, 0, 0)), GRID, path)
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "r", {"lesion": 1})
    assert problems == ()
    assert {one.class_name for one in summary.scores} == {"lesion"}
    assert len({one.case for one in summary.scores}) == 4


def test_nothing_to_score_is_an_error(tmp_path):
    ours, theirs = sides(tmp_path, {"liver": 1}, {"liver": 1})
    table = tmp_path / "table.csv"
    table.write_text("case,annotated\na,background\nb,background\n")
    with pytest.raises(MedsegError, match="nothing could be scored"):
        evaluate_folders(ours, theirs, annotated=table)
    for case in ("a", "b"):
        write_label_map(np.zeros(SIZE, np.uint8), GRID, theirs / f"{case}.nii.gz")
    with pytest.raises(MedsegError, match="nothing could be scored"):
        evaluate_folders(ours, theirs)


def test_an_ignored_value_in_predictions_is_said_to_be_no_class(tmp_path):
    ours, theirs = sides(tmp_path, {"x": 1, "y": 2}, {"x": 1, "y": 2})
    told = Warnings()
    evaluate_folders(ours, theirs, ignore_label=3, progress=told)
    (line,) = told.said
    assert "hold 3, which no class of the references has" in line


def test_masks_that_training_unites_are_united(tmp_path):
    """Two lesions of one picture in two files, beside pictures with one."""
    flat, rng = Geometry((20, 16, 1), world=False), np.random.default_rng(0)
    for n in range(4):
        mask = np.zeros((20, 16, 1), np.uint8)
        mask[2:8, 3:9] = 255
        write_label_map(rng.integers(0, 256, mask.shape), flat, tmp_path / "d" / f"p ({n}).png")
        write_label_map(mask, flat, tmp_path / "d" / f"p ({n})_mask.png")
        if n == 3:
            other = np.zeros_like(mask)
            other[12:16, 4:8] = 255
            write_label_map(other, flat, tmp_path / "d" / f"p ({n})_mask_1.png")
            mask = mask | other
        write_label_map(mask, flat, tmp_path / "p" / f"p ({n}).png")
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "d")
    assert problems == ()
    assert {row.name: row.dice.mean for row in summary.classes} == {"class 255": 1.0}
    assert len(summary.scores) == 4
