"""Scoring validation cases by the very code that predicts new scans."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.evaluation.overlap import dice
from medseg.evaluation.scores import ClassScore, score_case, score_layers
from medseg.geometry import Geometry
from medseg.inference.predictor import Predictor
from medseg.prepare.classes import class_layers
from medseg.prepare.prepared import StoredCase
from medseg.report.figures import Example
from medseg.scans.case import Case, Subject
from medseg.scans.read import read_subject

ValidationCase = tuple[Case, StoredCase]
Labels = npt.NDArray[np.int32]


class _Pair(NamedTuple):
    """Values of the files (*size), or one mask per class (classes, *size), on the scan's grid."""

    prediction: Labels
    reference: Labels
    geometry: Geometry


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

    def dice(self, case: ValidationCase) -> dict[str, float]:
        """Dice of the classes that the case or its prediction has: all that training looks at."""
        pair = self._pair(case, _read(case))
        found: dict[str, float] = {}
        for index, (name, value) in enumerate(self._plan.scored_classes.items()):
            if self._plan.task == "multilabel":
                masks = pair.prediction[index] != 0, pair.reference[index] != 0
            else:
                masks = pair.prediction == value, pair.reference == value
            share = dice(*masks)
            if share is not None:
                found[name] = share
        return found

    def score(self, case: ValidationCase) -> tuple[ClassScore, ...]:
        """Every metric of one case, class by class."""
        pair = self._pair(case, _read(case))
        score = score_layers if self._plan.task == "multilabel" else score_case
        return score(case[0].name, *pair, self._plan.scored_classes)

    def example(self, case: ValidationCase, caption: str, dice: float | None) -> Example:
        """One case to look at."""
        subject = _read(case)
        prediction, reference, geometry = self._pair(case, subject)
        name = case[0].name
        return Example(name, caption, subject.image, geometry, reference, prediction, dice)

    def _pair(self, case: ValidationCase, subject: Subject) -> _Pair:
        assert subject.label is not None  # validation cases were prepared with labels
        layers = class_layers(subject.label, self._plan)
        reference = (
            layers.astype(np.int32)
            if self._plan.task == "multilabel"
            else np.array(self._plan.label_values, dtype=np.int32)[layers[0]]
        )
        return _Pair(self._predictor.segment(case[1].prepared), reference, subject.geometry)


def _read(case: ValidationCase) -> Subject:
    return read_subject(case[0])


def mean_dice(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean per class over the cases that have it."""
    names = dict.fromkeys(name for case in found for name in case)
    return {name: float(np.mean([case[name] for case in found if name in case])) for name in names}
