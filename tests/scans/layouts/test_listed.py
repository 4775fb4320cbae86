"""Descriptions by others: what they say is followed, or said to be not."""

import json

import pytest

from medseg.errors import MedsegError
from medseg.scans.discover import ChannelRule, discover
from tests.scans.folders import fill

N = (1, 2, 3, 4)


def nnunet(root, described, *, channels=1):
    fill(root, *[f"imagesTr/p{n}_{c:04d}.nii.gz" for n in N for c in range(channels)])
    fill(root, *[f"labelsTr/p{n}.nii.gz" for n in N])
    described = {"channel_names": {str(c): "x" for c in range(channels)}, **described}
    (root / "dataset.json").write_text(json.dumps(described))
    return root


def entries(*names):
    return [{"image": f"img/{n}.nii.gz", "label": f"lab/{n}.nii.gz"} for n in names]


def listed(root, value, name="dataset_0.json"):
    fill(root, *[f"{k}/{n}.nii.gz" for k in ("img", "lab") for n in "abcd"])
    (root / name).write_text(json.dumps(value))
    return root


def in_folders(*folders):
    return [
        {"image": [f"{folder}/{n}.nii.gz" for folder in folders], "label": f"lab/{n}.nii.gz"}
        for n in "abcd"
    ]


def test_regions_are_read_with_the_order_they_are_written_in(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 9}
    described = {"labels": labels, "regions_class_order": [1, 2, 3]}
    dataset = discover(nnunet(tmp_path, described))
    assert dataset.class_values is None
    assert dataset.regions is not None
    assert dataset.regions.values == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert dataset.regions.order == (1, 2, 3)
    assert dataset.ignore_label == 9
    assert not [note for note in dataset.notes if "region" in note]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"regions_class_order": [1]}, "regions_class_order"),
        ({"regions_class_order": [2, 1]}, "regions_class_order writes whole as 2"),
        ({"labels": {"background": 0, "whole": [1, -2]}}, "region"),
        ({"labels": {"background": 0, "whole": []}}, "region"),
    ],
)
def test_regions_that_make_no_sense_are_refused(tmp_path, changed, word):
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    with pytest.raises(MedsegError, match=rf"dataset\.json: .*{word}"):
        discover(nnunet(tmp_path, {"labels": labels, **changed}))


@pytest.mark.parametrize(
    ("labels", "value", "classes"),
    [
        ({"background": 0, "a": 1, "ignore": 2}, 2, {"background": 0, "a": 1}),
        ({"0": "a", "1": "b", "3": "Ignore"}, 3, {"a": 0, "b": 1}),
    ],
)
def test_an_ignore_label_is_never_a_class(tmp_path, labels, value, classes):
    dataset = discover(nnunet(tmp_path, {"labels": labels}))
    assert dataset.ignore_label == value
    assert dataset.class_values == classes


@pytest.mark.parametrize(
    "text",
    [
        '{"labels": {"background": 0, "a": 1, "a": 2}}',
        '{"labels": {"0": "background", "1": "a", "2": "a"}}',
        '{"labels": {"background": 0, "a": 1, "b": 1}}',
        '{"labels": {"background": 0, "a": -1}}',
        '{"labels": {"background": 0, "a": 1.5}}',
        '{"labels": {"background": 0, "a": 99999999999}}',
        '{"labels": {"background": 0, "a": "' + "9" * 900 + '"}}',
        '{"labels": {"back\\nground": 0}}',
        '{"labels": {"\\ud800": 0}}',
        '{"labels": {"a": {"b": 1}}}',
        '{"labels": {"a": true, "b": [true, {}]}}',
        '{"training": {"a": 1}}',
        '{"training": [1, 2]}',
        '{"training": [{"image": ["a", 5], "label": []}]}',
        '{"training": [{"image": "\\u0000", "label": "x"}]}',
        '{"labels": ' + "[" * 3000 + "]" * 3000 + "}",
        "7",
        "null",
        '"text"',
        "{'labels': 1}",
        "\udcff",
    ],
)
def test_an_odd_description_is_one_line(tmp_path, text):
    nnunet(tmp_path, {})
    (tmp_path / "dataset.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(MedsegError, match=r"dataset\.json") as error:
        discover(tmp_path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_fault(tmp_path, encoding):
    nnunet(tmp_path, {})
    text = json.dumps({"labels": {"background": 0, "Prüfling": 1}, "channel_names": {"0": "CT"}})
    (tmp_path / "dataset.json").write_text(text, encoding=encoding)
    assert discover(tmp_path).class_values == {"background": 0, "Prüfling": 1}


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        ({"background": 0, "a": "1"}, {"background": 0, "a": 1}),
        ({"background": 0, "a": 1.0}, {"background": 0, "a": 1}),
        (
            {"0": "background", "255": "a"},
            {"background": 0, "255": 255} and {"background": 0, "a": 255},
        ),
        (["background", "a", "b"], {"background": 0, "a": 1, "b": 2}),
    ],
)
def test_labels_in_every_form(tmp_path, labels, values):
    assert discover(nnunet(tmp_path, {"labels": labels})).class_values == values


def test_file_ending_tells_which_files_count(tmp_path):
    nnunet(tmp_path, {"file_ending": ".nii.gz", "labels": {"background": 0, "a": 1}}, channels=2)
    fill(tmp_path, *[f"labelsTr/p{n}.png" for n in N], "imagesTr/p1_0000.png")
    dataset = discover(tmp_path)
    assert dataset.problems == ()
    assert len(dataset.cases) == 4
    assert dataset.channel_rule == ChannelRule(kind="suffix", keys=("_0000", "_0001"))


