"""Cases that lack the file of a channel: left out with a remedy, or used, as the user declares."""

import json

import pytest

from medseg.errors import MedsegError
from medseg.scans.case import Channel
from medseg.scans.discover import ChannelRule, discover, group_inputs
from tests.scans.folders import fill

WITHOUT = {2: "t1", 4: "flair"}
"""Number of a case -> the channel that it lacks."""
LAYOUTS = {
    "images/p{n}_{c}.nii.gz": "labels/p{n}.nii.gz",
    "p{n}_{c}.nii.gz": "p{n}_seg.nii.gz",
    "p{n}/{c}.nii.gz": "p{n}/seg.nii.gz",
    "p{n}/p{n}_{c}.nii.gz": "p{n}/p{n}_seg.nii.gz",
    "images/{c}/p{n}.nii.gz": "labels/p{n}.nii.gz",
    "{c}/p{n}.nii.gz": "labels/p{n}.nii.gz",
    "{c}/p{n}_{c}.nii.gz": "labels/p{n}.nii.gz",
    "sub-p{n}/anat/sub-p{n}_{c}.nii.gz": "derivatives/manual/sub-p{n}/anat/sub-p{n}_dseg.nii.gz",
}


def names(layout, without=WITHOUT, cases=6):
    images = [
        layout.format(n=n, c=channel)
        for n in range(1, cases + 1)
        for channel in ("flair", "t1")
        if without.get(n) != channel
    ]
    labels = [LAYOUTS[layout].format(n=n) for n in range(1, cases + 1)]
    return images, labels


