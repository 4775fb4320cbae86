"""The demo dataset: phantoms as a clinic might hand them over, formats and orientations mixed."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from medseg.errors import MedsegError
from medseg.files import machine_error
from medseg.geometry import Geometry, Matrix, Orientation, Size, Vector
from medseg.progress import Progress, Silent
from medseg.scans.phantom import ORGANS, phantom
from medseg.scans.write import write_image, write_label_map

_SUFFIXES = (".nii.gz", ".mhd", ".nrrd")
_IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_OBLIQUE = 2  # the case whose grid is not in line with the body
_THICK = 4  # the case of thick slices


def make_demo(folder: Path, progress: Progress | None = None, cases: int = 12) -> None:
    """Write a labelled dataset, and one scan that is not part of it to try a model on.

    `images/` and `labels/` hold the cases, dataset.json the names of the classes, `new/scan.nii.gz`
    the extra scan, `new_labels/scan.nii.gz` its label. The folder appears when it is complete.

    Args:
        folder: Where; must not exist, or be empty.
        progress: Told about each scan.
        cases: How many labelled cases.

    Raises:
        MedsegError: If the folder holds something, or cannot be written.
    """
    try:
        if folder.is_dir():
            folder.rmdir()
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place: a renamed folder is never half a dataset.
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            built = Path(temporary) / folder.name
            for index in (progress or Silent()).track(range(cases), "making the demo", cases):
                name = f"case{index + 1:02d}{_SUFFIXES[index % len(_SUFFIXES)]}"
                _write_scan(index, built / "images" / name, built / "labels" / name)
            _write_scan(cases, built / "new" / "scan.nii.gz", built / "new_labels" / "scan.nii.gz")
            classes = {"labels": {"background": 0, **ORGANS}}
            (built / "dataset.json").write_text(json.dumps(classes, indent=2), encoding="utf-8")
            built.replace(folder)
    except OSError as error:
        raise machine_error(error, str(folder)) or MedsegError(
            str(folder),
            f"the demo cannot be written there ({error.strerror or error})",
            "remove it or name a new folder",
        ) from None


def _write_scan(index: int, image_path: Path, label_path: Path) -> None:
    random = np.random.default_rng(index)
    size, spacing_mm = _grid(random, index)
    image, label = phantom(index, size, spacing_mm)
    order = random.permutation(3)
    flips = random.random(3) < 0.5
    orientation = Orientation(
        (int(order[0]), int(order[1]), int(order[2])),
        (bool(flips[0]), bool(flips[1]), bool(flips[2])),
    )
    origin = random.uniform(-100, 100, 3).round(1)
    canonical = Geometry(
        size,
        spacing_mm,
        (float(origin[0]), float(origin[1]), float(origin[2])),
        _tilted(random) if index == _OBLIQUE else _IDENTITY,
    )
    geometry = canonical.reoriented(orientation)
    write_image(np.ascontiguousarray(orientation.apply(image)), geometry, image_path)
    write_label_map(np.ascontiguousarray(orientation.apply(label)), geometry, label_path)


def _grid(random: np.random.Generator, index: int) -> tuple[Size, Vector]:
    """About 110 x 100 x 105 mm, in voxels of about 2 mm, or twice as thick along the body."""
    spacing = random.uniform(1.8, 2.1, 3).round(2)
    spacing[1] = spacing[0]
    if index == _THICK:
        spacing[2] = 4.0
    size = (np.array([110, 100, 105]) * random.uniform(0.95, 1.05, 3) / spacing).round()
    return (
        (int(size[0]), int(size[1]), int(size[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
    )


def _tilted(random: np.random.Generator) -> Matrix:
    """A rotation by 10 to 20 degrees about two axes."""
    (c, e), (s, f) = np.cos(a := np.radians(random.uniform(10, 20, 2))), np.sin(a)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_z = np.array([[e, -f, 0], [f, e, 0], [0, 0, 1]])
    rows = [(float(row[0]), float(row[1]), float(row[2])) for row in about_x @ about_z]
    return rows[0], rows[1], rows[2]
