"""Whole trainings on real data, run by name; each appends a row to a table in docs.

    python benchmarks/acceptance.py hippocampus-3d --datasets FOLDER

FOLDER holds one folder per dataset, in a layout that medseg reads: `hippocampus` (Medical
Segmentation Decathlon, Task04), `cardiac`, `drive` (DRIVE, RGB), `membrane` (ISBI 2012 EM
challenge). Each training is the command a user would type, in a process of its own, with nothing
beside it.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results.md"
ENCODERS = ROOT / "docs" / "encoders.md"
NETWORKS = ROOT / "docs" / "networks.md"


class Training(NamedTuple):
    """One row: a dataset and the flags of `train.py`."""

    dataset: str
    flags: tuple[str, ...]


def heads(seeds: Sequence[int]) -> list[Training]:
    """PointRend and the dense head by turns, with the same time."""
    return [
        Training("hippocampus", ("--time-budget", "4m", "--head", head, "--seed", str(seed)))
        for seed in seeds
        for head in ("pointrend", "dense")
    ]


TRAININGS: dict[str, list[Training]] = {
    "hippocampus-3d": [Training("hippocampus", ("--time-budget", "15m"))],
    "hippocampus-2d": [Training("hippocampus", ("--dim", "2", "--time-budget", "15m"))],
    "cardiac-3d": [Training("cardiac", ("--time-budget", "15m"))],
    "cardiac-2d": [Training("cardiac", ("--dim", "2", "--time-budget", "15m"))],
    "drive": [Training("drive", ("--dim", "2", "--time-budget", "15m"))],
    "membrane": [
        Training(
            "membrane",
            ("--dim", "2", "--time-budget", "15m", "--classes", "membrane=0", "interior=255"),
        )
    ],
    "heads": heads((0, 1, 2)),
    "encoders": [
        Training("hippocampus", ("--time-budget", "5m", "--encoder", f"{family}_mini"))
        for family in (
            "convnext", "swinv2", "swin_mlp", "gmlp", "amlp", "resmlp", "repmlp", "repmlpnet",
        )
    ],
    "networks": [
        Training("hippocampus", ("--time-budget", "10m", *network))
        for network in (
            (),
            ("--network", "monai:DynUNet"),
            ("--network", "monai:SegResNet"),
            ("--network", "monai:SwinUNETR"),
            ("--network", "monai:MedNeXt"),
        )
    ],
}  # fmt: skip


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=TRAININGS)
    parser.add_argument("--datasets", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where run folders go")
    parser.add_argument("--only", help="of several trainings, those with this text in their flags")
    arguments = parser.parse_args()
    for training in TRAININGS[arguments.name]:
        if (arguments.only or "") in " ".join(training.flags):
            measured = run(arguments.name, training, arguments.datasets, arguments.runs)
            if arguments.name == "encoders":
                append_row(ENCODERS, encoder_row(measured))
            elif arguments.name == "networks":
                append_row(NETWORKS, network_row(measured))
            else:
                append_row(RESULTS, result_row(arguments.name, training, measured))


class Measured(NamedTuple):
    """What a training took, and the folder of what it made."""

    output: Path
    minutes: float
    core_seconds: float
    peak_gb: float

    @property
    def validation(self) -> dict[str, Any]:
        """Scores."""
        return json.loads((self.output / "validation.json").read_text(encoding="utf-8"))

    @property
    def records(self) -> list[dict[str, float]]:
        """What happened in training."""
        lines = (self.output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def run(name: str, training: Training, datasets: Path, runs: Path) -> Measured:
    """Train."""
    output = runs / f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    command = [
        sys.executable, "train.py", "--data", str(datasets / training.dataset),
        *training.flags, "--output", str(output),
    ]  # fmt: skip
    print(" ".join(command), flush=True)
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    minutes = (time.monotonic() - began) / 60
    return Measured(output, minutes, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def result_row(name: str, training: Training, measured: Measured) -> tuple[str, ...]:
    """A row of docs/results.md."""
    validation = measured.validation
    return (
        f"{datetime.now().astimezone():%Y-%m-%d}",
        name,
        " ".join(training.flags),
        ", ".join(f"{row['name']} {row['dice']['mean']:.3f}" for row in validation["classes"]),
        interval(validation["overall"]["dice"]),
        f"{validation['overall']['hd95_mm']['mean']:.2f} {validation['unit']}",
        f"{validation['overall']['surface_dice']['mean']:.3f}",
        str(measured.records[-1]["step"]),
        f"{measured.minutes:.1f}",
        f"{measured.core_seconds:.0f}",
        machine(),
    )


def encoder_row(measured: Measured) -> tuple[str, ...]:
    """A row of docs/encoders.md."""
    overall = measured.validation["overall"]
    step, parameters = cost(measured)
    return (
        f"`{settings(measured)['encoder']}`",
        interval(overall["dice"]),
        f"{overall['hd95_mm']['mean']:.2f} mm",
        step,
        str(measured.records[-1]["step"]),
        parameters,
        f"{datetime.now().astimezone():%Y-%m-%d}",
        machine(),
    )


def network_row(measured: Measured) -> tuple[str, ...]:
    """A row of docs/networks.md."""
    overall = measured.validation["overall"]
    chosen = settings(measured)
    step, parameters = cost(measured)
    return (
        f"`{chosen['network'] or chosen['encoder']}`",
        interval(overall["dice"]),
        f"{overall['hd95_mm']['mean']:.2f} mm",
        f"{overall['surface_dice']['mean']:.3f}",
        step,
        str(measured.records[-1]["step"]),
        parameters,
        f"{measured.peak_gb:.2f} GB",
        f"{datetime.now().astimezone():%Y-%m-%d}",
        machine(),
    )


def settings(measured: Measured) -> dict[str, Any]:
    """What the run was told and decided."""
    return json.loads((measured.output / "hparams.json").read_text(encoding="utf-8"))


def cost(measured: Measured) -> tuple[str, str]:
    """Core-seconds of a step, validation on the way included, and parameters."""
    from medseg.hparams import HParams
    from medseg.networks.build import build_network
    from medseg.plan.plan import Plan
    from medseg.training.start import network_choice

    hparams = HParams.load(measured.output / "hparams.json")
    plan = Plan.load(measured.output / "plan.json")
    network = build_network(plan, network_choice(hparams), multilabel=False)
    first, last = measured.records[0], measured.records[-1]
    step_s = (last["elapsed_s"] - first["elapsed_s"]) / (last["step"] - first["step"])
    busy_cores = measured.core_seconds / (60 * measured.minutes)
    millions = sum(weight.numel() for weight in network.parameters()) / 1e6
    return f"{step_s * busy_cores:.2f}", f"{millions:.2f} M"


def interval(statistic: dict[str, Any]) -> str:
    """Mean and its interval."""
    return f"{statistic['mean']:.4f} ({statistic['low']:.3f} to {statistic['high']:.3f})"


def machine() -> str:
    """What it ran on."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    found = re.search(r"model name\s*:\s*(.+)", text)
    vector = next((word for word in ("avx512f", "avx2") if word in text), platform.machine())
    return f"{os.cpu_count()} cores {found[1] if found else platform.processor()}, {vector}"


def append_row(page: Path, row: tuple[str, ...]) -> None:
    """Add to the table that ends the page."""
    with page.open("a", encoding="utf-8") as file:
        file.write(f"|{'|'.join(row)}|\n")


if __name__ == "__main__":
    main()
