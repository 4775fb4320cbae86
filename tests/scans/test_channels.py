from pathlib import Path

import pytest

from medseg.scans.discover import ChannelRule, discover, group_inputs
from tests.scans.folders import fill

SUFFIX = ChannelRule(kind="suffix", keys=("_0000", "_0001"))
FOLDER = ChannelRule(kind="folder", keys=("t1", "flair"))


def grouped(paths, rule, channels):
    found = group_inputs(paths, rule, channels)
    return found.cases, found.problems


def names_of(cases):
    return {case.name: [path.name for path in case.images] for case in cases}


def test_inputs_are_files_folders_and_globs(tmp_path):
    fill(tmp_path, "a.nii.gz", "in/b10.mhd", "in/b2.mhd", "in/b2.raw", "in/.c.png", "d/e1.png")
    paths = [str(tmp_path / name) for name in ("a.nii.gz", "in", "d/*", "in/b2.mhd")]
    cases, wrong = grouped(paths, ChannelRule(), 1)
    assert wrong == []
    assert list(names_of(cases)) == ["a", "b2", "b10", "e1"]


def test_same_names_from_several_folders_stay_apart(tmp_path):
    fill(tmp_path, "p1/scan.nii.gz", "p2/scan.nii.gz")
    cases, _ = grouped([str(tmp_path / "*" / "scan.nii.gz")], ChannelRule(), 1)
    assert [case.name for case in cases] == ["p1_scan", "p2_scan"]


@pytest.mark.parametrize(
    "name", ["none.nii.gz", "a" * 300, "no*.nii.gz", "x/[a", "**.nii", "empty", "a.txt"]
)
def test_an_input_that_is_none_is_one_problem(tmp_path, name):
    fill(tmp_path, "a.nii.gz", "a.txt", "empty/notes.txt")
    cases, wrong = grouped([str(tmp_path / name), str(tmp_path / "a.nii.gz")], ChannelRule(), 1)
    assert [case.name for case in cases] == ["a"]
    assert [Path(problem.name).name for problem in wrong] == [Path(name).name]


def test_inputs_are_grouped_by_suffix(tmp_path):
    fill(tmp_path, "p1_0001.nii.gz", "p1_0000.nii.gz", "p2_0000.nii.gz", "odd.nii.gz")
    cases, wrong = grouped([str(tmp_path)], SUFFIX, 2)
    assert names_of(cases) == {"p1": ["p1_0000.nii.gz", "p1_0001.nii.gz"]}
    assert sorted(Path(p.name).name for p in wrong) == ["odd.nii.gz", "p2"]
    assert any("_0001" in problem.what for problem in wrong)


def test_inputs_are_grouped_by_name_across_folders(tmp_path):
    fill(tmp_path, "T1/p1.nii.gz", "T1/p2_T1.nii.gz", "flair/p1.nii.gz", "flair/p2_flair.nii.gz")
    rule = ChannelRule(kind="outer", keys=("flair", "t1"))
    cases, wrong = grouped([str(tmp_path)], rule, 2)
    assert wrong == []
    files = {"p1": ["p1.nii.gz", "p1.nii.gz"], "p2": ["p2_flair.nii.gz", "p2_T1.nii.gz"]}
    assert names_of(cases) == files
    assert [[path.parent.name for path in case.images] for case in cases] == [["flair", "T1"]] * 2


@pytest.mark.parametrize("named", [[""], ["p1", "p2"], ["p1/*", "p2/*"], ["p*"]])
def test_inputs_are_grouped_by_folder(tmp_path, named):
    fill(tmp_path, *[f"p{n}/p{n}_{what}.nii.gz" for n in (1, 2) for what in ("t1", "FLAIR")])
    cases, wrong = grouped([str(tmp_path / name) for name in named], FOLDER, 2)
    assert wrong == []
    assert names_of(cases)["p2"] == ["p2_t1.nii.gz", "p2_FLAIR.nii.gz"]


