"""Runs that end before their time, by whatever, go on: to the model that an unbroken one makes."""

import random
import re
import shutil
import signal
from math import ceil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medseg.errors import SettingsError, Stopped
from medseg.hparams import HParams
from medseg.plan.plan import Plan
from medseg.progress import Silent
from medseg.runs import Run, State
from medseg.training import callbacks, monitor
from medseg.training.fit import train
from medseg.training.going_on import ignored, settings_to_go_on, settings_to_start_again
from medseg.training.record import read_records
from medseg.training.task import Task
from medseg.training.validation import Validator

STEPS = 6


class Killed(BaseException):
    """As by SIGKILL: nobody tidies up for it."""


class Warned(Silent):
    """Keeps the warnings."""

    def __init__(self):
        self.lines = []

    def warn(self, message):
        self.lines.append(message)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs, that share prepared cases."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def short(photo_folder):
    """Settings of a short run, but for its folder."""
    return HParams(
        dim=2,
        data=photo_folder,
        encoder="convnext_micro",
        patch_size=(32, 32),
        batch_size=2,
        steps=STEPS,
        deterministic=True,
        device="cpu",
    )


@pytest.fixture
def settings(runs, short, request):
    """Settings of a short run, in a folder of its own."""
    output = runs / request.node.name.replace("[", "-").strip("]")
    return short.model_copy(update={"output": output})


def weights_of(hparams):
    return load_file(Run(train(hparams, False, Silent())).model)


@pytest.fixture(scope="module")
def unbroken(runs, short):
    """The weights of a run that nothing disturbs."""
    return weights_of(short.model_copy(update={"output": runs / "unbroken"}))


def equal(run, expected):
    found = load_file(run.model)
    return all(torch.equal(found[name], expected[name]) for name in expected)


def at_step(monkeypatch, step, act):
    """Do something in the middle of a step."""
    inner = Task.training_step

    def training_step(task, batch, index):
        if task.global_step == step:
            act()
        return inner(task, batch, index)

    monkeypatch.setattr(Task, "training_step", training_step)


def kill():
    raise Killed


def killed_at(settings, step, monkeypatch, *, resume=False):
    """A run whose process is gone at a step; all that it would tidy up stays."""
    with monkeypatch.context() as patch:
        patch.setattr(Run, "discard", lambda _: None)
        at_step(patch, step, kill)
        with pytest.raises(Killed):
            train(settings, resume, Silent())
    return Run(settings.output)


def ended_at(settings, step, monkeypatch, number=signal.SIGTERM, *, resume=False):
    """A run that a queue ends in a step."""
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: signal.raise_signal(number))
        with pytest.raises(Stopped, match=f"{number.name}.*--resume --output"):
            train(settings, resume, Silent())
    return Run(settings.output)


def test_killed_again_and_again_it_ends_with_the_same_weights(settings, unbroken, monkeypatch):
    monkeypatch.setattr(callbacks, "_CHECKPOINT_EVERY_S", -1.0)  # after each step
    draw = random.Random(settings.seed)
    steps = sorted(draw.sample(range(1, STEPS), 3))
    for number, step in enumerate(steps):
        run = killed_at(settings, step, monkeypatch, resume=number > 0)
        assert run.state is State.BEGUN
    run.checkpoint.with_name(f".{run.checkpoint.name}.999999999.part").write_bytes(b"half of it")
    train(settings, True, Silent())
    assert equal(run, unbroken)
    assert not list(run.folder.glob(".*"))


@pytest.mark.parametrize("resume", [False, True])
def test_killed_before_its_first_checkpoint_it_starts_again(
    resume, settings, unbroken, monkeypatch
):
    run = killed_at(settings, 1, monkeypatch)
    assert run.state is State.DEAD
    latest = run.folder.parent / "latest"
    assert latest.read_text(encoding="utf-8") != run.folder.name
    asked = HParams(output=settings.output) if resume else settings
    train(asked, resume, Silent())
    assert equal(run, unbroken)
    assert latest.read_text(encoding="utf-8") == run.folder.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_what_a_queue_ends_is_saved_and_goes_on(number, settings, unbroken, monkeypatch):
    run = ended_at(settings, 2, monkeypatch, number)
    assert run.state is State.BEGUN
    assert run.model.is_file()
    assert not run.report.exists()
    assert not run.holder.exists()
    train(settings, True, Silent())
    assert equal(run, unbroken)


