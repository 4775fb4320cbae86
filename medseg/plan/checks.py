"""Which cases fit together, and whose labels fit the classes; odd ones are left out by name."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from medseg.errors import MedsegError
from medseg.measure.facts import CaseFacts, Fingerprint
from medseg.scans.case import Problem


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
) -> tuple[Fingerprint, tuple[Problem, ...]]:
    """Keep the cases that can be trained on together.

    Args:
        fingerprint: All cases that could be read.
        classes: Class name -> value in the label files; None: every value is a class.
        channels: Channels a case must have; None: as most cases have.
        unreadable: Cases that could not be read, for the message when none remains.
        labelled: Whether cases are of use with labels only.

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
        _unlabelled,
        lambda cases: _differing(cases, _LAYERS),
        lambda cases: _unknown_values(cases, classes),
    )
    for step in steps if labelled else steps[:2]:
        found = step(kept)
        problems += found.values()
        kept = [case for case in kept if case.name not in found]
    if not kept:
        total = len(fingerprint.cases) + len(unreadable)
        # The last one emptied the dataset.
        causes = (*reversed(problems), *unreadable)
        name, what, remedy = (*causes, Problem("all", "no case was found", "add one"))[0]
        raise MedsegError(
            f"0 of {total} cases can be used, at least 1 must be; {name}: {what}; {remedy}"
        )
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
