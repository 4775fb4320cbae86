"""A user's own split is taken in every form people have, or refused by its true fault."""

import json

import pytest

from medseg.errors import SettingsError
from medseg.scans.known import Known
from medseg.training.own_split import read_split

NAMES = ["c0", "c1", "c2", "c3"]
KNOWN = Known(NAMES, ["broken.nii.gz"])


def written(tmp_path, content, name="split.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "content"), [
    ("split.json", {"training": ["c0", "c2"], "validation": ["c1"]}),
    ("split.json", {"train": ["c0.nii.gz", "images/c2.nii.gz"], "val": ["C1"]}),
    ("split.json", {"train": ["c0_0000.nii.gz", "c2_seg"], "valid": ["labels\\c1.png"]}),
    ("split.json", {"numTraining": 2, "name": "x", "training": [
        {"image": "./imagesTr/c0.nii.gz", "label": "./labelsTr/c0.nii.gz"},
        {"image": "./imagesTr/c2.nii.gz", "label": "./labelsTr/c2.nii.gz"},
    ], "validation": [{"image": "c1.nii.gz"}]}),
    ("split.json", {"c0": "train", "c1": "val", "c2": "train"}),
    ("split.json", [{"case": "c0", "part": "train"}, {"case": "c1", "part": "val"},
                    {"case": "c2", "part": "train"}]),
    ("split.json", "\ufeff" + json.dumps({"training": ["c0", "c2"], "validation": ["c1"]})),
    ("split.json", {"train": ["c0", "c2", "broken"], "val": ["c1"]}),
    ("splits.json", [{"train": ["c3"], "val": []}, {"train": ["c0", "c2"], "val": ["c1"]}]),
    ("splits.json", {"fold_0": {"train": ["c3"], "val": ["c0"]},
                     "fold_1": {"train": ["c0", "c2"], "val": ["c1"]}}),
    ("split.json", {"training": [{"image": "c0", "fold": 0}, {"image": "c1", "fold": 1},
                                 {"image": "c2", "fold": 2}]}),
    ("split.csv", "case,part\nc0,train\nc2,training\nc1,val\n"),
    ("split.csv", "\ufeffc0;train\nc2;train\nc1;validation\n"),
    ("split.csv", "sep=;\nc0;train\nc2;train\nc1;validation\n"),
    ("split.tsv", "part\timage\ntrain\tc0.png\ntrain\tc2.png\nvalid\tc1.png\n"),
    ("split.csv", "id,age,split\nc0,30,TRAIN\nc2,40,train\nc1,50,Val\n"),
    ("split.csv", "case,fold\nc0,0\nc1,1\nc2,0\n"),
    ("split.csv", "c0,fold_3\nc1,fold_1\nc2,fold_3\n"),
    ("split.csv", "c0,train\nc2,train\nc1,test\n"),
])  # fmt: skip
def test_every_form(tmp_path, name, content):
    found = read_split(written(tmp_path, content, name), KNOWN, fold=1)
    assert found[:2] == (("c0", "c2"), ("c1",))
    assert any("does not name 1 of 4 cases" in note and "c3" in note for note in found.notes)


def test_test_cases_are_left_alone_beside_validation_cases_and_validate_without(tmp_path):
    found = read_split(written(tmp_path, "c0,train\nc1,val\nc2,test\nc3,test", "s.csv"), KNOWN, 0)
    assert found[:2] == (("c0",), ("c1",))
    assert any("2 test cases are left alone" in note for note in found.notes)
    found = read_split(written(tmp_path, {"train": ["c0"], "test": NAMES[1:]}), KNOWN, 0)
    assert found[:2] == (("c0",), ("c1", "c2", "c3"))
    assert any("test cases are validated on" in note for note in found.notes)


def test_every_fold_of_a_list_may_be_chosen(tmp_path):
    path = written(tmp_path, [{"train": ["c0"], "val": ["c1"]}, {"train": ["c1"], "val": ["c0"]}])
    assert read_split(path, KNOWN, 0).validation == ("c1",)
    assert read_split(path, KNOWN, 1).validation == ("c0",)
    assert read_split(path, KNOWN, 1).folded
    with pytest.raises(SettingsError, match="has 2 folds, and fold = 2; set --fold below 2"):
        read_split(path, KNOWN, 2)


@pytest.mark.parametrize(("content", "words"), [
    ("{", "cannot be read as JSON"),
    ("[" * 100_000, "cannot be read as JSON"),
    ("3", "is no split"),
    ("[]", "is no split"),
    ({"a": {"b": 1}}, "is no split"),
    ([3], "is no split"),
    ({"training": ["c0"]}, "names no case of the dataset to validate"),
    ({"training": ["c0", None], "validation": ["c1"]}, "no case in a place of 'training'"),
    ({"training": "c0", "validation": ["c1"]}, "no case in a place of 'training'"),
    ({"training": ["c0"], "validation": ["c9"]}, "1 of the cases it names are not in .*: c9"),
    ({"training": ["c0"], "validation": ["c0"]}, "puts c0 on two sides"),
    ({"training": ["c0"], "validation": ["c1", "C0.nii.gz"]}, "puts c0 on two sides"),
    ({"training": [], "validation": ["c0"]}, "names no case of the dataset to learn from"),
    ({"c0": "trian", "c1": "val"}, "'trian' is no side of a split"),
    ({"c0": 0, "c1": 2}, "has the folds 0, 2, and fold = 1"),
    ({"c0": 0, "c1": 1}, "has only 0 and 1 in its second column: which of them trains"),
    ('{"c0": "train", "c1": "val", "c0": "val"}', "c0 is there twice"),
])  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, content, words):
    with pytest.raises(SettingsError, match=rf"split .*{words}.*; ") as raised:
        read_split(written(tmp_path, content), KNOWN, fold=1)
    assert raised.value.remedy


@pytest.mark.parametrize("column", ["is_train", "is_val", "split"])
def test_a_yes_or_no_is_no_fold(tmp_path, column):
    """Read as folds, the cases for validation would train."""
    table = written(tmp_path, f"case,{column}\nc0,1\nc1,0\nc2,1\n", "s.csv")
    with pytest.raises(SettingsError, match=f"only 0 and 1 in its column {column}"):
        read_split(table, KNOWN, fold=0)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(SettingsError, match=r"none.json: cannot be read \(No such file"):
        read_split(tmp_path / "none.json", KNOWN, 0)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_split(tmp_path, KNOWN, 0)
    pickled = tmp_path / "splits_final.pkl"
    pickled.write_bytes(b"\x80\x04\x95\x00\x01.")
    with pytest.raises(SettingsError, match=r"pickles .* are not read.*; save it as JSON or CSV"):
        read_split(pickled, KNOWN, 0)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "split.json"
    with path.open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(SettingsError, match="at most 16777216 are read"):
        read_split(path, KNOWN, 0)
