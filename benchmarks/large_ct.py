"""Large abdominal CTs with organ labels, made from one small example and a seed.

    python benchmarks/large_ct.py --example FOLDER --output FOLDER

FOLDER of the example holds `ct.nii.gz` and `organs.nii.gz`. Each case bends the example's organs
smoothly, makes them larger or smaller, places and crops the body anew, continues it above and below
and fills it with intensities of its own: neighbours of like HU, twins on both sides, hollow organs
with gas, contrast agent in some, noise. Neither HU nor position tells the organs apart, context
does. Three of four cases go to `train/`, the fourth to `test/`.

What exists is kept, so that the command can be repeated after a kill, or with more `--cases`. For
trials of speed: `--size 512 512 600 --spacing-mm 0.75 --cases 4`.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from large_ct_body import Body, read_body
from large_ct_case import make_case
from large_ct_draw import Wish

from medseg.console import Terminal
from medseg.errors import MedsegError
from medseg.files import write_text
from medseg.progress import Progress
from medseg.scans.write import write_image, write_label_map


def main() -> None:
    """Read the arguments, make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--example", type=Path, required=True, help="ct.nii.gz and organs.nii.gz")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spacing-mm", type=float, default=1.0)
    parser.add_argument("--size", type=int, nargs=3, help="voxels; default: differs by case")
    parser.add_argument("--organs", type=int, default=15, help="the largest keep their labels")
    given = parser.parse_args()
    size = tuple(given.size) if given.size else None
    wish = Wish(given.seed, given.spacing_mm, size, given.organs)
    try:
        make(given.example, given.output, given.cases, wish, Terminal())
    except MedsegError as error:
        sys.exit(str(error))


def make(example: Path, output: Path, cases: int, wish: Wish, progress: Progress) -> None:
    """Write `train/` and `test/`, each with images, labels and a dataset.json.

    Raises:
        MedsegError: If a wish cannot be met, or the folder holds cases of another one.
    """
    if cases < 1:
        raise MedsegError(f"--cases {cases}", "must be above 0", "change it")
    body = read_body(example)
    labelled = _labelled(body, wish)
    _remember(output, wish)
    names = {body.tissues[tissue].name: value for tissue, value in labelled.items()}
    description = json.dumps({"labels": {"background": 0, **names}}, indent=2)
    for part in ("train", "test"):
        (output / part).mkdir(exist_ok=True)
        write_text(output / part / "dataset.json", description)
    values = torch.zeros(len(body.tissues), dtype=torch.uint8)
    values[list(labelled)] = torch.tensor(list(labelled.values()), dtype=torch.uint8)
    places = [_place(output, index) for index in range(cases)]
    missing = [index for index in range(cases) if not places[index][1].exists()]
    if len(missing) < cases:
        progress.note(f"{cases - len(missing)} of {cases} cases are there already")
    for index in progress.track(missing, "cases"):
        image_file, label_file = places[index]
        hu, label, geometry = make_case(body, values, wish, index, progress)
        write_image(hu[None], geometry, image_file)
        write_label_map(label, geometry, label_file)  # last: where it is, the case is whole


def _place(output: Path, index: int) -> tuple[Path, Path]:
    """Image and label of a case; which part it belongs to does not depend on how many there are."""
    folder, name = output / ("test" if index % 4 == 3 else "train"), f"ct_{index:03d}.nii.gz"
    return folder / "images" / name, folder / "labels" / name


def _labelled(body: Body, wish: Wish) -> dict[int, int]:
    """Tissue -> value, in the example's order, from 1."""
    organs = [number for number, tissue in enumerate(body.tissues) if tissue.voxels]
    if not 1 <= wish.organs <= len(organs):
        raise MedsegError(f"--organs {wish.organs}", f"must be 1 to {len(organs)}", "change it")
    if wish.spacing_mm <= 0:
        raise MedsegError(f"--spacing-mm {wish.spacing_mm}", "must be above 0", "change it")
    if min(wish.size or (2,)) < 2:
        raise MedsegError(f"--size {wish.size}", "must be 2 or more in each axis", "change it")
    largest = sorted(organs, key=lambda number: -body.tissues[number].voxels)[: wish.organs]
    return {number: value for value, number in enumerate(sorted(largest), start=1)}


def _remember(output: Path, wish: Wish) -> None:
    """Cases of two wishes in one folder would be one dataset to whoever reads it."""
    file, text = output / "made.json", json.dumps(wish._asdict())
    output.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_text(file, text)
    elif file.read_text(encoding="utf-8") != text:
        raise MedsegError(
            str(output), "holds cases made otherwise (made.json)", "name a new folder"
        )


if __name__ == "__main__":
    main()
