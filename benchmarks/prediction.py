"""What predicting one large volume costs, from the command line to the written mask.

    python benchmarks/prediction.py --model runs/NAME [--size 256 256 200]

The volume is noise on the model's own spacing: its content decides nothing about the time.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path

import numpy as np

from medseg.geometry import Geometry
from medseg.runs import load_model
from medseg.scans.write import write_image

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=3, default=(256, 256, 200))
    arguments = parser.parse_args()
    plan = load_model(arguments.model)[1].plan
    size = tuple(arguments.size)
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.nii.gz"
        image = np.random.default_rng(0).normal(size=(plan.channels, *size)).astype(np.float32)
        write_image(image, Geometry(size, plan.spacing_mm), scan)
        command = [sys.executable, str(ROOT / "predict.py"), "--input", str(scan)]
        command += ["--model", str(arguments.model.resolve())]
        began = time.monotonic()
        subprocess.run(command, cwd=folder, check=True)
        seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    core_seconds = used.ru_utime + used.ru_stime
    mega = prod(size) / 1e6
    print(
        f"{'x'.join(map(str, size))} ({mega:.1f} Mvoxel, {plan.num_outputs} classes): "
        f"{core_seconds:.0f} core-seconds ({core_seconds / mega:.1f} per Mvoxel), "
        f"{seconds:.0f} s, {used.ru_maxrss / 1e6:.2f} GB"
    )


if __name__ == "__main__":
    main()
