"""Every case of a dataset measured: read once, in a few threads, and never again."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from medseg.errors import MachineError, ScanError
from medseg.files import machine_error
from medseg.machine import available_memory_bytes, is_out_of_memory, return_freed_memory
from medseg.measure.ahead import ahead
from medseg.measure.digest import FileDigests
from medseg.measure.facts import CaseFacts, Fingerprint, case_facts
from medseg.measure.held import Held
from medseg.measure.kept import Kept, not_kept
from medseg.progress import Progress, Silent
from medseg.records import Frozen
from medseg.scans.case import Case, Problem
from medseg.scans.formats import files_of
from medseg.scans.notes import Note, folded
from medseg.scans.read import layer_count, predicted_labels, read_layers, read_subject

Result = TypeVar("Result")

_VERSION = 6  # counts up whenever the same files would give other facts than before
_MEMORY_SHARE = 0.5
_BYTES_PER_FILE_BYTE = 24
"""What reading takes of memory, by the size of the file: 12 a voxel, two voxels in each byte."""
_PAUSE_S = 2.0


class Measured(Frozen):
    """What is kept of a case: its facts, and what had to be mended while reading it."""

    facts: CaseFacts
    warnings: tuple[Note, ...] = ()


class Known(NamedTuple):
    """What is kept of a dataset's files and cases, and what of it is in memory.

    Attributes:
        digests: Of its files.
        facts: Of its cases.
        held: What was read.
        ignore_label: Which value the facts leave out.
    """

    digests: FileDigests
    facts: Kept
    held: Held
    ignore_label: int | None = None


def measure_cases(
    cases: Sequence[Case],
    folder: Path,
    progress: Progress | None = None,
    held: Held | None = None,
    ignore_label: int | None = None,
) -> tuple[Fingerprint, tuple[Problem, ...]]:
    """Measure every case, or find it measured.

    A case that cannot be read is tried again at each start: what reads it may be better by then.

    Args:
        cases: In natural order.
        folder: Where facts are kept, beside the prepared cases; made if missing, safe to delete.
        progress: Hears how far it is, and what had to be mended in which case.
        held: Gets what was read, as far as it has room; `prepare_cases` takes it.
        ignore_label: Value of voxels that nobody annotated.

    Returns:
        The cases that could be read, and why the others could not.

    Raises:
        MachineError: If the machine cannot read or keep; no case is left out for it.
    """
    progress = progress or Silent()
    known = opened(folder, held, ignore_label)
    facts: list[CaseFacts] = []
    problems: list[Problem] = []
    notes: list[tuple[str, Note]] = []
    measuring = ahead(cases, lambda case: _measured(case, known), heaviness, memory_budget())
    for case, found in progress.track(measuring, "looking at the scans", len(cases)):
        if isinstance(found, ScanError):
            problems.append(Problem.from_error(case.name, found))
            continue
        notes += [(case.name, note) for note in found.warnings]
        facts.append(found.facts)
    for line in folded(notes):
        progress.warn(line)
    return Fingerprint(cases=tuple(facts)), tuple(problems)


def opened(folder: Path, held: Held | None = None, ignore_label: int | None = None) -> Known:
    """What is known of files and of cases.

    Raises:
        MachineError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_kept(folder, error) from error
    return_freed_memory()
    digests, facts = FileDigests(folder / "files.jsonl"), Kept(folder / "facts.jsonl")
    return Known(digests, facts, Held(0) if held is None else held, ignore_label)


def known_facts(key: str, known: Known) -> CaseFacts | None:
    """The facts of a case that was measured, by its digest."""
    found = _found(known.facts, _fact_key(key, known))
    return found.facts if found else None


def heaviness(case: Case) -> int:
    """Bytes of memory that reading a case may take, by what its files take on disk."""
    paths = (*case.images, *filter(None, case.labels))
    return _BYTES_PER_FILE_BYTE * sum(map(_bytes_on_disk, paths))


def _bytes_on_disk(path: Path) -> int:
    """Of all files that a scan's path stands for; what cannot be looked at is said when read."""
    with suppress(ScanError, OSError):
        return sum(file.stat().st_size for file in files_of(path))
    return 0


def memory_budget() -> int:
    """Bytes that cases which are read ahead may take."""
    return int(_MEMORY_SHARE * available_memory_bytes())


def patiently(work: Callable[[], Result], subject: str) -> Result:
    """Do it, and once more after a moment if a share or a disk failed that may be back by then.

    Raises:
        MachineError: If the machine fails; as such, whatever the libraries made of it.
    """
    try:
        return _by_its_name(work, subject)
    except MachineError as error:
        if not error.passing:
            raise
        time.sleep(_PAUSE_S)
        return _by_its_name(work, subject)


def out_of_memory(error: MachineError) -> bool:
    """Whether that is what failed."""
    cause = error.__cause__
    return isinstance(cause, Exception) and is_out_of_memory(cause)


def _by_its_name(work: Callable[[], Result], subject: str) -> Result:
    try:
        return work()
    except MachineError:
        raise
    except (ScanError, OSError, MemoryError, RuntimeError) as error:
        failed = machine_error(error, subject)
        if failed is None and is_out_of_memory(error):  # torch has no error of its own for it
            failed = MachineError(subject, "out of memory", "close other programs")
        if failed is None:
            raise
        raise failed from error


def _measured(case: Case, known: Known) -> Measured | ScanError:
    try:
        digest = patiently(lambda: known.digests.of_case(case), case.name)
        found = _found(known.facts, _fact_key(digest, known))
        return found or patiently(lambda: _measure(case, digest, known), case.name)
    except ScanError as error:
        return error
    except MachineError as error:
        if not out_of_memory(error):
            raise
        size = heaviness(case) / _BYTES_PER_FILE_BYTE / 1e9
        raise MachineError(
            case.name,
            f"out of memory while reading its files of {size:.3g} GB",
            "close other programs, or crop or resample it",
        ) from error


def _fact_key(case: str, known: Known) -> str:
    ignoring = "" if known.ignore_label is None else f" without {known.ignore_label}"
    return f"{_VERSION} {case}{ignoring}"


def _found(kept: Kept, key: str) -> Measured | None:
    value = kept.get(key)
    try:
        return None if value is None else Measured.model_validate_json(value)
    except ValidationError:
        return None


def _measure(case: Case, digest: str, known: Known) -> Measured:
    subject = read_subject(case, with_label=False)
    warnings = [*subject.warnings, *predicted_labels(case)]
    layers: list[npt.NDArray[Any]] = []
    voxels = prod(subject.geometry.size)
    hold = known.held.has_room(subject.image.nbytes + layer_count(case) * voxels)

    def values() -> Iterator[npt.NDArray[Any]]:
        for layer in read_layers(case, subject.geometry):
            warnings.extend(layer.warnings)
            if hold:
                layers.append(layer.values)
            yield layer.values

    facts = case_facts(subject, values(), known.ignore_label)
    known.digests.check_unchanged(case, digest)
    images = tuple(known.digests.of(path) for path in case.images)
    facts = facts.model_copy(update={"digest": digest, "image_digests": images})
    measured = Measured(facts=facts, warnings=tuple(warnings))
    known.facts.put(_fact_key(digest, known), measured.model_dump_json().encode())
    if hold:
        known.held.put(digest, replace(subject, label=np.stack(layers) if layers else None))
    return measured
