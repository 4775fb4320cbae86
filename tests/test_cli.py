import io
import platform
import resource
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plans import plan_for_tests
from rich.console import Console

from medseg import __version__, machine
from medseg.cli import main
from medseg.console import Terminal
from medseg.errors import MedsegError, TrainingError
from medseg.geometry import Geometry
from medseg.hparams import HParams
from medseg.machine import available_memory_bytes, pick_device
from medseg.plan.plan import Plan
from medseg.progress import Logged, Silent, plain_table
from medseg.scans.channels import ChannelRule
from medseg.scans.write import write_label_map
from medseg.settings_file import settings_file

ROOT = Path(__file__).parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[HParams | bool | str, ...]]:
    """What `training.folds.train` was called with."""
    calls: list[tuple[HParams | bool | str, ...]] = []
    fit = types.ModuleType("medseg.training.folds")
    vars(fit)["train"] = lambda hparams, resume, _, given: calls.append((hparams, resume, *given))
    monkeypatch.setitem(sys.modules, "medseg.training.folds", fit)
    return calls


@pytest.mark.parametrize("script", [["train.py"], ["predict.py"], ["-m", "medseg", "evaluate"]])
def test_help_is_instant(script: list[str]):
    # -X importtime names every module on standard error
    code = [sys.executable, "-X", "importtime", *script, "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert f"usage: python {' '.join(script)}" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tyro" in imported
    assert not imported & {"torch", "lightning", "monai", "matplotlib", "torchio", "SimpleITK"}
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 1.0


def test_train_passes_settings_on(here: Path, trained: list[tuple[HParams | bool | str, ...]]):
    (here / "hparam.py").write_text(
        "from medseg.hparams import HParams\nhparams = HParams(dim=2, steps=9)\n", encoding="utf-8"
    )
    assert main(["train", "--time-budget", "15m", "--resume", "--deterministic"]) == 2
    assert main(["train", "--time-budget", "15m", "--resume", "--seed", "3"]) == 0
    assert main(["train", "--no-deterministic"]) == 0
    assert trained == [
        (HParams.build({"dim": 2, "time_budget": "15m", "seed": 3}), True, "time_budget", "seed"),
        (HParams(dim=2, steps=9), False, "deterministic"),
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MedsegError("data", "is empty", "fill it"), 2),
        (TrainingError("loss", "is nan", "lower the rate"), 1),
        (PermissionError(13, "Permission denied", "data"), 1),
        (OSError("odd"), 1),
        (MemoryError(), 1),
        (KeyboardInterrupt(), 130),
    ],
)
@pytest.mark.usefixtures("here", "trained")
def test_train_exit_status(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def fails(*_):
        raise error

    monkeypatch.setattr(sys.modules["medseg.training.folds"], "train", fails)
    assert main(["train"]) == status
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "not a command"),
        (["fly"], "not a command"),
        (["train", "--stepz", "4"], "did you mean --steps?"),
        (["train", "stray"], "no such option"),
        (["train", "--dim", "4"], "must be 2 or 3"),
        (["train", "--steps"], "valid integer"),
        (["train", "--steps", "4", "5"], "valid integer"),
        (["train", "--steps", "-1"], "greater than or equal to 1"),
        (["train", "--hparam", "absent.py"], "no such file"),
        (["predict"], "input: is required"),
        (["predict", "--input"], "at least 1 item"),
        (["predict", "--input", "x", "--device", "gpu"], "cuda:N"),
        (["predict", "--input", "x"], "no run found"),
        (["predict", "--input", "x", "--model", "absent"], "absent"),
        (["evaluate", "--prediction", "absent", "--reference", "absent"], "absent"),
        (["evaluate", "--prediction", "a", "--reference", "b", "--tolerance-mm", "-1"], "toleranc"),
        (["evaluate", "--prediction", "a", "--reference", "b", "--classes", "x"], "integer"),
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_arguments_are_one_line_and_status_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line


@pytest.mark.usefixtures("here")
def test_messages_name_what_was_typed(capsys: pytest.CaptureFixture[str]):
    main(["train", "--stepz"], program="python train.py")
    assert "python train.py has no such option" in capsys.readouterr().err


def test_init_writes_the_settings_file_once(here: Path):
    assert main(["init"]) == 0
    assert (here / "hparam.py").read_text(encoding="utf-8") == settings_file()
    (here / "hparam.py").write_text("mine", encoding="utf-8")
    assert main(["init"]) == 2
    assert (here / "hparam.py").read_text(encoding="utf-8") == "mine"


def test_usage_and_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out
    assert all(f"  {name} " in usage for name in ("init", "train", "predict", "evaluate"))
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"medseg {__version__}\n"


