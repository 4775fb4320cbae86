"""The made CTs: the example's tissues, bent; the same for the same wish, in any slabs."""

from pathlib import Path

import large_ct_case
import nibabel as nib
import numpy as np
import pytest
import torch
from large_ct import make
from large_ct_bend import tissues_at
from large_ct_body import Body, read_body
from large_ct_case import make_case
from large_ct_draw import Wish, draw_case

from medseg.errors import MedsegError
from medseg.progress import Silent
from medseg.scans.discover import discover

SIZE = (40, 34, 12)
ORGANS = {2: "liver", 3: "kidney_left", 7: "aorta"}
HU = {2: 55, 3: 30, 7: 45}
WISH = Wish(seed=3, spacing_mm=4.0, size=(36, 30, 20), organs=3)
TABLE = "<LabelTable>{}</LabelTable>".format(
    "".join(f'<Label Key="{value}">{name}</Label>' for value, name in ORGANS.items())
)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A body of fat with three organs, the middle one a tube along it, at 3 mm."""
    folder = tmp_path_factory.mktemp("example")
    x, y, z = np.indices(SIZE)
    hu, organs = np.full(SIZE, -1000), np.zeros(SIZE, np.uint8)
    hu[np.hypot((x - 20) / 17, (y - 17) / 14) < 1] = -100
    organs[np.linalg.norm([x - 28, y - 18, z - 11], axis=0) < 6] = 2
    organs[np.linalg.norm([x - 11, y - 15, z - 5], axis=0) < 4] = 3
    organs[np.hypot(x - 19, y - 12) < 3] = 7
    for value, organ_hu in HU.items():
        hu[organs == value] = organ_hu
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(hu.astype(np.int16), affine), folder / "ct.nii.gz")
    labelled = nib.Nifti1Image(organs, affine)
    labelled.header.extensions.append(nib.nifti1.Nifti1Extension(0, TABLE.encode()))
    nib.save(labelled, folder / "organs.nii.gz")
    return folder


@pytest.fixture(scope="module")
def body(example: Path) -> Body:
    return read_body(example)


def test_tissues_have_the_names_and_hu_of_the_example(body: Body) -> None:
    organs = {tissue.name: tissue.hu for tissue in body.tissues if tissue.voxels}
    assert organs == {"liver": 55, "kidney_left": 30, "aorta": 45}
    assert body.tissues[body.number("fat")].hu == -100


def test_nothing_bent_is_the_example(example: Path, body: Body) -> None:
    organs = np.asarray(nib.load(example / "organs.nii.gz").dataobj)
    source = torch.stack(torch.meshgrid(*map(torch.arange, SIZE), indexing="ij")).float()
    draw = draw_case(body, WISH, np.random.default_rng(0))
    still = draw._replace(growth_mm=torch.zeros_like(draw.growth_mm))
    tissue, depth = tissues_at(body, still, source, torch.zeros(SIZE))
    for value, name in ORGANS.items():
        made = (tissue == body.number(name)).numpy()
        both = (made & (organs == value)).sum()
        assert 2 * both / (made.sum() + (organs == value).sum()) > 0.97
    assert depth.min() > -2


def test_beyond_the_example_organs_end_and_vessels_go_on(body: Body) -> None:
    draw = draw_case(body, WISH, np.random.default_rng(0))
    still = draw._replace(growth_mm=torch.zeros_like(draw.growth_mm))
    beyond = torch.arange(0.0, 60.0, 3)
    source = torch.stack(torch.meshgrid(*map(torch.arange, (*SIZE[:2], 20)), indexing="ij")).float()
    source[2] = SIZE[2] - 1
    tissue, _ = tissues_at(body, still, source, beyond.expand(*SIZE[:2], -1))
    area = {name: (tissue == body.number(name)).sum((0, 1)) for name in ("liver", "aorta")}
    assert area["liver"][0] > 80
    assert (area["liver"].diff() <= 0).all()
    assert area["liver"][-1] == 0
    assert (area["aorta"] > 20).all()


def test_slabs_leave_no_trace(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.arange(len(body.tissues), dtype=torch.uint8)
    made = []
    for slab in (7, 100):
        monkeypatch.setattr(large_ct_case, "SLAB", slab)
        made.append(make_case(body, values, WISH, 0, Silent()))
    # Tiles are cut along z too, so that positions may round to either side of a surface.
    assert (made[0][1] != made[1][1]).mean() < 1e-3
    assert np.abs(made[0][0].astype(int) - made[1][0]).mean() < 0.1


def test_a_dataset_is_made_resumed_and_never_mixed(example: Path, tmp_path: Path) -> None:
    make(example, tmp_path, 3, WISH, Silent())
    first = tmp_path / "train" / "images" / "ct_000.nii.gz"
    kept, voxels = first.stat().st_mtime_ns, _voxels(tmp_path, "train", 2)
    (tmp_path / "train" / "labels" / "ct_002.nii.gz").unlink()
    make(example, tmp_path, 4, WISH, Silent())
    assert first.stat().st_mtime_ns == kept
    assert all((a == b).all() for a, b in zip(_voxels(tmp_path, "train", 2), voxels, strict=True))

    found = discover(tmp_path / "train")
    assert [case.name for case in found.cases] == ["ct_000", "ct_001", "ct_002"]
    assert found.class_values == {"background": 0, "liver": 1, "kidney_left": 2, "aorta": 3}
    hu, label = _voxels(tmp_path, "test", 3)
    assert hu.shape == label.shape == WISH.size
    assert hu.dtype == np.int16
    assert abs(np.median(hu[hu < -500]) + 1000) < 20  # air around the body
    assert set(np.unique(label)) <= {0, 1, 2, 3}
    assert 0 < np.median(hu[label == 1]) < 150

    with pytest.raises(MedsegError, match="made otherwise"):
        make(example, tmp_path, 4, WISH._replace(seed=4), Silent())


def test_the_largest_organs_keep_their_labels(example: Path, tmp_path: Path) -> None:
    make(example, tmp_path, 1, WISH._replace(organs=2), Silent())
    found = discover(tmp_path / "train")
    assert found.class_values == {"background": 0, "liver": 1, "aorta": 2}


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (WISH._replace(organs=4), "--organs 4: must be 1 to 3"),
        (WISH._replace(spacing_mm=0), "--spacing-mm 0: must be above 0"),
        (WISH._replace(size=(512, 512, 1)), "--size"),
    ],
)
def test_what_cannot_be_made_is_refused(
    example: Path, tmp_path: Path, wish: Wish, said: str
) -> None:
    with pytest.raises(MedsegError, match=said):
        make(example, tmp_path / "made", 1, wish, Silent())
    assert not (tmp_path / "made").exists()


def _voxels(folder: Path, part: str, index: int) -> list[np.ndarray]:
    files = [folder / part / kind / f"ct_{index:03d}.nii.gz" for kind in ("images", "labels")]
    return [np.asarray(nib.load(file).dataobj) for file in files]
