"""Two labelled cases on disk, and what a cache holds of them."""

from pathlib import Path

import nibabel as nib
import numpy as np
from subjects import ellipsoids, oblique

from medseg.scans.case import Case

GEOMETRY = oblique((9, 8, 7), (1.0, 1.0, 2.0))


def two_cases(folder: Path) -> list[Case]:
    label = ellipsoids(GEOMETRY.size, GEOMETRY.spacing_mm)
    made = []
    for index, name in enumerate(("a", "sub/b")):
        case = Case(name, (folder / f"{index}.nii.gz",), (folder / f"{index}_seg.nii.gz",))
        save(case.images[0], np.random.default_rng(index).normal(size=GEOMETRY.size))
        save(case.labels[0], label)
        made.append(case)
    return made


def save(path, values):
    dtype = np.float32 if values.dtype.kind == "f" else np.int16
    image = nib.Nifti1Image(values.astype(dtype), GEOMETRY.affine)
    nib.save(image, path)


def entries(folder):
    return sorted(folder.glob("*-*/*"))
