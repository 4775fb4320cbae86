"""Names say who a scan is of; what they do not say is not invented, and doubts are said."""

import uuid

import numpy as np
import pytest

from medseg.scans.case import Case
from medseg.scans.groups import find_groups, group_cases, groups_in_words


def product(template, first, second):
    return [template.format(a, b) for a in first for b in second]


APART = [
    [f"hippocampus_{i:03d}" for i in range(8)],
    [f"volume-{i}" for i in range(8)],
    [f"BraTS20_Training_{i:03d}" for i in range(8)],
    [f"ISIC_{i:07d}" for i in range(8)],
    [f"{i}_training" for i in range(21, 41)],
    [f"img_{i}" for i in range(8)],
    [f"img{i}" for i in range(8)],
    [f"s{i:04d}" for i in range(8)],
    [f"scan{i}" for i in range(8)],
    [f"run-{i}" for i in range(8)],
    [f"patient{i:03d}" for i in range(8)],
    [f"2019-03-{i:02d}" for i in range(1, 8)],
    [str(uuid.UUID(int=i * 2**90 + 7)) for i in range(1, 8)],
    [f"1.2.840.113619.2.55.3.{i}" for i in range(8)],
    ["A0S9V9", "A1D9Z7", "A2C0I1", "A3H5R1"],
    product("site{}_{:03d}", (1, 2, 3, 4, 5, 6), range(7)),
    product("centre-{}_{:03d}", (1, 2, 3, 4, 5, 6), range(7)),
    product("{}_{:03d}", range(2015, 2023), range(7)),
    product("{}_{}", ("benign", "malignant", "normal"), range(7)),
    product("{}_scan_{}", ("liver", "spleen", "heart", "lung", "colon"), range(7)),
    [f"Training_Batch_{1 + i // 4}_volume-{i}" for i in range(8)],
    product("site{}_p{}", (1, 2), (1, 2, 3, 4)),
    product("{}_p{}", ("training", "validation"), (1, 2, 3, 4)),
    [f"TCGA-18-559{i}-01Z-00-DX1" for i in range(8)],
    [f"IMG-0001-{i:05d}" for i in range(8)],
    ["3f2a-77", "9b1c-12", "aa00-45", "0c1d-99", "7e7e-31"],
    ["left", "right"],
    ["knee01", "knee02"],
    ["a"],
]
TOGETHER = [
    (["t1_p1", "t1_p2", "t2_p1", "t2_p2"], ["p1", "p2", "p1", "p2"]),
    (["p003_frame01", "p003_frame12", "p007_frame01"], ["p003", "p003", "p007"]),
    (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"], ["sub-01", "sub-01", "sub-02"]),
    (["sub-01_ses-1_run-2", "sub-01_ses-2_run-1", "sub-02"], ["sub-01", "sub-01", "sub-02"]),
    (["ses-1_sub-01", "ses-2_sub-01", "ses-1_sub-02"], ["sub-01", "sub-01", "sub-02"]),
    (["sub-a1_dir-ax", "sub-a1_dir-iso", "sub-b"], ["sub-a1", "sub-a1", "sub-b"]),
    (["case1_slice012", "case1_slice013", "case2_slice001"], ["case1", "case1", "case2"]),
    (["case_00_z1", "case_00_z2", "case_01_z1"], ["case_00", "case_00", "case_01"]),
    (["P01_left", "P01_right", "P02_left"], ["P01", "P01", "P02"]),
    (["Image_01L", "Image_01R", "Image_02L"], ["Image_01", "Image_01", "Image_02"]),
    (["A01_L", "A01_R", "A02_L"], ["A01", "A01", "A02"]),
    (["LIDC-01_nodule3", "LIDC-01_nodule4", "LIDC-02_nodule1"], ["LIDC-01", "LIDC-01", "LIDC-02"]),
    (["p1_2019-03-01", "p1_2020-04-01", "p2_2019-03-01"], ["p1", "p1", "p2"]),
    (["p1_20190301_3", "p1_20200401_4", "p2_20190301_1"], ["p1", "p1", "p2"]),
    (["patient0_visit1", "Patient0_visit2", "patient1_visit1"], ["patient0"] * 2 + ["patient1"]),
    (["patient3frame1", "patient3frame2", "patient4frame1"], ["patient3"] * 2 + ["patient4"]),
    (["pat 7 scan 1", "pat 7 scan 2", "pat 8 scan 1"], ["pat 7", "pat 7", "pat 8"]),
    (["0001_patient3", "0002_patient3", "0003_patient4"], ["patient3", "patient3", "patient4"]),
    (["k1", "k2", "k2_followup", "k2_follow-up2"], ["k1", "k2", "k2", "k2"]),
    (["x1_12mo", "x1_24mo", "x2_12mo"], ["x1", "x1", "x2"]),
    (["x1_m12", "x1_m24", "x2_m12"], ["x1", "x1", "x2"]),
    (["x1_T1w", "x1_FLAIR", "x2_T1w"], ["x1", "x1", "x2"]),
    (["x1_aug1", "x1_flip", "x2_aug1"], ["x1", "x1", "x2"]),
    (["left_1", "right_1", "left_2"], ["1", "1", "2"]),
    (["visit1_003", "visit2_003", "visit1_004"], ["003", "003", "004"]),
    (["siteA_patient1_v1", "siteA_patient1_v2", "siteB_patient1_v1"],
     ["siteA_patient1", "siteA_patient1", "siteB_patient1"]),
    (["OAS1_0001_MR1", "OAS1_0001_MR2", "OAS1_0002_MR1"], ["OAS1_0001", "OAS1_0001", "OAS1_0002"]),
    (["TCGA_CS_4941_19960909_1", "TCGA_CS_4941_19960909_2", "TCGA_CS_4942_19970222_1"],
     ["TCGA_CS_4941", "TCGA_CS_4941", "TCGA_CS_4942"]),
    (["TCGA-18-5442-01Z-00-DX1", "TCGA-18-5442-01A-02-TS1", "TCGA-21-5784-01Z-00-DX1"],
     ["TCGA-18-5442", "TCGA-18-5442", "TCGA-21-5784"]),
    (["BraTS20_Training_001_slice1", "BraTS20_Training_001_slice2", "BraTS20_Training_002_slice1"],
     ["BraTS20_Training_001", "BraTS20_Training_001", "BraTS20_Training_002"]),
]  # fmt: skip


def alone(groups, names):
    """A case by itself is named after itself, whatever was looked for in its name."""
    return [
        group if groups.count(group) > 1 else name
        for group, name in zip(groups, names, strict=True)
    ]


@pytest.mark.parametrize("names", APART, ids=lambda names: names[0])
def test_names_that_say_nothing_leave_each_case_by_itself(names):
    assert find_groups(names) == (tuple(names), "each case by itself", "")


@pytest.mark.parametrize(("names", "groups"), TOGETHER, ids=lambda value: value[0])
def test_parts_of_a_patient_are_together(names, groups):
    found = find_groups(names)
    assert list(found.names) == alone(groups, names)
    assert found.source == "from the names"
    assert found.doubt == ""


@pytest.mark.parametrize(("names", "count"), [
    (product("{}_{:03d}", range(12, 20), range(5)), 8),
    (product("IMG-{:04d}-{:05d}", range(9), range(9)), 9),
    (product("10{:03d}_1000{:03d}", range(12), range(2)), 12),
    (product("{}{}", range(10, 20), "ab"), 10),
    (product("s{}_layer{}", range(6), range(3)), 6),
])  # fmt: skip
def test_the_first_of_two_numbers_is_taken_for_the_patient_and_that_is_said(names, count):
    found = find_groups(names)
    assert len(set(found.names)) == count
    assert "first of two numbers" in found.source
    assert "--groups '.+'" in found.doubt


def test_the_coarsest_of_three_numbers_that_leaves_a_group_for_each_fold():
    names = [f"{a}_{b}_{c}" for a in range(6) for b in range(2) for c in range(4)]
    assert set(find_groups(names, folds=5).names) == {str(a) for a in range(6)}
    assert len(set(find_groups(names, folds=8).names)) == 12


@pytest.mark.parametrize("names", [
    product("{}_{:03d}", range(3), range(20)),  # fewer than folds
    [*product("{}_{:03d}", (1,), range(30)), *product("{}_{}", range(2, 8), "1")],  # one holds most
])  # fmt: skip
def test_an_uncertain_reading_that_leaves_too_few_groups_is_dropped_and_that_is_said(names):
    found = find_groups(names)
    assert found.names == tuple(names)
    assert "--groups" in found.doubt


@pytest.mark.parametrize(("names", "words"), [
    ([f"patient1_slice{i}" for i in range(9)], "all 9 cases are of patient1"),
    ([f"sub-07_ses-{i}" for i in range(9)], "all 9 cases are of sub-07"),
    ([f"slice_{i}" for i in range(9)], "do not say whose"),
    ([f"case_slice{i:03d}" for i in range(9)], "do not say whose"),
])  # fmt: skip
def test_never_all_cases_are_one_group(names, words):
    found = find_groups(names)
    assert found.names == tuple(names)
    assert words in found.doubt


def test_people_named_by_words_are_together_and_few_of_them_are_doubted():
    people = ["kim", "lee", "roy", "ann", "joe"]
    many = find_groups(product("{}_slice{}", people, range(4)))
    assert (set(many.names), many.doubt) == (set(people), "")
    few = find_groups(["kim baseline", "kim followup", "lee baseline"])
    assert few.names == ("kim", "kim", "lee baseline")
    assert "'.+'" in few.doubt


def test_kinds_of_scans_are_no_patients_where_a_number_follows():
    names = [f"{kind}_scan_{i}_{s}" for kind in ("a", "b") for i in range(4) for s in ("l", "r")]
    assert len(set(find_groups(names).names)) == 8


def test_any_names_are_dealt_with():
    """No error, one group per case, never a single one for all; in any order the same."""
    random = np.random.default_rng(0)
    letters = [*"aAzßé_-. 019", "frame", "patient", "left", "2019-01-01", "tcga-a1-b2c3"]
    for _ in range(300):
        names = sorted({"".join(random.choice(letters, 6)) for _ in range(random.integers(2, 9))})
        found = find_groups(names)
        assert len(found.names) == len(names)
        assert len(set(found.names)) > 1 or len(names) == 1
        back = find_groups(names[::-1]).names[::-1]
        for first, second in zip(found.names, back, strict=True):
            assert found.names.count(first) == back.count(second)


def cases(names, groups=None):
    return [
        Case(name, (), group=group)
        for name, group in zip(names, groups or [""] * len(names), strict=True)
    ]


def test_folders_go_before_names_and_the_setting_before_both():
    found = cases(["k_left", "k_right", "l_left"], ["one", "one", "k"])
    assert group_cases(found, None, 5) == (("one", "one", "k"), "from the folders", "")
    assert group_cases(found, r"_(left|right)", 5).names == ("left", "right", "left")


def test_folders_that_tell_each_case_apart_leave_it_to_the_names():
    found = cases(["k_left", "k_right", "l_left"], ["k_left", "k_right", "l_left"])
    assert group_cases(found, None, 5).names == ("k", "k", "l_left")


def test_one_patient_for_all_folders_is_said():
    found = group_cases(cases(["a", "b"], ["x", "x"]), None, 5)
    assert "all 2 cases are of one patient" in found.doubt


def test_words_for_the_table():
    names = ["a1_left", "a1_right", "b1_left"]
    assert groups_in_words(find_groups(names)) == "2 patients of 3 cases, from the names (a1: 2)"
    assert groups_in_words(find_groups(["a", "b"])) == "each case by itself"
    folders = group_cases(cases(names, ["Jo Doe", "Jo Doe", "x"]), None, 5)
    assert groups_in_words(folders) == "2 patients of 3 cases, from the folders (at most 2 of one)"
