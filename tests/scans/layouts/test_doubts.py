"""What would be trained on as something else is refused with the way out."""

import os

import pytest

from medseg.errors import MedsegError
from medseg.scans.discover import discover
from tests.scans.folders import fill

N = (1, 2, 3, 4)

REFUSED: dict[str, tuple[list[str], str]] = {
    "raters as files": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("scan", "mask_rater1", "mask_rater2")],
        "raters",
    ),
    "raters as folders": (
        [f"images/{n}.png" for n in N]
        + [f"labels/{r}/{n}.png" for r in ("observer1", "observer2") for n in N],
        "raters",
    ),
    "raters by how names end": (
        [f"Image_0{n}L{w}" for n in N for w in (".jpg", "_1stHO.png", "_2ndHO.png")],
        "raters",
    ),
    "STARE": (
        [f"stare-images/im{n}.png" for n in N]
        + [f"labels-{r}/im{n}.{r}.png" for r in ("ah", "vk") for n in N],
        "labels-ah, labels-vk",
    ),
    "visits of one label": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("day0", "day7", "seg")],
        "day0",
    ),
    "frames of one label": (
        [f"images/p{n}_frame{f}.png" for n in N for f in (1, 2, 3)]
        + [f"labels/p{n}.png" for n in N],
        "frame1",
    ),
    "sides of one label": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("left", "right", "seg")],
        "sides",
    ),
    "18 slices and 18 labels that are called otherwise": (
        [f"a/{k}/{w}{n}.png" for k, w in (("images", "im"), ("labels", "p2_x")) for n in range(18)]
        + [
            f"b/{k}/{w}{n}.png"
            for k, w in (("images", "im"), ("labels", "q9_x"))
            for n in range(18)
        ],
        "18 images .*18 label",
    ),
    "unrelated scans and one label": (
        [*[f"p/scan_{w}.png" for w in ("anna", "bert", "carl")], "p/mask.png"],
        "one label",
    ),
    "a mask among the images": (
        [f"images/p{n}_{w}.png" for n in N for w in ("ct", "mask")]
        + [f"labels/p{n}.png" for n in N],
        "p1_mask.png",
    ),
    "numbered labels in two ways": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("ct", "label1", "mask_2")],
        "number",
    ),
    "numbered masks of every case": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("ct", "mask_1", "mask_2")],
        "number",
    ),
    "dated masks": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("ct", "seg_2019", "seg_2021")],
        "date",
    ),
    "a whole and its parts": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("ct", "seg", "liver_seg", "tumour_seg")],
        "seg.nii.gz",
    ),
    "a mask without the word beside one with it": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("ct", "liver", "tumour_seg")],
        "liver.nii.gz",
    ),
    "OASIS": (
        [f"OAS1_{n}_MR1/{w}.nii.gz" for n in N for w in ("norm", "orig", "seg4", "seg24", "seg35")],
        "number",
    ),
    "two folders of images": (
        ["images/a.png", "imgs/a.png", "labels/a.png"],
        "images, imgs, labels",
    ),
    "two pipelines": (
        [f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in N]
        + [
            f"derivatives/{p}/sub-0{n}/anat/sub-0{n}_T1w_dseg.nii.gz"
            for p in ("manual", "nnunet")
            for n in N
        ],
        "derivatives/manual",
    ),
    **{
        f"{made} beside the scan": (
            [f"p{n}/{w}.nii.gz" for n in N for w in ("ct", made, "seg")],
            made,
        )
        for made in ("pred", "output", "auto", "uncertainty")
    },
    "visits of one label, a folder each": (
        [f"images/{v}/p{n}.nii.gz" for v in ("baseline", "followup") for n in N]
        + [f"labels/p{n}.nii.gz" for n in N],
        "two candidates for one case",
    ),
    "before and after, of one label": (
        [f"images/{v}/p{n}.nii.gz" for v in ("pre", "post") for n in N]
        + [f"labels/p{n}.nii.gz" for n in N],
        "two candidates for one case",
    ),
    "a first and a second reader": (
        [f"images/c{n}.png" for n in N]
        + [f"labels/{r}/c{n}.png" for r in ("first", "second") for n in N],
        "first, second.* versions or raters",
    ),
    "labels before and after correction": (
        [f"images/c{n}.png" for n in N]
        + [f"labels/c{n}_{v}.png" for v in ("orig", "corrected") for n in N],
        "corrected, orig.* versions or raters",
    ),
    "repeats of one contrast with one label": (
        [f"sub-0{n}/anat/sub-0{n}_run-{r}_T1w.nii.gz" for n in N for r in (1, 2)]
        + [f"derivatives/m/sub-0{n}/anat/sub-0{n}_dseg.nii.gz" for n in N],
        "differ only by a number",
    ),
    "repeats beside a contrast": (
        [f"p{n}/{w}.nii.gz" for n in N for w in ("t1_1", "t1_2", "flair", "seg")],
        "differ only by a number",
    ),
    "slices in DICOM alone": (["p1/0001.czi", "p1/0002.czi"], r"2 \.czi \(not read\)"),
    "PanNuke": (
        ["Fold 1/images/fold1/images.npy", "Fold 1/masks/fold1/masks.npy"],
        r"\.npy \(not read\)",
    ),
    "MoNuSeg": (["Tissue Images/a.tif", "Annotations/a.xml"], "no labels seen"),
    "PH2": (
        [f"IMD{n}/IMD{n}_Dermoscopic_Image/IMD{n}.png" for n in N]
        + [f"IMD{n}/IMD{n}_lesion/IMD{n}_lesion.png" for n in N],
        "no labels seen",
    ),
    "IXI": ([f"IXI{n}-Guys-T1.nii.gz" for n in N], "no labels seen"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_way_out(tmp_path, name):
    names, match = REFUSED[name]
    with pytest.raises(MedsegError, match=match) as error:
        discover(fill(tmp_path, *names))
    said = str(error.value)
    assert "--images" in said
    assert "--labels" in said or "--pattern" in said
    assert "\n" not in said


def test_the_way_out_of_raters_leads_there(tmp_path):
    names, _ = REFUSED["raters as files"]
    dataset = discover(fill(tmp_path, *names), pattern="*/scan*|*/*rater1*")
    assert [len(case.labels) for case in dataset.cases] == [1] * 4
    assert {case.labels[0].name for case in dataset.cases} == {"mask_rater1.nii.gz"}


@pytest.mark.parametrize("form", ["same", "twice", "link"])
def test_one_folder_named_twice_is_told_apart_by_names(tmp_path, form):
    fill(tmp_path / "d", *[f"img{n}{w}.png" for n in N for w in ("", "_mask")])
    other = tmp_path / "d"
    if form == "twice":
        other = tmp_path / "d" / ".." / "d"
    if form == "link":
        other = tmp_path / "e"
        other.symlink_to(tmp_path / "d")
    dataset = discover(tmp_path, images=tmp_path / "d", labels=other)
    assert [case.images[0].name for case in dataset.cases] == [f"img{n}.png" for n in N]
    assert [case.labels[0].name for case in dataset.cases] == [f"img{n}_mask.png" for n in N]


def test_one_folder_named_twice_without_words_is_refused(tmp_path):
    fill(tmp_path, *[f"{n}.png" for n in N])
    with pytest.raises(MedsegError, match="images and of labels"):
        discover(tmp_path, images=tmp_path, labels=tmp_path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_that_is_its_own_label_is_left_out(tmp_path, link):
    fill(tmp_path, *[f"images/{n}.png" for n in N], *[f"labels/{n}.png" for n in (1, 2, 3)])
    link(tmp_path / "images" / "4.png", tmp_path / "labels" / "4.png")
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["1", "2", "3"]
    (problem,) = dataset.problems
    assert problem.name == "4"
    assert "one file" in problem.what


def test_a_linked_folder_of_labels_that_is_that_of_images_is_refused(tmp_path):
    fill(tmp_path, *[f"images/{n}.png" for n in N])
    (tmp_path / "labels").symlink_to(tmp_path / "images")
    with pytest.raises(MedsegError, match="one file"):
        discover(tmp_path)


def test_a_folder_within_the_other_is_not_both(tmp_path):
    fill(tmp_path, *[f"{n}.png" for n in N], *[f"masks/{n}.png" for n in N])
    dataset = discover(tmp_path, images=tmp_path, labels=tmp_path / "masks")
    assert len(dataset.cases) == 4
    assert dataset.problems == ()


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_image_under_two_names_is_one_case(tmp_path, link):
    fill(tmp_path, *[f"p{n}/{w}.png" for n in N for w in ("ct", "mask")], "p9/mask.png")
    link(tmp_path / "p1" / "ct.png", tmp_path / "p9" / "ct.png")
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["p1", "p2", "p3", "p4"]
    (problem,) = dataset.problems
    assert "image of p1 as well" in problem.what


def test_linked_folders_are_read_once(tmp_path):
    fill(tmp_path, *[f"elsewhere/{k}/{n}.png" for k in ("images", "labels") for n in N])
    for kind in ("images", "labels"):
        (tmp_path / kind).symlink_to(tmp_path / "elsewhere" / kind)
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == list("1234")
    assert dataset.problems == ()


def test_links_in_a_circle_end(tmp_path):
    fill(tmp_path, *[f"images/{n}.png" for n in N], *[f"labels/{n}.png" for n in N])
    (tmp_path / "images" / "again").symlink_to(tmp_path)
    (tmp_path / "labels" / "again").symlink_to(tmp_path)
    assert len(discover(tmp_path).cases) == 4


@pytest.mark.parametrize("unread", ["case0.czi", "case0.dcm.bz2", "case0.npy"])
def test_an_image_in_a_format_that_is_not_read_is_named(tmp_path, unread):
    fill(tmp_path, *[f"images/case{n}.nii.gz" for n in N], *[f"labels/case{n}.nii.gz" for n in N])
    fill(tmp_path, "labels/case0.nii.gz", f"images/{unread}")
    (problem,) = discover(tmp_path).problems
    assert problem.name == "case0"
    said = unread in problem.what and "not read" in problem.what
    assert said == (unread != "case0.dcm.bz2")
    if not said:
        assert problem.what == "label without image"


def test_a_class_folder_holds_a_class_and_its_names_are_no_case(tmp_path):
    fill(tmp_path, *[f"images/{n}.png" for n in N])
    fill(tmp_path, *[f"masks/{c}/{n}.png" for c in ("vessel", "disc") for n in N])
    dataset = discover(tmp_path)
    assert dataset.class_values == {"disc": 1, "vessel": 2}
    assert dataset.masks_per_class


def test_differing_names_of_single_masks_are_classes_not_one(tmp_path):
    masks = [f"p{n}/{('liver', 'spleen')[n % 2]}_mask.nii.gz" for n in N]
    fill(tmp_path, *[f"p{n}/ct.nii.gz" for n in N], *masks)
    with pytest.raises(MedsegError, match="--missing-masks empty"):
        discover(tmp_path)
    dataset = discover(tmp_path, missing_masks="empty")
    assert dataset.class_values == {"liver": 1, "spleen": 2}
    assert [sum(label is None for label in case.labels) for case in dataset.cases] == [1] * 4


def test_a_missing_mask_is_absent_on_request(tmp_path):
    fill(tmp_path, *[f"s{n}/ct.nii.gz" for n in N])
    fill(tmp_path, *[f"s{n}/segmentations/liver.nii.gz" for n in N])
    fill(tmp_path, *[f"s{n}/segmentations/spleen.nii.gz" for n in N if n != 2])
    refused = discover(tmp_path)
    assert [case.name for case in refused.cases] == ["s1", "s3", "s4"]
    (problem,) = refused.problems
    assert problem.name == "s2"
    assert "spleen" in problem.what
    assert problem.remedy.endswith("--missing-masks empty")
    dataset = discover(tmp_path, missing_masks="empty")
    assert dataset.problems == ()
    (s2,) = [case for case in dataset.cases if case.name == "s2"]
    assert [label and label.name for label in s2.labels] == ["liver.nii.gz", None]


@pytest.mark.parametrize(
    ("names", "pattern", "images", "labels"),
    [
        (["{n}_raw.png", "{n}_zones.png"], "*_raw*|*_zones*", ["{n}_raw.png"], "{n}_zones.png"),
        (
            ["s/{n}/pre/FLAIR.nii.gz", "s/{n}/orig/FLAIR.nii.gz", "s/{n}/wmh.nii.gz"],
            "*/pre/*|*wmh*",
            ["FLAIR.nii.gz"],
            "wmh.nii.gz",
        ),
        (
            ["{n}/pre/FLAIR.nii.gz", "{n}/pre/T1.nii.gz", "{n}/wmh.nii.gz"],
            "*/pre/*|*/wmh*",
            ["FLAIR.nii.gz", "T1.nii.gz"],
            "wmh.nii.gz",
        ),
    ],
)
@pytest.mark.parametrize("twice", [False, True])
def test_a_pattern_of_two_sides_tells_what_names_do_not(
    tmp_path, names, pattern, images, labels, twice
):
    root = fill(tmp_path, *[name.format(n=n) for n in N for name in names])
    folder = tmp_path if twice else None
    with pytest.raises(MedsegError):
        discover(root, folder, folder)
    dataset = discover(root, folder, folder, "*/" * names[0].startswith("s/") + pattern)
    assert [[path.name for path in case.images] for case in dataset.cases] == [
        [image.format(n=n) for image in images] for n in N
    ]
    for n, case in zip(N, dataset.cases, strict=True):
        (label,) = case.labels
        assert label.name == labels.format(n=n)
        assert str(n) in label.relative_to(root).as_posix()
