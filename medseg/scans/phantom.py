"""Seeded phantoms: a made-up body whose organs intensity alone does not tell apart."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medseg.geometry import Size, Vector

Array = npt.NDArray[np.float64]

ORGANS = {"liver": 1, "spleen": 2, "vessel": 3, "lesion": 4}
"""Class names and the values they have in a phantom's label."""


class Phantom(NamedTuple):
    """`image`: (1, *size) float32, whole numbers from 0 to about 1500. `label`: (*size) int32."""

    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32]


def phantom(seed: int, size: Size = (32, 32, 32), spacing_mm: Vector = (2.0, 2.0, 2.0)) -> Phantom:
    """Make one scan and its label, the same for the same arguments.

    The body fills the grid, whatever its size. Liver and spleen have the same mean intensity and
    lie on opposite sides; the lesion, inside the liver, has that of the body; the spine, which is
    no class, that of the vessel: no threshold finds any of them. Texture, a bias field, blur and
    noise are added.

    Args:
        seed: Any whole number.
        size: Voxels per axis in RAS order; 1 in the third makes a 2D image.
        spacing_mm: How large a voxel is; fine structure and blur are in mm, so they follow it.
    """
    random = np.random.default_rng([seed, *size])
    thick = np.array([length > 1 for length in size], dtype=float)
    grid = _deformed(random, _coordinates(size), thick)
    tissue = np.zeros(size)
    label = np.zeros(size, dtype=np.int32)

    def place(inside: npt.NDArray[np.bool_], intensity: float, texture: float, value: int) -> None:
        grain = _smooth_noise(random, size, 3.0, spacing_mm) * texture
        tissue[inside] = intensity * random.uniform(0.95, 1.05) + grain[inside]
        label[inside] = value

    def jitter(centre: tuple[float, float, float], amount: float) -> Array:
        return np.array(centre) + random.uniform(-amount, amount, 3) * thick

    body = _ball(grid, np.zeros(3), (0.88, 0.80, 1.25))
    liver = jitter((0.36, 0.10, 0.0), 0.05)
    place(body, 0.42, 0.03, 0)
    place(_tube(grid, jitter((0.0, -0.50, 0.0), 0.03), 0.13, lambda z: 0.05 * z), 0.85, 0.08, 0)
    place(_ball(grid, liver, (0.38, 0.46, 0.55)), 0.68, 0.05, ORGANS["liver"])
    place(
        _ball(grid, jitter((-0.48, -0.08, 0.0), 0.05), (0.24, 0.32, 0.45)),
        0.68,
        0.05,
        ORGANS["spleen"],
    )
    phase = random.uniform(0, 2 * np.pi)
    course = _tube(
        grid, jitter((-0.10, -0.10, 0.0), 0.03), 0.11, lambda z: 0.06 * np.sin(3 * z + phase)
    )
    place(course & body, 0.85, 0.03, ORGANS["vessel"])
    place(
        _ball(grid, liver + jitter((0.06, 0.08, 0.0), 0.08), (0.19, 0.19, 0.19)),
        0.42,
        0.03,
        ORGANS["lesion"],
    )
    return Phantom(_scanned(random, tissue, spacing_mm), label)


def _scanned(
    random: np.random.Generator, tissue: Array, spacing_mm: Vector
) -> npt.NDArray[np.float32]:
    """What a scanner makes of the tissue: a bias field, blur, and noise that is never negative."""
    size: Size = (tissue.shape[0], tissue.shape[1], tissue.shape[2])
    extent = max(length * spacing for length, spacing in zip(size, spacing_mm, strict=True))
    bias = np.exp(0.12 * _smooth_noise(random, size, extent / 4, spacing_mm))
    signal = ndimage.gaussian_filter(tissue * bias, [0.8 / spacing for spacing in spacing_mm])
    noise = random.normal(0.0, 0.04, (2, *size))
    # Rician noise, as in magnitude images of MR; whole numbers, as scanners store them.
    image: Array = np.round(1000 * np.hypot(signal + noise[0], noise[1]))
    return image[None].astype(np.float32)


def _coordinates(size: Size) -> Array:
    """(3, *size): voxel centres, from -1 to 1 between the grid's edges."""
    axes = [(2 * np.arange(length) + 1) / length - 1 for length in size]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _deformed(random: np.random.Generator, grid: Array, thick: Array) -> Array:
    """Bend space by a few slow waves, the same for all organs so that they keep their places."""
    bent = grid.copy()
    for axis in range(3):
        frequency = random.uniform(-2.5, 2.5, 3)
        wave = np.tensordot(frequency, grid, axes=1) + random.uniform(0, 2 * np.pi)
        bent[axis] += 0.06 * thick[axis] * np.sin(wave)
    return bent


def _ball(grid: Array, centre: Array, radii: Vector) -> npt.NDArray[np.bool_]:
    scaled = (grid - centre.reshape(3, 1, 1, 1)) / np.reshape(radii, (3, 1, 1, 1))
    return (scaled**2).sum(axis=0) < 1


def _tube(
    grid: Array, centre: Array, radius: float, course: Callable[[Array], Array]
) -> npt.NDArray[np.bool_]:
    """A tube along the third axis whose first coordinate follows `course`."""
    across = (grid[0] - centre[0] - course(grid[2]), grid[1] - centre[1])
    return np.hypot(*across) < radius


def _smooth_noise(
    random: np.random.Generator, size: Size, scale_mm: float, spacing_mm: Vector
) -> Array:
    """A random field of standard deviation 1 whose grain is about `scale_mm`."""
    sigmas = [scale_mm / 2 / spacing for spacing in spacing_mm]
    field = ndimage.gaussian_filter(random.normal(size=size), sigmas, mode="wrap")
    return field / max(float(field.std()), 1e-12)
