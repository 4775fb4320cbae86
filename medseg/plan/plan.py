"""The Plan: every choice that the data decided, with its reason; equal to itself after JSON."""

from itertools import chain
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import FiniteFloat, model_validator
from typing_extensions import Self

from medseg.files import write_text
from medseg.geometry import Size, Vector
from medseg.records import Frozen

Task = Literal["multiclass", "multilabel"]
MOST_VOXELS, MOST_BATCH = 2**27, 2**16
"""Limits of a patch and a batch: far beyond what anyone trains with."""
FINEST_MM, COARSEST_MM = 1e-9, 1e9
"""Limits of a voxel's side. A micrometre stays within them in a file that counts in metres."""
BACKGROUND = "background"
"""Name of the class that the user did not name."""


def network_axes(slice_axis: int | None) -> tuple[int, ...]:
    """The axes of a volume but the one that is walked slice by slice, if there is one."""
    return tuple(axis for axis in range(3) if axis != slice_axis)


class Normalisation(Frozen):
    """How one channel's intensities become numbers around zero.

    `dataset`: clip to [low, high], subtract `mean`, divide by `std`, all four from the dataset's
    foreground (CT). `image`: z-score of each image. `body`: the same over the voxels above its
    background.
    """

    kind: Literal["dataset", "image", "body"]
    low: FiniteFloat = 0.0
    high: FiniteFloat = 0.0
    mean: FiniteFloat = 0.0
    std: FiniteFloat = 1.0


