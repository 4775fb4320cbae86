"""A seeded dataset of two channels, either of which shows what is to be found."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medseg.geometry import Geometry, Size
from medseg.scans.phantom import phantom
from medseg.scans.write import write_image, write_label_map

CHANNELS = ("flair", "t1")
_BRIGHTEST = 1500
SIZES: dict[int, Size] = {2: (48, 44, 1), 3: (26, 24, 22)}


def write_two_channels(
    folder: Path,
    dim: int,
    count: int = 6,
    lacking: Mapping[int, str] | None = None,
    *,
    size: Size | None = None,
    first_seed: int = 1,
) -> Path:
    """images/p1_flair, images/p1_t1 and labels/p1, and so on: pictures in 2D, volumes in 3D.

    `t1` is a phantom; `flair` the same body with dark and bright exchanged, and noise of its own.

    Args:
        folder: Made if missing.
        dim: 2 or 3.
        count: Cases.
        lacking: Number of a case, from 1 -> the channel that it has no file of.
        size: Voxels, the third 1 in 2D.
        first_seed: Of the first case; equal seeds are equal bodies.
    """
    size = size or SIZES[dim]
    suffix = ".nii.gz" if dim == 3 else ".png"
    spacing_mm = (2.0, 2.0, 2.0)
    geometry = Geometry(size, spacing_mm if dim == 3 else (1.0, 1.0, 1.0), world=dim == 3)
    for number in range(1, count + 1):
        seed = first_seed + number - 1
        t1, label = phantom(seed, size, spacing_mm)
        noise = np.random.default_rng([seed, 7]).normal(0, 40, t1.shape)
        flair = np.rint(np.clip(_BRIGHTEST - t1 + noise, 0, None)).astype(np.float32)
        for name, image in zip(CHANNELS, (flair, t1), strict=True):
            if (lacking or {}).get(number) != name:
                write_image(image, geometry, folder / "images" / f"p{number}_{name}{suffix}")
        write_label_map(label, geometry, folder / "labels" / f"p{number}{suffix}")
    return folder
