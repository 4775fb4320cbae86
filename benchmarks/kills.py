"""A training that is killed again and again must end with the weights of one that is not.

Makes a dataset of phantoms, trains on it undisturbed and under fire (SIGKILL at random moments of
its life, each time resumed), and compares the two model files bit by bit.

    python benchmarks/kills.py [--times 10] [--steps 40] [--dim 2] [--seed 0]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from medseg.geometry import Geometry
from medseg.runs import Run, State
from medseg.scans.phantom import phantom
from medseg.scans.write import write_image, write_label_map
from medseg.training.loop import read_checkpoint
from medseg.training.record import read_records

SIZES = {2: (48, 44, 1), 3: (26, 24, 22)}
# A checkpoint after each step, so that a kill of a short run finds one.
TRAIN = """
import sys
from medseg.training import callbacks
callbacks._CHECKPOINT_EVERY_S = -1.0
callbacks._CHECKPOINT_SHARE = 0.0
from medseg.cli import main
sys.exit(main(sys.argv[1:]))
"""


def make_data(folder: Path, dim: int) -> None:
    """Five labelled phantoms."""
    size, suffix = SIZES[dim], {2: ".png", 3: ".nii.gz"}[dim]
    geometry = Geometry(size, (1.0, 1.0, 1.0) if dim == 2 else (2.0, 2.0, 2.5), world=dim == 3)
    for number in range(1, 6):
        image, label = phantom(number, size, (2.0, 2.0, 2.5))
        write_image(image, geometry, folder / "images" / f"case{number}{suffix}")
        write_label_map(label, geometry, folder / "labels" / f"case{number}{suffix}")


class Training:
    """A run, and the command that starts it or goes on with it."""

    def __init__(self, data: Path, output: Path, options: argparse.Namespace) -> None:
        self.run = Run(output)
        patch = ["32"] * 2 if options.dim == 2 else ["16"] * 3
        self._words = ["train", "--data", str(data), "--dim", str(options.dim)]
        self._words += ["--output", str(output), "--steps", str(options.steps), "--deterministic"]
        self._words += ["--encoder", "convnext_micro", "--patch-size", *patch]
        self._words += ["--batch-size", "2", "--device", "cpu", "--patience", "0.3"]

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on where there is something to go on with."""
        resume = ["--resume"] if self.run.state in (State.BEGUN, State.DEAD) else []
        return subprocess.Popen(
            [sys.executable, "-c", TRAIN, *self._words, *resume],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finish(self) -> None:
        """Let it come to its end."""
        process = self.start()
        said = process.communicate()[1].decode()
        if process.returncode:
            raise SystemExit(f"the training failed with {process.returncode}:\n{said}")

    @property
    def step(self) -> int:
        """Of the last checkpoint; 0 before the first."""
        file = self.run.checkpoint
        return read_checkpoint(file).step if file.is_file() else 0

    def kill_at(self, step: int, late_s: float) -> str:
        """Start it, kill it so late after the checkpoint of a step, and say what was there.

        Step 0 is the start: it is killed while it imports or prepares.
        """
        first, process = self.step, self.start()
        written = self.run.checkpoint.stat().st_mtime_ns if first else 0
        while step and process.poll() is None:
            now = self.run.checkpoint.stat().st_mtime_ns if self.run.checkpoint.is_file() else 0
            if now != written:
                written = now
                if self.step >= step:
                    break
            time.sleep(0.002)
        time.sleep(late_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return f"began at step {first}, killed when step {self.step} was saved"


def differences(one: Path, other: Path) -> list[str]:
    """Names of the weights that are not equal, bit by bit."""
    ours, theirs = load_file(one), load_file(other)
    return [name for name in ours | theirs if not torch.equal(ours[name], theirs[name])]


def dice_of(run: Run) -> list[tuple[float, float]]:
    """Steps and scores on the way."""
    return [(one["step"], one["dice"]) for one in read_records(run.metrics) if "dice" in one]


def main() -> int:
    """Print a line per kill, and the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--dim", type=int, choices=(2, 3), default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        data, runs = Path(folder) / "data", Path(folder) / "runs"
        make_data(data, options.dim)
        whole = Training(data, runs / "whole", options)
        whole.finish()
        killed = Training(data, runs / "killed", options)
        steps = [0, *sorted(draw.sample(range(1, whole.step), options.times - 1))]
        for number, step in enumerate(steps, 1):
            late_s = draw.uniform(0, 0.1 if step else 4.0)
            print(f"kill {number}: {killed.kill_at(step, late_s)}", flush=True)
        killed.finish()
        left = [str(path.relative_to(folder)) for path in killed.run.folder.rglob(".*")]
        wrong = differences(whole.run.model, killed.run.model)
        equal = "equal" if dice_of(whole.run) == dice_of(killed.run) else "DIFFERENT"
        print(f"finished at step {killed.step}, undisturbed {whole.step}; scores {equal}")
        print(f"weights that differ: {len(wrong)} of {len(load_file(whole.run.model))} {wrong[:3]}")
        print(f"files of halves left: {left}")
    return int(bool(wrong or left))


if __name__ == "__main__":
    sys.exit(main())
