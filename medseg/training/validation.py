"""Scoring validation cases by the very code that predicts new scans."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.evaluation.boxes import class_boxes, mask_box
from medseg.evaluation.overlap import dice
from medseg.evaluation.scores import NO_CLASS, ClassScore, score_case, score_layers
from medseg.geometry import Geometry
from medseg.inference.predictor import Predictor
from medseg.patches.sampler import PatchBatch
from medseg.plan.plan import Plan
from medseg.prepare.classes import layer_by_layer
from medseg.prepare.cleanup import Rules, can_be_mended, mend, voxel_mm3
from medseg.prepare.prepared import StoredCase
from medseg.prepare.restore import class_masks
from medseg.report.figures import Example
from medseg.scans.case import Case
from medseg.scans.read import layer_count, read_layers, read_subject
from medseg.training.tidying import Pieces, Tidying, learn_tidying, pieces
from medseg.types import IGNORED

ValidationCase = tuple[Case, StoredCase]
Labels = npt.NDArray[np.int32]


class _Pair(NamedTuple):
    """Values of the files (*size), or one mask per class (classes, *size), on the scan's grid.

    Attributes:
        prediction: Of this shape.
        reference: Of this shape.
        geometry: The grid.
        ignored: Where nobody annotated, of this shape; `reference` is background there.
    """

    prediction: Labels
    reference: Labels
    geometry: Geometry
    ignored: npt.NDArray[np.bool_]

    def scored(self, *, layered: bool) -> tuple[Labels, Labels, Geometry]:
        """Both sides, without class where nobody annotated."""
        if not self.ignored.any():
            return self[:3]
        nothing = 0 if layered else NO_CLASS
        prediction, reference = (
            np.where(self.ignored, nothing, side) for side in (self.prediction, self.reference)
        )
        return prediction, reference, self.geometry


class _Packed(NamedTuple):
    """A prediction in a hundredth of its memory."""

    data: bytes
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, labels: Labels) -> "_Packed":
        small = labels.astype(
            np.result_type(*map(np.min_scalar_type, (labels.min(), labels.max())))
        )
        return cls(zlib.compress(small.tobytes(), 1), small.dtype, small.shape)

    def unpacked(self) -> Labels:
        flat = np.frombuffer(zlib.decompress(self.data), dtype=self.dtype)
        return flat.reshape(self.shape).astype(np.int32)


class Validator:
    """Segments validation cases and scores them on their own grids.

    Args:
        predictor: With the network as it is at the time of each call.
        cases: Files and prepared arrays.
    """

    def __init__(self, predictor: Predictor, cases: Sequence[ValidationCase]) -> None:
        self.cases = tuple(cases)
        self._predictor = predictor
        self._plan = predictor.plan
        self._layered = self._plan.task == "multilabel"
        self._kept: dict[str, _Packed] = {}
        self._pieces: dict[str, list[Pieces]] = {}

    @property
    def plan(self) -> Plan:
        """The plan of the network."""
        return self._plan

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that are scored."""
        return tuple(self._plan.scored_classes)

    def windows(self, case: ValidationCase) -> int:
        """How many windows its prediction takes."""
        return self._predictor.windows(case[1].size)

    def try_window(self, case: ValidationCase) -> None:
        """Predict one window, for whoever wants to know how long that takes."""
        self._predictor.try_window(case[1].prepared)

    def patch_dice(self, batches: Sequence[PatchBatch]) -> dict[str, float]:
        """Dice of the classes over all voxels of some patches: where whole cases take too long."""
        overlaps = np.zeros((len(self._plan.class_names), 2))
        for batch in batches:
            logits = self._predictor.patch_logits(batch.image).float().cpu()
            for index in range(len(overlaps)):
                if self._layered:
                    found, label, value, most = logits[:, index] > 0, batch.label[:, index], 1, 1
                else:
                    found, label, value = logits.argmax(1) == index, batch.label[:, 0], index
                    most = len(overlaps) - 1
                # Beyond the classes are voxels that do not exist, or of which nobody knows enough.
                found, true = found & (label <= most), label == value
                overlaps[index] += [2 * int((found & true).sum()), int(found.sum() + true.sum())]
        rows = zip(self._plan.class_names, overlaps, strict=True)
        return {
            name: twice / total
            for name, (twice, total) in rows
            if total and name in self._plan.scored_classes
        }

    def dice(self, case: ValidationCase) -> dict[str, float]:
        """Dice of the classes that the case or its prediction has: all that training looks at."""
        prediction, reference, _ = self._pair(case).scored(layered=self._layered)
        classes = self._plan.scored_classes
        if self._layered:
            pairs = ((a != 0, b != 0) for a, b in zip(prediction, reference, strict=True))
        else:
            boxes = class_boxes((prediction, reference), tuple(classes.values()))
            pairs = (
                (prediction[box] == value, reference[box] == value)
                for value, box in zip(classes.values(), boxes, strict=True)
            )
        found = {name: dice(*pair) for name, pair in zip(classes, pairs, strict=True)}
        known = self._known(case)
        return {name: share for name, share in found.items() if share is not None and name in known}

    def score(self, case: ValidationCase) -> tuple[ClassScore, ...]:
        """Every metric of one case, class by class; its prediction is kept for `example`."""
        score = score_layers if self._layered else score_case
        pair = self._pair(case, keep=True).scored(layered=self._layered)
        scores = score(case[0].name, *pair, self._plan.scored_classes)
        self._count(case, pair[0], pair[1])
        return tuple(score for score in scores if score.class_name in self._known(case))

    def _count(self, case: ValidationCase, prediction: Labels, reference: Labels) -> None:
        """Keep what `tidyings` needs."""
        if not can_be_mended(self._plan):
            return
        volume = voxel_mm3(case[1].placement.native)
        for index, (name, value) in enumerate(self._plan.scored_classes.items()):
            if name in self._known(case):
                found, true = (
                    side[index] != 0 if self._layered else side == value
                    for side in (prediction, reference)
                )
                box = mask_box((found, true))
                self._pieces.setdefault(name, []).append(pieces(found[box], true[box], volume))

    def tidyings(self) -> dict[str, Tidying]:
        """What of the masks is worth mending, by the cases that were scored."""
        found = {name: learn_tidying(each) for name, each in self._pieces.items()}
        return {name: tidying for name, tidying in found.items() if tidying is not None}

    def rescore(
        self, case: ValidationCase, scores: Sequence[ClassScore], rules: Rules
    ) -> tuple[ClassScore, ...]:
        """The scores of a case that was scored, now that its mask is mended by rules."""
        mended = self._kept[case[0].name].unpacked()
        mend(mended, self._plan, rules, case[1].placement.native)
        self._kept[case[0].name] = _Packed.of(mended)
        score = score_layers if self._layered else score_case
        pair = self._pair(case).scored(layered=self._layered)
        classes = self._plan.scored_classes
        if not self._layered:  # layers come in the order of all classes
            classes = {name: value for name, value in classes.items() if name in rules}
        new = {one.class_name: one for one in score(case[0].name, *pair, classes)}
        return tuple(new.get(old.class_name, old) for old in scores)

    def example(self, case: ValidationCase, caption: str, dice: float | None) -> Example:
        """One case to look at, as it was scored."""
        prediction, reference, geometry, _ = self._pair(case)
        image = read_subject(case[0], with_label=False).seen
        return Example(case[0].name, caption, image, geometry, reference, prediction, dice)

    def _known(self, case: ValidationCase) -> set[str]:
        """The classes that were annotated in a case."""
        names = self._plan.class_names
        return {*names} - {names[index] for index in case[1].unannotated}

    def _pair(self, case: ValidationCase, *, keep: bool = False) -> _Pair:
        files, stored = case
        geometry = stored.placement.native  # known, so the image need not be read for it
        layers = (layer.values for layer in read_layers(files, geometry))
        classes = list(layer_by_layer(layers, layer_count(files), self._plan))
        kept = self._kept.get(files.name)
        prediction = kept.unpacked() if kept else self._predictor.segment(stored.prepared)
        if keep:
            self._kept[files.name] = _Packed.of(prediction)
        if self._layered and self._plan.one_map:
            masks = [mask for _, mask in class_masks(prediction, self._plan)]
            prediction = np.stack(masks).astype(np.int32)
        indices = np.stack(classes) if self._layered else classes[0]
        ignored = indices == IGNORED
        known = np.where(ignored, 0, indices)
        values = np.array((0, 1) if self._layered else self._plan.label_values, dtype=np.int32)
        return _Pair(prediction, values[known], geometry, ignored)


def mean_dice(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean per class over the cases that have it."""
    names = dict.fromkeys(name for case in found for name in case)
    return {name: float(np.mean([case[name] for case in found if name in case])) for name in names}
