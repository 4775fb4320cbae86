"""Laws of evaluation: the same classes have the same scores, however either side stores them."""

import json
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import MedsegError, SettingsError
from medseg.evaluation.classes import find_unannotated
from medseg.evaluation.entries import Entry, Side
from medseg.evaluation.evaluate import evaluate_folders, score_case
from medseg.evaluation.pairing import Pair, Pairing
from medseg.evaluation.summary import summary_table
from medseg.geometry import Geometry
from medseg.progress import Silent
from medseg.scans.case import Case
from medseg.scans.marks import mark
from medseg.scans.write import write_image, write_label_map

SIZE = (10, 9, 8)
GRID = Geometry(SIZE, (1.0, 1.5, 2.0))
VALUES = {"liver": 3, "spleen": 7, "kidney": 1}
CASES = ("p1", "p2", "p3")


class Told(Silent):
    def __init__(self):
        self.said = []

    def note(self, message):
        self.said.append(message)

    warn = note


def label(shift):
    array = np.zeros(SIZE, np.uint8)
    for place, value in enumerate(VALUES.values()):
        array[1 + shift : 5 + shift, 2:7, 2 * place : 2 * place + 2 + (shift and place)] = value
    return array


def write(path, array, grid=GRID):
    return write_label_map(array, grid, path)


def maps(root, shifts=(0, 0, 0), named="{}.nii.gz"):
    for case, shift in zip(CASES, shifts, strict=True):
        write(root / named.format(case), label(shift))
    return root


def masks(root, shifts=(0, 0, 0), named="{}/{}.nii.gz", inside=1):
    for case, shift in zip(CASES, shifts, strict=True):
        for name, value in VALUES.items():
            write(root / named.format(case, name), (label(shift) == value) * np.uint8(inside))
    return root


def scores(summary):
    return {
        (one.case.removesuffix("_seg"), one.class_name): (one.dice, one.hd95_mm)
        for one in summary.scores
    }


SHIFTS = (0, 1, 2)
EXPECTED = {
    (one.case, one.class_name): (one.dice, pytest.approx(one.hd95_mm, abs=1e-5))
    for case, shift in zip(CASES, SHIFTS, strict=True)
    for one in score_case(case, label(shift), label(0), GRID, VALUES)
}
MASKS = [
    "{}/{}.nii.gz",
    "{}_seg/{}.nii.gz",
    "{}/segmentations/{}_mask.nii.gz",
    "{}_{}.nii.gz",
    "{}_{}_seg.nii.gz",
    "{1}/{0}.nii.gz",
]


@pytest.mark.parametrize("named", MASKS)
def test_label_maps_against_masks(tmp_path, named):
    ours, theirs = maps(tmp_path / "p", SHIFTS, "{}_seg.nii.gz"), masks(tmp_path / "r", named=named)
    summary, problems = evaluate_folders(ours, theirs, VALUES)
    assert (scores(summary), problems) == (EXPECTED, ())


@pytest.mark.parametrize("named", MASKS)
def test_masks_against_label_maps(tmp_path, named):
    ours, theirs = masks(tmp_path / "p", SHIFTS, named, inside=255), maps(tmp_path / "r")
    summary, problems = evaluate_folders(ours, theirs, VALUES)
    assert (scores(summary), problems) == (EXPECTED, ())


@pytest.mark.parametrize("named", MASKS)
def test_masks_against_masks_in_another_layout(tmp_path, named):
    ours, theirs = masks(tmp_path / "p", SHIFTS), masks(tmp_path / "r", named=named)
    summary, problems = evaluate_folders(ours, theirs, VALUES)
    assert (scores(summary), problems) == (EXPECTED, ())


def test_one_case_alone_may_be_a_map_and_a_folder_of_masks(tmp_path):
    masks(tmp_path / "m", SHIFTS)
    reference = write(tmp_path / "r.nii.gz", label(0))
    summary, _ = evaluate_folders(tmp_path / "m" / "p2", reference, VALUES)
    assert {name: found for (_, name), found in scores(summary).items()} == {
        name: found for (case, name), found in EXPECTED.items() if case == "p2"
    }
    swapped, _ = evaluate_folders(reference, tmp_path / "m" / "p2", VALUES)
    assert [one.dice for one in swapped.scores] == [one.dice for one in summary.scores]
    assert {one.case for one in swapped.scores} == {"p2"}


def test_two_folders_of_the_masks_of_one_case(tmp_path):
    masks(tmp_path / "p", SHIFTS)
    masks(tmp_path / "r")
    summary, _ = evaluate_folders(tmp_path / "p" / "p2", tmp_path / "r" / "p2", VALUES)
    assert {(one.case, one.class_name) for one in summary.scores} == {("p2", n) for n in VALUES}


