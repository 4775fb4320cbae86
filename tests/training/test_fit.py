"""When the machine fails a training: it is said so, nothing is cut, and it can go on."""

import errno
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medseg import files
from medseg.cli import main
from medseg.errors import MachineError
from medseg.patches.sampler import PatchSampler
from medseg.runs import Run
from medseg.training import fit, loop
from medseg.training.segmentation import Segmentation


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs, that share prepared cases."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def train(runs, photo_folder, request, capfd):
    """Trains two steps into a folder of its own -> status and the lines said at the end."""
    run = Run(runs / request.node.name.replace("[", "-").strip("]"))

    def command(*flags, name=None):
        where = run.folder if name is None else runs / name
        quick = ["--encoder", "convnext_micro", "--patch-size", "32", "32", "--batch-size", "2"]
        base = ["--dim", "2", "--data", photo_folder, "--steps", "2", "--output", where]
        status = main([str(word) for word in ("train", *base, *quick, "--deterministic", *flags)])
        return status, capfd.readouterr().err.splitlines()

    command.run = run
    return command


@pytest.fixture(scope="module")
def unbroken(runs, photo_folder):
    """Weights of the model that a training makes which nothing disturbs."""
    output = runs / "unbroken"
    words = ["--dim", "2", "--data", photo_folder, "--steps", "2", "--output", output]
    words += ["--encoder", "convnext_micro", "--patch-size", "32", "32", "--batch-size", "2"]
    before = os.umask(0o027)
    try:
        assert main(["train", *map(str, words), "--deterministic"]) == 0
    finally:
        os.umask(before)
    return Run(output)


def full_at(monkeypatch, name):
    """The disk is full when a file of that name has been written, just before it is renamed."""
    replace = Path.replace

    def fails(path, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails)


def test_every_file_of_a_run_follows_the_umask(unbroken):
    paths = [path for path in unbroken.folder.rglob("*") if path.is_file()]
    assert {unbroken.model, unbroken.checkpoint, unbroken.report} <= set(paths)
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path
    assert not [path for path in paths if path.name.startswith(".")]


@pytest.mark.usefixtures("unbroken")
def test_a_disk_full_at_the_first_checkpoint_leaves_the_folder_free(train, monkeypatch):
    with monkeypatch.context() as patch:
        full_at(patch, "last.ckpt")
        status, lines = train()
    assert status == 1
    full = f"{train.run.checkpoint}: no space left on the disk; free some, then start again"
    assert lines[-1] == full
    (left,) = train.run.folder.iterdir()
    assert left.name == "failed.txt"
    assert left.read_text(encoding="utf-8").splitlines()[-1] == f"error: {full}"
    assert (train.run.folder.parent / "latest").read_text(encoding="utf-8") == "unbroken"
    assert train()[0] == 0


@pytest.mark.parametrize("name", ["model.safetensors", "validation.json", "report.html"])
def test_a_disk_full_after_the_last_step_costs_nothing(name, train, unbroken, monkeypatch):
    with monkeypatch.context() as patch:
        full_at(patch, name)
        status, lines = train()
    assert status == 1
    file = train.run.folder / name
    assert lines[-1] == f"{file}: no space left on the disk; free some, then go on with --resume"
    assert not file.exists()
    assert train("--resume")[0] == 0
    weights, expected = load_file(train.run.model), load_file(unbroken.model)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert train.run.report.is_file()
    status, lines = train("--resume")
    assert status == 2
    assert "has used its budget" in lines[-1]


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (OSError(errno.EMFILE, "Too many open files", "x.npy"), "too many open files", "ulimit -n"),
        (MemoryError(), "device = cpu: out of memory", "lower batch_size"),
        (RuntimeError("can't allocate memory"), "device = cpu: out of memory", "lower batch_size"),
        (OSError(errno.ENOENT, "No such file", "x.npy"), "x.npy: No such file", "start again"),
    ],
)
def test_a_failure_in_a_step_has_its_own_name(error, what, remedy, train, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr(PatchSampler, "batch", fails)
    status, lines = train(name="failed")
    assert status == 1
    assert what in lines[-1]
    assert remedy in lines[-1]
    assert not [line for line in lines if "Traceback" in line or "damaged" in line]
    assert [path.name for path in (train.run.folder.parent / "failed").iterdir()] == ["failed.txt"]


def test_what_fails_while_preparing_leaves_no_run(train, monkeypatch):
    def full(*_, **__):
        raise MachineError("prepared", "no space left on the disk", "free some")

    with monkeypatch.context() as patch:
        patch.setattr(fit, "prepare_data", full)
        status, lines = train()
    assert (status, lines[-1]) == (1, "prepared: no space left on the disk; free some")
    assert not train.run.folder.exists()


def test_checkpoints_do_not_go_through_the_folder_for_temporary_files(train, monkeypatch):
    synced = []
    fsync = os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/absent")
        patch.setattr(files.os, "fsync", lambda file: synced.append(file) or fsync(file))
        assert train()[0] == 0
    assert len(synced) == 2  # the checkpoint, the model


def test_freed_memory_is_kept_from_the_first_step_on(train, monkeypatch):
    order = []
    for module, name in ((fit, "survey"), (fit, "prepare_data"), (fit, "keep_freed_memory")):
        inner = getattr(module, name)
        monkeypatch.setattr(module, name, logged(order, name, inner))
    monkeypatch.setattr(Segmentation, "train", logged(order, "train", Segmentation.train))
    assert train()[0] == 0
    assert order == ["survey", "prepare_data", "keep_freed_memory", "train"]


def logged(order, name, inner):
    def call(*arguments, **named):
        order.append(name)
        return inner(*arguments, **named)

    return call


def test_a_thread_that_the_machine_fails_leaves_no_traceback(monkeypatch):
    def fails(error):
        raise error

    shown = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_value))
    full, ours = OSError(errno.ENOSPC, "full"), ValueError("ours")
    with loop._quiet():
        for error in (full, ours):
            thread = threading.Thread(target=fails, args=(error,))
            thread.start()
            thread.join()
    assert shown == [ours]
