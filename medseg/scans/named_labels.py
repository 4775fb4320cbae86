"""Labels whose files name their classes themselves: one list of classes for the whole dataset."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from medseg.errors import MedsegError, ScanError
from medseg.scans.case import Case
from medseg.scans.formats import format_of
from medseg.scans.names import natural_key
from medseg.scans.segments import Segment, same_class, segment_names

_GIVEN = re.compile(r"Segment_\d+")


class Named(NamedTuple):
    """Cases whose label files name their classes.

    Attributes:
        cases: Each with all the classes of the dataset.
        values: Class name -> value from 1; None where no file names any.
        notes: What was made of the names, or is doubtful about them.
    """

    cases: tuple[Case, ...]
    values: dict[str, int] | None
    notes: tuple[str, ...] = ()


def name_segments(cases: Sequence[Case]) -> Named:
    """Give the cases the classes that their label files name, by looking at headers alone.

    A name is one class however it is spelled, under its commonest spelling. Where segments of one
    file may overlap, in layers, each class is a mask.

    Args:
        cases: Each with its label files.

    Raises:
        MedsegError: If two labels of one case name the same segment, as those of two raters do.
    """
    for case in cases:
        if len(case.labels) > 1 and not case.pieces:
            _check_apart(case)
    found = [_segments(case) for case in cases]
    spellings: dict[str, Counter[str]] = {}
    for segment in (segment for several in found for segment in several):
        spellings.setdefault(same_class(segment.name), Counter())[segment.name] += 1
    if not spellings:
        return Named(tuple(cases), None)
    commonest = {key: counts.most_common(1)[0][0] for key, counts in spellings.items()}
    names = sorted(commonest.values(), key=natural_key)
    layered = any(segment.layer > 0 for several in found for segment in several)
    named = tuple(replace(case, segments=tuple(names), layered=layered) for case in cases)
    notes = [
        f"segments {', '.join(repr(name) for name in counts)} are taken for one class, "
        f"'{commonest[key]}'"
        for key, counts in spellings.items()
        if len(counts) > 1
    ]
    if len(names) > 1 and all(map(_GIVEN.fullmatch, names)):
        notes.append(
            f"the segments are called {', '.join(names[:3])}{', ...' * (len(names) > 3)}, as 3D "
            "Slicer calls them by itself in the order they are made: where that order differs from "
            "case to case so do the classes; rename them after what they are"
        )
    return Named(named, {name: value for value, name in enumerate(names, start=1)}, tuple(notes))


def _check_apart(case: Case) -> None:
    """Pass if the label files of a case, each a class, name segments of their own."""
    named: dict[str, Path] = {}
    for path in filter(None, case.labels):
        for segment in _named(path):
            name, first = segment.name, named.setdefault(same_class(segment.name), path)
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