def described(root, place, **more):
    root.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(json.dumps({"labels": {"background": 0, **VALUES, **more}}))


@pytest.mark.parametrize("place", ["p/dataset.json", "labelsTr/dataset.json", "dataset.json"])
@pytest.mark.parametrize("masked", ["p", "labelsTr"])
def test_a_description_beside_either_side_names_the_values(tmp_path, place, masked):
    folders = {
        name: (masks if name == masked else maps)(tmp_path / name, shifts)
        for name, shifts in (("p", SHIFTS), ("labelsTr", (0, 0, 0)))
    }
    described(tmp_path, place)
    summary, _ = evaluate_folders(folders["p"], folders["labelsTr"])
    assert scores(summary) == EXPECTED
    assert {row.name: row.value for row in summary.classes} == VALUES


def test_predictions_may_have_values_of_their_own(tmp_path):
    """As another tool numbers classes: what their names are is in its dataset.json."""
    theirs = maps(tmp_path / "labelsTr")
    described(tmp_path, "dataset.json")
    other = {"liver": 1, "spleen": 2, "kidney": 9}
    for case, shift in zip(CASES, SHIFTS, strict=True):
        moved = sum((label(shift) == VALUES[name]) * np.uint8(v) for name, v in other.items())
        write(tmp_path / "p" / f"{case}.nii.gz", moved.astype(np.uint8))
    (tmp_path / "p" / "dataset.json").write_text(json.dumps({"labels": {**other}}))
    told = Told()
    summary, _ = evaluate_folders(tmp_path / "p", theirs, progress=told)
    assert scores(summary) == EXPECTED
    assert told.said == []


def test_a_dataset_of_masks_and_our_own_label_maps(tmp_path):
    """A model of masks that never overlap writes one map, numbered in the order of names."""
    noise = np.random.default_rng(0).normal(0, 10, SIZE)
    for case in CASES:
        write(tmp_path / "d" / case / "ct.nii.gz", np.rint(noise).astype(np.int32))
    masks(tmp_path / "d", named="{}/segmentations/{}.nii.gz")
    for case, shift in zip(CASES, SHIFTS, strict=True):
        numbered = np.zeros(SIZE, np.uint8)
        for number, name in enumerate(sorted(VALUES), start=1):
            numbered[label(shift) == VALUES[name]] = number
        file = write(tmp_path / "p" / f"{case}.nii.gz", numbered)
        with pytest.raises(MedsegError, match=r"nothing tells their values .*--classes kidney=1"):
            evaluate_folders(tmp_path / "p", tmp_path / "d")
        mark(file)
    told = Told()
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "d", progress=told)
    assert (scores(summary), problems) == (EXPECTED, ())
    (line,) = told.said
    assert "kidney = 1, liver = 2, spleen = 3" in line


def test_masks_that_hold_the_values_of_their_classes_tell_them(tmp_path):
    ours, theirs = tmp_path / "p", maps(tmp_path / "r")
    for case, shift in zip(CASES, SHIFTS, strict=True):
        for name, value in VALUES.items():
            write(ours / case / f"{name}.nii.gz", (label(shift) == value) * np.uint8(value))
    summary, _ = evaluate_folders(ours, theirs)
    assert scores(summary) == EXPECTED


def test_masks_of_one_value_do_not_say_which_value_they_are(tmp_path):
    with pytest.raises(MedsegError, match="nothing tells their values") as error:
        evaluate_folders(masks(tmp_path / "p"), maps(tmp_path / "r"))
    assert "\n" not in str(error.value)
    assert "--classes kidney=1 liver=2 spleen=3" in str(error.value)


def test_a_class_absent_in_one_case_is_one_row(tmp_path):
    ours, theirs = masks(tmp_path / "p", inside=255), masks(tmp_path / "r", inside=255)
    for side in (ours, theirs):
        write(side / "p2" / "liver.nii.gz", np.zeros(SIZE, np.uint8))
    summary, _ = evaluate_folders(ours, theirs)
    assert {row.name: (row.dice.cases, row.dice.left_out) for row in summary.classes} == {
        "kidney": (3, 0),
        "liver": (2, 1),
        "spleen": (3, 0),
    }


REGIONS = {"whole": (1, 3, 7), "core": (3, 7), "inner": (7,)}