def test_numbers_that_do_not_fit_are_said(tmp_path):
    dataset = discover(nnunet(tmp_path, {"numTraining": 7}))
    assert any("announces 7 training cases, 4 are there" in note for note in dataset.notes)


def test_a_listed_case_without_files_is_named(tmp_path):
    training = [
        {"image": f"./imagesTr/p{n}.nii.gz", "label": f"./labelsTr/p{n}.nii.gz"} for n in (1, 9)
    ]
    dataset = discover(nnunet(tmp_path, {"training": training}))
    assert len(dataset.cases) == 4
    assert [problem.name for problem in dataset.problems] == ["imagesTr/p9.nii.gz"]


def test_windows_paths_below_the_folder_are_paths(tmp_path):
    training = [{"image": f"img\\{n}.nii.gz", "label": f".\\lab\\{n}.nii.gz"} for n in "abcd"]
    dataset = discover(listed(tmp_path, {"training": training}, "dataset.json"))
    assert [case.name for case in dataset.cases] == list("abcd")


def test_a_list_of_training_and_validation(tmp_path):
    value = {"training": entries(*"abc"), "validation": entries("d"), "test": ["img/e.nii.gz"]}
    dataset = discover(listed(tmp_path, value))
    assert dataset.layout == "JSON list dataset_0.json"
    assert [case.part for case in dataset.cases] == ["training"] * 3 + ["validation"]


@pytest.mark.parametrize("value", [entries(*"abcd"), {"train": entries(*"abcd")}])
def test_a_list_without_sides(tmp_path, value):
    dataset = discover(listed(tmp_path, value))
    assert [case.part for case in dataset.cases] == [None] * 4


def test_a_list_pairs_what_names_do_not(tmp_path):
    fill(tmp_path, "x/1.nii.gz", "x/2.nii.gz", "y/ja.nii.gz", "y/nein.nii.gz")
    value = {
        "training": [
            {"image": "x/1.nii.gz", "label": "y/ja.nii.gz"},
            {"image": "x/2.nii.gz", "label": "y/nein.nii.gz"},
        ]
    }
    (tmp_path / "list.json").write_text(json.dumps(value))
    assert [case.labels[0].name for case in discover(tmp_path).cases] == [
        "ja.nii.gz",
        "nein.nii.gz",
    ]


def test_a_list_of_channels(tmp_path):
    fill(tmp_path, *[f"d/p{n}_{c}.nii.gz" for n in N for c in ("t1", "t2", "seg")])
    value = [
        {"image": [f"d/p{n}_t1.nii.gz", f"d/p{n}_t2.nii.gz"], "label": f"d/p{n}_seg.nii.gz"}
        for n in N
    ]
    (tmp_path / "list.json").write_text(json.dumps({"training": value}))
    dataset = discover(tmp_path)
    assert dataset.channel_rule == ChannelRule(kind="suffix", keys=("_t1", "_t2"))
    assert [len(case.images) for case in dataset.cases] == [2] * 4


def test_a_list_of_channels_that_only_folders_tell_apart(tmp_path):
    fill(tmp_path, *[f"{k}/{n}.nii.gz" for k in ("t2", "t1", "lab") for n in "abcd"])
    dataset = discover(listed(tmp_path, {"training": in_folders("t2", "t1")}))
    assert dataset.channel_rule == ChannelRule(kind="outer", keys=("t1", "t2"))
    found = [[path.relative_to(tmp_path).as_posix() for path in c.images] for c in dataset.cases]
    assert found == [[f"t1/{n}.nii.gz", f"t2/{n}.nii.gz"] for n in "abcd"]


def test_channels_that_nothing_tells_apart_are_a_problem(tmp_path):
    fill(tmp_path, *[f"{k}/{n}.nii.gz" for k in ("x/t", "y/t", "lab") for n in "abcd"])
    with pytest.raises(MedsegError, match="neither names nor folders tell apart"):
        discover(listed(tmp_path, {"training": in_folders("x/t", "y/t")}))


def test_two_lists_are_a_question(tmp_path):
    listed(tmp_path, entries(*"abcd"))
    with pytest.raises(MedsegError, match=r"dataset_0\.json, dataset_1\.json"):
        discover(listed(tmp_path, entries(*"abcd"), "dataset_1.json"))


@pytest.mark.parametrize(
    "path", ["/abs/a.nii.gz", "../a.nii.gz", "C:\\a.nii.gz", "img/../../a.nii.gz"]
)
def test_a_list_points_nowhere_else(tmp_path, path):
    value = [*entries("a"), {"image": path, "label": "lab/a.nii.gz"}]
    with pytest.raises(MedsegError, match="inside the dataset's folder"):
        discover(listed(tmp_path, value))


def test_other_json_files_are_no_lists(tmp_path):
    fill(tmp_path, *[f"{k}/{n}.png" for k in ("images", "labels") for n in N])
    (tmp_path / "boxes.json").write_text('{"cju0": {"bbox": [1, 2]}}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "splits_final.json").write_text('[{"train": ["1"], "val": ["2"]}]')
    assert discover(tmp_path).layout == "two folders: images and labels"


def test_voc_splits_are_followed(tmp_path):
    fill(tmp_path, *[f"JPEGImages/{n}.jpg" for n in N], *[f"SegmentationClass/{n}.png" for n in N])
    fill(tmp_path, "ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt")
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("1\n2\n3\n")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("4\n")
    parts = [case.part for case in discover(tmp_path).cases]
    assert parts == ["training"] * 3 + ["validation"]
