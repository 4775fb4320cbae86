"""A user's own torchio transforms, by name and arguments, on patches.

torchio draws from torch's global random numbers (and `RandomNoise` even reseeds them), which are
shared by all threads. So these run in the thread that trains (`PatchLoader` sees to that), between
two steps, with the numbers of the step; afterwards the global ones stand where they stood.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
import torchio
from torch import Tensor
from torchio.transforms import SpatialTransform
from torchio.transforms.transform import Transform

from medseg.errors import MedsegError, SettingsError
from medseg.files import machine_error
from medseg.patches.randomness import Stream, generator
from medseg.patches.sampler import PatchBatch
from medseg.types import IGNORED

# Nothing that is not a transform of torchio's own can be named. Those left out take functions,
# other transforms or a file, which have no place in a text.
_UNNAMEABLE = ("Compose", "CopyAffine", "Lambda", "MonaiAdapter", "OneOf", "SomeOf")
_PAD = "default_pad_label"
TRANSFORMS: dict[str, type[Transform]] = {
    name: kind
    for name, kind in vars(torchio.transforms).items()
    if inspect.isclass(kind)
    and issubclass(kind, Transform)
    and not inspect.isabstract(kind)
    and name not in _UNNAMEABLE
}


@dataclass(frozen=True)
class TorchioTransforms:
    """Applies transforms to each item of a batch, in order; labels are interpolated by nearest.

    Where a transform brings in what lies outside of the patch, labels are `IGNORED`, unless the
    user asks RandomAffine for another value.

    The result is a pure function of the batch and (seed, step).

    Attributes:
        transforms: From `build_transforms`.
        spacing_mm: Of the patch, per network axis; torchio's displacements are in mm.
        seed: Of the run.
    """

    transforms: tuple[Transform, ...]
    spacing_mm: tuple[float, ...]
    seed: int

    def __call__(self, batch: PatchBatch, step: int) -> PatchBatch:
        """Transform a batch on the CPU.

        Raises:
            MedsegError: If a transform fails, or changes the patch's size or channels.
        """
        seeds = generator(Stream.EXTRA_TRANSFORMS, self.seed, step).integers(
            2**31, size=len(batch.image)
        )
        # One slice stands for 2D, in torchio too.
        missing = (1,) * (5 - batch.image.ndim)
        affine = np.diag((*self.spacing_mm, *missing, 1.0))
        images, labels = [], []
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            for image, label, seed in zip(batch.image, batch.label, seeds, strict=True):
                torch.default_generator.manual_seed(int(seed))
                subject = torchio.Subject(
                    image=torchio.ScalarImage(
                        tensor=image.reshape(*image.shape, *missing), affine=affine
                    ),
                    label=torchio.LabelMap(
                        tensor=label.reshape(*label.shape, *missing), affine=affine
                    ),
                )
                for transform in self.transforms:
                    subject = _transformed(transform, subject)
                images.append(subject.get_image("image").data.float().reshape(image.shape))
                labels.append(subject.get_image("label").data.to(label.dtype).reshape(label.shape))
        return batch._replace(image=torch.stack(images), label=torch.stack(labels))


def build_transforms(
    specs: Sequence[tuple[str, Mapping[str, Any]]],
) -> tuple[Transform, ...]:
    """Transforms from class names in torchio and keyword arguments; lists stand for tuples.

    Raises:
        SettingsError: If torchio has no such transform or refuses the arguments.
    """
    return tuple(_build(name, arguments) for name, arguments in specs)


def _build(name: str, arguments: Mapping[str, Any]) -> Transform:
    kind = TRANSFORMS.get(name)
    if kind is None:
        nearest = get_close_matches(name, TRANSFORMS, n=1, cutoff=0.0)[0]
        raise SettingsError(
            "extra_transforms",
            f"{name!r} must be the name of a torchio transform",
            f"did you mean {nearest!r}?",
        )
    given: dict[str, Any] = {key: _as_tuples(value) for key, value in arguments.items()}
    if _PAD in inspect.signature(kind).parameters:
        given.setdefault(_PAD, IGNORED)
    try:
        return kind(**given)
    except Exception as error:  # torchio checks arguments with whatever exception comes to hand
        raise SettingsError(
            "extra_transforms",
            f"{name} does not take {dict(arguments)}: {_first_line(error)}",
            "see its arguments in torchio's documentation",
        ) from error


def _transformed(transform: Transform, subject: torchio.Subject) -> torchio.Subject:
    name = type(transform).__name__
    try:
        changed = _with_ignored_outside(transform, subject)
    except Exception as error:  # a user's choice meets a user's data: anything may happen
        raise machine_error(error, f"extra_transforms: {name}") or MedsegError(
            "extra_transforms",
            f"{name} failed on a patch: {_first_line(error)}",
            "change its arguments or remove it",
        ) from error
    for key in ("image", "label"):
        before, after = _shape(subject.get_image(key).data), _shape(changed.get_image(key).data)
        if before != after:
            raise MedsegError(
                "extra_transforms",
                f"{name} made {after} of a patch's {key} of {before}, and transforms must keep "
                "size and channels",
                "remove it",
            )
    return changed


def _with_ignored_outside(transform: Transform, subject: torchio.Subject) -> torchio.Subject:
    """Where torchio lets no one say what lies outside, it is 0: so count from `IGNORED`."""
    if not isinstance(transform, SpatialTransform) or hasattr(transform, _PAD):
        return transform(subject)
    label = subject.get_image("label")
    label.set_data(label.data - IGNORED)
    changed = transform(subject)
    label = changed.get_image("label")
    label.set_data(label.data + IGNORED)
    return changed


def _shape(data: Tensor) -> str:
    return "x".join(map(str, data.shape))


def _as_tuples(value: object) -> object:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _first_line(error: Exception) -> str:
    return f"{error}".strip().splitlines()[0] if f"{error}".strip() else type(error).__name__
