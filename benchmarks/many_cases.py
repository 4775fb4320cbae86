"""What thousands of cases cost before the first step: first start, second start, resume.

    python benchmarks/many_cases.py --cases 5000

Cases are noise of 16^3 voxels with a ball as label. Each start is the command a user would type, in
a process of its own; beside its time stands how often a scan or label was opened.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
COUNTING = """
import os, runpy, sys
count, file = 0, os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
def hear(event, arguments):
    global count
    if event == "open" and str(arguments[0]).endswith(".nii.gz"):
        count += 1
        os.pwrite(file, str(count).encode(), 0)
sys.addaudithook(hear)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script and keeps in a file how many scans it has opened."""


def main() -> None:
    """Make the cases, start three times, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--size", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "data", arguments.cases, arguments.size)
        train = ["train.py", "--data", str(folder / "data"), "--encoder", "convnext_micro"]
        train += ["--patch-size", "16", "16", "16", "--steps", "100000", "--output"]
        print("| start | core-seconds | seconds | files opened | peak memory |")
        print("|---|---|---|---|---|")
        row("first", [*train, str(folder / "runs" / "a")], "metrics.jsonl")
        row("second", [*train, str(folder / "runs" / "b")], "metrics.jsonl")
        row("third, until its checkpoint", [*train, str(folder / "runs" / "c")], "last.ckpt")
        row("resumed", [*train, str(folder / "runs" / "c"), "--resume"], "metrics.jsonl")


def make(folder: Path, count: int, size: int) -> None:
    """Scans of noise, labels of a ball."""
    random = np.random.default_rng(0)
    ball = np.linalg.norm(np.indices((size,) * 3) - size / 2, axis=0) < size / 4
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        image = (100 * ball + random.normal(0, 20, ball.shape)).astype(np.int16)
        for part, array in (("images", image), ("labels", ball.astype(np.uint8))):
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / part / f"case{index:05d}.nii.gz")


def row(name: str, command: list[str], until: str) -> None:
    """Run until a file of the run folder grows; print what it took."""
    run = Path(command[command.index("--output") + 1])
    counted, began, size = run.parent.with_name("opened"), time.monotonic(), _size(run / until)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = [sys.executable, "-c", COUNTING, str(counted), str(ROOT / command[0]), *command[1:]]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(start, cwd=ROOT, stdout=log, stderr=log, env=environment)
        while process.poll() is None and _size(run / until) <= size:
            time.sleep(0.1)
        process.kill()
        used = os.wait4(process.pid, 0)[2] if process.returncode is None else None
        if used is None:
            log.seek(0)
            sys.exit(f"{name}: ended by itself\n{log.read().decode(errors='replace')[-2000:]}")
    print(
        f"| {name} | {used.ru_utime + used.ru_stime:.0f} | {time.monotonic() - began:.0f} "
        f"| {counted.read_text() or 0} | {used.ru_maxrss / 1e6:.2f} GB |",
        flush=True,
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


if __name__ == "__main__":
    main()
