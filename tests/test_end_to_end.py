"""From files to masks, in 2D and in 3D."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from medseg.cli import main
from medseg.errors import MedsegError, SettingsError
from medseg.geometry import Geometry
from medseg.hparams import HParams
from medseg.inference.ensemble import load_predictor
from medseg.inference.job import predict_inputs
from medseg.plan.plan import Plan
from medseg.progress import Silent
from medseg.runs import Run, latest_run, load_model
from medseg.scans.phantom import ORGANS, phantom
from medseg.scans.read import read_label_map
from medseg.scans.write import write_image, write_label_map
from medseg.training.fit import train
from medseg.training.record import read_records

ROOT = Path(__file__).parent.parent
STEPS = 60
GRID = Geometry((40, 36, 1), world=False)


def settings(dim, data, output, **changed):
    fields = {"encoder": "convnext_micro", "batch_size": 2, "augmentation": "light"}
    fields |= {"classes": ORGANS, "ema_decay": 0.9, "device": "cpu"}
    return HParams(dim=dim, data=data, output=output, **{**fields, **changed})


def short(dim, data, output, **changed):
    """Training that needs to learn nothing."""
    patch = {2: (32, 32), 3: (16, 16, 16)}[dim]
    return settings(dim, data, output, **{"steps": 6, "patch_size": patch, **changed})


class InterruptedAt(Silent):
    """Presses Ctrl-C when the training's bar has come so far."""

    def __init__(self, step):
        self._step = step

    def track(self, items, what, total=None):
        del total
        for count, item in enumerate(items, 1):
            if what == "training" and count == self._step:
                signal.raise_signal(signal.SIGINT)
            yield item


class Warned(Silent):
    """Keeps the warnings."""

    def __init__(self):
        self.lines = []

    def warn(self, message):
        self.lines.append(message)


@pytest.fixture(scope="module")
def run(dim, tiny_dataset, tmp_path_factory):
    """A training long enough to learn the two large organs."""
    output = tmp_path_factory.mktemp(f"runs{dim}") / "run"
    hparams = settings(dim, tiny_dataset, output, steps=STEPS)
    return Run(train(hparams, resume=False, progress=Silent()))


def scores(run):
    """Case and class -> Dice."""
    found = json.loads(run.validation.read_text(encoding="utf-8"))["scores"]
    return {(score["case"], score["class_name"]): score["dice"] for score in found}


def steps_of(run):
    return [record["step"] for record in read_records(run.metrics) if "loss" in record]


def test_a_run_leaves_everything(run, dim):
    names = {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}
    files = {"hparams.json", "plan.json", "model.safetensors", "last.ckpt", "metrics.jsonl"}
    files |= {"split.json"}
    assert names == files | {"validation.json", "log.txt", "report.html", "tensorboard"}
    assert latest_run(run.folder.parent) == run.folder
    plan = Plan.load(run.plan)
    assert plan == load_model(run.folder)[1].plan
    hparams = HParams.load(run.hparams)
    assert (hparams.dim, hparams.steps, hparams.patch_size) == (dim, STEPS, plan.patch_size)
    assert steps_of(run) == list(range(10, STEPS + 1, 10))
    assert "<html" in run.report.read_text(encoding="utf-8")
    assert "liver" in run.log.read_text(encoding="utf-8")


def test_it_learns_what_no_threshold_finds(run):
    found = scores(run)
    assert {case for case, _ in found} == {"case1"}  # of five, in the first of five folds
    assert found["case1", "liver"] > 0.6
    assert found["case1", "spleen"] > 0.6


