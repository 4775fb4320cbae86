"""Scoring validation cases by the very code that predicts new scans."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.evaluation.boxes import class_boxes
from medseg.evaluation.overlap import dice
from medseg.evaluation.scores import NO_CLASS, ClassScore, score_case, score_layers
from medseg.geometry import Geometry
from medseg.inference.predictor import Predictor
from medseg.prepare.classes import layer_by_layer
from medseg.prepare.prepared import StoredCase
from medseg.prepare.restore import class_masks
from medseg.report.figures import Example
from medseg.scans.case import Case
from medseg.scans.read import layer_count, read_layers, read_subject
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
        """Every metric of one case, class by class."""
        score = score_layers if self._layered else score_case
        pair = self._pair(case).scored(layered=self._layered)
        scores = score(case[0].name, *pair, self._plan.scored_classes)
        return tuple(score for score in scores if score.class_name in self._known(case))

    def example(self, case: ValidationCase, caption: str, dice: float | None) -> Example:
        """One case to look at."""
        prediction, reference, geometry, _ = self._pair(case)
        image = read_subject(case[0], with_label=False).image
        return Example(case[0].name, caption, image, geometry, reference, prediction, dice)

    def _known(self, case: ValidationCase) -> set[str]:
        """The classes that were annotated in a case."""
        names = self._plan.class_names
        return {*names} - {names[index] for index in case[1].unannotated}

    def _pair(self, case: ValidationCase) -> _Pair:
        files, stored = case
        geometry = stored.placement.native  # known, so the image need not be read for it
        layers = (layer.values for layer in read_layers(files, geometry))
        classes = list(layer_by_layer(layers, layer_count(files), self._plan))
        prediction = self._predictor.segment(stored.prepared)
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
