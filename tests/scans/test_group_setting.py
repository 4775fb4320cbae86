"""Who belongs together, as the user says: a pattern or a table, or one line of what is wrong."""

import json

import pytest

from medseg.errors import SettingsError
from medseg.scans.group_setting import set_groups
from medseg.scans.known import Known

NAMES = ["p1_x1", "p1_x2", "p2_x1"]
EXPECTED = {"p1_x1": "p1", "p1_x2": "p1", "p2_x1": "p2"}


@pytest.mark.parametrize("pattern", [
    r"(p\d+)_", r"p\d+", "{}_x*", "^[^_]+", "(p1|p2)", r"(p\d+)_|.+", r"[a-z]\d*",
])  # fmt: skip
def test_a_pattern_says_who_a_case_is_of(pattern):
    assert set_groups(pattern, Known(NAMES)) == EXPECTED


def test_braces_stand_for_one_part_wherever_it_is():
    assert set_groups("p{}_x*", Known(NAMES)) == {"p1_x1": "1", "p1_x2": "1", "p2_x1": "2"}
    assert set_groups("*_{}", Known(NAMES)) == {"p1_x1": "x1", "p1_x2": "x2", "p2_x1": "x1"}


@pytest.mark.parametrize(("pattern", "words"), [
    ("(", "neither a file nor a regular expression"),
    ("p*", "reads as a wildcard"),
    ("*_x*", "reads as a wildcard"),
    (r"p1", r"is not found in 1 of 3 names: p2_x1; widen it; 'p1\|\.\+'"),
    (r"q\d", "is not found in 3 of 3 names"),
    (r"p", "puts all 3 cases into one group"),
    (r"\d*?", "is not found in 3 of 3"),
    ("none.csv", r"cannot be read \(No such file"),
])  # fmt: skip
def test_a_pattern_that_does_not_fit_is_one_line(pattern, words):
    with pytest.raises(SettingsError, match=f"groups .*{words}") as raised:
        set_groups(pattern, Known(NAMES))
    assert raised.value.remedy


def test_the_remedy_for_names_that_do_not_match_works():
    assert set_groups(r"p1|.+", Known(NAMES)) == {"p1_x1": "p1", "p1_x2": "p1", "p2_x1": "p2_x1"}
    assert set_groups(r"(p1)_|.+", Known(NAMES)) == {**EXPECTED, "p2_x1": "p2_x1"}


def test_a_single_case_needs_no_second_group():
    assert set_groups("p", Known(["p1"])) == {"p1": "p"}


@pytest.mark.parametrize(("name", "content"), [
    ("t.csv", "case,group\na,one\nb,one\nc,two\n"),
    ("t.csv", "\ufeffa;one\nb;one\nc;two\n"),
    ("t.tsv", "a\tone\nb\tone\nc\ttwo\n"),
    ("t.csv", "patient_id,age,filename\none,3,a.nii.gz\none,4,B.nii.gz\ntwo,5,images/c.mha\n"),
    ("t.csv", '"a","one"\r\n"b","one"\r\n\r\n"c","two"\r\n'),
    ("t.txt", "Patient,Scan\none,a\none,b\ntwo,c\n"),
    ("t.csv", "a,one\nb,one\nc,two\ngone,three\n"),
    ("t.json", {"a": "one", "b": "one", "c": "two"}),
    ("t.json", {"one": ["a", "b"], "two": ["c"]}),
    ("t.json", [{"case": "a", "group": "one"}, {"name": "b", "patient": "one"},
                {"image": "c.png", "Group": "two"}]),
])  # fmt: skip
def test_a_table_says_who_a_case_is_of(tmp_path, name, content):
    table = tmp_path / name
    table.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    known = Known(list("abc"), ["gone"])
    assert set_groups(str(table), known) == {"a": "one", "b": "one", "c": "two"}


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_tables_of_spreadsheets_may_be_in_older_encodings(tmp_path, encoding):
    table = tmp_path / "t.csv"
    table.write_text("Köln1;k\nKöln2;k\nUlm1;u\n", encoding)
    known = Known(["Köln1", "Köln2", "Ulm1"])
    assert set_groups(str(table), known) == {"Köln1": "k", "Köln2": "k", "Ulm1": "u"}


@pytest.mark.parametrize(("name", "content", "words"), [
    ("t.csv", "", "is empty"),
    ("t.csv", "a\nb\nc\n", "every line needs a case and its group"),
    ("t.csv", "a,one\nb\nc,two\n", "every line needs a case and its group"),
    ("t.csv", "a,one,3\nb,one,4\nc,two,5\n", "every line needs a case and its group"),
    ("t.csv", "a,one\nb,one\n", "does not say whose 1 of 3 cases are: c"),
    ("t.csv", "a,one\nb,one\nc,two\nd,two\n", "are not in the dataset, .*: d"),
    ("t.csv", "a,one\nb,\nc,two\n", "says nothing of b"),
    ("t.csv", "a,one\nb,nan\nc,NaN\n", "says nothing of b, c"),
    ("t.json", '{"a": "one", "b": "two", "c": "two", "a": "two"}', "a is there twice"),
    ("t.csv", "a,one\nb,one\nc,two\na,two\n", "puts a into two groups, one and two"),
    ("t.csv", "a,one\nb,one\nc,one\n", "puts all 3 cases into one group"),
    ("t.json", "[1", "cannot be read as JSON"),
    ("t.json", "[1]", "is no table of cases and groups"),
    ("t.json", "7", "is no table of cases and groups"),
    ("t.json", '{"a": {"b": 1}}', "is no table of cases and groups"),
])  # fmt: skip
def test_a_table_that_does_not_fit_is_one_line(tmp_path, name, content, words):
    table = tmp_path / name
    table.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=f"groups .*{words}") as raised:
        set_groups(str(table), Known(list("abc")))
    assert raised.value.remedy


def test_upper_and_lower_case_and_accents_make_no_other_patient(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,J\u00f6rg\nb,jo\u0308rg\nc,Anna\n", "utf-8")
    groups = set_groups(str(table), Known(list("abc")))
    assert groups == {"a": "J\u00f6rg", "b": "J\u00f6rg", "c": "Anna"}


def test_names_are_found_as_people_write_them_and_never_the_wrong_one():
    known = Known(["case_0001", "case_0002", "img_7", "Knee"])
    assert known.find("CASE_0001.nii.gz") == "case_0001"
    assert known.find("imagesTr/case_0002_0000.nii.gz") == "case_0002"
    assert known.find("label_7") == "img_7"
    assert known.find("knee_seg.mha") == "Knee"
    assert known.find("case_1") == "case_0001"
    assert known.find("case_0003") is None
    assert known.find("case") is None
    assert Known(["001", "002"]).find("1") == "001"
    assert Known(["01", "001"]).find("1") is None
    assert Known(["a_1", "A_1_2"]).find("a_1") == "a_1"


def test_names_without_a_part_are_told_by_their_ends_where_all_are_written_so():
    known = Known(["train_000", "val_001"])
    assert known.find_all(["000", "001.png"]) == ["train_000", "val_001"]
    assert known.find_all(["train_000", "001"]) == ["train_000", None]
    assert Known(["train_000", "val_000"]).find_all(["000"]) == [None]
