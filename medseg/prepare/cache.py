"""Prepared cases on disk, so that a second training starts at once and memory stays free.

One folder per case, in it one entry per combination of files and plan, named by their hash. Entries
are written under another name and renamed: what is there is complete, and runs may share a cache.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from medseg.errors import MachineError, MedsegError, ScanError
from medseg.files import machine_error
from medseg.measure.ahead import ahead
from medseg.measure.digest import FileDigests
from medseg.measure.survey import heaviness, memory_budget, not_kept, opened, patiently
from medseg.plan.plan import Plan
from medseg.prepare.foreground import Foreground, foreground
from medseg.prepare.pipeline import prepare
from medseg.prepare.prepared import Placement, Prepared, StoredCase
from medseg.progress import Progress, Silent
from medseg.records import Frozen
from medseg.scans.case import Case, Problem, Subject
from medseg.scans.read import read_subject

__all__ = ["StoredCase", "prepare_cases"]

# Counts up whenever the same files and plan would give other arrays than before.
_VERSION = 3
_PLAN_FIELDS = {
    "slice_axis", "world", "task", "channels", "class_names", "label_values", "spacing_mm",
    "image_orders", "normalisation",
}  # fmt: skip
# A user goes back and forth between a few plans (2D, 3D); older ones only take space.
_KEPT_PER_CASE = 3
_OLD_S = 24 * 3600


class _Entry(Frozen):
    """What an entry says of its arrays: that they are whole is known without opening them."""

    channels: int
    labelled: bool
    placement: Placement
    ends: tuple[int, ...]
    class_voxels: tuple[int, ...]
    file_sizes: dict[str, int]


class _Found(NamedTuple):
    """A case's entry, and what is there or has to be made from its subject."""

    entry: Path
    stored: StoredCase | None
    subject: Subject | None


def prepare_cases(
    cases: Sequence[Case], plan: Plan, folder: Path, progress: Progress | None = None
) -> tuple[list[StoredCase], tuple[Problem, ...]]:
    """Prepare every case, or find it prepared.

    Args:
        cases: In the order wanted.
        plan: What to do; an entry is reused when what it says of the arrays is unchanged.
        folder: The cache; made if missing, safe to delete.
        progress: Hears how far it is.

    Returns:
        The cases that could be prepared, in order, and why the others could not.

    Raises:
        MedsegError: If no case could be prepared.
        MachineError: If the machine cannot read or keep them.
    """
    progress = progress or Silent()
    stored: list[StoredCase] = []
    problems: list[Problem] = []
    digests, _ = opened(folder)
    finding = ahead(
        cases, lambda case: _find(case, plan, folder, digests), heaviness, memory_budget()
    )
    for case, found in progress.track(finding, "preparing", len(cases)):
        made = found if isinstance(found, ScanError) else _stored(found, plan)
        if isinstance(made, ScanError):
            problems.append(Problem.from_error(case.name, made))
        else:
            stored.append(made)
    if not stored:
        shown = (
            f" ({problems[0].name}: {problems[0].what}; {problems[0].remedy})" if problems else ""
        )
        raise MedsegError(
            f"0 of {len(cases)} cases", f"can be prepared, at least 1 must be{shown}", "mend one"
        )
    return stored, tuple(problems)


def _find(case: Case, plan: Plan, folder: Path, digests: FileDigests) -> _Found | ScanError:
    """In a thread: the entry, or the subject to make it from."""
    try:
        key = _key(patiently(lambda: digests.of_case(case), case.name), plan)
        entry = folder / _folder_name(case.name) / key
        stored = _load(entry, case)
        if stored is not None:
            with suppress(OSError):  # only tidying
                os.utime(entry)
            return _Found(entry, stored, None)
        return _Found(entry, None, patiently(lambda: read_subject(case), case.name))
    except ScanError as error:
        return error


def _stored(found: _Found, plan: Plan) -> StoredCase | ScanError:
    if found.stored is not None:
        return found.stored
    assert found.subject is not None
    name = found.subject.name
    try:
        prepared = prepare(found.subject, plan)
    except ScanError as error:
        return error
    except (MemoryError, RuntimeError) as error:
        failed = machine_error(error, name)
        if failed is None:
            raise
        size = "x".join(map(str, found.subject.geometry.size))
        raise MachineError(
            name,
            f"out of memory while preparing {size} voxels",
            "close other programs, or set a coarser --spacing-mm",
        ) from error
    with _writing(found.entry.parent.parent):
        stored = _write(found.entry, prepared, foreground(prepared.label, plan))
    with suppress(OSError):  # only tidying
        _forget_oldest(found.entry.parent)
    return stored


@contextmanager
def _writing(folder: Path) -> Generator[None, None, None]:
    """Tell a full disk from a broken scan."""
    try:
        yield
    except OSError as error:
        raise not_kept(folder, error) from error


def _key(case: str, plan: Plan) -> str:
    key = blake2b(f"{_VERSION} {case} ".encode(), digest_size=16)
    key.update(plan.model_dump_json(include=_PLAN_FIELDS).encode())
    return key.hexdigest()


def _folder_name(name: str) -> str:
    """Readable, and unique even where the file system tells neither case nor all characters."""
    tail = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:60]}-{tail}"


def _write(entry: Path, prepared: Prepared, found: Foreground) -> StoredCase:
    entry.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=entry.parent))
    try:
        np.save(part / "image.npy", prepared.image)
        if prepared.label is not None:
            np.save(part / "label.npy", prepared.label)
        np.save(part / "foreground.npy", found.rows)
        said = _Entry(
            channels=len(prepared.image),
            labelled=prepared.label is not None,
            placement=prepared.placement,
            ends=found.ends,
            class_voxels=found.voxels,
            file_sizes={file.name: file.stat().st_size for file in part.iterdir()},
        )
        (part / "entry.json").write_text(said.model_dump_json(), encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)  # if it exists, it was found broken
        with suppress(OSError):  # another run was faster with the same arrays
            part.rename(entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _stored_case(prepared.name, entry, said)


def _load(entry: Path, case: Case) -> StoredCase | None:
    """The entry, or nothing where it is missing or cut short."""
    try:
        said = _Entry.model_validate_json((entry / "entry.json").read_bytes())
        for name, size in said.file_sizes.items():
            if (entry / Path(name).name).stat().st_size != size:
                return None
    except (OSError, ValidationError):
        return None
    return _stored_case(case.name, entry, said)


def _stored_case(name: str, entry: Path, said: _Entry) -> StoredCase:
    return StoredCase(
        name,
        entry,
        said.channels,
        said.labelled,
        said.placement,
        said.ends,
        said.class_voxels,
    )


def _forget_oldest(folder: Path) -> None:
    """Keep the newest entries; what a killed run left half written goes after a day."""
    entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
    whole = [entry for entry in entries if not entry.name.startswith("part-")]
    halves = [entry for entry in entries if entry.name.startswith("part-")]
    old = [entry for entry in halves if time.time() - entry.stat().st_mtime > _OLD_S]
    for entry in (*whole[_KEPT_PER_CASE:], *old):
        shutil.rmtree(entry, ignore_errors=True)
