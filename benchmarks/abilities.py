"""What it costs to learn from labels or scans that lack something: seeded phantoms.

    python benchmarks/abilities.py [--dim 2] [--only regions]

Each dataset has the same scans, whose organs intensity alone does not tell apart, and lacks
something. Its model is scored on the same new scans as the model of the complete dataset, which
learned as many steps. Rows are appended to docs/abilities.md.
"""

import argparse
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from acceptance import ROOT, append_row, machine

from medseg import load_model, train
from medseg.evaluation.overlap import dice
from medseg.geometry import Geometry
from medseg.scans.phantom import ORGANS, phantom
from medseg.scans.write import write_image, write_label_map

Image = npt.NDArray[np.float32]
Label = npt.NDArray[np.int32]

PAGE = ROOT / "docs" / "abilities.md"
SIZES = {2: (64, 64, 1), 3: (32, 32, 32)}
SPACINGS_MM = {2: (2.0, 2.0, 5.0), 3: (2.0, 2.0, 2.0)}
TRAINING = range(36)
NEW = range(1000, 1016)
"""Seeds of the scans that are learned from, and of those that are scored."""
STEPS = 600
NOBODY_KNOWS = 9
SINGLE = {name: [value] for name, value in ORGANS.items()}
NESTED = {**SINGLE, "liver": [ORGANS["liver"], ORGANS["lesion"]]}


class Dataset(NamedTuple):
    """What a model learns from.

    Attributes:
        settings: Of its training.
        label: Of a case, what its file holds, given the case's number and whole label.
        contrasts: Of a case, the channels that it has, given its number.
        scored: Names of what is scored, and the values in a whole label that are it.
        against: The complete dataset; None for that itself.
    """

    settings: dict[str, Any]
    label: Callable[[int, Label], Label] = lambda _, label: label
    contrasts: Callable[[int], tuple[str, ...]] = lambda _: ("t1",)
    scored: Mapping[str, list[int]] = SINGLE
    against: str | None = "complete"


def half_annotated(number: int, label: Label) -> Label:
    """One half of the scan, another in each case, is what nobody annotated."""
    axis, upper = number % 2, number // 2 % 2
    middle = label.shape[axis] // 2
    part = slice(middle, None) if upper else slice(None, middle)
    kept = label.copy()
    np.moveaxis(kept, axis, 0)[part] = NOBODY_KNOWS
    return kept


def some_organs(number: int, label: Label) -> Label:
    """The organs that this case's annotator marked."""
    marked = [ORGANS[name] for name in annotated(number)]
    return np.where(np.isin(label, marked), label, 0)


def annotated(number: int) -> tuple[str, ...]:
    """Spleen and vessel in every second case, liver and lesion in the others."""
    return ("liver", "lesion") if number % 2 else ("spleen", "vessel")


def one_of_three_lacks_one(number: int) -> tuple[str, ...]:
    """Of the two contrasts, in turns."""
    return {0: ("t1",), 1: ("t2",)}.get(number % 6 // 3 if number % 3 == 0 else 2, ("t1", "t2"))


DATASETS = {
    "complete": Dataset({}, against=None),
    "regions": Dataset({"classes": NESTED}, scored=NESTED),
    "half of each scan ignored": Dataset({"ignore_label": NOBODY_KNOWS}, half_annotated),
    "half of the organs annotated": Dataset({"annotated": "annotated.csv"}, some_organs),
    "complete, two contrasts": Dataset({}, contrasts=lambda _: ("t1", "t2"), against=None),
    "a third lacks a contrast": Dataset(
        {"missing_channels": "absent"},
        contrasts=one_of_three_lacks_one,
        against="complete, two contrasts",
    ),
}


def main() -> None:
    """Train what is asked for, and what it is held against."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, nargs="+", default=[2, 3], choices=[2, 3])
    parser.add_argument("--only", choices=[name for name, one in DATASETS.items() if one.against])
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    asked = {name: one for name, one in DATASETS.items() if arguments.only in (None, name)}
    for dim in arguments.dim:
        whole: dict[str, Path] = {}
        with TemporaryDirectory() as folder:
            new = write_scans(Path(folder) / "new", dim, NEW, DATASETS["complete, two contrasts"])
            for name, dataset in asked.items():
                if dataset.against is None:
                    continue
                against = DATASETS[dataset.against]
                if dataset.against not in whole:
                    place = Path(folder) / f"complete{len(whole)}"
                    whole[dataset.against] = learn(place, dim, against, arguments.steps)
                model = learn(Path(folder) / name.replace(" ", "_"), dim, dataset, arguments.steps)
                channels = against.contrasts(0)
                found = score(model, new, channels, dataset)
                complete = score(whole[dataset.against], new, channels, against, dataset.scored)
                row = (
                    f"{dim}D",
                    name,
                    f"{found:.4f}",
                    f"{complete:.4f}",
                    f"{found - complete:+.4f}",
                )
                print(*row, sep="  ", flush=True)
                when = f"{datetime.now().astimezone():%Y-%m-%d}"
                append_row(PAGE, (when, *row, str(arguments.steps), machine()))


def write_scans(folder: Path, dim: int, seeds: range, dataset: Dataset) -> Path:
    """Scans and labels, and the table of what was annotated."""
    geometry = Geometry(
        SIZES[dim], SPACINGS_MM[dim], (0.0, 0.0, 0.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    )
    for number, seed in enumerate(seeds):
        scan = phantom(seed, SIZES[dim], SPACINGS_MM[dim])
        for contrast in dataset.contrasts(number):
            image = scan.image if contrast == "t1" else second_contrast(seed, scan.image)
            write_image(image, geometry, folder / "images" / f"p{seed}_{contrast}.nii.gz")
        write_label_map(
            dataset.label(number, scan.label), geometry, folder / "labels" / f"p{seed}.nii.gz"
        )
    table = "\n".join(f"p{seed},{'|'.join(annotated(n))}" for n, seed in enumerate(seeds))
    (folder / "annotated.csv").write_text(f"case,annotated\n{table}\n", encoding="utf-8")
    return folder


def second_contrast(seed: int, image: Image) -> Image:
    """Dark where the first is bright, with noise of its own."""
    noise = np.random.default_rng([seed, 2]).normal(0, 40, image.shape)
    return np.round(1500 - image + noise).clip(0).astype(np.float32)


def learn(folder: Path, dim: int, dataset: Dataset, steps: int) -> Path:
    """A run folder."""
    write_scans(folder, dim, TRAINING, dataset)
    settings = dict(dataset.settings)
    if "annotated" in settings:
        settings["annotated"] = folder / settings["annotated"]
    run = train(
        data=folder,
        dim=dim,
        steps=steps,
        fold="none",
        cleanup="none",
        output=folder / "run",
        classes=settings.pop("classes", ORGANS_AND_BACKGROUND),
        **settings,
    )
    return run.folder


ORGANS_AND_BACKGROUND = {"background": 0, **ORGANS}


def score(
    run: Path,
    new: Path,
    channels: tuple[str, ...],
    dataset: Dataset,
    scored: Mapping[str, list[int]] | None = None,
) -> float:
    """Mean Dice over new scans and what is scored."""
    model = load_model(run)
    found: list[float] = []
    for seed in NEW:
        truth = phantom(seed, SIZES[model.plan.dim], SPACINGS_MM[model.plan.dim]).label
        mask = model([str(new / "images" / f"p{seed}_{name}.nii.gz") for name in channels])
        for values in (scored or dataset.scored).values():
            one = dice(np.isin(mask.label, values), np.isin(truth, values))
            found += [] if one is None else [one]
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
