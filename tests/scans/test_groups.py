"""Names say who a scan is of; what they do not say is not invented."""

import json

import pytest

from medseg.errors import SettingsError
from medseg.scans.groups import find_groups, group_cases, groups_in_words

APART = [
    [f"hippocampus_{i:03d}" for i in range(8)],
    [f"volume-{i}" for i in range(8)],
    [f"BraTS20_Training_{i:03d}" for i in range(8)],
    [f"ISIC_{i:07d}" for i in range(8)],
    [f"{i}_training" for i in range(21, 41)],
    [f"img{i}" for i in range(8)],
    [f"s{i:04d}" for i in range(8)],
    [f"slice_{i}" for i in range(8)],
    [f"scan{i}" for i in range(8)],
    [f"run-{i}" for i in range(8)],
    ["3f2a-77", "9b1c-12", "aa00-45", "0c1d-99", "7e7e-31"],
    ["left", "right"],
    ["a"],
]
TOGETHER = [
    (["p003_frame01", "p003_frame12", "p007_frame01"], ["p003", "p003", "p007"]),
    (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"], ["sub-01", "sub-01", "sub-02"]),
    (["sub-01_ses-1_run-2", "sub-01_ses-2_run-1", "sub-02"], ["sub-01", "sub-01", "sub-02"]),
    (["case_slice012", "case_slice013", "other_slice001"], ["case", "case", "other"]),
    (["P01_left", "P01_right", "P02_left"], ["P01", "P01", "P02"]),
    (["A01_L", "A01_R", "A02_L"], ["A01", "A01", "A02"]),
    (["LIDC-01_nodule3", "LIDC-01_nodule4", "LIDC-02_nodule1"], ["LIDC-01", "LIDC-01", "LIDC-02"]),
    (["p1_2019-03-01", "p1_2020-04-01", "p2_2019-03-01"], ["p1", "p1", "p2"]),
    (["patient0_visit1", "patient0_visit2", "patient1_visit1"], ["patient0"] * 2 + ["patient1"]),
    (["kim baseline", "kim followup", "lee baseline"], ["kim", "kim", "lee"]),
    (["x_day0", "x_day7", "y_day0", "y_day7"], ["x", "x", "y", "y"]),
]  # fmt: skip


@pytest.mark.parametrize("names", APART, ids=lambda names: names[0])
def test_names_that_say_nothing_leave_each_case_by_itself(names):
    assert find_groups(names) == (tuple(names), "each case by itself")


@pytest.mark.parametrize(("names", "groups"), TOGETHER, ids=lambda value: value[0])
def test_parts_of_a_patient_are_together(names, groups):
    found = find_groups(names)
    assert list(found.names) == groups
    assert found.source == "from the names"


def test_a_second_number_counts_where_several_share_the_first():
    names = [f"TCGA_CS_{patient}_{slide}" for patient in range(4941, 4947) for slide in (1, 2, 3)]
    found = find_groups(names)
    assert len(set(found.names)) == 6
    assert "first of two numbers" in found.source


def test_few_first_numbers_are_no_patients():
    names = [f"site{site}_{number:03d}" for site in (1, 2) for number in range(20)]
    assert len(set(find_groups(names).names)) == 40


@pytest.mark.parametrize("pattern", [r"(p\d+)_", r"p\d+", "{}_x*"])
def test_a_pattern_says_who_a_case_is_of(pattern):
    found = group_cases(["p1_x1", "p1_x2", "p2_x1"], ["", "", ""], pattern)
    assert found.names == ("p1", "p1", "p2")


@pytest.mark.parametrize(("pattern", "words"), [("(", "no regular"), (r"q\d", "does not match")])
def test_a_pattern_that_does_not_fit_is_one_line(pattern, words):
    with pytest.raises(SettingsError, match=rf"groups = .*{words}"):
        group_cases(["p1_x1"], [""], pattern)


@pytest.mark.parametrize("content", [
    "case,group\na,one\nb,one\nc,two\n", "\ufeffa;one\nb;one\nc;two\n", "a\tone\nb\tone\nc\ttwo\n",
])  # fmt: skip
def test_a_table_says_who_a_case_is_of(tmp_path, content):
    table = tmp_path / "groups.csv"
    table.write_text(content, encoding="utf-8")
    assert group_cases(list("abc"), [""] * 3, str(table)).names == ("one", "one", "two")


def test_a_json_table_and_what_it_lacks(tmp_path):
    table = tmp_path / "groups.json"
    table.write_text(json.dumps({"a": "one", "b": "two"}))
    assert group_cases(["a", "b"], ["", ""], str(table)).names == ("one", "two")
    with pytest.raises(SettingsError, match="no row for 1 cases, first c; add"):
        group_cases(["a", "c"], ["", ""], str(table))
    table.write_text("[1")
    with pytest.raises(SettingsError, match="no JSON object"):
        group_cases(["a"], [""], str(table))


def test_the_folders_go_before_the_names():
    found = group_cases(["k_left", "k_right", "l_left"], ["k", "l", "l"], None)
    assert found == (("k", "l", "l"), "from the folders")


def test_words_for_the_table():
    found = find_groups(["a_left", "a_right", "b_left"])
    assert groups_in_words(found) == "2 of 3 cases, from the names (a: 2)"
