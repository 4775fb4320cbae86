"""Where patches are cut. The batch of step n is a pure function of (seed, n).

Nothing here changes after it is built, so any thread may ask for any step, in any order.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medseg.geometry import Size
from medseg.patches.randomness import Stream, generator
from medseg.plan.plan import Plan
from medseg.prepare.prepared import StoredCase, unannotated_sets
from medseg.types import IGNORED, Images, Labels, hidden_in

PADDING = 0.0
"""What lies outside a case. Prepared intensities are centred, so 0 is their middle; it needs
nothing that is known of a case only, so prediction pads alike, and convolutions and the
augmentation pad with it too. Labels are `IGNORED` there: no class is learned where there is no
tissue."""
FOREGROUND_SHARE = 1 / 3
"""Part of each batch that shows foreground for certain, as nnU-Net."""

MARGIN = 0.1
"""Context around a patch, as a share of it. Under the default augmentation 7 to 8 % of the voxels
of a patch come from outside of what was cut; with this margin 3 %, for 5 % more time at 128^3."""


class PatchBatch(NamedTuple):
    """Patches of one training step.

    Attributes:
        image: (batch, channels, *patch) float32.
        label: (batch, layers, *patch) uint8.
        absent: (batch, channels), the channels that the network is not to see: those that a case
            lacks, and those that are dropped. `Augment` hides them last, so that no noise brings
            them back. None: it sees all.
    """

    image: Images
    label: Labels
    absent: Tensor | None = None


class PatchSampler:
    """Cuts training patches out of prepared cases.

    Cases are visited in shuffled passes: after every `len(cases)` patches, each was seen equally
    often. The last third of a batch (at least one patch) is centred on a random voxel of a random
    class that the case has; the others lie anywhere, of a partly annotated case around any voxel
    that is annotated. Patches stay inside cases that are large
    enough, as windows do in prediction; smaller cases lie anywhere inside the patch.

    Args:
        cases: As `plan` has them. One without a label is ignored everywhere.
        plan: Gives `volume_patch`, `batch_size`, `slice_axis` and `channel_dropout`.
        seed: Decides everything, with the step.
        margin: Context to cut around the patch on each side, as a share of it, so that rotations
            bring in tissue; `Augment` cuts it off. Axes on which no case is larger than the
            patch get none.

    Raises:
        ValueError: If there are no cases, or more classes and sets of unannotated ones than a byte
            can number.
    """

    def __init__(
        self,
        cases: Sequence[StoredCase],
        plan: Plan,
        seed: int,
        margin: float = MARGIN,
    ) -> None:
        """Look at the cases; no voxel of an image is read."""
        if not cases:
            raise ValueError("patches need at least one case, got none; add a labelled case")
        self._cases = tuple(cases)
        self._seed = seed
        self._batch_size, self._slice_axis = plan.batch_size, plan.slice_axis
        self._channels, self._dropout = cases[0].channels, plan.channel_dropout
        self._multilabel = plan.task == "multilabel"
        self._layers = plan.num_outputs if self._multilabel else 1
        self._hidden = unannotated_sets(cases, plan)
        if not self._multilabel and plan.num_outputs + len(self._hidden) > IGNORED:
            raise ValueError(f"{plan.num_outputs} classes in {len(self._hidden)} sets are too many")
        self._patch = plan.volume_patch
        largest = np.max([case.size for case in cases], axis=0)
        wanted = (margin * np.array(self._patch)).astype(int)
        a, b, c = np.minimum(wanted, np.maximum(largest - self._patch, 0)).tolist()
        self._margin: Size = (a, b, c)

    def batch(self, step: int) -> PatchBatch:
        """The patches of one training step.

        Args:
            step: Counts from 0.

        Returns:
            `plan.batch_size` patches on the CPU, each `plan.patch_size` plus the margin on both
            sides.
        """
        rng = generator(Stream.POSITIONS, self._seed, step)
        box = [
            length + 2 * margin for length, margin in zip(self._patch, self._margin, strict=True)
        ]
        count = self._batch_size
        image = np.empty((count, self._channels, *box), dtype=np.float32)
        label = np.full((count, self._layers, *box), IGNORED, dtype=np.uint8)
        absent = np.zeros((count, self._channels), dtype=np.bool_)
        uniform = count - max(1, round(count * FOREGROUND_SHARE))
        for i in range(count):
            case = self._visit(step * count + i)
            start = self._start(case, i >= uniform, rng)
            prepared = case.prepared  # its files are open while a patch is cut, no longer
            _cut(prepared.image, start, image[i], PADDING)
            if prepared.label is not None:
                _cut(prepared.label, start, label[i], IGNORED)
            if case.unannotated:
                self._hide(case.unannotated, label[i])
            absent[i, list(case.absent)] = True
        if self._slice_axis is not None:
            image, label = image.squeeze(2 + self._slice_axis), label.squeeze(2 + self._slice_axis)
        return PatchBatch(
            torch.from_numpy(image), torch.from_numpy(label), self._hidden_channels(absent, step)
        )

    def _hidden_channels(self, absent: npt.NDArray[np.bool_], step: int) -> Tensor | None:
        """(batch, channels): what is absent, and what is dropped at this step."""
        if not self._dropout:
            return None
        rng = generator(Stream.CHANNEL_DROPOUT, self._seed, step)
        return torch.from_numpy(drop_channels(absent, self._dropout, rng))

    def _hide(self, classes: tuple[int, ...], label: npt.NDArray[np.uint8]) -> None:
        """Say in a patch's label that these classes may be anywhere."""
        if self._multilabel:
            label[list(classes)] = IGNORED
        else:
            np.putmask(label, label == 0, hidden_in(self._hidden.index(classes)))

    def _visit(self, number: int) -> StoredCase:
        """The case of the patch with this number, counted over all steps."""
        turn, position = divmod(number, len(self._cases))
        return self._cases[self._order(turn)[position]]

    def _order(self, turn: int) -> npt.NDArray[np.int64]:
        """The order of the cases in one pass."""
        return generator(Stream.ORDER, self._seed, turn).permutation(len(self._cases))

    def _start(self, case: StoredCase, on_foreground: bool, rng: np.random.Generator) -> list[int]:
        """First voxel of the box, margin included; may lie outside the case."""
        patch = np.array(self._patch)
        room = np.array(case.size) - patch
        lowest, highest = np.minimum(room, 0), np.maximum(room, 0)
        classes = [rows for rows in pairwise((0, *case.ends)) if rows[1] > rows[0]]
        shown = classes[rng.integers(len(classes))] if on_foreground and classes else case.annotated
        if shown is not None:
            first, end = shown
            centre = case.foreground[first + rng.integers(end - first)]
            start = np.clip(centre - patch // 2, lowest, highest)
        else:
            start = rng.integers(lowest, highest, endpoint=True)
        return (start - self._margin).tolist()


def drop_channels(
    absent: npt.NDArray[np.bool_], chance: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Add channels at random to those that are absent, (batch, channels), leaving one of each item.

    Where all would go, one of those that are there stays, each as likely.
    """
    numbers = rng.random(absent.shape)
    dropped = absent | (numbers < chance)
    for item in np.flatnonzero(dropped.all(axis=1)):
        dropped[item, np.where(absent[item], -1, numbers[item]).argmax()] = False
    return dropped


def _cut(
    source: npt.NDArray[Any], start: Sequence[int], target: npt.NDArray[Any], outside: float
) -> None:
    """Fill `target`, whose voxel 0 is voxel `start` of `source`; it may reach `outside`."""
    inside: list[slice] = [slice(None)]
    covered: list[slice] = [slice(None)]
    for first, length, size in zip(start, target.shape[1:], source.shape[1:], strict=True):
        low, high = max(first, 0), max(min(first + length, size), 0)
        inside.append(slice(low, high))
        covered.append(slice(low - first, high - first))
    if target[tuple(covered)].size < target.size:
        target.fill(outside)
    target[tuple(covered)] = source[tuple(inside)]
