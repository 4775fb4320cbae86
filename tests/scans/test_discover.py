import json
from pathlib import Path

import pytest

from medseg.errors import MedsegError
from medseg.scans.discover import ChannelRule, discover
from tests.scans.folders import fill


def found(root: Path, **settings) -> dict[str, tuple[list[str], list[str]]]:
    """Case -> its images and labels, below the root; there must be no problems."""
    dataset = discover(root, **settings)
    assert dataset.problems == ()
    return {
        case.name: tuple(
            [p.relative_to(root).as_posix() for p in files] for files in (case.images, case.labels)
        )
        for case in dataset.cases
    }


def problems(root: Path) -> dict[str, str]:
    return {problem.name: problem.what for problem in discover(root).problems}


def test_two_folders_in_natural_order(tmp_path):
    fill(tmp_path, *[f"{part}/case{n}.nii.gz" for part in ("images", "labels") for n in (10, 2, 1)])
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["case1", "case2", "case10"]
    assert dataset.channel_rule == ChannelRule()
    assert dataset.class_values is None


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("Images/a1.png", "Masks/A1.PNG"),
        ("imgs/a1.nii.gz", "annotations/a1_seg.nii"),
        ("images/a1.mhd", "labels/a1-mask.nrrd"),
        ("images/img0001.nii.gz", "labels/label0001.nii.gz"),
        ("images/volume-1.nii", "labels/segmentation-1.nii"),
        ("images/a1_image.tif", "gt/a1_gt.tif"),
        ("images/a1_0000.nii.gz", "labels/a1.nii.gz"),
        ("imagesTr/a1_0000.nii.gz", "labelsTr/a1.nii.gz"),
        ("images/a1_training.tif", "labels/a1_manual.png"),
        ("images/site/a1.nii.gz", "labels/site/a1.nii.gz"),
        ("images/a1/image.nii.gz", "labels/a1/label.nii.gz"),
    ],
)
def test_two_folders_whose_names_differ(tmp_path, image, label):
    fill(tmp_path, image, label, image.replace("1", "2"), label.replace("1", "2"))
    cases = found(tmp_path)
    assert list(cases.values()) == [
        ([image], [label]),
        ([image.replace("1", "2")], [label.replace("1", "2")]),
    ]


def test_numbered_cases_are_not_channels(tmp_path):
    names = [f"scan_{n:04d}.nii.gz" for n in range(3)]
    fill(tmp_path, *[f"images/{name}" for name in names], *[f"labels/{name}" for name in names])
    assert list(found(tmp_path)) == ["scan_0000", "scan_0001", "scan_0002"]


def test_other_files_and_folders_are_ignored(tmp_path):
    pair = ["images/a.mhd", "labels/a.mhd"]
    fill(
        tmp_path,
        *pair,
        *["images/a.raw", "images/._a.mhd", "images/.b.nii.gz", "images/notes.txt", "fov/a.png"],
        *["labels/a.zraw", "labels/__MACOSX/a.mhd", "new/b.nii.gz", "new_labels/b.nii.gz"],
    )
    assert found(tmp_path) == {"a": (["images/a.mhd"], ["labels/a.mhd"])}


def test_channels_told_by_suffix(tmp_path):
    fill(
        tmp_path,
        *[f"images/p{n}_{c}.nii.gz" for n in (1, 2) for c in ("T1", "FLAIR")],
        *[f"labels/p{n}_seg.nii.gz" for n in (1, 2)],
    )
    assert found(tmp_path)["p1"][0] == ["images/p1_FLAIR.nii.gz", "images/p1_T1.nii.gz"]
    assert discover(tmp_path).channel_rule == ChannelRule(kind="suffix", keys=("_flair", "_t1"))


def test_a_missing_channel_is_named_and_the_others_stay(tmp_path):
    files = [f"images/p{n}_000{c}.nii.gz" for n in (1, 2, 3) for c in (0, 1)]
    fill(tmp_path, *files[:-1], *[f"labels/p{n}.nii.gz" for n in (1, 2, 3)])
    assert [case.name for case in discover(tmp_path).cases] == ["p1", "p2"]
    assert problems(tmp_path) == {"p3": "no file for channel _0001"}


