"""Prepared cases on disk, so that a second training starts at once and memory stays free.

One folder per case, in it one entry per combination of files and plan, named by their hash. Entries
are written under another name and renamed: what is there is complete, and runs may share a cache.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from medseg.errors import MedsegError, ScanError
from medseg.measure.digest import FileDigests
from medseg.plan.plan import Plan
from medseg.prepare.foreground import foreground_rows
from medseg.prepare.pipeline import prepare
from medseg.prepare.prepared import Placement, Prepared
from medseg.progress import Progress, Silent
from medseg.scans.case import Case, Problem
from medseg.scans.read import read_subject

# Counts up whenever the same files and plan would give other arrays than before.
_VERSION = 2
_PLAN_FIELDS = {
    "slice_axis", "world", "task", "channels", "class_names", "label_values", "spacing_mm",
    "image_orders", "normalisation",
}  # fmt: skip
# A user goes back and forth between a few plans (2D, 3D); older ones only take space.
_KEPT_PER_CASE = 3
_PLACEMENT = TypeAdapter(Placement)


@dataclass(frozen=True)
class StoredCase:
    """A prepared case in the cache.

    Attributes:
        prepared: Its arrays are memory-mapped and read-only.
        foreground: Rows of (class index, i, j, k), sorted by class: random voxels of each
            foreground class in the prepared arrays, at most 4000 of each.
    """

    prepared: Prepared
    foreground: npt.NDArray[np.int32]


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
        MedsegError: If no case could be prepared, or the folder cannot be written.
    """
    progress = progress or Silent()
    stored: list[StoredCase] = []
    problems: list[Problem] = []
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    digests = FileDigests(folder / "index.json")
    for case in progress.track(cases, "preparing", len(cases)):
        try:
            found = _stored(case, plan, folder, digests)
        except ScanError as error:
            problems.append(Problem.from_error(case.name, error))
            continue
        stored.append(found)
    with _writing(folder):
        digests.save()
    if not stored:
        shown = (
            f" ({problems[0].name}: {problems[0].what}; {problems[0].remedy})" if problems else ""
        )
        raise MedsegError(f"0 of {len(cases)} cases can be prepared, at least 1 must be{shown}")
    return stored, tuple(problems)


def _stored(case: Case, plan: Plan, folder: Path, digests: FileDigests) -> StoredCase:
    entry = folder / _folder_name(case.name) / _key(case, plan, digests)
    found = _load(entry, case)
    if found is None:
        prepared = prepare(read_subject(case), plan)
        with _writing(folder):
            _write(entry, prepared, foreground_rows(prepared.label, plan))
            found = _load(entry, case)
            if found is None:
                raise OSError("it cannot be read back")
    with suppress(OSError):  # only tidying
        os.utime(entry)
        _forget_oldest(entry.parent)
    return found


@contextmanager
def _writing(folder: Path) -> Generator[None, None, None]:
    """Tell a full disk from a broken scan."""
    try:
        yield
    except OSError as error:
        raise MedsegError(
            f"{folder}: prepared cases cannot be kept there ({error.strerror or error}); "
            "free some space, or make the folder writable"
        ) from error


def _key(case: Case, plan: Plan, digests: FileDigests) -> str:
    key = blake2b(f"{_VERSION} {case.name} ".encode(), digest_size=16)
    key.update(plan.model_dump_json(include=_PLAN_FIELDS).encode())
    for kind, paths in (("image", case.images), ("label", case.labels)):
        for path in paths:
            key.update(f" {kind} {digests.of(path) if path else 'absent'}".encode())
    return key.hexdigest()


def _folder_name(name: str) -> str:
    """Readable, and unique even where the file system tells neither case nor all characters."""
    tail = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:60]}-{tail}"


def _write(entry: Path, prepared: Prepared, foreground: npt.NDArray[np.int32]) -> None:
    entry.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=entry.parent))
    try:
        np.save(part / "image.npy", prepared.image)
        if prepared.label is not None:
            np.save(part / "label.npy", prepared.label)
        np.save(part / "foreground.npy", foreground)
        (part / "placement.json").write_bytes(_PLACEMENT.dump_json(prepared.placement))
        shutil.rmtree(entry, ignore_errors=True)  # if it exists, it was found broken
        with suppress(OSError):  # another run was faster with the same arrays
            part.rename(entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _load(entry: Path, case: Case) -> StoredCase | None:
    """The entry, or nothing where it is missing or cut short."""
    try:
        placement = _PLACEMENT.validate_json((entry / "placement.json").read_bytes())
        label = _map(entry / "label.npy") if case.labels else None
        prepared = Prepared(case.name, _map(entry / "image.npy"), label, placement)
        return StoredCase(prepared, _map(entry / "foreground.npy"))
    except (OSError, ValueError, EOFError):
        return None


def _map(path: Path) -> npt.NDArray[Any]:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _forget_oldest(folder: Path) -> None:
    entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in entries[_KEPT_PER_CASE:]:
        shutil.rmtree(entry, ignore_errors=True)
