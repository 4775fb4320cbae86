"""Scoring validation cases by the very code that predicts new scans."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medseg.evaluation.scores import ClassScore, score_case, score_layers
from medseg.inference.predictor import Predictor
from medseg.prepare.cache import StoredCase
from medseg.prepare.classes import class_layers
from medseg.report.figures import Example
from medseg.scans.case import Case
from medseg.scans.read import read_subject

ValidationCase = tuple[Case, StoredCase]


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

    def score(self, case: ValidationCase) -> tuple[ClassScore, ...]:
        """One case, class by class."""
        example = self.example(case, "")
        score = score_layers if self._plan.task == "multilabel" else score_case
        return score(
            example.name,
            example.prediction,
            example.reference,
            example.geometry,
            self._plan.scored_classes,
        )

    def example(self, case: ValidationCase, caption: str, dice: float | None = None) -> Example:
        """One case to look at, on its own grid."""
        files, stored = case
        subject = read_subject(files)
        assert subject.label is not None  # validation cases were prepared with labels
        reference = self._values(class_layers(subject.label, self._plan))
        prediction = self._predictor.segment(stored.prepared)
        return Example(
            files.name, caption, subject.image, subject.geometry, reference, prediction, dice
        )

    def _values(self, layers: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """As `Predictor.segment` gives them: values of the files, or one mask per class."""
        if self._plan.task == "multilabel":
            return layers.astype(np.int32)
        return np.array(self._plan.label_values, dtype=np.int32)[layers[0]]


def mean_dice(scores: Sequence[ClassScore]) -> dict[str, float]:
    """Mean Dice per class over the cases that have it."""
    found: dict[str, list[float]] = {}
    for score in scores:
        if score.dice is not None:
            found.setdefault(score.class_name, []).append(score.dice)
    return {name: float(np.mean(values)) for name, values in found.items()}
