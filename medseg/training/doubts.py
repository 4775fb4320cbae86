"""What a user should know before the first step: classes never seen, copies on both sides."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from medseg.hparams import HParams
from medseg.measure.facts import CaseFacts, ChannelFacts
from medseg.plan.plan import Plan
from medseg.plan.split import split
from medseg.prepare.prepared import StoredCase
from medseg.scans.known import shown
from medseg.training.parts import Dealt

_SAME_SPACING = 0.01


class Labels:
    """Which cases hold which class, in their files and when prepared.

    Args:
        plan: The classes.
        facts: What the label files hold.
        stored: What is left of it.
    """

    def __init__(
        self, plan: Plan, facts: Sequence[CaseFacts], stored: Sequence[StoredCase]
    ) -> None:
        self.plan = plan
        self.facts = {case.name: case for case in facts}
        self.stored = {case.name: case for case in stored}

    @property
    def classes(self) -> range:
        """Indices of the classes beside the background."""
        return range(0 if self.plan.task == "multilabel" else 1, self.plan.num_outputs)

    def has(self, name: str, index: int) -> bool:
        """Whether the files of a case hold a class."""
        layers = self.facts[name].label_values
        if len(layers) == 1:
            return any(layers[0].get(value, 0) for value in self.plan.values_of(index))
        layer = index if self.plan.task == "multilabel" else index - 1
        return layer < len(layers) and any(count for value, count in layers[layer].items() if value)

    def keeps(self, name: str, index: int) -> bool:
        """Whether a case still has a class when prepared."""
        return self.stored[name].class_voxels[index] > 0

    def word(self, index: int) -> str:
        """Such as `class 2 (lesion)`, or `class_2` where nothing names it."""
        name = self.plan.class_names[index]
        if self.plan.regions:
            return f"region {name}"
        layered = any(len(case.label_values) > 1 for case in self.facts.values())
        first = 1 if self.plan.task == "multilabel" else 0
        value = index + first if layered else self.plan.label_values[index]
        return name if name == f"class_{value}" else f"class {value} ({name})"


def unseen_classes(labels: Labels, dealt: Dealt, hparams: HParams) -> Iterator[str]:
    """A line for each class of which training sees nothing, or less than the files hold.

    Args:
        labels: Of the cases that were prepared.
        dealt: Who trains and who validates.
        hparams: Gives `folds`.
    """
    training = [name for name in dealt.parts.training if name in labels.stored]
    for index in labels.classes:
        everywhere = [name for name in labels.stored if labels.has(name, index)]
        has = [name for name in training if labels.has(name, index)]
        kept = [name for name in has if labels.keeps(name, index)]
        word = labels.word(index)
        if not everywhere:
            yield (
                f"{word}: in none of {len(labels.stored)} cases, so it cannot be learned; check "
                "its value, or leave it out of the classes"
            )
        elif not has:
            where = f"in {len(everywhere)} of {len(labels.stored)} cases ({shown(everywhere)})"
            remedy = _remedy(labels, dealt, hparams)
            yield f"{word}: {where}, none of which trains, so it cannot be learned; {remedy}"
        elif len(kept) < len(has):
            lost = [name for name in has if name not in {*kept}]
            yield (
                f"{word}: in {len(has)} of {len(training)} training cases, in "
                f"{len(kept) or 'none'} of them {_how_lost(labels, lost)}"
            )


def _remedy(labels: Labels, dealt: Dealt, hparams: HParams) -> str:
    """The first other fold in which most classes are trained on."""
    if not dealt.by_folds:
        return "let one of them train, with --split"
    names = [*labels.stored]
    groups = [dealt.groups[name] for name in names]
    held = [{name for name in names if labels.has(name, index)} for index in labels.classes]

    def trained(fold: int) -> int:
        indices = split(groups, hparams.folds, fold).training
        return sum(bool(cases & {names[i] for i in indices}) for cases in held)

    best = max(range(hparams.folds), key=trained)
    if trained(best) <= trained(hparams.one_fold):
        return "add cases that have it"
    return f"--fold {best} trains on it, or deal the cases yourself with --split"


def _how_lost(labels: Labels, lost: Sequence[str]) -> str:
    """Whether resampling took a class, or what comes before it."""
    target = labels.plan.spacing_mm
    own = np.array([labels.facts[name].spacing_mm for name in lost])
    axes = [axis for axis in range(3) if axis != labels.plan.slice_axis]
    resampled = (np.abs(own[:, axes] / np.array(target)[axes] - 1) >= _SAME_SPACING).any()
    if not resampled:
        return (
            f"when prepared ({shown(lost)}): it lies outside the scan's content there, or under a "
            "class whose mask comes later; mend these labels"
        )
    finest = [min(mm, target[axis]) for axis, mm in enumerate(own.min(axis=0))]
    spacing = "x".join(f"{mm:.3g}" for mm in target)
    wanted = " ".join(f"{mm:.4g}" for mm in finest)
    return f"after resampling to {spacing} mm; set --spacing-mm {wanted} to keep it"


def unseen_channels(training: Sequence[StoredCase], names: Sequence[str]) -> Iterator[str]:
    """A line for each channel, by its name, that no case has which trains."""
    for channel, name in enumerate(names):
        if all(channel in case.absent for case in training):
            yield (
                f"{name}: absent in all {len(training)} cases that train, so nothing "
                "is learned of it; choose another --fold or --split"
            )


def copies(
    facts: Sequence[CaseFacts], stored: Mapping[str, StoredCase], dealt: Dealt
) -> Iterator[str]:
    """A line for scans that stand on both sides of a split: what is validated was learned.

    Files with the same bytes, and files with the same voxels, however they are packed.

    Args:
        facts: Of all cases.
        stored: Prepared cases by name.
        dealt: Who trains and who validates.
    """
    by_name = {case.name: case for case in facts}
    if len(by_name) < 2:
        return
    trained: dict[object, list[str]] = {}
    for name in dealt.parts.training:
        trained.setdefault(_look(by_name[name]), []).append(name)
    pairs: list[str] = []
    for name in dealt.parts.validation:
        alike = trained.get(_look(by_name[name]), [])
        same = next((x for x in alike if _same(by_name[name], by_name[x], stored)), None)
        pairs += [f"{name} is {same}"] if same else []
    if pairs:
        yield (
            f"{len(pairs)} of {len(dealt.parts.validation)} validation scans are trained on too, "
            f"under another name ({shown(pairs)}), so scores are too good; remove one of each, or "
            "keep them together with --groups"
        )


def _look(case: CaseFacts) -> object:
    """What two copies have in common for sure, and few others."""
    return case.size, tuple(map(_intensities, case.channels))


def _intensities(channel: ChannelFacts) -> tuple[float, ...]:
    return channel.minimum, channel.maximum, channel.mean, *channel.percentiles


def _same(first: CaseFacts, second: CaseFacts, stored: Mapping[str, StoredCase]) -> bool:
    if first.image_digests and first.image_digests == second.image_digests:
        return True
    if first.name not in stored or second.name not in stored:
        return False
    return np.array_equal(stored[first.name].prepared.image, stored[second.name].prepared.image)
