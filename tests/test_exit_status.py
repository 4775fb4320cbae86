"""Whatever goes wrong: a status that scripts can rely on, one line per problem, no traceback."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plans import plan_for_tests

from medseg import cli
from medseg.cli import main
from medseg.errors import (
    MachineError,
    MedsegError,
    ScanError,
    SettingsError,
    Stopped,
    TrainingError,
)
from medseg.geometry import Geometry
from medseg.hparams import HParams
from medseg.networks.build import NetworkChoice, build_network
from medseg.runs import ModelCard, Run, save_model
from medseg.scans.channels import ChannelRule
from medseg.scans.write import write_image

ROOT = Path(__file__).parent.parent
FULL = OSError(errno.ENOSPC, "No space left on device", "disk/file")
COMMANDS = {
    "init": (["init"], "medseg.cli.write_text"),
    "train": (["train"], "medseg.training.fit.train"),
    "predict": (
        ["predict", "--input", "x", "--model", "m"],
        "medseg.inference.ensemble.load_predictor",
    ),
    "evaluate": (
        ["evaluate", "--prediction", "a", "--reference", "b"],
        "medseg.evaluation.evaluate.evaluate_folders",
    ),
}
WRONG = [SettingsError(name, "is wrong", "mend it") for name in "abc"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MedsegError("data", "is empty", "fill it"), 2, ["data: is empty; fill it"]),
        (ScanError("a.nii", "is empty", "fill it"), 2, ["a.nii: is empty; fill it"]),
        (SettingsError.all_of(WRONG), 2, [f"{name}: is wrong; mend it" for name in "abc"]),
        (TrainingError("loss = nan", "must be finite", "lower it"), 1, ["loss = nan: must be"]),
        (MachineError("a.nii", "out of memory", "close others"), 1, ["a.nii: out of memory;"]),
        (FULL, 1, ["disk/file: no space left on the disk; free some"]),
        (OSError(errno.EMFILE, "Too many", "f"), 1, ["f: too many open files; raise the limit"]),
        (OSError("odd"), 1, ["{command}: odd; check its permissions"]),
        (OSError(), 1, ["{command}: OSError; check its permissions"]),
        (PermissionError(13, "Permission denied", "d"), 1, ["d: Permission denied; check its"]),
        (MemoryError(), 1, ["{command}: out of memory; close"]),
        (RuntimeError("can't allocate memory"), 1, ["{command}: out of memory; close"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (Stopped("ended by SIGTERM; go on"), 99, ["ended by SIGTERM; go on"]),
        (SettingsError("a\nb\x1b[31m", "is\twrong", "mend it"), 2, [r"a\nb\x1b[31m: is\twrong; "]),
    ],
)
@pytest.mark.usefixtures("here")
def test_every_command_ends_in_lines_and_a_status(command, error, status, said, monkeypatch, capfd):
    arguments, inner = COMMANDS[command]

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(inner, fails)
    if command == "init" and isinstance(error, OSError):
        status = 2 if error.errno in (None, 13) else 1  # the folder is the user's choice
        said = ["hparam.py: "]
    assert main(arguments) == status
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == len(said)
    for line, beginning in zip(err.splitlines(), said, strict=True):
        assert line.startswith(beginning.format(command=command))
        assert "; " in line or line == "interrupted"


@pytest.mark.usefixtures("here")
def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    def fails(*_):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(COMMANDS["train"][1], fails)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        main(["train"])


def test_each_wrong_setting_is_an_error_of_its_own():
    with pytest.raises(SettingsError) as caught:
        HParams.build({"encodr": "x", "steps": "a", "fold": 7, "pattern": "a; b: c"} | {"dim": 4})
    error = caught.value
    assert [(one.subject, bool(one.what), bool(one.remedy)) for one in error.each] == [
        ("dim = 4", True, True),
        ("steps = 'a'", True, True),
        ("encodr = 'x'", True, True),
        ("fold = 7, folds = 5", True, True),
    ]
    assert [one.remedy for one in error.each][2] == "did you mean encoder?"


@pytest.mark.parametrize("text", ["[1]", "3", '"x"', "{", "[[1, 2]]", "null"])
def test_settings_of_a_run_that_are_none_are_one_line(text, tmp_path):
    (tmp_path / "hparams.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        HParams.load(tmp_path / "hparams.json")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("line", ["exit()", "raise SystemExit(0)", "raise MemoryError", "1 / 0"])
def test_a_settings_file_cannot_end_the_program(line, here, capfd):
    (here / "hparam.py").write_text(line + "\n", encoding="utf-8")
    assert main(["train"]) in (1, 2)
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("hparam.py")


def model_file(folder):
    plan = plan_for_tests(dim=2)
    card = ModelCard(
        plan=plan,
        network=NetworkChoice(encoder="convnext_micro", head="dense"),
        channel_rule=ChannelRule(),
    )
    run = Run(folder)
    with run.begun():
        pass
    save_model(run.model, build_network(plan, card.network, multilabel=False), card)
    HParams().save(run.hparams)
    run.checkpoint.touch()
    return run


STARVED = """
import json, resource, sys
import medseg.console, medseg.evaluation.evaluate, medseg.inference.job, medseg.training.fit
from medseg.cli import main
held = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
for command in json.loads(sys.argv[1]):
    print(main(command), file=sys.stderr)
"""


def test_too_many_open_files_are_called_so(here):
    """Of a process that can open none: no file is damaged, missing or wrongly set."""
    model_file(here / "runs" / "run").become_latest()
    (here / "settings.py").write_text("hparams = 3\n", encoding="utf-8")
    write_image(np.zeros((1, 8, 8, 8), np.float32), Geometry((8, 8, 8)), here / "a.nii.gz")
    commands = [
        ["init"],
        ["train", "--hparam", "settings.py"],
        ["train", "--data", "."],
        ["train", "--resume", "--output", "runs/run"],
        ["train", "--resume"],
        ["predict", "--input", "a.nii.gz", "--model", "runs/run"],
        ["predict", "--input", "a.nii.gz"],
        ["evaluate", "--prediction", "a.nii.gz", "--reference", "a.nii.gz"],
        ["evaluate", "--prediction", ".", "--reference", "."],
    ]
    done = subprocess.run(
        [sys.executable, "-c", STARVED, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert lines[1::2] == ["1"] * len(commands)
    assert len(lines) == 2 * len(commands)
    assert all("too many open files; raise the limit" in line for line in lines[::2]), lines


def test_files_of_a_run_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        run = model_file(tmp_path / "run")
        plan_for_tests().save(run.plan)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.folder.iterdir()}
    assert modes == dict.fromkeys(modes, 0o640)
    assert set(modes) == {"hparams.json", "plan.json", "model.safetensors", "last.ckpt", "log.txt"}
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o750


def test_init_leaves_no_half_file_on_a_full_disk(here, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert main(["init"]) == 1
    assert list(here.iterdir()) == []
    monkeypatch.undo()


def test_usage_names_every_command():
    assert set(COMMANDS) <= set(cli.COMMANDS)
