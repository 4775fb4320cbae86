"""Labels whose files name their classes themselves: found out by headers, for a whole dataset."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from medseg.errors import MachineError, MedsegError
from medseg.files import machine_error
from medseg.scans.case import Case, Problem
from medseg.scans.formats import format_of
from medseg.scans.segments import Segment, segment_names

_THREADS = 4


class Named(NamedTuple):
    """Cases that know their dataset's segments.

    Attributes:
        cases: Without those whose labels cannot be read by name.
        problems: Why not.
        class_values: Segment -> value from 1; None where labels name none.
    """

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...] = ()
    class_values: dict[str, int] | None = None


def by_name(cases: Sequence[Case]) -> Named:
    """Give every case the segments of all, if labels are of a format that names them.

    Raises:
        MachineError: If the machine fails while reading headers.
    """
    asked = [case for case in cases if len(case.labels) == 1 and _may_name(case.labels[0])]
    if not asked:
        return Named(tuple(cases))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = dict(zip([case.name for case in asked], pool.map(_peek, asked), strict=True))
    told = {name: said for name, said in found.items() if not isinstance(said, Problem) and said}
    if not told:
        return Named(tuple(cases))
    names = tuple(dict.fromkeys(segment.name for said in told.values() for segment in said))
    layered = any(len({segment.layer for segment in said}) > 1 for said in told.values())
    kept = [replace(c, segments=names, layered=layered) for c in cases if c.name in told]
    problems = _others(cases, found, told)
    values = {name: place for place, name in enumerate(names, start=1)}
    return Named(tuple(kept), tuple(problems), values)


def _may_name(path: Path | None) -> bool:
    try:
        entry = format_of(path) if path is not None else None
    except OSError:
        return False
    return entry is not None and entry.segments is not None


def _peek(case: Case) -> tuple[Segment, ...] | Problem:
    (path,) = case.labels
    assert path is not None
    try:
        return segment_names(path)
    except MachineError:
        raise
    except MedsegError as error:
        return Problem.from_error(case.name, error)
    except OSError as error:
        failed = machine_error(error, path.name)
        if failed is not None:
            raise failed from error
        what = f"{path.name}: cannot be read ({error.strerror})"
        return Problem(case.name, what, "restore or remove it")


def _others(
    cases: Sequence[Case],
    found: dict[str, tuple[Segment, ...] | Problem],
    told: dict[str, tuple[Segment, ...]],
) -> Iterator[Problem]:
    """Cases whose labels name no segments where others do."""
    for case in cases:
        said = found.get(case.name)
        if isinstance(said, Problem):
            yield said
        elif case.name not in told:
            label = next((path.name for path in case.labels if path), "its label")
            what = f"{label} names no segments, while other labels do"
            yield Problem(case.name, what, "save all labels in one format")
