from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from medseg.errors import MedsegError, SettingsError
from medseg.geometry import Geometry
from medseg.hparams import HParams
from medseg.progress import Silent
from medseg.runs import load_model
from medseg.scans.phantom import ORGANS, phantom
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


def start(data: Path, output: Path, **changed: Any) -> Path:
    """Three steps on the tiny dataset."""
    fields = {"encoder": "convnext_micro", "steps": 3, "patch_size": (16, 16, 16), "batch_size": 2}
    hparams = HParams.build(
        {"data": data, "output": output, "classes": ORGANS, **fields, **changed}
    )
    return train(hparams, resume=False, progress=Silent())


def test_a_run_starts_from_pretrained_weights(phantom_folder: Path, tmp_path: Path):
    first = start(phantom_folder, tmp_path / "first", steps=30)
    again = {"pretrained": first, "learning_rate": 1e-9, "weight_decay": 0}
    second = start(phantom_folder, tmp_path / "second", **again)
    one, two = (load_model(run)[0].state_dict() for run in (first, second))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-6, rtol=0)
    log = (second / "log.txt").read_text(encoding="utf-8")
    assert "Pretrained weights" in log


def test_a_folded_run_is_started_from_by_its_checkpoint(phantom_folder: Path, tmp_path: Path):
    first = start(phantom_folder, tmp_path / "first", encoder="repmlpnet_mini")
    second = start(
        phantom_folder,
        tmp_path / "second",
        encoder="repmlpnet_mini",
        pretrained=first,
        learning_rate=1e-9,
        weight_decay=0,
    )
    one, two = (load_model(run)[0].state_dict() for run in (first, second))
    torch.testing.assert_close(two["coarse.weight"], one["coarse.weight"], atol=1e-6, rtol=0)


def test_what_a_network_of_others_has_no_use_for_is_said(phantom_folder: Path, tmp_path: Path):
    ignored = {"drop_path": 0.1, "activation_checkpointing": True}
    run = start(phantom_folder, tmp_path / "run", network="miniseg", **ignored)
    warning = "convnext_micro, drop_path = 0.1, activation_checkpointing = True are ignored: "
    assert warning + "network = miniseg" in " ".join((run / "log.txt").read_text().split())
    with pytest.raises(MedsegError, match="did you mean"):
        start(phantom_folder, tmp_path / "wrong", network="monai:DynUnet")
    assert not (tmp_path / "wrong").exists()


def test_weights_that_cannot_be_used_are_said_before_any_work(phantom_folder: Path, tmp_path: Path):
    (tmp_path / "text.pth").write_text("no weights\n", encoding="utf-8")
    for name in ("text.pth", "absent.pth"):
        with pytest.raises(MedsegError, match=name) as error:
            start(phantom_folder, tmp_path / "run", pretrained=tmp_path / name)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run").exists()


def test_saving_memory_changes_no_result(phantom_folder: Path, tmp_path: Path):
    plain = {"encoder": "swinv2_mini", "deterministic": True}
    saving = {**plain, "activation_checkpointing": True, "attention_chunks": 2}
    runs = [start(phantom_folder, tmp_path / str(i), **s) for i, s in enumerate((plain, saving))]
    weights, saved = (load_file(run / "model.safetensors") for run in runs)
    torch.testing.assert_close(saved, weights, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("encoder", ["repmlp_mini", "repmlpnet_mini"])
def test_a_run_that_goes_on_has_the_training_form(
    encoder: str, phantom_folder: Path, tmp_path: Path
):
    run = start(phantom_folder, tmp_path / "run", encoder=encoder, steps=3)
    model = load_file(run / "model.safetensors")
    stored = torch.load(run / "last.ckpt", weights_only=True)
    assert not any("running_mean" in name for name in model if "encoder.stages" in name)
    assert any("running_mean" in name for name in stored["state_dict"])