class Plan(Frozen):
    """What will be done to every case, in training and in prediction alike.

    Spatial settings of volumes are in canonical (RAS) axis order; images without a world frame keep
    pixel order.

    Attributes:
        dim: Spatial axes of the network.
        slice_axis: For dim 2: the axis that is walked slice by slice (for 2D images the third).
        world: False when the dataset's files have no world frame.
        class_names: One per class, the background (multiclass index 0) included.
        label_values: The value that class has in the user's files; in step with `class_names`. Of
            regions: what each is written as in one map of all.
        regions: Multilabel classes made of one label map: the values of each, in the order in
            which they are written over each other. Nothing for any other plan.
        learning_rate: Peak, of AdamW.
        layer_decay: What it is multiplied by from each stage of the encoder to the one before.
        ignore_label: The value in the user's files of voxels that nobody annotated.
        channel_dropout: Chance that a channel is hidden in training, never all of a patch. Above 0,
            cases may lack channels.
        spacing_mm: Target spacing per volume axis.
        image_orders: Interpolation order per volume axis for images: 3 cubic, 1 linear, 0 nearest.
        patch_size: One entry per network axis.
        stem_strides: Stride of the encoder's stem per network axis.
        stage_strides: Stride before each stage after the first, per network axis.
        kernels: Depthwise kernel of each stage per network axis.
        flip_axes: Network axes that training mirrors, and test-time augmentation may.
        exchanged: Pairs of class indices: mirrored from left to right, each becomes the other.
        steps: Training steps; None when a time budget decides.
        reasons: Choice -> why, in words.
    """

    dim: Literal[2, 3]
    slice_axis: Literal[0, 1, 2] | None
    world: bool
    task: Task
    channels: int
    class_names: tuple[str, ...]
    label_values: tuple[int, ...]
    modality: Literal["ct", "rgb", "other"]
    spacing_mm: Vector
    image_orders: Size
    normalisation: tuple[Normalisation, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    stem_strides: tuple[int, ...]
    stage_strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    flip_axes: tuple[int, ...]
    steps: int | None
    reasons: dict[str, str]
    regions: tuple[tuple[int, ...], ...] = ()
    ignore_label: int | None = None
    learning_rate: FiniteFloat = 4e-3
    layer_decay: FiniteFloat = 1.0
    exchanged: tuple[tuple[int, int], ...] = ()
    channel_dropout: FiniteFloat = 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse what no rule makes; a plan comes with a model file, from whomever."""
        for name, values in (
            ("patch_size", self.patch_size),
            ("stem_strides", self.stem_strides),
            *(("stage_strides", strides) for strides in self.stage_strides),
            *(("kernels", kernel) for kernel in self.kernels),
        ):
            if len(values) != self.dim or min(values) < 1:
                raise ValueError(f"{name} must be {self.dim} positive numbers, got {values}")
        pairs = (
            ("kernels", len(self.kernels), 1 + len(self.stage_strides)),
            ("label_values", len(self.label_values), len(self.class_names)),
            ("normalisation", len(self.normalisation), self.channels),
        )
        if self.regions:
            pairs = (*pairs, ("regions", len(self.regions), len(self.class_names)))
        for name, found, wanted in pairs:
            if found != wanted:
                raise ValueError(f"{name} must have {wanted} entries, got {found}")
        if (self.slice_axis is None) != (self.dim == 3):
            raise ValueError(f"slice_axis must be set in 2D alone, got {self.slice_axis}")
        self._check_values()
        if prod(self.patch_size) > MOST_VOXELS or not 1 <= self.batch_size <= MOST_BATCH:
            raise ValueError(f"patch_size {self.patch_size} or batch_size is beyond all use")
        return self

    def _check_values(self) -> None:
        """Refuse numbers that no file, axis or interpolation has."""
        bounds = np.iinfo(np.int32)
        checks = (
            (
                all(FINEST_MM < mm < COARSEST_MM for mm in self.spacing_mm),
                f"spacing_mm must be between {FINEST_MM} and {COARSEST_MM}, got {self.spacing_mm}",
            ),
            (len(self.class_names) > 0, "class_names must name at least one class"),
            (
                self.task == "multilabel" or not self.regions,
                "regions overlap, so task must be multilabel",
            ),
            (
                0 <= self.channel_dropout < 1 and (self.channels > 1 or not self.channel_dropout),
                f"channel_dropout must be in [0, 1), 0 of one channel, got {self.channel_dropout}",
            ),
            (
                {0, 1, 3}.issuperset(self.image_orders),
                f"image_orders must be of 0, 1 and 3, got {self.image_orders}",
            ),
            (
                len({*self.flip_axes} & {*range(self.dim)}) == len(self.flip_axes),
                f"flip_axes must be different axes below {self.dim}, got {self.flip_axes}",
            ),
            (
                not self.exchanged or self.left_right in self.flip_axes,
                f"exchanged must go with a left-right axis in flip_axes, got {self.exchanged}",
            ),
            (
                len({*chain(*self.exchanged)} & {*range(self.num_outputs)})
                == 2 * len(self.exchanged),
                f"exchanged must be pairs of different classes, got {self.exchanged}",
            ),
            (
                all(bounds.min <= value <= bounds.max for value in self.label_values),
                f"label_values must fit 32 bits, got {self.label_values}",
            ),
        )
        for holds, rule in checks:
            if not holds:
                raise ValueError(rule)

    @property
    def num_outputs(self) -> int:
        """Channels of the network's logits."""
        return len(self.class_names)

    @property
    def scored_classes(self) -> dict[str, int]:
        """Name -> value of the classes that count: the background only where the user named it."""
        first = int(self.has_background)
        return dict(zip(self.class_names[first:], self.label_values[first:], strict=True))

    @property
    def one_map(self) -> bool:
        """Whether a prediction is one label map; else it is one mask per class."""
        told_apart = len({*self.label_values}) == len(self.label_values)
        return self.task == "multiclass" or (bool(self.regions) and told_apart)

    def values_of(self, index: int) -> tuple[int, ...]:
        """The values in label maps that belong to a class."""
        return self.regions[index] if self.regions else (self.label_values[index],)

    @property
    def has_background(self) -> bool:
        """Whether the class of index 0 is merely what the others are not."""
        return self.task == "multiclass" and self.class_names[0].casefold() == BACKGROUND

    @property
    def network_axes(self) -> tuple[int, ...]:
        """The volume axes that the network sees, in its order: all but the slice axis."""
        return network_axes(self.slice_axis)

    @property
    def left_right(self) -> int | None:
        """The network axis from left to right, if it sees it."""
        return self.network_axes.index(0) if 0 in self.network_axes else None

    @property
    def mirrored_classes(self) -> tuple[int, ...]:
        """What each class becomes where left and right are mirrored."""
        order = [*range(self.num_outputs)]
        for one, other in self.exchanged:
            order[one], order[other] = other, one
        return tuple(order)

    @property
    def volume_patch(self) -> Size:
        """The patch as a box in the volume: `patch_size`, and 1 along the slice axis."""
        patch = dict(zip(self.network_axes, self.patch_size, strict=True))
        first, second, third = (patch.get(axis, 1) for axis in range(3))
        return first, second, third

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Raises:
            MachineError, OSError: As `whole_file`.
        """
        write_text(path, self.model_dump_json(indent=2))

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read what `save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
