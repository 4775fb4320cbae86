"""Prepared cases on disk, so that a second training starts at once and memory stays free.

One folder per case, in it one entry per combination of files and plan, named by their hash.
"""

import os
import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from medseg.errors import MachineError, MedsegError, ScanError
from medseg.files import machine_error
from medseg.measure.ahead import ahead
from medseg.measure.facts import CaseFacts
from medseg.measure.held import Held
from medseg.measure.kept import not_kept
from medseg.measure.survey import (
    Known,
    heaviness,
    known_facts,
    memory_budget,
    opened,
    out_of_memory,
    patiently,
)
from medseg.plan.plan import Plan
from medseg.prepare.entries import load, tidy, tidy_parts, write
from medseg.prepare.foreground import PER_CLASS
from medseg.prepare.pipeline import place
from medseg.prepare.prepared import StoredCase
from medseg.prepare.resample import resampled_size
from medseg.progress import Progress, Silent
from medseg.scans.case import Case, Problem, Subject
from medseg.scans.read import layer_count, read_layers, read_subject

__all__ = ["StoredCase", "prepare_cases"]

# Counts up whenever the same files and plan would give other arrays than before.
_VERSION = 7
_PLAN_FIELDS = {
    "slice_axis", "world", "task", "channels", "class_names", "label_values", "spacing_mm",
    "image_orders", "normalisation", "regions", "ignore_label", "channel_dropout",
}  # fmt: skip
_SMALL_FILES = 4 * 4096
"""Bytes on disk that an entry takes beside its arrays."""


class _Found(NamedTuple):
    """A case's digest and entry, and what is there or has to be made from its subject.

    The subject has its label where that is one layer; several are read one by one.
    """

    key: str
    entry: Path
    stored: StoredCase | None
    subject: Subject | None


def prepare_cases(
    cases: Sequence[Case],
    plan: Plan,
    folder: Path,
    progress: Progress | None = None,
    held: Held | None = None,
) -> tuple[list[StoredCase], tuple[Problem, ...]]:
    """Prepare every case, or find it prepared.

    Args:
        cases: In the order wanted.
        plan: What to do; an entry is reused when what it says of the arrays is unchanged.
        folder: The cache, which holds the facts of the cases as well; made if missing, safe to
            delete.
        progress: Hears how far it is.
        held: What `measure_cases` read a moment ago, which holds nothing afterwards.

    Returns:
        The cases that could be prepared, in order, and why the others could not.

    Raises:
        MedsegError: If no case could be prepared.
        MachineError: If the machine cannot read or keep them, or has no room for them: that is
            known before the first is prepared.
    """
    progress = progress or Silent()
    stored: list[StoredCase] = []
    problems: list[Problem] = []
    known = opened(folder, held, plan.ignore_label)
    tidy_parts(folder)
    _check_space(cases, plan, folder, known)
    finding = ahead(
        cases, lambda case: _find(case, plan, folder, known), heaviness, memory_budget()
    )
    for case, found in progress.track(finding, "preparing", len(cases)):
        made = found if isinstance(found, ScanError) else _made(found, case, plan, known)
        if isinstance(made, ScanError):
            problems.append(Problem.from_error(case.name, made))
        else:
            stored.append(made)
    known.held.clear()  # cases that nobody wanted prepared
    if not stored:
        shown = (
            f" ({problems[0].name}: {problems[0].what}; {problems[0].remedy})" if problems else ""
        )
        raise MedsegError(
            f"0 of {len(cases)} cases", f"can be prepared, at least 1 must be{shown}", "mend one"
        )
    return stored, tuple(problems)


