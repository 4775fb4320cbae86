from itertools import combinations, product

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.scans.demo import make_demo
from medseg.scans.discover import discover
from medseg.scans.phantom import ORGANS, phantom
from medseg.scans.read import read_label_map, read_subject


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "data" / "demo"
    make_demo(folder, cases=6)
    return folder


def test_a_phantom_is_the_same_for_the_same_seed():
    first, again, other = phantom(3), phantom(3), phantom(4)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.label.tobytes() == again.label.tobytes()
    assert (first.label != other.label).any()


@pytest.mark.parametrize(("seed", "size"), list(product(range(4), [(24, 22, 20), (40, 36, 1)])))
def test_every_organ_is_in_every_phantom(seed, size):
    image, label = phantom(seed, size)
    assert image.shape == (1, *size)
    assert image.dtype == np.float32
    assert label.shape == size
    assert set(np.unique(label)) == {0, *ORGANS.values()}
    assert np.isfinite(image).all()
    assert (image == np.rint(image)).all()


def test_no_threshold_finds_the_organs():
    image, label = phantom(0, (48, 48, 48))
    levels = np.linspace(0, image.max(), 40)
    everything = np.histogram(image[0], levels)[0]
    best = []
    for value in ORGANS.values():
        inside = np.histogram(image[0][label == value], levels)[0]
        windows = [slice(low, high) for low, high in combinations(range(len(levels)), 2)]
        dice = [2 * inside[w].sum() / (inside.sum() + everything[w].sum()) for w in windows]
        best.append(max(dice))
    assert np.mean(best) < 0.5


def test_the_demo_is_mixed_and_whole(demo):
    dataset = discover(demo)
    assert dataset.problems == ()
    assert [case.name for case in dataset.cases] == [f"case{n:02d}" for n in range(1, 7)]
    assert {case.images[0].suffix for case in dataset.cases} == {".gz", ".mhd", ".nrrd"}
    assert dataset.class_values == {"background": 0, **ORGANS}
    subjects = [read_subject(case) for case in dataset.cases]
    assert all(subject.warnings == () for subject in subjects)
    assert all(set(np.unique(s.label)) == {0, 1, 2, 3, 4} for s in subjects)
    assert len({s.geometry.codes for s in subjects}) > 1
    assert len({s.geometry.spacing_mm for s in subjects}) > 1
    oblique = [np.abs(np.array(s.geometry.direction)).max(axis=0).min() < 0.99 for s in subjects]
    assert sum(oblique) == 1


def test_the_demo_lies_the_same_way_in_the_body_in_every_orientation(demo):
    for case in discover(demo).cases:
        subject = read_subject(case)
        orientation = subject.geometry.to_canonical()
        label = orientation.apply(subject.label)[0]
        liver, spleen = (np.argwhere(label == ORGANS[n]).mean(axis=0) for n in ("liver", "spleen"))
        assert liver[0] - spleen[0] > 0.25 * label.shape[0]


def test_the_new_scan_has_its_label_elsewhere(demo):
    label, geometry = read_label_map(demo / "new_labels" / "scan.nii.gz")
    assert label.shape == geometry.size
    assert (demo / "new" / "scan.nii.gz").is_file()


def test_an_unfinished_demo_is_not_there(tmp_path):
    class KilledError(Exception):
        pass

    class Killer:
        def track(self, items, what, total=None):
            del what, total
            yield next(iter(items))
            raise KilledError

    with pytest.raises(KilledError):
        make_demo(tmp_path / "demo", Killer())
    assert list(tmp_path.iterdir()) == []


def test_a_filled_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(MedsegError, match="remove it or name a new folder"):
        make_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
