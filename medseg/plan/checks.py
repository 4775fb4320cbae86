"""Which cases fit together, and whose labels fit the classes; odd ones are left out by name."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from medseg.errors import MedsegError
from medseg.measure.facts import CaseFacts, Fingerprint
from medseg.plan.doubts import misfits
from medseg.plan.soft_labels import no_classes
from medseg.scans.case import Case, Problem


class _Trait(NamedTuple):
    """Something all cases of a dataset share.

    Attributes:
        words: Says what one case has, such as "3 channels".
        remedy: What to do with a case that differs.
    """

    words: Callable[[CaseFacts], str]
    remedy: str


def _kind(case: CaseFacts) -> str:
    if case.flat:
        return "a 2D image"
    return "a volume" if case.world else "a stack without a world frame"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


_CHANNELS = _Trait(
    lambda case: _number(len(case.channels), "channel"),
    "add or remove channels, or set channels",
)
_KIND = _Trait(_kind, "keep images and volumes in separate folders")
_LAYERS = _Trait(
    lambda case: _number(len(case.label_values), "label file"),
    "give every case the same label files; an empty mask says that a class is absent",
)


def check_cases(
    fingerprint: Fingerprint,
    classes: Mapping[str, int] | None,
    channels: int | None = None,
    unreadable: Sequence[Problem] = (),
    *,
    labelled: bool = True,
    files: Sequence[Case] = (),
) -> tuple[Fingerprint, tuple[Problem, ...]]:
    """Keep the cases that can be trained on together.

    Args:
        fingerprint: All cases that could be read.
        classes: Class name -> value in the label files; None: every value is a class.
        channels: Channels a case must have; None: as most cases have.
        unreadable: Cases that could not be read, for the message when none remains.
        labelled: Whether cases are of use with labels only.
        files: The cases' files, for the messages.

    Returns:
        The cases that fit, and why the others were left out.

    Raises:
        MedsegError: If no case remains.
    """
    kept = list(fingerprint.cases)
    problems: list[Problem] = []
    wanted = None if channels is None else _number(channels, "channel")
    steps: tuple[Callable[[list[CaseFacts]], dict[str, Problem]], ...] = (
        lambda cases: _differing(cases, _CHANNELS, wanted),
        lambda cases: _differing(cases, _KIND),
        lambda cases: misfits(cases, labelled=labelled),
        _unlabelled,
        no_classes,
        lambda cases: _differing(cases, _LAYERS),
        lambda cases: _maps_as_masks(cases, files),
        lambda cases: _unknown_values(cases, classes),
    )
    for step in steps if labelled else steps[:3]:
        found = step(kept)
        problems += found.values()
        kept = [case for case in kept if case.name not in found]
    if not kept:
        total = len(fingerprint.cases) + len(unreadable)
        # The last one emptied the dataset.
        causes = (*reversed(problems), *unreadable)
        name, what, remedy = (*causes, Problem("all", "no case was found", "add one"))[0]
        found = f"0 of {total} cases can be used, at least 1 must be; {name}"
        raise MedsegError(found, what, remedy)
    return Fingerprint(cases=tuple(kept)), tuple(problems)


def _differing(
    cases: Sequence[CaseFacts], trait: _Trait, wanted: str | None = None
) -> dict[str, Problem]:
    """The cases that are not as most are, or not as wanted."""
    counts = Counter(trait.words(case) for case in cases)
    if not counts:
        return {}
    usual, count = counts.most_common(1)[0]
    source = "as set by you" if wanted else f"as in {count} of {len(cases)} cases"
    right = wanted or usual
    return {
        case.name: Problem(
            case.name, f"{trait.words(case)} instead of {right}, {source}", trait.remedy
        )
        for case in cases
        if trait.words(case) != right
    }


def _unlabelled(cases: Sequence[CaseFacts]) -> dict[str, Problem]:
    return {
        case.name: Problem(case.name, "no label", "add its label file or remove the image")
        for case in cases
        if not case.label_values
    }


def _maps_as_masks(cases: Sequence[CaseFacts], files: Sequence[Case]) -> dict[str, Problem]:
    """Cases of several label files, one of which marks with several values.

    As masks every value but 0 would be the same; as label maps they would be several opinions.
    """
    problems: dict[str, Problem] = {}
    labels = {case.name: case.labels for case in files}
    for case in cases:
        if len(case.label_values) < 2:
            continue
        for layer, values in enumerate(case.label_values):
            marks = sorted({*values} - {0})
            if len(marks) > 1:
                path = labels[case.name][layer] if case.name in labels else None
                name = path.name if path else f"label file {layer + 1}"
                shown = ", ".join(map(str, marks[:5])) + ", ..." * (len(marks) > 5)
                what = (
                    f"{name} holds the values {shown}: is each of the {len(case.label_values)} "
                    "label files the mask of one class, or a label map of its own (another rater, "
                    "another time)?"
                )
                remedy = (
                    "of masks, save each with one value beside 0; of label maps, give one per case "
                    "(--images DIR --labels DIR)"
                )
                problems[case.name] = Problem(case.name, what, remedy)
                break
    return problems


def _unknown_values(
    cases: Sequence[CaseFacts], classes: Mapping[str, int] | None
) -> dict[str, Problem]:
    """Label maps with a value that no class has; in several mask files any non-zero will do."""
    if classes is None:
        return {}
    known = {0, *classes.values()}
    problems: dict[str, Problem] = {}
    for case in cases:
        unknown = sorted({*case.label_values[0]} - known)
        if len(case.label_values) == 1 and unknown:
            values = ", ".join(str(value) for value in unknown[:5]) + ", ..." * (len(unknown) > 5)
            what = f"label has the value {values}, classes has only {sorted(known)}"
            problems[case.name] = Problem(case.name, what, "add it to classes or mend the label")
    return problems
