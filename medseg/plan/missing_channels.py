"""Channels that some cases lack, by declaration: which count as absent, and what is learned of it.

An absent channel is 0 once intensities are normalised: the mean of what is there in other cases, be
it of the image, of the body or of the dataset. Dropping channels that are there at random (as in
ModDrop, Neverova et al. 2015, arXiv:1501.00102) shows every combination of channels to the network.
"""

from collections.abc import Iterator, Sequence

from medseg.errors import MedsegError
from medseg.measure.facts import CaseFacts, Fingerprint
from medseg.plan.words import counted

DROPOUT = 0.2
"""Chance that a channel is dropped from a patch."""


def constant_as_absent(found: Fingerprint, names: Sequence[str]) -> Fingerprint:
    """Count channels of one value as absent: they show nothing.

    Args:
        found: Cases with what they have no file of.
        names: Of the channels.

    Raises:
        MedsegError: If a channel is absent everywhere.
    """
    cases = tuple(_without_constant(case) for case in found.cases)
    for channel, name in enumerate(names):
        if not any(channel in case.present for case in cases):
            raise MedsegError(
                name,
                f"is absent in all {len(cases)} cases that can be used, or has one value only",
                "add a case that has it, or take its files out of the dataset",
            )
    return Fingerprint(cases=cases)


def _without_constant(case: CaseFacts) -> CaseFacts:
    constant = {at for at, facts in case.present.items() if facts.minimum == facts.maximum}
    if not constant or constant == set(case.present):
        return case
    return case.model_copy(update={"absent": tuple(sorted({*case.absent, *constant}))})


def absent_lines(
    files: Fingerprint, counted_so: Fingerprint, names: Sequence[str]
) -> Iterator[str]:
    """A line for each channel that cases lack, and for each that counts as absent.

    Args:
        files: Cases with what they have no file of.
        counted_so: The same cases with all that counts as absent.
        names: Of the channels.
    """
    total = len(files.cases)
    for channel, name in enumerate(names):
        without = [case.name for case in files.cases if channel in case.absent]
        if without:
            yield f"{name}: absent in {counted(without, total)}"
        constant = [
            new.name
            for old, new in zip(files.cases, counted_so.cases, strict=True)
            if channel in new.absent and channel not in old.absent
        ]
        if constant:
            yield f"{name}: has one value only in {counted(constant, total)}: counts as absent"


def choose_channel_dropout(channels: int) -> tuple[float, str]:
    """The chance that a channel is dropped, where cases may lack some."""
    if channels < 2:
        return 0.0, "none: the one channel is always there"
    return DROPOUT, (
        "share of the patches that each channel is hidden from, never all: scans may lack some"
    )
