"""Labels whose files name their classes themselves: one list of classes for the whole dataset."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from medseg.errors import MedsegError, ScanError
from medseg.scans.case import Case
from medseg.scans.formats import format_of
from medseg.scans.names import natural_key
from medseg.scans.segments import Segment, segment_names


def name_segments(cases: Sequence[Case]) -> tuple[tuple[Case, ...], dict[str, int] | None]:
    """Give the cases the classes that their label files name, by looking at headers alone.

    Args:
        cases: Each with its label files.

    Returns:
        The cases, and class name -> value from 1; the same cases and None where no file names any.
        Where segments of one file may overlap, in layers, each class is a mask.

    Raises:
        MedsegError: If two labels of one case name the same segment, as those of two raters do.
    """
    for case in cases:
        if len(case.labels) > 1 and not case.pieces:
            _check_apart(case)
    found = [_segments(case) for case in cases]
    names = sorted({segment.name for several in found for segment in several}, key=natural_key)
    if not names:
        return tuple(cases), None
    layered = any(segment.layer > 0 for several in found for segment in several)
    named = tuple(replace(case, segments=tuple(names), layered=layered) for case in cases)
    return named, {name: value for value, name in enumerate(names, start=1)}


def _check_apart(case: Case) -> None:
    """Pass if the label files of a case, each a class, name segments of their own."""
    named: dict[str, Path] = {}
    for path in filter(None, case.labels):
        for segment in _named(path):
            name, first = segment.name, named.setdefault(segment.name, path)
            if first != path:
                what = f"its labels {first.name} and {path.name} both hold '{name}': they are "
                what += "of several raters or times, no classes"
                raise MedsegError(case.name, what, "choose one, with --pattern")


def _segments(case: Case) -> tuple[Segment, ...]:
    return _named(case.labels[0]) if len(case.labels) == 1 else ()


def _named(path: Path | None) -> tuple[Segment, ...]:
    """What a label file names; a header that is broken is reported when it is read."""
    entry = format_of(path) if path else None
    if path is None or entry is None or entry.segments is None:
        return ()
    with suppress(ScanError, OSError):
        return segment_names(path)
    return ()
