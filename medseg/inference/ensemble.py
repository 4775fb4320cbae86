"""From model files to what segments: one network, or several whose answers are averaged."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from medseg.errors import MedsegError
from medseg.inference.predictor import (
    Prediction,
    Predictor,
    predict_together,
    segment_together,
)
from medseg.machine import available_memory_bytes
from medseg.runs import ModelCard, load_model, model_files
from medseg.scans.case import Case, Subject
from medseg.scans.channels import ChannelRule


class Ensemble:
    """Segments cases with several networks: their class probabilities are averaged.

    Args:
        members: Of the same classes, channels and task; spacings and patches may differ.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        self.members = tuple(members)
        self.plan = self.members[0].plan

    def predict(self, case: Case, *, with_probabilities: bool = False) -> Prediction:
        """As `Predictor.predict`."""
        return predict_together(self.members, case, with_probabilities=with_probabilities)

    def segment(self, subject: Subject, *, with_probabilities: bool = False) -> Prediction:
        """As `predict`, of a scan that is in memory already."""
        case = Case(subject.name, (Path(subject.name),))
        return segment_together(self.members, case, subject, with_probabilities=with_probabilities)


def load_predictor(
    models: Sequence[Path],
    device: torch.device,
    *,
    overlap: float = 0.5,
    tta: str = "none",
    max_memory: int | None = None,
    cleanup: bool = True,
) -> tuple[Ensemble, ChannelRule]:
    """The predictor of model files and run folders, and how they want channels grouped.

    Args:
        models: Model files, run folders, or folders of a training of all folds.
        device: Where they run.
        overlap: As `Predictor`.
        tta: As `Predictor`.
        max_memory: For all of them together.
        cleanup: Whether masks are mended as the models have learned it.

    Raises:
        MedsegError: If one cannot be read, or they segment different things.
    """
    files = list(dict.fromkeys(file for model in models for file in model_files(model)))
    loaded = [(file, *load_model(file)) for file in files]
    first, _, card = loaded[0]
    for file, _, other in loaded[1:]:
        _check_alike((first, card), (file, other))
    share = (max_memory or available_memory_bytes()) // len(files)
    members = [
        Predictor(
            network.to(device),
            card.plan,
            device,
            overlap=overlap,
            tta=tta,
            max_memory=share,
            cleanup=card.cleanup if cleanup else {},
        )
        for _, network, card in loaded
    ]
    return Ensemble(members), card.channel_rule


def _check_alike(first: tuple[Path, ModelCard], other: tuple[Path, ModelCard]) -> None:
    """Refuse to average what is not the same question.

    Raises:
        MedsegError: With what differs, in both.
    """
    facts: Mapping[str, Callable[[ModelCard], object]] = {
        "classes": lambda card: ", ".join(
            f"{name} = {value}"
            for name, value in zip(card.plan.class_names, card.plan.label_values, strict=True)
        ),
        "regions": lambda card: card.plan.regions or "none",
        "task": lambda card: card.plan.task,
        "channels": lambda card: card.plan.channels,
        "files of a case": lambda card: card.channel_rule.keys or "one",
        "world frame": lambda card: card.plan.world,
        "cases that lack channels": lambda card: (
            "learned from" if card.plan.channel_dropout else "not learned from"
        ),
    }
    for name, fact in facts.items():
        here, there = fact(first[1]), fact(other[1])
        if here != there:
            raise MedsegError(
                f"model = {other[0]}",
                f"its {name}: {there}, but of {first[0]}: {here}",
                "give models of the same classes and channels, trained alike",
            )