def test_one_folder_per_case(tmp_path):
    fill(
        tmp_path,
        *[f"BraTS{n}/BraTS{n}_{what}.nii.gz" for n in (1, 2) for what in ("t1", "flair", "seg")],
        "readme.txt",
    )
    assert found(tmp_path)["BraTS2"] == (
        ["BraTS2/BraTS2_flair.nii.gz", "BraTS2/BraTS2_t1.nii.gz"],
        ["BraTS2/BraTS2_seg.nii.gz"],
    )
    assert discover(tmp_path).channel_rule == ChannelRule(kind="folder", keys=("flair", "t1"))


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("s{}/ct.nii.gz", "s{}/segmentations/{}.nii.gz"),
        ("s{}/ct.nii.gz", "s{}/mask_{}.nii.gz"),
        ("images/s{}.nii.gz", "labels/s{}/{}.nii.gz"),
        ("images/s{}.nii.gz", "labels/s{}/s{0}_{}_mask.nii.gz"),
        ("images/s{}/ct.nii.gz", "labels/s{}/{}.nii.gz"),
    ],
)
def test_one_mask_per_class(tmp_path, image, mask):
    classes = ["kidney", "liver"]
    mask = mask.replace("{}", "{0}", 1).replace("{}", "{1}")
    masks = {n: [mask.format(n, name) for name in classes] for n in (1, 2)}
    fill(tmp_path, *[image.format(n) for n in masks], *masks[1], *masks[2])
    assert found(tmp_path) == {f"s{n}": ([image.format(n)], masks[n]) for n in masks}
    assert discover(tmp_path).class_values == {"kidney": 1, "liver": 2}


def test_one_folder_per_class(tmp_path):
    fill(
        tmp_path,
        *["images/a.png", "images/b.png"],
        *[f"masks/{name}/{case}.png" for name in ("vessel", "disc") for case in "ab"],
    )
    assert found(tmp_path)["b"] == (["images/b.png"], ["masks/disc/b.png", "masks/vessel/b.png"])
    assert discover(tmp_path).class_values == {"disc": 1, "vessel": 2}


def test_a_missing_mask_is_named(tmp_path):
    masks = [f"labels/{case}/{name}.png" for case in "ab" for name in ("disc", "vessel")]
    fill(tmp_path, "images/a.png", "images/b.png", *masks[:-1])
    assert problems(tmp_path) == {"b": "no file for mask of class vessel"}


def test_one_folder_of_everything(tmp_path):
    fill(tmp_path, *[f"c{n}{what}.nii.gz" for n in (1, 2) for what in ("", "_seg")])
    assert found(tmp_path)["c2"] == (["c2.nii.gz"], ["c2_seg.nii.gz"])


@pytest.mark.parametrize(
    ("used", "unused", "folder"),
    [
        (["c1.png", "c1_seg.png"], ["previews/x.png", "previews/y.png"], "previews"),
        (["p1/t1.png", "p1/seg.png", "p2/t1.png", "p2/seg.png"], ["a.png", "a_seg.png"], None),
    ],
)
def test_of_files_and_folders_the_reading_with_more_cases_wins(tmp_path, used, unused, folder):
    fill(tmp_path, *used, *unused)
    dataset = discover(tmp_path)
    assert len(dataset.cases) == len(used) // 2
    (problem,) = dataset.problems
    assert problem.name == (folder or tmp_path.name)
    assert "2 image file(s) not used" in problem.what
    assert all(Path(name).name in problem.what for name in unused)


def test_what_has_no_partner_is_named(tmp_path):
    fill(tmp_path, *["images/a.png", "images/b.png", "labels/b.png", "labels/c.png"])
    assert [case.name for case in discover(tmp_path).cases] == ["b"]
    assert problems(tmp_path) == {"a": "image without label", "c": "label without image"}


@pytest.mark.parametrize(
    "second", ["labels/a_seg.nii.gz", "labels/a.nrrd", "images/a.png", "images/a_scan.nii.gz"]
)
def test_two_candidates_are_named_never_guessed(tmp_path, second):
    names = ["images/a.nii.gz", "labels/a.nii.gz", "images/b.nii.gz", "labels/b.nii.gz"]
    fill(tmp_path, *names, second)
    assert [case.name for case in discover(tmp_path).cases] == ["b"]
    (what,) = problems(tmp_path).values()
    assert "two candidates" in what
    assert "a.nii.gz" in what


def test_two_candidates_in_a_case_folder(tmp_path):
    fill(tmp_path, *[f"c{n}/{what}.nii.gz" for n in (1, 2, 3) for what in ("image", "seg")])
    fill(tmp_path, "c3/seg_old.nii.gz")
    assert problems(tmp_path) == {"c3": "two candidates: seg.nii.gz, seg_old.nii.gz"}