@pytest.mark.parametrize("ours", ["map", "masks"])
@pytest.mark.parametrize("theirs", ["map", "masks"])
@pytest.mark.parametrize("told", ["user", "dataset"])
def test_regions_of_maps_and_of_masks(tmp_path, ours, theirs, told):
    for side, kind, shifts in (("p", ours, SHIFTS), ("labelsTr", theirs, (0, 0, 0))):
        for case, shift in zip(CASES, shifts, strict=True):
            if kind == "map":
                write(tmp_path / side / f"{case}.nii.gz", label(shift))
                continue
            for name, values in REGIONS.items():
                inside = np.isin(label(shift), values).astype(np.uint8)
                write(tmp_path / side / case / f"{name}.nii.gz", inside)
    if told == "dataset":
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **REGIONS}}))
    classes = REGIONS if told == "user" else None
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "labelsTr", classes)
    assert problems == ()
    assert len(summary.scores) == 9
    for one in summary.scores:
        shift = SHIFTS[CASES.index(one.case)]
        found, true = (np.isin(label(s), REGIONS[one.class_name]) for s in (shift, 0))
        both = np.count_nonzero(found & true)
        assert one.dice == pytest.approx(2 * both / (found.sum() + true.sum()))


def test_a_case_without_a_mask_is_left_out_and_said(tmp_path):
    ours, theirs = masks(tmp_path / "p", SHIFTS), masks(tmp_path / "r")
    (theirs / "p2" / "spleen.nii.gz").unlink()
    summary, (problem,) = evaluate_folders(ours, theirs)
    assert {one.case for one in summary.scores} == {"p1", "p3"}
    assert problem.name == "p2"
    assert "no mask of spleen" in problem.what
    assert "--missing-masks empty" in problem.remedy


@pytest.mark.parametrize("masked", [False, True])
def test_a_case_that_lacks_a_channel_is_scored_as_the_others(tmp_path, masked):
    ours = (masks if masked else maps)(tmp_path / "p")
    theirs = tmp_path / "r"
    (masks if masked else maps)(theirs, named="{}/mask_{}.nii.gz" if masked else "{}/seg.nii.gz")
    for case, channels in zip(CASES, (["t1", "flair"], ["t1"], ["t1", "flair"]), strict=True):
        for channel in channels:
            scan = np.arange(label(0).size, dtype=np.float32)
            write_image(scan.reshape(1, *label(0).shape), GRID, theirs / case / f"{channel}.nii.gz")
    summary, problems = evaluate_folders(ours, theirs)
    assert problems == ()
    assert {one.case for one in summary.scores} == {*CASES}
    assert all(one.dice == 1 for one in summary.scores)


def test_a_missing_mask_may_be_an_absent_class(tmp_path):
    ours, theirs = masks(tmp_path / "p", SHIFTS), masks(tmp_path / "r")
    (theirs / "p2" / "spleen.nii.gz").unlink()
    (ours / "p3" / "liver.nii.gz").unlink()
    summary, problems = evaluate_folders(ours, theirs, missing_masks="empty")
    assert problems == ()
    found = scores(summary)
    assert found["p2", "spleen"][0] == found["p3", "liver"][0] == 0
    assert found["p1", "liver"] == EXPECTED["p1", "liver"]


@pytest.mark.parametrize("told", ["masks", "table"])
@pytest.mark.parametrize("ours", [maps, masks])
def test_what_nobody_looked_for_has_no_score(tmp_path, told, ours):
    prediction, theirs = ours(tmp_path / "p", SHIFTS), masks(tmp_path / "r")
    more = {"missing_masks": "unannotated"}
    if told == "masks":
        (theirs / "p2" / "spleen.nii.gz").unlink()
        (theirs / "p3" / "spleen.nii.gz").unlink()
    else:
        table = tmp_path / "table.csv"
        table.write_text("case,annotated\np2,liver|kidney\np3,Liver + kidney\n")
        more = {"annotated": table}
    summary, problems = evaluate_folders(prediction, theirs, VALUES, **more)
    assert problems == ()
    known = {key: found for key, found in EXPECTED.items() if key[1] != "spleen" or key[0] == "p1"}
    assert scores(summary) == known
    _, header, rows = summary_table(summary)
    counts = {row[0]: row[-3:] for row in rows}
    assert header[-3:] == ("cases", "left out", "not annotated")
    assert counts["spleen (7)"] == ("1", "0", "2")
    assert counts["liver (3)"] == ("3", "0", "0")


def test_a_class_that_nobody_looked_for_anywhere_is_said(tmp_path):
    ours, theirs = masks(tmp_path / "p", SHIFTS), masks(tmp_path / "r")
    for case in CASES:
        (theirs / case / "spleen.nii.gz").unlink()
    told = Told()
    evaluate_folders(ours, theirs, VALUES, missing_masks="unannotated", progress=told)
    assert told.said == ["spleen: annotated in no case, so without a score"]