def _check_space(cases: Sequence[Case], plan: Plan, folder: Path, known: Known) -> None:
    """Refuse what the disk cannot hold, before hours are spent on it."""
    count, total = 0, 0
    for case in cases:
        try:
            key = patiently(lambda case=case: known.digests.of_case(case), case.name)
        except ScanError:  # named when it is read
            continue
        if not (_entry(case, key, plan, folder) / "entry.json").exists():
            facts = known_facts(key, known)
            count, total = count + 1, total + (_prepared_bytes(facts, plan) if facts else 0)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise MachineError(
            str(folder),
            f"{count} cases take {_gigabytes(total)} prepared, {_gigabytes(free)} are free there",
            "free some space, or give an --output on another disk",
        )


def _prepared_bytes(facts: CaseFacts, plan: Plan) -> int:
    """What an entry takes on disk."""
    size = resampled_size(facts.box_size, facts.spacing_mm, plan.spacing_mm, plan.slice_axis)
    layers = (plan.num_outputs if plan.task == "multilabel" else 1) if facts.label_values else 0
    counts = [n for layer in facts.label_values for value, n in layer.items() if value]
    rows = sum(min(PER_CLASS, count) for count in counts)
    return prod(size) * (4 * plan.channels + layers) + 12 * rows + _SMALL_FILES


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"


def _find(case: Case, plan: Plan, folder: Path, known: Known) -> _Found | ScanError:
    """In a thread: the entry, or the subject to make it from."""
    try:
        key = patiently(lambda: known.digests.of_case(case), case.name)
        entry = _entry(case, key, plan, folder)
        stored = load(entry, case.name)
        if stored is not None:
            with suppress(OSError):  # only tidying
                os.utime(entry)
            return _Found(key, entry, stored, None)
        subject = known.held.take(key)
        if subject is None:
            subject = patiently(lambda: read_subject(case, layer_count(case) == 1), case.name)
            known.digests.check_unchanged(case, key)
        return _Found(key, entry, None, subject)
    except ScanError as error:
        return error


def _made(found: _Found, case: Case, plan: Plan, known: Known) -> StoredCase | ScanError:
    if found.stored is not None:
        return found.stored
    subject = found.subject
    assert subject is not None
    cache = found.entry.parent.parent

    def make() -> StoredCase:
        placement, layers = place(subject, plan), _layers(case, found.key, subject, known)
        with _writing(cache):
            return write(found.entry, subject, layers, layer_count(case), placement, plan)

    try:
        stored = patiently(make, case.name)
    except ScanError as error:
        return error
    except MachineError as error:
        if not out_of_memory(error):
            raise
        size = "x".join(map(str, subject.geometry.size))
        raise MachineError(
            case.name,
            f"out of memory while preparing {len(subject.image)} x {size} voxels",
            "close other programs, or set a coarser --spacing-mm",
        ) from error
    tidy(found.entry.parent)
    return stored


def _layers(case: Case, key: str, subject: Subject, known: Known) -> Iterator[npt.NDArray[Any]]:
    """The layers of the label; where they cannot be read, that is no failure to write."""
    if subject.label is not None:
        yield from subject.label
        return
    try:
        for layer in read_layers(case, subject.geometry):
            yield layer.values
        known.digests.check_unchanged(case, key)
    except OSError as error:
        reason = error.strerror or str(error)
        raise machine_error(error, case.name) or ScanError(
            case.name, f"its label cannot be read ({reason})", "restore or remove it"
        ) from error


@contextmanager
def _writing(folder: Path) -> Generator[None, None, None]:
    """Tell a full disk from a broken scan."""
    try:
        yield
    except OSError as error:
        raise not_kept(folder, error) from error


def _entry(case: Case, key: str, plan: Plan, folder: Path) -> Path:
    digest = blake2b(f"{_VERSION} {key} ".encode(), digest_size=16)
    digest.update(plan.model_dump_json(include=_PLAN_FIELDS).encode())
    return folder / _folder_name(case.name) / digest.hexdigest()


def _folder_name(name: str) -> str:
    """Readable, and unique even where the file system tells neither case nor all characters."""
    tail = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:60]}-{tail}"
