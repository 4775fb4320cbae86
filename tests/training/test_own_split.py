"""A user's own split is taken in every form people have, or refused by its true fault."""

import json

import pytest

from medseg.errors import SettingsError
from medseg.training.own_split import read_split

NAMES = ["c0", "c1", "c2", "c3"]


def written(tmp_path, content, name="split.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "content"), [
    ("split.json", {"training": ["c0", "c2"], "validation": ["c1"]}),
    ("split.json", {"train": ["c0.nii.gz", "images/c2.nii.gz"], "val": ["C1"]}),
    ("splits.json", [{"train": ["c3"], "val": []}, {"train": ["c0", "c2"], "val": ["c1"]}]),
    ("split.csv", "case,part\nc0,train\nc2,training\nc1,val\nc3,test\n"),
    ("split.csv", "\ufeffc0;train\nc2;train\nc1;validation\n"),
])  # fmt: skip
def test_every_form(tmp_path, name, content):
    found = read_split(written(tmp_path, content, name), NAMES, fold=1)
    assert found == (("c0", "c2"), ("c1",), ("c3",))


@pytest.mark.parametrize(("content", "words"), [
    ("{", "is no JSON"),
    ("3", "holds no lists"),
    ([], "has 0 folds, fold 0"),
    ({"training": ["c0"]}, "no list of names under validation"),
    ({"training": [1], "validation": ["c0"]}, "no list of names under training"),
    ({"training": ["c0"], "validation": ["c9"]}, "names c9, which is no case"),
    ({"training": ["c0"], "validation": ["c0"]}, "c0 on both sides"),
    ({"training": [], "validation": ["c0"]}, "leaves no case for training"),
])  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, content, words):
    with pytest.raises(SettingsError, match=rf"split = .*{words}.*; "):
        read_split(written(tmp_path, content), NAMES, fold=0)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_split(tmp_path / "none.json", NAMES, 0)