def test_a_prediction_lies_on_the_grid_of_its_scan(run, dim, tiny_dataset, tmp_path):
    suffix = ".png" if dim == 2 else ".nii.gz"
    predictor, rule = load_predictor([run.folder], torch.device("cpu"))
    inputs = [str(tiny_dataset / "images")]
    outcomes = predict_inputs(inputs, predictor, rule, tmp_path, Silent())
    assert [outcome.failure for outcome in outcomes] == [None] * 5
    names = [f"case{number}{suffix}" for number in range(1, 6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        mask, geometry = read_label_map(tmp_path / name)
        truth, grid = read_label_map(tiny_dataset / "labels" / name)
        assert geometry == grid
        assert set(np.unique(mask)) <= {0, *ORGANS.values()}
        if name.startswith("case1."):  # prediction is what validation scored
            for organ, value in ORGANS.items():
                a, b = mask == value, truth == value
                dice = 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
                assert dice == pytest.approx(scores(run)["case1", organ])


def test_the_same_command_replaces_what_it_wrote(run, dim, tiny_dataset, tmp_path):
    scan = tiny_dataset / "images" / f"case1{'.png' if dim == 2 else '.nii.gz'}"
    extras = ["overlay", "probabilities", "uncertainty"]
    where = ["--model", str(run.folder), "--output", str(tmp_path)]
    for _ in range(2):
        assert main(["predict", "--input", str(scan), *where, "--save", *extras]) == 0
    assert len(list(tmp_path.iterdir())) == 4


def test_a_finished_run_is_neither_resumed_nor_overwritten(run, dim, tiny_dataset):
    before = run.model.read_bytes()
    hparams = settings(dim, tiny_dataset, run.folder, steps=STEPS)
    with pytest.raises(MedsegError, match="already holds a run"):
        train(hparams, resume=False, progress=Silent())
    with pytest.raises(MedsegError, match="has used its budget"):
        train(hparams, resume=True, progress=Silent())
    assert run.model.read_bytes() == before


def test_a_resumed_run_ends_where_an_unbroken_one_does(dim, tiny_dataset, tmp_path):
    hparams = short(dim, tiny_dataset, tmp_path / "unbroken")
    unbroken = Run(train(hparams, resume=False, progress=Silent()))
    hparams = short(dim, tiny_dataset, tmp_path / "broken")
    broken = Run(train(hparams, resume=False, progress=InterruptedAt(2)))
    stopped = steps_of(broken)[-1]
    assert 2 <= stopped < 6
    assert all(file.is_file() for file in (broken.model, broken.report, broken.validation))
    half_way = load_file(broken.model)
    train(hparams, resume=True, progress=Silent())
    assert steps_of(broken) == [stopped, 6]
    assert scores(broken) == scores(unbroken)
    weights, expected = load_file(broken.model), load_file(unbroken.model)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert not all(torch.equal(half_way[name], expected[name]) for name in expected)


def test_a_run_keeps_its_cases_and_says_what_it_ignores(photo_folder, tmp_path):
    data = shutil.copytree(photo_folder, tmp_path / "data")
    run = Run(train(short(2, data, tmp_path / "run"), resume=False, progress=InterruptedAt(2)))
    parts = run.split.read_text(encoding="utf-8")
    for kind in ("images", "labels"):
        shutil.copy(data / kind / "case1.png", data / kind / "case0.png")
    said = Warned()
    train(short(2, data, run.folder, learning_rate=0.5), resume=True, progress=said)
    assert run.split.read_text(encoding="utf-8") == parts
    assert {case for case, _ in scores(run)} == {"case1"}
    assert any("learning_rate = 0.5" in line for line in said.lines)
    assert HParams.load(run.hparams).learning_rate != 0.5


def test_half_precision_trains_on_a_cpu_too(dim, tiny_dataset, tmp_path):
    hparams = short(dim, tiny_dataset, tmp_path / "run", steps=2, precision="bf16")
    weights = load_file(Run(train(hparams, resume=False, progress=Silent())).model)
    assert all(weight.isfinite().all() for weight in weights.values())


def test_one_class_may_be_multilabel_and_absent(tmp_path):
    """Nothing to find in the case that is validated, and two folders instead of one."""
    for number in (1, 2, 3):
        image, label = phantom(number, (40, 36, 1), (2.0, 2.0, 2.0))
        write_image(image, GRID, tmp_path / "scans" / f"s{number}.png")
        mask = (label == 1) & (number > 1)
        write_label_map(mask, GRID, tmp_path / "masks" / f"s{number}.png")
    hparams = short(2, Path("data/demo"), tmp_path / "run", classes={"liver": 1}, steps=1)
    folders = {"images": tmp_path / "scans", "labels": tmp_path / "masks", "task": "multilabel"}
    hparams = hparams.model_copy(update=folders)
    run = Run(train(hparams, resume=False, progress=Silent()))
    assert run.report.is_file()
    assert len(scores(run)) == 1


def test_another_seed_is_another_training(photo_folder, tmp_path):
    weights = []
    for seed in (1, 2):
        hparams = short(2, photo_folder, tmp_path / str(seed), seed=seed, steps=1)
        weights.append(load_file(Run(train(hparams, resume=False, progress=Silent())).model))
    assert not all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_nothing_to_resume_is_one_line(photo_folder, tmp_path):
    with pytest.raises(SettingsError, match="holds no run to resume"):
        train(short(2, photo_folder, tmp_path / "absent"), resume=True, progress=Silent())


def test_ctrl_c_keeps_what_was_learned(photo_folder, tmp_path):
    output = tmp_path / "run"
    flags = ["--dim", "2", "--data", photo_folder, "--output", output, "--steps", "100000"]
    flags += ["--encoder", "convnext_micro", "--batch-size", "2", "--patch-size", "32", "32"]
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", *flags],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    patience = time.monotonic() + 120
    while not (output / "metrics.jsonl").exists() and time.monotonic() < patience:
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert not any(word in said for word in ("Traceback", "GPU available", "Lightning"))
    run = Run(output)
    stopped = steps_of(run)[-1]
    assert stopped < 100_000
    assert "interrupted" in run.report.read_text(encoding="utf-8")
    load_model(output)
    hparams = short(2, photo_folder, output)  # the rest is as the run began
    train(hparams, resume=True, progress=InterruptedAt(stopped + 3))
    assert stopped + 3 <= steps_of(run)[-1] < 100_000


def test_a_time_budget_is_kept(photo_folder, tmp_path):
    """From the first step to the report; preparation is apart."""
    budget_s = 10.0
    hparams = short(2, photo_folder, tmp_path / "run", steps=None)
    hparams = hparams.model_copy(update={"time_budget": timedelta(seconds=budget_s)})
    began = time.monotonic()
    run = Run(train(hparams, resume=False, progress=Silent()))
    took_s = time.monotonic() - began
    trained_s = read_records(run.metrics)[-1]["elapsed_s"]
    assert 0.4 * budget_s < trained_s <= budget_s
    assert took_s < 1.5 * budget_s  # on a machine that others use too
    assert read_records(run.metrics)[-1]["learning_rate"] < 0.01 * Plan.load(run.plan).learning_rate
    with pytest.raises(SettingsError, match="has used its budget of 0:00:10"):
        train(hparams, resume=True, progress=Silent())


def test_masks_that_overlap_come_back_as_masks(dim, tmp_path):
    size = {2: (40, 36, 1), 3: (20, 18, 16)}[dim]
    suffix = ".png" if dim == 2 else ".nii.gz"
    grid = Geometry(size, world=dim == 3)
    for number in (1, 2, 3):
        image, label = phantom(number, size, (2.0, 2.0, 2.0))
        folder = tmp_path / "data" / f"s{number}"
        write_image(image, grid, folder / f"image{suffix}")
        write_label_map((label == 1) | (label == 4), grid, folder / f"mask_liver{suffix}")
        write_label_map(label == 4, grid, folder / f"mask_lesion{suffix}")
    hparams = short(dim, tmp_path / "data", tmp_path / "run", steps=3, classes=None)
    run = Run(train(hparams, resume=False, progress=Silent()))
    assert Plan.load(run.plan).task == "multilabel"
    predictor, rule = load_predictor([run.folder], torch.device("cpu"))
    inputs = [str(tmp_path / "data" / f"s1/image{suffix}")]
    (outcome,) = predict_inputs(inputs, predictor, rule, tmp_path / "masks", Silent())
    assert outcome.failure is None
    assert {path.name for path in outcome.written} == {f"liver{suffix}", f"lesion{suffix}"}
    for path in outcome.written:
        assert read_label_map(path)[1] == grid
