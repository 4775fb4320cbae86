import json
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from safetensors.torch import load_file

from medseg.errors import MedsegError, SettingsError
from medseg.hparams import HParams
from medseg.progress import Silent
from medseg.runs import latest_run
from medseg.scans.discover import discover_scans
from medseg.training.fit import train


def pretrain(data: Path, output: Path, dim: int, **changed: Any) -> Path:
    """As short as can be."""
    fields = {"encoder": "convnext_micro", "steps": 4, "patch_size": (16,) * dim, "batch_size": 2}
    fields |= {"pretrain": "masked", "dim": dim, "data": data, "output": output, "device": "cpu"}
    return train(HParams.build({**fields, **changed}), resume=False, progress=Silent())


@pytest.mark.parametrize("encoder", ["convnext_micro", "swinv2_mini"])
def test_an_encoder_is_made_and_taken_up(
    encoder: str, dim: int, tiny_dataset: Path, tmp_path: Path
):
    run = pretrain(tiny_dataset, tmp_path / "masked", dim, encoder=encoder)
    weights = load_file(run / "encoder.safetensors")
    assert {name.partition(".")[0] for name in weights} == {"encoder", "detail"}
    scores = json.loads((run / "validation.json").read_text(encoding="utf-8"))
    assert 0 < scores["l1"] < 10
    report = (run / "report.html").read_text(encoding="utf-8")
    assert report.count("<img alt='restored'") == report.count("<div class=triple>") == 4
    assert latest_run(tmp_path) == run
    hparams = {"data": tiny_dataset, "dim": dim, "encoder": encoder, "steps": 1, "device": "cpu"}
    hparams |= {"output": tmp_path / "model", "patch_size": (16,) * dim, "learning_rate": 1e-9}
    hparams["pretrained"] = run / "encoder.safetensors"
    model = load_file(
        train(HParams.build(hparams), resume=False, progress=Silent()) / "model.safetensors"
    )
    for name, weight in weights.items():
        assert (model[name] - weight).abs().max() < 1e-6


def test_labels_are_neither_needed_nor_looked_at(phantom_folder: Path, tmp_path: Path):
    bare = tmp_path / "scans"
    bare.mkdir()
    for scan in (phantom_folder / "images").iterdir():
        (bare / scan.name).symlink_to(scan)
    assert [case.name for case in discover_scans(bare).cases] == [f"case{i}" for i in range(1, 6)]
    labelled = discover_scans(phantom_folder).cases
    assert [case.images[0].name for case in labelled] == [f"case{i}.nii.gz" for i in range(1, 6)]
    assert not any(case.labels for case in labelled)
    one = pretrain(bare, tmp_path / "one", 3, deterministic=True)
    two = pretrain(phantom_folder, tmp_path / "two", 3, deterministic=True)
    weights, same = (load_file(run / "encoder.safetensors") for run in (one, two))
    assert all((same[name] == weight).all() for name, weight in weights.items())


@pytest.mark.parametrize(
    ("files", "read"),
    [
        (["images/a.png", "fov/a.png", "imagesTs/b.png"], ["images/a.png", "imagesTs/b.png"]),
        (["scan.png", "other.png"], ["other.png", "scan.png"]),
    ],
)
def test_what_stands_beside_the_images_is_left_alone(
    files: list[str], read: list[str], photo_folder: Path, tmp_path: Path
):
    scan = next((photo_folder / "images").iterdir())
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        copy(scan, tmp_path / file)
    dataset = discover_scans(tmp_path)
    found = [path for case in dataset.cases for path in case.images]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in found) == read
    assert [name for name, _, _ in dataset.problems] == ["fov"] * (len(files) - len(read))


def test_a_folder_without_scans_is_said(tmp_path: Path):
    (tmp_path / "labels").mkdir()
    with pytest.raises(MedsegError, match="no scan found"):
        discover_scans(tmp_path)


def test_other_encoders_are_refused():
    for wrong in ({"encoder": "resmlp_mini"}, {"network": "unet"}):
        with pytest.raises(SettingsError, match="masked scans"):
            HParams.build({"pretrain": "masked", **wrong})


def test_it_goes_on_after_a_stop(phantom_folder: Path, tmp_path: Path):
    run = pretrain(phantom_folder, tmp_path / "run", 3, steps=6)
    settings = json.loads((run / "hparams.json").read_text(encoding="utf-8"))
    settings["steps"] = 8
    (run / "hparams.json").write_text(json.dumps(settings), encoding="utf-8")
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8")) | {"steps": 8}
    (run / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    assert train(HParams(output=run, device="cpu"), resume=True, progress=Silent()) == run