def test_data_that_moved_is_named_and_found(settings, unbroken, photo_folder, monkeypatch):
    there, moved = settings.output.parent / "there", settings.output.parent / "moved"
    shutil.copytree(photo_folder, there)
    settings = settings.model_copy(update={"data": there})
    with monkeypatch.context() as patch:
        at_step(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        run = Run(train(settings, False, Silent()))
    there.rename(moved)
    with pytest.raises(SettingsError, match="there: where its data lay, is gone; say with --data"):
        train(HParams(output=run.folder), True, Silent())
    assert run.state is State.BEGUN
    asked, said = HParams(output=run.folder, data=moved), Warned()
    train(asked, True, said, given=["output", "data"])
    assert equal(run, unbroken)
    assert HParams.load(run.hparams).data == moved
    assert not [line for line in said.lines if "ignored" in line]


def test_a_finished_run_can_be_made_longer_and_anneals_again(settings, unbroken):
    run = Run(train(settings, False, Silent()))
    with pytest.raises(SettingsError, match=f"has used its budget of {STEPS} steps"):
        train(settings, True, Silent())
    assert equal(run, unbroken)
    longer = settings.model_copy(update={"steps": STEPS + 4})
    train(longer, True, Silent(), given=["steps"])
    assert not equal(run, unbroken)
    records = [record for record in read_records(run.metrics) if "loss" in record]
    assert records[-1]["step"] == STEPS + 4
    assert records[-1]["learning_rate"] < 0.1 * Plan.load(run.plan).learning_rate
    assert HParams.load(run.hparams).steps == STEPS + 4
    with pytest.raises(SettingsError, match=f"has used its budget of {STEPS + 4} steps"):
        train(longer, True, Silent())


def test_a_model_without_a_checkpoint_is_used_but_not_gone_on_from(tmp_path):
    run = Run(tmp_path)
    run.model.touch()
    with pytest.raises(SettingsError, match=r"no last\.ckpt to go on from.*--pretrained"):
        train(HParams(output=run.folder), True, Silent())


@pytest.fixture
def no_better(settings, monkeypatch):
    """Settings of a run whose scores never rise; it looks at them often."""
    monkeypatch.setattr(monitor, "_SHARE", 0.5)
    monkeypatch.setattr(Validator, "dice", lambda *_: {"organ": 0.5})
    return settings.model_copy(update={"steps": 60, "patience": 0.2})


def annealed(run):
    """Where a plateau was noticed, and where its end was to be."""
    found = re.search(
        r"plateau at step (\d+): validation Dice no better than 0.500 for \d+ validations; "
        r"annealing until step (\d+) of 60",
        run.log.read_text(encoding="utf-8"),
    )
    return tuple(map(int, found.groups()))


def dice_of(run):
    return [(r["step"], r["dice"]) for r in read_records(run.metrics) if "dice" in r]


def test_a_plateau_ends_a_run_annealed_and_finished(no_better):
    run = Run(train(no_better, False, Silent()))
    noticed, end = annealed(run)
    assert end == ceil(1.2 * noticed) < 40
    rates = [record for record in read_records(run.metrics) if "loss" in record]
    assert rates[-1]["step"] == end
    assert rates[-1]["learning_rate"] < 0.2 * rates[-2]["learning_rate"]
    assert "validation Dice no better than 0.500" in run.report.read_text(encoding="utf-8")
    with pytest.raises(SettingsError, match=f"ended at step {end} of 60 steps: .* no better than"):
        train(no_better, True, Silent())
    longer = no_better.model_copy(update={"steps": 70, "patience": None})
    train(longer, True, Silent(), given=["steps"])
    assert read_records(run.metrics)[-1]["step"] > end


def test_a_plateau_is_the_same_however_often_a_run_is_stopped(no_better, monkeypatch):
    whole = Run(no_better.output.with_name(f"{no_better.output.name}-whole"))
    expected = weights_of(no_better.model_copy(update={"output": whole.folder}))
    scored = dice_of(whole)
    noticed, _ = annealed(whole)
    monkeypatch.setattr(callbacks, "_CHECKPOINT_EVERY_S", -1.0)  # after each step
    ended_at(no_better, scored[0][0] - 1, monkeypatch)
    ended_at(no_better, noticed - 1, monkeypatch, resume=True)
    run = killed_at(no_better, noticed + 2, monkeypatch, resume=True)
    train(no_better, True, Silent())
    assert equal(run, expected)
    assert dice_of(run) == scored


KEPT = HParams(data=Path("old"), steps=9, learning_rate=0.1, seed=3)


def test_only_what_is_typed_changes_a_run_that_goes_on():
    asked = HParams(data=Path("new"), time_budget="5m", seed=4)
    same = settings_to_go_on(KEPT, asked, ())
    assert same == KEPT
    assert ignored(same, asked) == ["data = new", "seed = 4", "time_budget = 0:05:00"]
    moved = settings_to_go_on(KEPT, asked, ["data", "seed"])
    assert moved == KEPT.model_copy(update={"data": Path("new")})
    longer = settings_to_go_on(KEPT, asked, ["time_budget"])
    assert (longer.steps, longer.time_budget) == (None, asked.time_budget)
    assert longer.data == KEPT.data


def test_what_learned_nothing_starts_again_as_typed():
    asked = HParams(output=Path("runs/a"), time_budget="5m", seed=4)
    again = settings_to_start_again(KEPT, asked, ["output", "time_budget", "seed"])
    assert (again.steps, again.time_budget, again.seed) == (None, asked.time_budget, 4)
    assert (again.data, again.learning_rate) == (KEPT.data, 0.1)


def test_a_longer_budget_must_go_with_the_rest():
    kept = HParams(steps=9, deterministic=True)
    with pytest.raises(SettingsError, match="deterministic"):
        settings_to_go_on(kept, HParams(time_budget="5m"), ["time_budget"])
