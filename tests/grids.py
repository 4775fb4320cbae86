"""Grids for tests: any orientation, anisotropic, oblique, sheared; and random labels on them."""

import numpy as np
from scipy.spatial.transform import Rotation

from medseg.geometry import Geometry, Orientation, Size
from tests.subjects import ORIENTATIONS

SOME_ORIENTATIONS = [ORIENTATIONS[index] for index in (0, 13, 26, 47)]
TILTS = {"straight": (0.0, 0.0, 0.0), "oblique": (25.0, -17.0, 8.0)}


def grid(
    orientation: Orientation = ORIENTATIONS[0],
    tilt: str = "straight",
    size: Size = (5, 4, 3),
    shear: float = 0.0,
) -> Geometry:
    """An anisotropic grid with an origin far from zero."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", TILTS[tilt], degrees=True).as_matrix()
    affine[:3, :3] *= (0.7, 1.25, 3.0)
    affine[:3, 1] += shear * affine[:3, 0]
    affine[:3, 3] = (-91.3, 126.7, -72.1)
    return Geometry.from_affine(size, affine).reoriented(orientation)


def random_label(size: Size, seed: int = 0, low: int = 0, high: int = 200) -> np.ndarray:
    """Random values that include both ends."""
    label = np.random.default_rng(seed).integers(low, high, size, endpoint=True, dtype=np.int32)
    label.flat[0], label.flat[-1] = low, high
    return label