def absent(dataset):
    """Case -> names of its absent channels, and how many files it has."""
    return {
        case.name: ([channel.name for channel in case.absent], len(case.images))
        for case in dataset.cases
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_case_that_lacks_a_channel_is_left_out_with_the_setting_as_remedy(tmp_path, layout):
    images, labels = names(layout)
    dataset = discover(fill(tmp_path, *images, *labels))
    assert len(dataset.cases) == 4
    assert [case.absent for case in dataset.cases] == [()] * 4
    told = [p for p in dataset.problems if "no file for channel" in p.what]
    assert [problem.name[-2:] for problem in told] == ["p2", "p4"]
    for problem, channel in zip(told, WITHOUT.values(), strict=True):
        assert channel in problem.what
        assert "--missing-channels absent" in problem.remedy


@pytest.mark.parametrize("layout", LAYOUTS)
def test_declared_absent_it_is_used(tmp_path, layout):
    images, labels = names(layout)
    dataset = discover(fill(tmp_path, *images, *labels), missing_channels="absent")
    assert dataset.problems == ()
    found = absent(dataset)
    assert [name[-2:] for name in found] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert [*found.values()] == [
        ([], 2),
        (["t1"], 1),
        ([], 2),
        (["flair"], 1),
        ([], 2),
        ([], 2),
    ]
    assert [channel.place for case in dataset.cases for channel in case.absent] == [1, 0]
    # And the same files make the same cases in prediction.
    paths = [str(tmp_path / name) for name in images]
    again = group_inputs(paths, dataset.channel_rule, 2, lacking=True)
    assert again.problems == []
    assert [(case.images, case.absent) for case in again.cases] == [
        (case.images, case.absent) for case in dataset.cases
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_declaring_it_changes_nothing_where_nothing_is_absent(tmp_path, layout):
    images, labels = names(layout, without={})
    plain = discover(fill(tmp_path, *images, *labels))
    assert discover(tmp_path, missing_channels="absent") == plain


@pytest.mark.parametrize("missing", ["refuse", "absent"])
def test_a_case_without_any_channel_is_no_case(tmp_path, missing):
    fill(tmp_path, *[f"imagesTr/p{n}_{c:04d}.nii.gz" for n in (1, 2) for c in (0, 1)])
    fill(tmp_path, "imagesTr/p3_0007.nii.gz", *[f"labelsTr/p{n}.nii.gz" for n in (1, 2, 3)])
    described = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "x": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    dataset = discover(tmp_path, missing_channels=missing)
    assert [case.name for case in dataset.cases] == ["p1", "p2"]
    assert "p3" in {problem.name for problem in dataset.problems}


def test_a_channel_that_many_cases_lack_is_one_by_declaration_alone(tmp_path):
    fill(tmp_path, *[f"images/p{n}_t1.nii.gz" for n in range(6)], "images/p0_flair.nii.gz")
    fill(tmp_path, "images/p1_flair.nii.gz", "images/p2_stir.nii.gz")
    fill(tmp_path, *[f"labels/p{n}.nii.gz" for n in range(6)])
    dataset = discover(tmp_path)
    assert dataset.channel_rule.keys == ("_t1",)
    assert any("--missing-channels absent" in problem.remedy for problem in dataset.problems)
    dataset = discover(tmp_path, missing_channels="absent")
    assert dataset.channel_rule == ChannelRule(kind="suffix", keys=("_flair", "_t1"))
    assert [len(case.images) for case in dataset.cases] == [2, 2, 1, 1, 1, 1]
    assert ["p2_stir.nii.gz" in problem.what for problem in dataset.problems] == [True]
    assert "over a quarter" in dataset.problems[0].remedy
    assert "--missing-channels" not in dataset.problems[0].remedy


def test_a_folder_of_a_contrast_with_few_files_is_no_channel(tmp_path):
    fill(tmp_path, *[f"t1/p{n}.nii.gz" for n in range(9)], *[f"flair/p{n}.nii.gz" for n in (1, 2)])
    fill(tmp_path, *[f"labels/p{n}.nii.gz" for n in range(9)])
    dataset = discover(tmp_path)
    assert [len(case.images) for case in dataset.cases] == [1] * 9
    assert any("flair" in note for note in dataset.notes)


def listed(root, third, name="dataset.json"):
    fill(root, *[f"img/{n}_{c}.nii.gz" for n in "abc" for c in ("t1", "t2")])
    fill(root, *[f"lab/{n}.nii.gz" for n in "abc"])
    entries = [
        {"image": [f"img/{n}_t1.nii.gz", f"img/{n}_t2.nii.gz"], "label": f"lab/{n}.nii.gz"}
        for n in "ab"
    ]
    entries.append({"image": third, "label": "lab/c.nii.gz"})
    (root / name).write_text(json.dumps({"training": entries}))
    return root


@pytest.mark.parametrize("name", ["dataset.json", "dataset_0.json"])
@pytest.mark.parametrize(
    "third", [["img/c_t1.nii.gz", None], ["img/c_t1.nii.gz", ""], ["img/c_t1.nii.gz"]]
)
def test_a_list_may_leave_a_channel_empty(tmp_path, name, third):
    listed(tmp_path, third, name)
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["a", "b"]
    told = [p for p in dataset.problems if p.name == "c"]
    assert "--missing-channels absent" in told[0].remedy
    dataset = discover(tmp_path, missing_channels="absent")
    assert absent(dataset) == {"a": ([], 2), "b": ([], 2), "c": (["t2"], 1)}
    assert dataset.problems == ()


def test_a_file_that_a_list_names_must_be_there(tmp_path):
    listed(tmp_path, ["img/c_t1.nii.gz", "img/gone_t2.nii.gz"])
    dataset = discover(tmp_path, missing_channels="absent")
    assert [case.name for case in dataset.cases] == ["a", "b"]
    assert [(p.name.endswith("gone_t2.nii.gz"), "null" in p.remedy) for p in dataset.problems] == [
        (True, True)
    ]


def test_a_list_by_folders_may_leave_a_channel_empty(tmp_path):
    fill(tmp_path, *[f"{c}/{n}.nii.gz" for n in "abc" for c in ("t1", "t2", "lab")])
    entries = [
        {"image": [f"t1/{n}.nii.gz", f"t2/{n}.nii.gz"], "label": f"lab/{n}.nii.gz"} for n in "ab"
    ]
    entries.append({"image": [None, "t2/c.nii.gz"], "label": "lab/c.nii.gz"})
    (tmp_path / "dataset_0.json").write_text(json.dumps({"training": entries}))
    dataset = discover(tmp_path, missing_channels="absent")
    assert dataset.channel_rule == ChannelRule(kind="outer", keys=("t1", "t2"))
    assert absent(dataset) == {"a": ([], 2), "b": ([], 2), "c": (["t1"], 1)}


def test_an_entry_of_nothing_is_refused(tmp_path):
    with pytest.raises(MedsegError, match="must name an image"):
        discover(listed(tmp_path, [None, ""]))


def test_folders_of_names_that_a_pattern_tells_apart(tmp_path):
    fill(tmp_path, *[f"{n}/raw_{c}.nii.gz" for n in range(1, 6) for c in ("t1", "t2")])
    fill(tmp_path, *[f"{n}/zones.nii.gz" for n in range(1, 6)])
    (tmp_path / "3/raw_t2.nii.gz").unlink()
    dataset = discover(tmp_path, pattern="*raw*|*zones*", missing_channels="absent")
    lacking = {case.name: case.absent for case in dataset.cases if case.absent}
    assert len(dataset.cases) == 5
    assert [[channel.place for channel in each] for each in lacking.values()] == [[1]]


def test_what_prediction_is_given_may_lack_channels_if_the_model_bears_it(tmp_path):
    fill(tmp_path, "p1_0000.nii.gz", "p1_0001.nii.gz", "p2_0001.nii.gz")
    rule = ChannelRule(kind="suffix", keys=("_0000", "_0001"))
    refused = group_inputs([str(tmp_path)], rule, 2)
    assert [case.name for case in refused.cases] == ["p1"]
    assert [(p.name, "--missing-channels absent" in p.remedy) for p in refused.problems] == [
        ("p2", True)
    ]
    found = group_inputs([str(tmp_path)], rule, 2, lacking=True)
    assert found.problems == []
    assert [case.name for case in found.cases] == ["p1", "p2"]
    assert [place.as_posix() for place in found.places] == ["p1", "p2"]
    assert found.cases[1].absent == (Channel(0, "_0000"),)
    assert [path.name for path in found.cases[1].images] == ["p2_0001.nii.gz"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_channel_may_be_rarer_than_the_other(tmp_path, layout):
    images, labels = names(layout, without={2: "t1", 3: "t1"})
    fill(tmp_path, *images, *labels)
    assert [len(case.images) for case in discover(tmp_path).cases] == [2] * 4
    dataset = discover(tmp_path, missing_channels="absent")
    assert [len(case.images) for case in dataset.cases] == [2, 1, 1, 2, 2, 2]
