from pathlib import Path

import pytest

from medseg.errors import MedsegError, SettingsError
from medseg.geometry import Geometry
from medseg.hparams import HParams
from medseg.progress import Silent
from medseg.scans.phantom import phantom
from medseg.scans.write import write_image, write_label_map
from medseg.training.fit import train


def test_a_run_that_cannot_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    for output in ("new", "mine", None):
        with pytest.raises(MedsegError, match="absent: does not exist"):
            train(
                HParams.build({"data": "absent", "output": output}), resume=False, progress=Silent()
            )
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["notes.txt"]
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_transform_that_does_not_exist_is_said_before_any_work(tmp_path: Path):
    wrong = {"data": tmp_path, "extra_transforms": [{"name": "RandomGosting"}]}
    with pytest.raises(SettingsError, match="RandomGhosting"):
        train(HParams.build(wrong | {"output": tmp_path / "run"}), resume=False, progress=Silent())
    assert list(tmp_path.iterdir()) == []


def test_data_beyond_all_use_is_one_line(tmp_path: Path):
    size = (20, 18, 16)
    image, label = phantom(1, size, (2.0, 2.0, 2.0))
    grid = Geometry(size, (1e12, 1e12, 1e12))
    write_image(image, grid, tmp_path / "images" / "a.nrrd")
    write_label_map(label, grid, tmp_path / "labels" / "a.nrrd")
    with pytest.raises(MedsegError, match="spacing_mm") as error:
        train(HParams(data=tmp_path, output=tmp_path / "run"), resume=False, progress=Silent())
    assert "\n" not in str(error.value)