def test_a_prediction_must_have_what_was_annotated(tmp_path):
    ours, theirs = masks(tmp_path / "p", SHIFTS), masks(tmp_path / "r")
    (ours / "p2" / "spleen.nii.gz").unlink()
    _, (problem,) = evaluate_folders(ours, theirs, missing_masks="unannotated")
    assert problem.what == "prediction: has no mask of spleen, but of kidney, liver"
    assert "unannotated" not in problem.remedy


def test_a_table_of_label_maps(tmp_path):
    """The table may name classes that are not scored now, and the background."""
    ours, theirs = maps(tmp_path / "p", SHIFTS), maps(tmp_path / "labelsTr")
    described(tmp_path, "dataset.json")
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"p1": ["background", "liver"], "p2": ["kidney", "spleen"]}))
    summary, _ = evaluate_folders(ours, theirs, annotated=table)
    assert {key for key in scores(summary) if key[0] != "p3"} == {
        ("p1", "liver"),
        ("p2", "kidney"),
        ("p2", "spleen"),
    }
    chosen, _ = evaluate_folders(ours, theirs, {"liver": 3}, annotated=table)
    assert {one.case for one in chosen.scores} == {"p1", "p3"}


@pytest.mark.parametrize("text", ["p1,pancreas\n", "p9,liver\n"])
def test_a_table_that_fits_nothing_is_refused(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(SettingsError, match="annotated"):
        evaluate_folders(
            maps(tmp_path / "p"), maps(tmp_path / "r"), VALUES, annotated=tmp_path / "table.csv"
        )


@pytest.mark.parametrize("ours", [maps, masks])
@pytest.mark.parametrize("regions", [False, True])
def test_ignored_voxels_count_nowhere(tmp_path, ours, regions):
    """The dataset of the references says which value it is; scores are those of the rest alone."""
    prediction = ours(tmp_path / "p", SHIFTS)
    for case in CASES:
        sparse = label(0)
        sparse[:, 5:] = 9
        write(tmp_path / "labelsTr" / f"{case}.nii.gz", sparse)
    more = {"all": [1, 3, 7]} if regions and ours is maps else {}
    described(tmp_path, "dataset.json", ignore=9, **more)
    summary, problems = evaluate_folders(prediction, tmp_path / "labelsTr")
    assert problems == ()
    values = {name: (value,) for name, value in VALUES.items()} | {
        k: tuple(v) for k, v in more.items()
    }
    assert {row.name for row in summary.classes} == {*values}
    for one in summary.scores:
        shift = SHIFTS[CASES.index(one.case)]
        found, true = (np.isin(label(s)[:, :5], values[one.class_name]) for s in (shift, 0))
        both = np.count_nonzero(found & true)
        assert one.dice == pytest.approx(2 * both / (found.sum() + true.sum()))
        assert one.reference_volume_ml == pytest.approx(true.sum() * 3 / 1000)


def test_references_on_another_grid_are_brought_to_the_masks(tmp_path):
    fine = Geometry(tuple(2 * n for n in SIZE), (0.5, 0.75, 1.0), origin=(-0.25, -0.375, -0.5))
    for name, value in VALUES.items():
        large = np.kron(label(0) == value, np.ones((2, 2, 2))).astype(np.uint8)
        write(tmp_path / "p" / "p1" / f"{name}.nii.gz", large, fine)
    write(tmp_path / "r" / "p1.nii.gz", label(0))
    told = Told()
    summary, _ = evaluate_folders(tmp_path / "p", tmp_path / "r", VALUES, progress=told)
    assert [one.dice for one in summary.scores] == [1.0, 1.0, 1.0]
    (line,) = told.said
    assert "the prediction" in line


def test_cases_that_are_called_after_numbers_are_no_classes(tmp_path):
    """case_1 and case_2 are two cases, though classes are called 1 and 2."""
    for side, shift in (("p", 1), ("labelsTr", 0)):
        for n in (1, 2):
            write(tmp_path / side / f"case_{n}.nii.gz", label(shift))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"0": "b", "1": "1", "3": "2"}}))
    summary, problems = evaluate_folders(tmp_path / "p", tmp_path / "labelsTr")
    assert problems == ()
    assert {one.case for one in summary.scores} == {"case_1", "case_2"}


def test_segments_that_a_file_does_not_have_are_absent():
    """A file of segments is whole: what is not in it was not there."""
    file = Path("a.seg.nrrd")
    case = Case("a", (Path("a.nii"),), (file,), segments=("liver", "spleen"), layered=True)
    entry = Entry("a", (file, file), (("a",),), case.segments, case)
    pairing = Pairing([Pair(entry, entry)], [], Side(), Side((entry,)))
    assert find_unannotated(pairing, case.segments, "unannotated", None) == {}