def test_a_case_folder_may_hold_other_files(tmp_path):
    fill(tmp_path, "p1/t1.nii.gz", "p1/flair.nii.gz", "p1/seg.nii.gz", "p2/image.nii.gz")
    assert grouped([str(tmp_path / "p1")], FOLDER, 2)[1] == []
    fill(tmp_path, "p1/masks/liver.nii.gz")
    assert grouped([str(tmp_path)], FOLDER, 2)[0] == grouped([str(tmp_path / "p1")], FOLDER, 2)[0]
    single = ChannelRule(kind="folder", keys=("t1",))
    cases, _ = grouped([str(tmp_path / "p1"), str(tmp_path / "p2/image.nii.gz")], single, 1)
    assert names_of(cases) == {"p1": ["t1.nii.gz"], "image": ["image.nii.gz"]}


LAYOUTS_OF_CHANNELS = {
    "p{n}/images/p{n}_{c}.png": "p{n}/labels/p{n}.png",
    "p{n}/p{n}_{c}.png": "p{n}/p{n}_seg.png",
    "images/p{n}/p{n}_{c}.png": "labels/p{n}.png",
    "images/p{n}/scans/{c}.png": "labels/p{n}.png",
    "images/site/p{n}_{c}.png": "labels/site/p{n}.png",
    "images/p{n}_mri/{c}.png": "labels/p{n}.png",
    "images/{c}/p{n}.png": "labels/p{n}.png",
    "{c}/p{n}_{c}.png": "labels/p{n}.png",
}


@pytest.mark.parametrize("layout", LAYOUTS_OF_CHANNELS)
def test_what_trains_is_read_alike_in_prediction(tmp_path, layout):
    images = [layout.format(n=n, c=channel) for n in (1, 2, 3) for channel in ("flair", "t1")]
    labels = [LAYOUTS_OF_CHANNELS[layout].format(n=n) for n in (1, 2, 3)]
    dataset = discover(fill(tmp_path, *images, *labels))
    assert [len(case.images) for case in dataset.cases] == [2, 2, 2]
    files = [str(tmp_path / name) for name in images]
    cases, wrong = grouped(files, dataset.channel_rule, 2)
    assert wrong == []
    assert [case.images for case in cases] == [case.images for case in dataset.cases]
    assert [case.name[:2] for case in cases] == ["p1", "p2", "p3"]
    root = tmp_path / Path(images[0]).parts[0] if layout.startswith("images") else tmp_path
    if "site" not in layout:
        assert grouped([str(root)], dataset.channel_rule, 2) == (cases, [])


def test_two_patients_may_have_files_of_any_name(tmp_path):
    fill(tmp_path, "p1/anna.png", "p1/anna_seg.png", "p2/ben.png", "p2/ben_seg.png")
    dataset = discover(tmp_path)
    assert ([case.name for case in dataset.cases], dataset.problems) == (["p1", "p2"], ())
    assert dataset.channel_rule == ChannelRule()


def test_a_mask_named_as_a_channel_is_none(tmp_path):
    fill(tmp_path, "p1/t1.nii.gz", "p1/flair.nii.gz", "p1/masks/t1.nii.gz")
    cases, wrong = grouped([str(tmp_path)], FOLDER, 2)
    assert wrong == []
    assert names_of(cases) == {"p1": ["t1.nii.gz", "flair.nii.gz"]}


def test_no_input_is_dropped_in_silence(tmp_path):
    fill(tmp_path, "a.nii.gz", "b.nii.gz")
    cases, wrong = grouped([str(tmp_path)], ChannelRule(kind="folder", keys=("image",)), 1)
    assert ([case.name for case in cases], wrong) == (["a", "b"], [])
    cases, wrong = grouped([str(tmp_path)], FOLDER, 2)
    assert cases == []
    assert [Path(problem.name).name for problem in wrong] == ["a.nii.gz", "b.nii.gz"]


def test_a_case_folder_is_named_from_inside_too(tmp_path, monkeypatch):
    fill(tmp_path, "p1/p1_t1.nii.gz", "p1/p1_flair.nii.gz")
    monkeypatch.chdir(tmp_path / "p1")
    assert [case.name for case in grouped(["."], FOLDER, 2)[0]] == ["p1"]


def test_a_model_of_one_file_per_case_takes_any_name(tmp_path):
    fill(tmp_path, "a_0000.nii.gz", "b.nii.gz")
    cases, wrong = grouped([str(tmp_path)], ChannelRule(kind="suffix", keys=("_0000",)), 1)
    assert wrong == []
    assert [case.name for case in cases] == ["a", "b"]


def test_the_rule_survives_json():
    assert ChannelRule.model_validate_json(FOLDER.model_dump_json()) == FOLDER
