"""Labels whose files name their classes themselves: one list of classes for the whole dataset."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from medseg.errors import ScanError
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
    """
    found = [_segments(case) for case in cases]
    names = sorted({segment.name for several in found for segment in several}, key=natural_key)
    if not names:
        return tuple(cases), None
    layered = any(segment.layer > 0 for several in found for segment in several)
    named = tuple(replace(case, segments=tuple(names), layered=layered) for case in cases)
    return named, {name: value for value, name in enumerate(names, start=1)}


def _segments(case: Case) -> tuple[Segment, ...]:
    """What the case's label file names; a header that is broken is reported when it is read."""
    path = case.labels[0] if len(case.labels) == 1 else None
    entry = format_of(path) if path else None
    if path is None or entry is None or entry.segments is None:
        return ()
    with suppress(ScanError, OSError):
        return segment_names(path)
    return ()
