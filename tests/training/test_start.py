from pathlib import Path

import pytest

from medseg.errors import MedsegError, SettingsError
from medseg.hparams import HParams
from medseg.progress import Silent
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
