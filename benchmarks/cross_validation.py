"""Five folds and what their average is worth, on cases that none of them saw.

    python benchmarks/cross_validation.py --datasets FOLDER

FOLDER holds `hippocampus` (Medical Segmentation Decathlon, Task04: images, labels). Case i in
natural order is held back where i is a multiple of 5; the folds are of all others. Each fold's
model, and all of them together, are scored on what was held back. Rows are appended to
docs/splits.md.
"""

import argparse
import json
from datetime import datetime
from pathlib import Path

from acceptance import ROOT, append_row, machine
from pretraining import link, score, train

PAGE = ROOT / "docs" / "splits.md"


def main() -> None:
    """Train, predict, score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=Path, required=True, help="folder of the datasets")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where run folders go")
    parser.add_argument("--time-budget", default="3m", help="of each fold")
    arguments = parser.parse_args()
    runs: Path = arguments.runs
    source: Path = arguments.datasets / "hippocampus"
    names = sorted(path.name for path in (source / "images").iterdir())
    kinds = ("images", "labels")
    learned = link(
        source, runs / "learned", [name for name in names if name not in names[::5]], kinds
    )
    held = link(source, runs / "held", names[::5], kinds)
    output = runs / "folds"
    train(learned, output, "--fold", "all", "--time-budget", arguments.time_budget)
    for run in (*sorted(output.glob("fold_*")), output):
        validation = json.loads((run / "validation.json").read_text(encoding="utf-8"))
        own = f"{validation['overall']['dice']['mean']:.4f}"
        what = "all, averaged" if run == output else run.name
        when = f"{datetime.now().astimezone():%Y-%m-%d}"
        append_row(PAGE, (when, what, own, *score(run, held), arguments.time_budget, machine()))


if __name__ == "__main__":
    main()
