"""One prepared case on disk: written slab by slab, and found whole or not at all.

An entry is a folder, written under another name and renamed: what is there is complete, and runs
may share a cache. Permissions follow the umask.
"""

import os
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from medseg.plan.plan import Plan
from medseg.prepare.foreground import foreground
from medseg.prepare.pipeline import absent_channels, image_slabs, label_layers
from medseg.prepare.prepared import Placement, StoredCase
from medseg.records import Frozen
from medseg.scans.case import Subject

# A user goes back and forth between a few plans (2D, 3D); older ones only take space.
_KEPT_PER_CASE = 3
_UNUSED_S = 2 * 24 * 3600
"""An entry that was used since then may be in use: a training marks what it reads."""
_PARTS = "parts"


class _Said(Frozen):
    """What an entry says of its arrays: that they are whole is known without opening them."""

    channels: int
    labelled: bool
    placement: Placement
    ends: tuple[int, ...]
    class_voxels: tuple[int, ...]
    file_sizes: dict[str, int]
    absent: tuple[int, ...] = ()


def load(entry: Path, name: str) -> StoredCase | None:
    """The entry, or nothing where it is missing or cut short."""
    try:
        said = _Said.model_validate_json((entry / "entry.json").read_bytes())
        for file, size in said.file_sizes.items():
            if (entry / Path(file).name).stat().st_size != size:
                return None
    except (OSError, ValidationError):
        return None
    return _stored(name, entry, said)


def write(
    entry: Path,
    subject: Subject,
    layers: Iterable[npt.NDArray[Any]],
    count: int,
    placement: Placement,
    plan: Plan,
) -> StoredCase:
    """Prepare a case straight into its entry: neither array is ever whole in memory.

    Args:
        entry: Folder to make, below the case's own folder below the cache.
        subject: Its image.
        layers: Of its label, as in the files; nothing without one.
        count: How many layers.
        placement: Where voxels go.
        plan: How.

    Raises:
        ScanError: If a label is not what the plan says.
        OSError: If it cannot be read or written.
    """
    with _part(entry.parent.parent) as part:
        image = part / "image.npy"
        with _array(image, (plan.channels, *placement.size), np.float32) as file:
            for _, _, slab in image_slabs(subject, placement, plan):
                _append(file, slab)
        num_layers = plan.num_outputs if plan.task == "multilabel" else 1
        prepared = label_layers(layers, count, placement, plan) if count else iter(())
        with _array(part / "label.npy", (num_layers, *placement.size), np.uint8) as file:
            found = foreground(_written(prepared, file), plan)
        if not count:
            (part / "label.npy").unlink()
        np.save(part / "foreground.npy", found.rows)
        said = _Said(
            channels=plan.channels,
            labelled=count > 0,
            placement=placement,
            ends=found.ends,
            class_voxels=found.voxels,
            file_sizes={file.name: file.stat().st_size for file in part.iterdir()},
            absent=absent_channels(subject, plan),
        )
        (part / "entry.json").write_text(said.model_dump_json(), encoding="utf-8")
        entry.parent.mkdir(exist_ok=True)
        return _put(part, entry, _stored(subject.name, entry, said))


def tidy(case_folder: Path) -> None:
    """Keep a case's newest entries, and those that a training may be using."""
    with suppress(OSError):
        used = {entry: entry.stat().st_mtime for entry in case_folder.iterdir()}
        for entry in sorted(used, key=lambda entry: -used[entry])[_KEPT_PER_CASE:]:
            if time.time() - used[entry] > _UNUSED_S:
                shutil.rmtree(entry, ignore_errors=True)


def tidy_parts(cache: Path) -> None:
    """Remove what killed runs left half written; what is being written is younger."""
    with suppress(OSError):
        for part in (cache / _PARTS).iterdir():
            if time.time() - part.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(part, ignore_errors=True)


def _stored(name: str, entry: Path, said: _Said) -> StoredCase:
    return StoredCase(
        name,
        entry,
        said.channels,
        said.labelled,
        said.placement,
        said.ends,
        said.class_voxels,
        absent=said.absent,
    )


def _put(part: Path, entry: Path, made: StoredCase) -> StoredCase:
    """Rename; where another run was faster, its arrays are the same and may be in use."""
    there = load(entry, made.name)
    if there is not None:
        return there
    with suppress(OSError):  # found broken; out of the way at once, removed with the part
        entry.rename(part.with_name(part.name + "-broken"))
    try:
        part.rename(entry)
    except OSError:
        there = load(entry, made.name)
        if there is None:
            raise
        return there
    finally:
        shutil.rmtree(part.with_name(part.name + "-broken"), ignore_errors=True)
    return made


@contextmanager
def _part(cache: Path) -> Generator[Path, None, None]:
    part = cache / _PARTS / f"{os.getpid()}-{uuid4().hex[:12]}"
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _array(path: Path, shape: Sequence[int], dtype: type) -> Generator[BinaryIO, None, None]:
    """A .npy file of this shape, to which the values are appended.

    Written, not mapped: pages of a map count as memory of this process.
    """
    with path.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": tuple(shape),
        }
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _append(file: BinaryIO, values: npt.NDArray[Any]) -> None:
    file.write(np.ascontiguousarray(values).data)


def _written(
    layers: Iterator[npt.NDArray[np.uint8]], file: BinaryIO
) -> Iterator[npt.NDArray[np.uint8]]:
    for layer in layers:
        for plane in layer:
            _append(file, plane)
        yield layer
