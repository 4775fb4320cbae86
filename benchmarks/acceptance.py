"""Whole trainings on real data, run by name; each appends a row to docs/results.md.

    python benchmarks/acceptance.py hippocampus-3d --datasets FOLDER

FOLDER holds one folder per dataset, in a layout that medseg reads: `hippocampus` (Medical
Segmentation Decathlon, Task04), `drive` (DRIVE, RGB), `membrane` (ISBI 2012 EM challenge). Each
training is the command a user would type, in a process of its own, with nothing beside it.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results.md"
COLUMNS = (
    "date", "run", "settings", "Dice per class", "mean Dice (95 %)", "HD95", "surface Dice",
    "steps", "minutes", "core-seconds", "machine",
)  # fmt: skip


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
    "drive": [Training("drive", ("--dim", "2", "--time-budget", "15m"))],
    "membrane": [
        Training(
            "membrane",
            ("--dim", "2", "--time-budget", "15m", "--classes", "membrane=0", "interior=255"),
        )
    ],
    "heads": heads((0, 1, 2)),
}


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=TRAININGS)
    parser.add_argument("--datasets", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where run folders go")
    arguments = parser.parse_args()
    for training in TRAININGS[arguments.name]:
        append_row(run(arguments.name, training, arguments.datasets, arguments.runs))


def run(name: str, training: Training, datasets: Path, runs: Path) -> tuple[str, ...]:
    """Train, and make a row of what came out."""
    output = runs / f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    command = [
        sys.executable, "train.py", "--data", str(datasets / training.dataset),
        *training.flags, "--output", str(output),
    ]  # fmt: skip
    print(" ".join(command), flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True)
    minutes = (time.monotonic() - began) / 60
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    validation = json.loads((output / "validation.json").read_text(encoding="utf-8"))
    lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return (
        f"{datetime.now().astimezone():%Y-%m-%d}",
        name,
        " ".join(training.flags),
        ", ".join(f"{row['name']} {row['dice']['mean']:.3f}" for row in validation["classes"]),
        interval(validation["overall"]["dice"]),
        f"{validation['overall']['hd95_mm']['mean']:.2f} {validation['unit']}",
        f"{validation['overall']['surface_dice']['mean']:.3f}",
        str(json.loads(lines[-1])["step"]),
        f"{minutes:.1f}",
        f"{core_seconds:.0f}",
        machine(),
    )


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


def append_row(row: tuple[str, ...]) -> None:
    """Add to the table; make the page if there is none."""
    if not RESULTS.exists():
        head = (
            "# Measured results\n\nOne row per training, appended by `benchmarks/acceptance.py`.\n"
        )
        rule = "|".join(["---"] * len(COLUMNS))
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(f"{head}\n|{'|'.join(COLUMNS)}|\n|{rule}|\n", encoding="utf-8")
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(f"|{'|'.join(row)}|\n")


if __name__ == "__main__":
    main()
