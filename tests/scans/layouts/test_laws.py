"""What holds of any folder, however it is laid out."""

import random
import time
from pathlib import Path

import pytest

from medseg.errors import MedsegError
from medseg.scans.discover import Dataset, discover
from tests.scans.folders import fill

_FOLDERS = (
    *("images", "labels", "masks", "train", "val", "test", "p1", "p2", "p3", "sub-01", "sub-02"),
    *("anat", "derivatives", "manual", "imagesTr", "labelsTr", "rater1", "liver", "mask", "day1"),
    *("JPEGImages", "SegmentationClass", "1st_manual", "segmentations", "x y", "Ä"),
)
_STEMS = (
    *("1", "2", "3", "a_1", "a_2", "img1", "label1", "seg", "mask", "t1", "t2", "ct", "left"),
    *("left_mask", "right", "right_mask", "sub-01_T1w", "sub-01_T2w", "sub-01_dseg", "4d", "_"),
    *("frame01", "frame01_gt", "frame02", "liver_mask", "mask_1", "mask_rater1", "train_1", "0000"),
    *("p1_0000", "p1_0001", "p1", "p2_0000", "sub-02_T1w_seg", "(1)", "seg_seg", "-", "é mask"),
)
_SUFFIXES = (".nii.gz", ".png", ".nii.gz", ".png", ".json", ".czi", ".mhd", "")


def random_tree(seed: int) -> list[str]:
    rng = random.Random(seed)
    folders = [
        "/".join(rng.choices(_FOLDERS, k=rng.randrange(3))) for _ in range(rng.randint(1, 6))
    ]
    stems = rng.sample(_STEMS, rng.randint(2, 12))
    suffixes = rng.choices(_SUFFIXES, k=rng.randint(1, 3))
    names = {
        f"{folder}/{stem}{rng.choice(suffixes)}".strip("/")
        for folder in folders
        for stem in stems
        if rng.random() < 0.8
    }
    # No name is a folder and a file at once.
    return sorted(n for n in names if n and not any(m.startswith(f"{n}/") for m in names))


def read(root: Path, missing_masks: str) -> Dataset | MedsegError:
    try:
        return discover(root, missing_masks=missing_masks)
    except MedsegError as error:
        return error


@pytest.mark.parametrize("block", range(8))
def test_each_file_has_one_place_and_a_refusal_one_line(tmp_path, block):
    for seed in range(40 * block, 40 * block + 40):
        root = fill(tmp_path / str(seed), *random_tree(seed))
        root.mkdir(exist_ok=True)
        dataset = read(root, ("refuse", "empty")[seed % 2])
        if isinstance(dataset, MedsegError):
            assert str(dataset).isprintable(), seed
            assert dataset.remedy, seed
            continue
        files = [path for case in dataset.cases for path in (*case.images, *case.labels) if path]
        assert len(files) == len(set(files)), (seed, random_tree(seed))
        names = [case.name.casefold() for case in dataset.cases]
        assert len(names) == len(set(names)), seed
        channels = max(len(dataset.channel_rule.keys), 1)
        assert {len(case.images) for case in dataset.cases} == {channels}, seed
        assert all(problem.remedy for problem in dataset.problems), seed
        if dataset.masks_per_class:
            places = {len(case.labels) for case in dataset.cases}
            assert places == {len(dataset.class_values or {})}, seed


def test_a_reading_does_not_depend_on_the_order_of_making(tmp_path):
    names = [
        f"p{n}/{side}{what}.nii.gz" for n in range(4) for side in "ab" for what in ("", "_seg")
    ]
    first = discover(fill(tmp_path / "x", *names))
    second = discover(fill(tmp_path / "y", *reversed(names)))
    assert [c.name for c in first.cases] == [c.name for c in second.cases]
    assert [c.labels[0].name for c in first.cases] == [c.labels[0].name for c in second.cases]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/c{}.png", "labels/c{}.png"),
        ("c{0}/t1.png", "c{0}/seg.png"),
        ("c{}.png", "c{}_seg.png"),
    ],
)
def test_the_time_grows_with_the_files(tmp_path, image, label):
    def seconds(count: int) -> float:
        root = tmp_path / str(count)
        fill(root, *[name.format(n) for n in range(count) for name in (image, label)])
        start = time.process_time()
        assert len(discover(root).cases) == count
        return time.process_time() - start

    seconds(10)
    few, many = (min(seconds(count) for _ in range(3)) for count in (150, 1200))
    assert many < 8 * 3 * max(few, 0.02)  # the best of three: others use these cores too
