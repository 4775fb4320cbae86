"""Whether a time budget holds where predicting one case would take a good part of it.

    python benchmarks/dear_case.py [--time-budget 10m] [--size 512 512 300] [--cases 6]

The first two cases are phantoms of that size, all others small; the first is validated on, the
second learned from. What is printed: how long the command took from its first step to its end,
against the budget, and how the learning rate fell.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from acceptance import ROOT, machine

from medseg.geometry import Geometry, Size, Vector
from medseg.scans.phantom import phantom
from medseg.scans.write import write_image, write_label_map

SMALL: Size = (64, 64, 48)
SPACING_MM: Vector = (0.8, 0.8, 0.8)


def main() -> None:
    """Make the scans, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time-budget", default="10m")
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--scans", type=Path, help="where they are kept, to be used again")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        scans = arguments.scans or Path(folder) / "scans"
        if not (scans / "labels").exists():
            write_scans(scans, tuple(arguments.size), arguments.cases)
        run = Path(folder) / "run"
        command = [sys.executable, "train.py", "--data", str(scans), "--output", str(run)]
        process = subprocess.Popen([*command, "--time-budget", arguments.time_budget], cwd=ROOT)
        metrics = run / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.1)
        began = time.monotonic()
        if process.wait():
            raise SystemExit(process.returncode)
        seconds = time.monotonic() - began
        records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        rates = [record["learning_rate"] for record in records if "learning_rate" in record]
        seconds += records[0]["elapsed_s"]
        print(f"{machine()}: {seconds:.0f} s from the first step to the command's end")
        print(
            f"{records[-1]['step']} steps; learning rate {max(rates):.2g}, at last {rates[-1]:.2g}"
        )


def write_scans(folder: Path, large: Size, cases: int) -> None:
    """Phantoms of one spacing, so that the large ones stay large."""
    for number in range(cases):
        size = large if number < 2 else SMALL
        identity = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        geometry = Geometry(size, SPACING_MM, (0.0, 0.0, 0.0), identity)
        scan = phantom(number, size, SPACING_MM)
        write_image(scan.image, geometry, folder / "images" / f"p{number}.nii.gz")
        write_label_map(scan.label, geometry, folder / "labels" / f"p{number}.nii.gz")


if __name__ == "__main__":
    main()
