"""Few labels, with and without masked pretraining on the same scans without labels.

    python benchmarks/pretraining.py --datasets FOLDER

FOLDER holds `hippocampus` (Medical Segmentation Decathlon, Task04: images, labels). Case i in
natural order is held back where i is a multiple of 5. The encoder is pretrained on all others,
labels unseen; of these a fifth measures how well they are restored. Then, and from scratch, a model
is trained on the labels of ten of them, three times. Both are scored on all cases that were held
back. Rows are appended to docs/pretrained.md.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from acceptance import ROOT, append_row, machine

PAGE = ROOT / "docs" / "pretrained.md"
SEEDS = (0, 1, 2)
LABELLED = 10
PRETRAINING, TRAINING = "10m", "5m"


def main() -> None:
    """Run everything, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where run folders go")
    arguments = parser.parse_args()
    runs: Path = arguments.runs
    source: Path = arguments.datasets / "hippocampus"
    names = sorted(path.name for path in (source / "images").iterdir())
    held = names[::5]
    learned = [name for name in names if name not in held]
    scans = link(source, runs / "scans", learned, ("images",))
    # Cases 0, 5 and 10 in natural order are validated on: three of those held back go there.
    few = link(source, runs / "few", learned[:LABELLED], ("images", "labels"), held[:3])
    kept = link(source, runs / "held", held, ("images", "labels"))
    masked = runs / "masked"
    if not (masked / "encoder.safetensors").exists():
        train(scans / "images", masked, "--pretrain", "masked", "--time-budget", PRETRAINING)
    for seed in SEEDS:
        for start in ("masked pretraining", "random weights"):
            output = runs / f"{start.split()[0]}-{seed}"
            more = ("--pretrained", str(masked)) if start.startswith("masked") else ()
            train(few, output, "--time-budget", TRAINING, "--seed", str(seed), *more)
            append_row(PAGE, (start, str(seed), *score(output, kept), machine()))


def link(
    source: Path,
    target: Path,
    names: Sequence[str],
    kinds: Sequence[str],
    every_fifth: Sequence[str] = (),
) -> Path:
    """A dataset of links to some cases; those of `every_fifth` come at places 0, 5, 10."""
    order = list(names)
    for number, name in enumerate(every_fifth):
        order.insert(5 * number, name)
    for kind in kinds:
        (target / kind).mkdir(parents=True, exist_ok=True)
        for place, name in enumerate(order):
            file = target / kind / (f"{place:03d}_{name}" if every_fifth else name)
            if not file.exists():
                file.symlink_to((source / kind / name).resolve())
    return target


def train(data: Path, output: Path, *flags: str) -> None:
    """One training, in a process of its own."""
    command = [sys.executable, "train.py", "--data", str(data), "--output", str(output), *flags]
    print(" ".join(command), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


def score(run: Path, held: Path) -> tuple[str, ...]:
    """Mean Dice and HD95 over the cases held back."""
    masks, metrics = run / "masks", run / "held.json"
    medseg = [sys.executable, "-m", "medseg"]
    predict = ["predict", "--model", str(run), "--input", str(held / "images")]
    subprocess.run([*medseg, *predict, "--output", str(masks)], cwd=ROOT, check=True)
    evaluate = ["evaluate", "--prediction", str(masks), "--reference", str(held / "labels")]
    subprocess.run([*medseg, *evaluate, "--output", str(metrics)], cwd=ROOT, check=True)
    overall = json.loads(metrics.read_text(encoding="utf-8"))["overall"]
    return f"{overall['dice']['mean']:.4f}", f"{overall['hd95_mm']['mean']:.2f} mm"


if __name__ == "__main__":
    main()