def test_evaluate_scores_what_it_can(here: Path, capsys: pytest.CaptureFixture[str]):
    label = np.zeros((8, 8, 8), np.uint8)
    label[2:6, 2:6, 2:6] = 1
    grid = Geometry((8, 8, 8))
    for folder in ("prediction", "reference"):
        write_label_map(label, grid, here / folder / "a.nii.gz")
        write_label_map(label, grid, here / folder / "b.nii.gz")
    arguments = ["evaluate", "--prediction", "prediction", "--reference", "reference"]
    assert main([*arguments, "--output", "new/metrics.json", "--classes", "organ=1"]) == 0
    shown = capsys.readouterr().err
    assert "organ" in shown
    assert "1.000" in shown
    assert '"dice"' in (here / "new" / "metrics.json").read_text(encoding="utf-8")

    (here / "prediction" / "b.nii.gz").write_text("no scan", encoding="utf-8")
    assert main(arguments) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("b")]
    assert ": " in line

    (here / "file").touch()
    assert main([*arguments, "--output", "file/metrics.json"]) == 2
    capsys.readouterr()
    assert main([*arguments, "--output", "reference"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("output = reference: is a folder;")


@pytest.mark.usefixtures("here")
def test_mirroring_without_axes_is_said_to_change_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plans = iter([plan_for_tests(), plan_for_tests(flip_axes=(0,))])
    load = "medseg.inference.ensemble.load_predictor"

    def ensemble(plan: Plan) -> types.SimpleNamespace:
        members = [types.SimpleNamespace(plan=plan)]
        return types.SimpleNamespace(plan=plan, members=members, predict=print)

    monkeypatch.setattr(
        load,
        lambda *_, **__: (ensemble(next(plans)), ChannelRule()),
    )
    command = ["predict", "--input", "absent.nii.gz", "--model", "m", "--tta", "mirror"]
    main(command)
    assert "tta = mirror: changes nothing" in capsys.readouterr().err
    main(command)
    assert "mirror" not in capsys.readouterr().err


def test_terminal_is_plain_where_nobody_watches():
    console = Console(file=io.StringIO(), record=True, width=20)
    terminal = Terminal(console)
    assert list(terminal.track(range(3), "counting")) == [0, 1, 2]
    terminal.note("[bold]" + "x" * 50)
    terminal.table("sizes", ("class", "mL"), [("liver [left]", "1.5")])
    assert console.export_text().splitlines() == [
        "[bold]" + "x" * 50,
        "sizes",
        "class         mL",
        "liver [left]  1.5",
    ]


def test_terminal_shows_a_bar_and_status(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("medseg.console._PATIENCE_S", -1.0)
    console = Console(file=io.StringIO(), record=True, width=100, force_terminal=True)
    terminal = Terminal(console)
    for number in terminal.track(iter(range(3)), "steps [x]", 3):
        terminal.status(f"loss [{number}]")
        assert list(terminal.track([1], "inner")) == [1]
        terminal.note("kept")
    text = console.export_text()
    assert "steps [x]" in text
    assert "loss [0]" in text
    assert text.count("kept") == 3


def test_log_keeps_what_was_said(tmp_path: Path):
    log = Logged(Silent(), tmp_path / "log.txt")
    log.note("a note")
    log.warn("careful")
    log.table("sizes", ("class", "mL"), [("liver", "1.5")])
    log.status("gone")
    assert list(log.track([1], "gone")) == [1]
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines() == [
        "a note",
        "warning: careful",
        *plain_table("sizes", ("class", "mL"), [("liver", "1.5")]).splitlines(),
    ]


def test_machine():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in {"cpu", "cuda", "mps"}
    with pytest.raises(MedsegError, match="this machine has cpu"):
        pick_device("cuda:99")
    assert 10**8 < available_memory_bytes() < 10**14


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others keep nothing")
def test_kept_memory_counts_as_available():
    code = """
import numpy as np
from pathlib import Path
from medseg.machine import available_memory_bytes, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

keep_freed_memory()
before = resident()
array = np.ones(30_000_000)
last = np.ones(3)
del array
print(resident() - before)
available_memory_bytes()
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    kept, after = map(int, done.stdout.split())
    assert kept > 200e6
    assert after < 50e6


@pytest.mark.parametrize(
    ("folder", "limit", "used", "cache"),
    [
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_cached_files_do_not_fill_a_container(
    folder: str, limit: str, used: str, cache: str, here: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "_CGROUP", here)
    (here / folder).mkdir(exist_ok=True)
    (here / folder / limit).write_text("5000\n", encoding="ascii")
    (here / folder / used).write_text("4000\n", encoding="ascii")
    stat = f"anon 800\n{cache} 3000\nactive_file 100\n"
    (here / folder / "memory.stat").write_text(stat, encoding="ascii")
    assert available_memory_bytes() == 4000


def test_windows_says_what_is_free(monkeypatch: pytest.MonkeyPatch):
    def fills(reference: Any) -> int:
        assert reference._obj.length == 64
        reference._obj.available = 7 * 10**9
        return 1

    kernel32 = types.SimpleNamespace(GlobalMemoryStatusEx=fills)
    windows = types.SimpleNamespace(kernel32=kernel32)
    monkeypatch.setattr(machine.ctypes, "windll", windows, raising=False)
    monkeypatch.setattr(machine, "_MEMINFO", Path("absent"))
    monkeypatch.delattr(machine.os, "sysconf")
    monkeypatch.setattr(machine, "_container_memory", lambda: 2**63)
    assert available_memory_bytes() == 7 * 10**9
