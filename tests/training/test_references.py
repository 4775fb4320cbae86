"""Every network of others, and every name of Pytorch-Medical-Segmentation, by the whole path."""

import json
from pathlib import Path
from typing import Any

import pytest
from references import NARROW

from medseg.errors import MedsegError
from medseg.hparams import HParams
from medseg.networks.reference.names import ALIASES, CLASSICS
from medseg.progress import Silent
from medseg.runs import load_model
from medseg.scans.phantom import ORGANS
from medseg.training.fit import train

ANCESTORS = (
    *("unet", "unetpp", "miniseg", "segnet", "pspnet", "highresnet", "deeplab", "fcn"),
    *("unet3d", "residual_unet3d", "densevoxelnet3d", "fcn3d", "vnet3d", "highresnet"),
    *("densenet3d", "unetr"),
)
"""Eight of images, then eight of volumes."""


def four_steps(name: str, dim: int, data: Path, output: Path, **changed: Any) -> Path:
    arguments = NARROW.get(ALIASES.get(name, name), {})
    fields = {"network": name, "network_arguments": arguments, "dim": dim, "steps": 4}
    size = 16 if dim == 3 else 32
    fields |= {"data": data, "output": output, "patch_size": (size,) * dim, "batch_size": 2}
    hparams = HParams.build({**fields, "classes": ORGANS, "device": "cpu", **changed})
    return train(hparams, resume=False, progress=Silent())


def check(run: Path, name: str) -> None:
    """Four steps, a model, scores of what it predicted, and a report."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [record["step"] for record in map(json.loads, lines) if "loss" in record]
    assert max(steps) == 4
    assert load_model(run)[1].network.network == name
    scores = json.loads((run / "validation.json").read_text(encoding="utf-8"))
    assert len(scores["classes"]) == len(ORGANS)
    assert name in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NARROW)
def test_it_trains_predicts_and_reports(name: str, dim: int, tiny_dataset: Path, tmp_path: Path):
    if name.startswith("smp:") and dim == 3:
        with pytest.raises(MedsegError, match="is 2D"):
            four_steps(name, dim, tiny_dataset, tmp_path / "run")
        return
    check(four_steps(name, dim, tiny_dataset, tmp_path / "run"), name)


@pytest.mark.parametrize("place", range(len(ANCESTORS)))
def test_a_name_of_the_ancestor_trains_as_it_did(
    place: int, photo_folder: Path, phantom_folder: Path, tmp_path: Path
):
    name, dim = ANCESTORS[place], 2 if place < 8 else 3
    check(four_steps(name, dim, (photo_folder, phantom_folder)[dim - 2], tmp_path / "run"), name)


def test_no_name_is_left_out():
    assert {*ANCESTORS} == {*ALIASES, "unet", "miniseg", "segnet", "fcn"}
    assert {"unet", "miniseg", "segnet", "fcn"} <= {*CLASSICS}
