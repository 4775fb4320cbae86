"""What is done to training patches so that the network sees more than there is.

Batched, on the device of its input, 2D and 3D alike. `sample` draws every number, on the CPU;
`apply` is deterministic, leaves its input alone, and touches only the items that were drawn. Ranges
and probabilities are nnU-Net's (Isensee et al. 2021, v2.8), noise is stronger (its variance, not
its standard deviation, goes up to 0.1), and elastic deformation, which nnU-Net has off, is added.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from medseg.patches import intensity, spatial
from medseg.patches.exchange import Exchange
from medseg.patches.randomness import Stream, generator
from medseg.patches.sampler import PatchBatch
from medseg.plan.plan import Plan

Floats = npt.NDArray[np.float32]
Strength = Literal["none", "light", "default"]


class Chances(NamedTuple):
    """Probability of each transform, per item (flips: per item and allowed axis)."""

    rotation: float = 0.0
    scale: float = 0.0
    elastic: float = 0.0
    flip: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    low_resolution: float = 0.0
    inverted_gamma: float = 0.0
    gamma: float = 0.0


_DEFAULT = Chances(0.2, 0.2, 0.15, 0.5, 0.1, 0.2, 0.15, 0.15, 0.25, 0.1, 0.3)
STRENGTHS: dict[Strength, Chances] = {
    "none": Chances(),
    "light": Chances(*(chance / 2 for chance in _DEFAULT))._replace(elastic=0, low_resolution=0),
    "default": _DEFAULT,
}

SCALES = (0.7, 1.4)
NOISE_VARIANCES = (0.0, 0.1)
BLUR_SIGMAS = (0.5, 1.0)
BRIGHTNESS = (0.75, 1.25)
CONTRASTS = (0.75, 1.25)
ZOOMS = (0.5, 1.0)
GAMMAS = (0.7, 1.5)
ELASTIC_POINTS = 5
ELASTIC_SHIFTS = (0.1, 0.25)
"""Largest shift of a control point, as a share of their distance: neighbours do not pass."""


class AugmentParameters(NamedTuple):
    """Every random number of one batch.

    Neutral is the identity, 0, or 1 for factors; an item with that is left alone.

    Attributes:
        matrices: (batch, dim, dim), from a new position to the one it is taken from (spatial.py's
            frame).
        displacements: (batch, dim, *points), added to that.
        flips: (batch, dim).
        noise_stds: (batch,).
        noise_seed: Of the voxels' noise.
        blur_sigmas: (batch,) voxels.
        brightness: (batch, channels).
        contrasts: (batch, channels).
        zooms: (batch,) share of the voxels per axis that low resolution leaves.
        inverted_gammas: (batch, channels).
        gammas: (batch, channels).
    """

    matrices: Floats
    displacements: Floats
    flips: npt.NDArray[np.bool_]
    noise_stds: Floats
    noise_seed: int
    blur_sigmas: Floats
    brightness: Floats
    contrasts: Floats
    zooms: Floats
    inverted_gammas: Floats
    gammas: Floats


@dataclass(frozen=True)
class Augment:
    """Random changes of training patches.

    Attributes:
        strength: "none", "light" (half as often, neither elastic nor low resolution) or "default".
        patch_size: Voxels of the result per network axis; batches may come with a margin around it.
        flip_axes: Network axes that may be mirrored.
        spacing_mm: Per network axis; rotations are rotations in mm, and axes more than three times
            coarser (or three times shorter) than the others are not deformed, blurred or coarsened.
        rotation_degrees: Largest angle in each plane.
        seed: For calls; `sample` is told.
        exchange: What mirroring does to classes called left and right.
    """

    strength: Strength
    patch_size: tuple[int, ...]
    flip_axes: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    rotation_degrees: float = 30.0
    seed: int = 0
    exchange: Exchange | None = None

    @classmethod
    def for_plan(
        cls, plan: Plan, strength: Strength, seed: int, hidden: Sequence[tuple[int, ...]] = ()
    ) -> "Augment":
        """The augmentation of a plan's patches.

        Patients are seen upright, give or take 30 degrees; where every axis of an image without a
        world frame is mirrored, nothing is upright, and it turns all the way round. What has a left
        and a right is a patient.

        Args:
            plan: What is trained.
            strength: How much.
            seed: Of the run.
            hidden: Sets of classes that background may be, as `unannotated_sets` has them.
        """
        spacing = [plan.spacing_mm[axis] for axis in plan.network_axes]
        upright = plan.world or plan.dim == 3 or len(plan.flip_axes) < plan.dim or plan.exchanged
        degrees = 30.0 if upright else 180.0
        return cls(
            strength,
            plan.patch_size,
            plan.flip_axes,
            tuple(spacing),
            degrees,
            seed,
            Exchange.for_plan(plan, hidden),
        )

    def __call__(self, batch: PatchBatch, step: int) -> PatchBatch:
        """Augment the batch of one step: `sample`, then `apply`."""
        return self.apply(batch, self.sample(batch.image.shape, self.seed, step))

    def sample(self, batch_shape: Sequence[int], seed: int, step: int) -> AugmentParameters:
        """Draw everything one batch needs; a pure function of its arguments.

        Args:
            batch_shape: (batch, channels, ...), of the images.
            seed: Of the run.
            step: Of the training.
        """
        chances = STRENGTHS[self.strength]
        draw = _Draw(generator(Stream.AUGMENTATION, seed, step), batch_shape[0])
        channels, axes = batch_shape[1], self._free_axes
        limit = math.radians(self.rotation_degrees)
        planes = len(axes) * (len(axes) - 1) // 2
        extent = [n * s for n, s in zip(self.patch_size, self.spacing_mm, strict=True)]
        return AugmentParameters(
            matrices=spatial.affine_matrices(
                draw.some(chances.rotation, draw.between(-limit, limit, planes), 0.0),
                draw.some(chances.scale, draw.around_one(*SCALES, 1), 1.0)[:, 0],
                axes,
                extent,
            ),
            displacements=self._displacements(draw, chances.elastic),
            flips=draw.flags(chances.flip, len(self.patch_size), self.flip_axes),
            noise_stds=draw.some(chances.noise, draw.between(*NOISE_VARIANCES, 1), 0.0)[:, 0]
            ** 0.5,
            noise_seed=int(draw.rng.integers(2**31)),
            blur_sigmas=draw.some(chances.blur, draw.between(*BLUR_SIGMAS, 1), 0.0)[:, 0],
            brightness=draw.some(chances.brightness, draw.between(*BRIGHTNESS, channels), 1.0),
            contrasts=draw.some(chances.contrast, draw.between(*CONTRASTS, channels), 1.0),
            zooms=draw.some(chances.low_resolution, draw.between(*ZOOMS, 1), 1.0)[:, 0],
            inverted_gammas=draw.some(
                chances.inverted_gamma, draw.around_one(*GAMMAS, channels), 1.0
            ),
            gammas=draw.some(chances.gamma, draw.around_one(*GAMMAS, channels), 1.0),
        )

    @torch.no_grad()
    def apply(self, batch: PatchBatch, parameters: AugmentParameters) -> PatchBatch:
        """Do what was drawn.

        Args:
            batch: Image float32 and label uint8, of the patch's size or larger by a margin on both
                sides.
            parameters: From `sample`.

        Returns:
            New tensors of the patch's size, on the device of `batch`; channels that are absent are
            hidden.
        """
        p, axes = parameters, self._free_axes
        # Half precision would move sampling positions by whole voxels.
        with torch.autocast(batch.image.device.type, enabled=False):
            image, label = spatial.warp(
                batch.image, batch.label, p.matrices, p.displacements, self.patch_size
            )
            intensity.add_noise_(image, p.noise_stds, p.noise_seed)
            intensity.blur_(image, p.blur_sigmas, axes)
            intensity.scale_brightness_(image, p.brightness)
            intensity.scale_contrast_(image, p.contrasts)
            intensity.lower_resolution_(image, p.zooms, axes)
            intensity.change_gamma_(image, p.inverted_gammas, inverted=True)
            intensity.change_gamma_(image, p.gammas, inverted=False)
            spatial.mirror_(image, label, p.flips)
            if self.exchange is not None:
                self.exchange.apply_(label, p.flips)
            intensity.hide_channels_(image, batch.absent)
        return PatchBatch(image, label)

    @property
    def _free_axes(self) -> tuple[int, ...]:
        return spatial.free_axes(self.patch_size, self.spacing_mm)

    def _displacements(self, draw: "_Draw", chance: float) -> Floats:
        """Control points over the free axes: other axes are not moved, and move as one."""
        axes, dim = self._free_axes, len(self.patch_size)
        points = [ELASTIC_POINTS if axis in axes else 1 for axis in range(dim)]
        count = math.prod(points)
        strengths = draw.some(chance, draw.between(*ELASTIC_SHIFTS, 1), 0.0) * (2 / ELASTIC_POINTS)
        shifts = draw.between(-1, 1, len(axes) * count) * strengths
        displacements = np.zeros((len(shifts), dim, *points), dtype=np.float32)
        displacements[:, list(axes)] = shifts.reshape(-1, len(axes), *points) if axes else 0
        return displacements


class _Draw(NamedTuple):
    """Draws numbers for `batch` items, (batch, count) each."""

    rng: np.random.Generator
    batch: int

    def between(self, low: float, high: float, count: int) -> npt.NDArray[np.float64]:
        return self.rng.uniform(low, high, (self.batch, count))

    def around_one(self, low: float, high: float, count: int) -> npt.NDArray[np.float64]:
        """Below one as often as above."""
        below = self.rng.random((self.batch, count)) < 0.5
        return np.where(below, self.between(low, 1, count), self.between(1, high, count))

    def some(self, chance: float, values: npt.NDArray[np.float64], neutral: float) -> Floats:
        """`values` for items that are drawn, `neutral` for the others."""
        drawn = self.rng.random((self.batch, 1)) < chance
        return np.where(drawn, values, neutral).astype(np.float32)

    def flags(self, chance: float, count: int, allowed: Sequence[int]) -> npt.NDArray[np.bool_]:
        flags = np.zeros((self.batch, count), dtype=np.bool_)
        flags[:, list(allowed)] = self.rng.random((self.batch, len(allowed))) < chance
        return flags
