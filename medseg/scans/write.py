"""Label maps and images -> files that any other program finds in the same place.

Each format's own module writes it; here is decided in which type, and that a file is there whole or
not at all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import MedsegError
from medseg.files import machine_error, whole_files
from medseg.geometry import Geometry
from medseg.scans.decode import decode_header
from medseg.scans.formats import IMAGE_SUFFIXES, Format, format_of, suffix_of
from medseg.scans.quiet import quiet

_INSTEAD = "write .nii.gz instead"


def write_label_map(
    label: npt.NDArray[Any], geometry: Geometry, target: Path, like: Path | None = None
) -> Path:
    """Write a label map in the format of `target`'s suffix and the smallest type for its values.

    Args:
        label: (*size), any integer type.
        geometry: Its grid.
        target: File to write or replace; missing folders are made.
        like: The scan it belongs to: one of the same format hands down how it states its position,
            a plane with a world frame is answered with a plane.

    Returns:
        The path written: `target`, or the `.png` beside it if `target` is a JPEG, which would alter
        the values, or a GIF.

    Raises:
        MedsegError: If the format cannot hold it or the folder cannot be written.
        MachineError: If the disk is full, or the like.
    """
    entry, target = _entry(target)
    low, high = int(label.min()), int(label.max())
    for name in entry.integers:
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return _write(label.astype(name)[None], geometry, target, entry, like)
    what = f"label values from {low} to {high} do not fit this format"
    raise MedsegError(target.name, what, _INSTEAD)


def write_image(
    image: npt.NDArray[np.float32], geometry: Geometry, target: Path, like: Path | None = None
) -> Path:
    """Write intensities or probabilities; channels are a fourth axis in NIfTI, vectors elsewhere.

    PNG, BMP and JPEG hold whole numbers only: PNG 0 to 65535, the others 0 to 255.

    Args:
        image: (channels, *size).
        geometry: Its grid.
        target: File to write or replace; missing folders are made.
        like: As in `write_label_map`.

    Returns:
        The path written: `target`, or the `.png` beside a `.gif`.

    Raises:
        MedsegError: If the format cannot hold it or the folder cannot be written.
        MachineError: If the disk is full, or the like.
    """
    lossy = format_of(target)
    entry, target = (lossy, target) if lossy is not None and lossy.lossy else _entry(target)
    if not entry.fractions:
        limit = max(np.iinfo(name).max for name in entry.integers)
        if image.min() < 0 or image.max() > limit or (image != np.rint(image)).any():
            what = f"holds only whole numbers from 0 to {limit}"
            raise MedsegError(target.name, what, "write .tif or .nii.gz instead")
        whole = image.astype(np.uint16 if image.max() > 255 else np.uint8)
        return _write(whole, geometry, target, entry, like)
    return _write(image, geometry, target, entry, like)


def _entry(target: Path) -> tuple[Format, Path]:
    """The format to write, and the path with its suffix.

    Raises:
        MedsegError: If there is none.
    """
    entry = format_of(target)
    if entry is not None and entry.masks:
        target = target.with_suffix(entry.masks)
        entry = format_of(target)
    if entry is None:
        what = f"unsupported suffix '{suffix_of(target)}'"
        raise MedsegError(target.name, what, f"use one of {', '.join(IMAGE_SUFFIXES)}")
    return entry, target


def _write(
    values: npt.NDArray[Any], geometry: Geometry, target: Path, entry: Format, like: Path | None
) -> Path:
    """Write (channels, *size), whole or not at all."""
    assert values.shape[1:] == geometry.size, f"{values.shape} is not of size {geometry.size}"
    if not entry.world:
        _check_picture(values.shape, suffix_of(target), target)
    source = None if like is None else format_of(like)
    plane = False
    if entry.world and source is not None and source.world and like is not None:
        plane = geometry.size[2] == 1 and decode_header(like).plane
    same = like if source is entry else None
    try:
        with quiet(), whole_files(target) as path:
            entry.module().write(values, geometry, path, same, plane=plane)
    except (OSError, MemoryError) as error:
        failure = machine_error(error, str(target))
        if failure is not None:
            raise failure from error
        reason = (isinstance(error, OSError) and error.strerror) or "writing failed"
        remedy = "check the folder's permissions"
        raise MedsegError(str(target), f"cannot be written ({reason})", remedy) from error
    return target


def _check_picture(shape: Sequence[int], suffix: str, target: Path) -> None:
    channels, _, _, slices = shape
    if suffix in (".tif", ".tiff") or (slices == 1 and channels in (1, 3)):
        return
    what = f"{channels} channels of {slices} slices do not fit a picture"
    raise MedsegError(target.name, what, _INSTEAD)
