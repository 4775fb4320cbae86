"""All that is random in a made CT but its noise: where the body lies, how it is bent and filled."""

from typing import NamedTuple

import numpy as np
import torch
from large_ct_body import AIR, Array, Body
from scipy import ndimage
from scipy.stats import norm
from torch import Tensor

FIELD_MM = ((330, 400), (275, 330), (90, 200))
"""Extent of a scan per axis, where `--size` does not say."""
COARSE_MM, FINE_MM = 5.0, 1.5
"""Steps of the grids that random fields live on."""
BENDS = ((45.0, 8.0), (15.0, 2.5))
"""Smoothness and standard deviation of the deformation, mm."""
ENHANCEMENT = {
    "aorta": 160, "kidney": 110, "portal": 100, "vena_cava": 70, "spleen": 60, "liver": 45,
    "pancreas": 45, "adrenal": 40, "stomach": 15, "bowel": 25, "duodenum": 25,
}  # fmt: skip
"""HU that a full dose of contrast agent adds, by a part of the organ's name."""
OTHERS_GAIN = 8


class Wish(NamedTuple):
    """What is asked for: the same wish gives the same voxels."""

    seed: int
    spacing_mm: float
    size: tuple[int, int, int] | None
    organs: int


class Draw(NamedTuple):
    """All that is random in a case but the noise.

    Attributes:
        size: Voxels.
        matrix: (3, 3), mm in the scan, from its centre, to mm in the example.
        centre_mm: (3,), the point of the example that is the scan's centre.
        coarse: (5, *grid): a displacement in mm, shading, blobs of 12 mm.
        fine: (2, *grid): texture of 2.5 and of 6 mm.
        growth_mm: (tissues,), how much larger each tissue's radius is.
        hu: (tissues,).
        gas: (tissues,), above which value of the blobs a hollow organ is filled with gas.
        blur_mm: Standard deviation of the scanner's blur.
        noise_hu: Standard deviation.
    """

    size: tuple[int, int, int]
    matrix: Array
    centre_mm: Array
    coarse: Tensor
    fine: Tensor
    growth_mm: Tensor
    hu: Tensor
    gas: Tensor
    blur_mm: float
    noise_hu: float


def draw_case(body: Body, wish: Wish, random: np.random.Generator) -> Draw:
    """All that is random in a case but its noise."""
    wide = np.array([random.uniform(*span) for span in FIELD_MM])
    size = np.array(wish.size) if wish.size else np.rint(wide / wish.spacing_mm).astype(int)
    field_mm = size * wish.spacing_mm
    scale = random.uniform(0.85, 1.15) * random.uniform(0.93, 1.07, 3)
    scale[2] = random.uniform(0.9, 1.25)
    slack = field_mm[2] - scale[2] * body.length_mm[2]
    shift = random.uniform(-30, 30, 3)
    shift[2] = random.uniform(-0.4, 0.4) * abs(slack) + random.uniform(-15, 15)
    coarse = [
        sum(mm * _field(random, field_mm, COARSE_MM, smooth) for smooth, mm in BENDS)
        for _ in range(3)
    ]
    coarse += [_field(random, field_mm, COARSE_MM, smooth) for smooth in (60.0, 12.0)]
    radius = body.depth_mm.amax((1, 2, 3)).numpy().clip(0, 20)
    gas = random.uniform(0.6, 1.3) * np.array([tissue.gas for tissue in body.tissues])
    return Draw(
        size=(int(size[0]), int(size[1]), int(size[2])),
        matrix=np.diag(1 / scale) @ _rotation(np.radians(random.uniform(-1, 1, 3) * (4, 4, 10))),
        centre_mm=body.length_mm / 2 + shift / scale,
        coarse=torch.from_numpy(np.stack(coarse)),
        fine=torch.from_numpy(
            np.stack([_field(random, field_mm, FINE_MM, smooth) for smooth in (2.5, 6.0)])
        ),
        growth_mm=to_tensor(0.1 * radius * random.uniform(-1, 1, len(radius))),
        hu=to_tensor(_mean_hu(body, random)),
        gas=to_tensor(norm.ppf(1 - gas.clip(1e-9, 0.9))),
        blur_mm=random.uniform(0.5, 0.9),
        noise_hu=random.uniform(8, 22),
    )


def _mean_hu(body: Body, random: np.random.Generator) -> Array:
    """Each organ's own, and contrast agent in half of the cases."""
    dose = max(random.uniform(-1, 1), 0)
    hu = np.array([tissue.hu for tissue in body.tissues])
    for number, tissue in enumerate(body.tissues):
        spread = 30 if tissue.is_bone or tissue.is_lung else 6
        gains = (gain for part, gain in ENHANCEMENT.items() if part in tissue.name)
        agent = dose * random.uniform(0.7, 1.3) * next(gains, OTHERS_GAIN)
        hu[number] += random.normal(0, spread) + agent
    hu[body.number(AIR)] = -1000
    return hu


def _rotation(angles: Array) -> Array:
    """About x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, other], [one, other]] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _field(
    random: np.random.Generator, extent_mm: Array, step_mm: float, smooth_mm: float
) -> Array:
    """Smooth noise of unit variance that covers a scan, the same at its borders as within."""
    sigma = smooth_mm / step_mm
    border = int(3 * sigma + 0.5)
    shape = np.ceil(extent_mm / step_mm).astype(int) + 2
    noise = random.standard_normal(shape + 2 * border, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, truncate=3.0)
    inner = tuple(slice(border, border + length) for length in shape)
    return smooth[inner] * unit_variance(sigma)


def unit_variance(sigma: float) -> float:
    """What white noise in three dimensions is multiplied with after a Gaussian filter (voxels)."""
    return float((2 * np.sqrt(np.pi) * sigma) ** 1.5)


def to_tensor(values: Array) -> Tensor:
    """As float32, for any shape."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