def test_any_two_folders_and_a_pattern(tmp_path):
    fill(tmp_path, "x/p1/s.nii.gz", "x/p1/s.png", "x/top.nii.gz", "y/p1/s.nii.gz", "y/p1/s.png")
    cases = found(tmp_path, images=tmp_path / "x", labels=tmp_path / "y", pattern="*/*.nii.gz")
    assert cases == {"p1_s": (["x/p1/s.nii.gz"], ["y/p1/s.nii.gz"])}


def test_case_names_are_unique_and_safe(tmp_path):
    names = ["a b.png", "a_b.png", "A?b.png"]
    fill(tmp_path, *[f"images/{name}" for name in names], *[f"labels/{name}" for name in names])
    cases = found(tmp_path)
    assert len({name.casefold() for name in cases}) == 3
    assert all(name.isascii() and not set(name) & set(' ?*"<>|:/\\') for name in cases)


def test_medical_decathlon(tmp_path):
    fill(tmp_path, "imagesTr/x_1.nii.gz", "labelsTr/y_1.nii.gz", "imagesTr/x_9.nii.gz")
    described = {
        "labels": {"0": "background", "1": "Anterior"},
        "modality": {"0": "MRI"},
        "training": [
            {"image": "./imagesTr/x_1.nii.gz", "label": "./labelsTr/y_1.nii.gz"},
            {"image": "./imagesTr/x_2.nii.gz", "label": "./labelsTr/y_2.nii.gz"},
        ],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["x_1"]
    assert dataset.class_values == {"background": 0, "Anterior": 1}
    assert [Path(problem.name).name for problem in dataset.problems] == ["x_2.nii.gz"]


@pytest.mark.parametrize(
    "listed", [[], [{"image": "./imagesTr/p1.nii.gz", "label": "./labelsTr/p1.nii.gz"}]]
)
def test_nnunet(tmp_path, listed):
    fill(tmp_path, *[f"imagesTr/p{n}_000{c}.nii.gz" for n in (1, 2) for c in (0, 1)])
    fill(tmp_path, "labelsTr/p1.nii.gz", "labelsTr/p2.nii.gz", "imagesTs/p3_0000.nii.gz")
    described = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "tumour": 1},
        "training": listed,
    }
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    dataset = discover(tmp_path)
    assert dataset.problems == ()
    assert [len(case.images) for case in dataset.cases] == [2, 2]
    assert dataset.channel_rule == ChannelRule(kind="suffix", keys=("_0000", "_0001"))
    assert dataset.class_values == {"background": 0, "tumour": 1}


@pytest.mark.parametrize(
    "path", ["../a.nii.gz", "/etc/a.nii.gz", "C:\\a.nii.gz", "x\\..\\a.nii.gz", 7]
)
def test_dataset_json_cannot_point_outside(tmp_path, path):
    fill(tmp_path / "data", "images/a.nii.gz", "labels/a.nii.gz")
    fill(tmp_path, "a.nii.gz")
    described = {"training": [{"image": path, "label": "labels/a.nii.gz"}]}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(MedsegError, match="training"):
        discover(tmp_path / "data")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"labels": {"a": [[1]]}}', "\0"])
def test_a_broken_dataset_json_is_one_line(tmp_path, text):
    fill(tmp_path, "images/a.nii.gz", "labels/a.nii.gz")
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(MedsegError, match=r"dataset\.json") as error:
        discover(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ([], "empty"),
        (["notes.txt"], "no image files"),
        (["images/a.png", "labels/b.png"], "image without label"),
        (["images/a.png"], "no labels seen"),
        (["images/a.png", "img/a.png", "labels/a.png"], "images, img, labels"),
        (["scans/a.png", "labels/a.png", "mask/a.png"], "labels, mask"),
    ],
)
def test_nothing_to_train_on_is_said(tmp_path, names, match):
    with pytest.raises(MedsegError, match=match):
        discover(fill(tmp_path, *names))


def test_a_missing_folder_and_half_a_pair_are_said(tmp_path):
    with pytest.raises(MedsegError, match="does not exist"):
        discover(tmp_path / "none")
    with pytest.raises(MedsegError, match="give both"):
        discover(tmp_path, images=tmp_path)
    with pytest.raises(MedsegError, match="pattern"):
        discover(fill(tmp_path, "a/a.png"), images=tmp_path, labels=tmp_path, pattern="../*")
