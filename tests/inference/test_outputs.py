"""Where masks go: patients stay apart, and nothing is lost that medseg did not make."""

from pathlib import Path

import pytest
from plans import plan_for_tests

from medseg.errors import SettingsError
from medseg.inference.outputs import plan_outputs
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.marks import MARK
from tests.scans.folders import fill

MULTICLASS = plan_for_tests()
MULTILABEL = plan_for_tests(task="multilabel")


def outputs(*paths, output=None, plan=MULTICLASS, extras=(), rule=None):
    found = group_inputs([str(path) for path in paths], rule or ChannelRule(), 1)
    targets, problems = plan_outputs(found, output, plan, extras)
    return targets, problems


def names(targets, below):
    return [file.relative_to(below).as_posix() for target in targets for file in target.files]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_where_names_clash_the_output_mirrors_the_input(here):
    fill(here / "in", "p1/ct.nii.gz", "p2/ct.nii.gz", "p2/second/ct.nii.gz", "own.nii.gz")
    targets, problems = outputs(here / "in", output=here / "out")
    assert problems == []
    assert names(targets, here / "out") == [
        "own.nii.gz",
        "p1/ct.nii.gz",
        "p2/ct.nii.gz",
        "p2/second/ct.nii.gz",
    ]
    assert [target.shown for target in targets] == [
        "own.nii.gz",
        "p1/ct.nii.gz",
        "p2/ct.nii.gz",
        "p2/second/ct.nii.gz",
    ]
    targets, _ = outputs(here / "in")
    assert names(targets, Path()) == [
        "own_seg.nii.gz",
        "p1/ct_seg.nii.gz",
        "p2/ct_seg.nii.gz",
        "p2/second/ct_seg.nii.gz",
    ]


@pytest.mark.parametrize("typed", [["in/a/ct.png", "in/b/ct.png"], ["in/a", "in/b"], ["in/*/ct.*"]])
def test_the_tree_begins_where_the_words_part(here, typed):
    fill(here / "in", "a/ct.png", "b/ct.png")
    targets, _ = outputs(*(here / name for name in typed), output=here / "out")
    assert names(targets, here / "out") == ["a/ct.png", "b/ct.png"]


def test_without_a_clash_each_scan_keeps_its_name(here):
    fill(here / "in", "p1/a.nii.gz", "deep/er/b.nii.gz", "e.mha", "e.mhd", "e.nrrd", "e.nii")
    targets, _ = outputs(here / "in", output=here / "out")
    kept = {"a.nii.gz", "b.nii.gz", "e.mha", "e.mhd", "e.nrrd", "e.nii"}
    assert set(names(targets, here / "out")) == kept


def test_formats_keep_apart_what_is_written_beside_the_mask(here):
    fill(here / "in", "e.mha", "e.nrrd", "f.mha")
    targets, _ = outputs(here / "in", output=here / "out", extras=["overlay", "probabilities"])
    assert set(names(targets, here / "out")) == {"e.mha", "e.nrrd", "f.mha"}
    beside = {file.name for target in targets for file in target.all_files(["overlay"])[1:]}
    assert beside == {"e_mha_overlay.png", "e_nrrd_overlay.png", "f_overlay.png"}


def test_a_jpeg_beside_a_png_gets_a_name_of_its_own(here):
    fill(here / "in", "a.jpg", "a.png")
    targets, problems = outputs(here / "in", output=here / "out")
    assert problems == []
    assert {t.shown: t.files[0].name for t in targets} == {
        "a.jpg": "a_jpg.png",
        "a.png": "a.png",
    }


def test_folders_of_masks_stay_apart(here):
    fill(here / "in", "e.mha", "e.nrrd", "p1/s.mha", "p2/s.mha")
    targets, problems = outputs(here / "in", output=here / "out", plan=MULTILABEL)
    assert problems == []
    files = names(targets, here / "out")
    assert len(set(files)) == 8
    assert {"p1/s/organ.mha", "p2/s/organ.mha", "e_mha/organ.mha", "e_nrrd/organ.nrrd"} < set(files)


def test_names_that_differ_by_case_stay_apart(here):
    fill(here / "in", "Ab.png", "aB.png", "c/ab.png")
    targets, problems = outputs(here / "in", output=here / "out")
    assert problems == []
    files = [name.casefold() for name in names(targets, here / "out")]
    assert len(set(files)) == 3


