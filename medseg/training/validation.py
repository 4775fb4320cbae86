"""Scoring validation cases by the very code that predicts new scans."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.evaluation.boxes import class_boxes
from medseg.evaluation.overlap import dice
from medseg.evaluation.scores import ClassScore, score_case, score_layers
from medseg.geometry import Geometry
from medseg.inference.predictor import Predictor
from medseg.patches.sampler import PatchBatch
from medseg.plan.plan import Plan
from medseg.prepare.classes import layer_by_layer
from medseg.prepare.prepared import StoredCase
from medseg.report.figures import Example
from medseg.scans.case import Case
from medseg.scans.read import layer_count, read_layers, read_subject

ValidationCase = tuple[Case, StoredCase]
Labels = npt.NDArray[np.int32]


class _Pair(NamedTuple):
    """Values of the files (*size), or one mask per class (classes, *size), on the scan's grid."""

    prediction: Labels
    reference: Labels
    geometry: Geometry


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
        self._kept: dict[str, _Packed] = {}

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
                if self._plan.task == "multilabel":
                    found, true = logits[:, index] > 0, batch.label[:, index] == 1
                else:
                    found, true = logits.argmax(1) == index, batch.label[:, 0] == index
                overlaps[index] += [2 * int((found & true).sum()), int(found.sum() + true.sum())]
        rows = zip(self._plan.class_names, overlaps, strict=True)
        return {
            name: twice / total
            for name, (twice, total) in rows
            if total and name in self._plan.scored_classes
        }

    def dice(self, case: ValidationCase) -> dict[str, float]:
        """Dice of the classes that the case or its prediction has: all that training looks at."""
        prediction, reference, _ = self._pair(case)
        classes = self._plan.scored_classes
        if self._plan.task == "multilabel":
            pairs = ((a != 0, b != 0) for a, b in zip(prediction, reference, strict=True))
        else:
            boxes = class_boxes((prediction, reference), tuple(classes.values()))
            pairs = (
                (prediction[box] == value, reference[box] == value)
                for value, box in zip(classes.values(), boxes, strict=True)
            )
        found = {name: dice(*pair) for name, pair in zip(classes, pairs, strict=True)}
        return {name: share for name, share in found.items() if share is not None}

    def score(self, case: ValidationCase) -> tuple[ClassScore, ...]:
        """Every metric of one case, class by class; its prediction is kept for `example`."""
        score = score_layers if self._plan.task == "multilabel" else score_case
        pair = self._pair(case)
        self._kept[case[0].name] = _Packed.of(pair.prediction)
        return score(case[0].name, *pair, self._plan.scored_classes)

    def example(self, case: ValidationCase, caption: str, dice: float | None) -> Example:
        """One case to look at, as it was scored."""
        prediction, reference, geometry = self._pair(case)
        image = read_subject(case[0], with_label=False).image
        return Example(case[0].name, caption, image, geometry, reference, prediction, dice)

    def _pair(self, case: ValidationCase) -> _Pair:
        files, stored = case
        geometry = stored.placement.native  # known, so the image need not be read for it
        layers = (layer.values for layer in read_layers(files, geometry))
        classes = list(layer_by_layer(layers, layer_count(files), self._plan))
        reference = (
            np.stack(classes).astype(np.int32)
            if self._plan.task == "multilabel"
            else np.array(self._plan.label_values, dtype=np.int32)[classes[0]]
        )
        kept = self._kept.get(files.name)
        prediction = kept.unpacked() if kept else self._predictor.segment(stored.prepared)
        return _Pair(prediction, reference, geometry)


def mean_dice(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean per class over the cases that have it."""
    names = dict.fromkeys(name for case in found for name in case)
    return {name: float(np.mean([case[name] for case in found if name in case])) for name in names}