def test_cases_of_several_channels_are_mirrored_by_their_case(here):
    fill(here / "in", *(f"s{n}/p1/{what}.nii.gz" for n in (1, 2) for what in ("t1", "t2")))
    rule = ChannelRule(kind="folder", keys=("t1", "t2"))
    targets, _ = outputs(here / "in", output=here / "out", rule=rule)
    assert names(targets, here / "out") == ["s1/p1.nii.gz", "s2/p1.nii.gz"]


@pytest.mark.parametrize(
    "name", ["mask.xyz", "mask.json", "mask.dcm", "mask.nii.bz2", "scores.csv"]
)
def test_an_unknown_suffix_is_no_folder(here, name):
    fill(here, "a.nii.gz")
    with pytest.raises(SettingsError, match=r"not written as \.\w+; end it with one of \.nii"):
        outputs(here / "a.nii.gz", output=here / name)
    assert not (here / name).exists()
    (here / name).mkdir()
    (target,), _ = outputs(here / "a.nii.gz", output=here / name)
    assert target.files == (here / name / "a.nii.gz",)


@pytest.mark.parametrize(
    "name", ["run.2024", "masks.v2", "2024.11.25", ".masks", "a.b c", "to.review"]
)
def test_a_dot_alone_makes_no_suffix(here, name):
    fill(here, "a.nii.gz")
    (target,), _ = outputs(here / "a.nii.gz", output=here / name)
    assert target.files == (here / name / "a.nii.gz",)


@pytest.mark.parametrize("output", [None, "work", "work/a_seg.nii.gz"])
def test_a_label_drawn_by_hand_is_not_replaced(here, output):
    """In a folder of scans and labels, our mask would have the label's name."""
    fill(here / "work", "a.nii.gz", "b.nii.gz")
    fill(here / "work", "a_seg.nii.gz", "new/a.nii.gz")
    folder = here / output if output else None
    drawn = here / "work" / ("a.nii.gz" if output == "work" else "a_seg.nii.gz")
    source = "new/a.nii.gz" if output == "work" else "a.nii.gz"
    with pytest.raises(SettingsError, match="is there already, and was not made by medseg"):
        outputs(here / "work" / source, output=folder)
    drawn.write_bytes(MARK)
    (target,), problems = outputs(here / "work" / source, output=folder)
    assert problems == []
    assert target.files[0].resolve() == drawn


def test_nor_is_the_data_of_another_header(here):
    fill(here / "in", "a.mhd")
    fill(here / "out", "a.raw")
    with pytest.raises(SettingsError, match="was not made by medseg"):
        outputs(here / "in" / "a.mhd", output=here / "out")


@pytest.mark.parametrize("extra", ["overlay", "uncertainty"])
def test_nor_is_a_file_that_has_the_name_of_an_extra(here, extra):
    suffix = ".png" if extra == "overlay" else ".nii.gz"
    fill(here / "in", "a.nii.gz")
    drawn = fill(here / "out", f"a_{extra}{suffix}") / f"a_{extra}{suffix}"
    with pytest.raises(SettingsError, match="was not made by medseg"):
        outputs(here / "in", output=here / "out", extras=(extra,))
    drawn.write_bytes(MARK)
    (target,), problems = outputs(here / "in", output=here / "out", extras=(extra,))
    assert problems == []
    assert target.extra(extra) == drawn


def test_of_several_only_the_one_in_doubt_is_left_out(here):
    fill(here / "in", "a.png", "b.png")
    fill(here / "out", "a.png")
    targets, problems = outputs(here / "in", output=here / "out")
    assert names(targets, here / "out") == ["b.png"]
    assert [problem.name for problem in problems] == ["a.png"]


def test_a_name_too_long_for_its_mask_costs_that_scan_alone(here):
    long = "n" * 245 + ".nii.gz"
    fill(here / "scans", long, "b.nii.gz")
    targets, problems = outputs(here / "scans")
    assert names(targets, Path()) == ["b_seg.nii.gz"]
    (problem,) = problems
    assert "longer than its folder can hold" in problem.what
    assert "shorten the scan's name" in problem.remedy
    (target,), problems = outputs(here / "scans" / long, output=here / "mask.nii.gz")
    assert target.files == (here / "mask.nii.gz",)
    assert not problems
