"""A DICOM series -> its voxels, as the scanner measured them, on the grid of its slices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.scans.dicom.facts import Facts, Frame, facts_of
from medseg.scans.dicom.folder import series_of
from medseg.scans.dicom.header import reading
from medseg.scans.dicom.pixels import as_colours, as_measured, decoded_frames
from medseg.scans.dicom.series import Series
from medseg.scans.voxels import Voxels, check_announced

Array = npt.NDArray[Any]
_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32, np.uint32)


def read_series(path: Path, *, colours: bool = True) -> Voxels:
    """Read the whole series that a file belongs to.

    Values are what the scanner measured: each slice by its own slope and intercept, in the
    smallest integer type that holds them, in float32 where a slope is no whole number. Axes are
    column, row and slice.

    Args:
        path: Any file of the series.
        colours: Palettes become colours; otherwise indices stay.

    Raises:
        ScanError: If it cannot be read.
        MachineError: If the machine fails.
    """
    series = series_of(path)
    if series.is_labels:
        what = "a segmentation, not an image"
        raise ScanError(path.name, what, "use it as a label, or name the series it belongs to")
    series.check()
    assert series.volume is not None
    assert series.geometry is not None
    _check_size(series)
    with reading(series.first):
        stack = _stack(series, colours)
    return Voxels(stack.transpose(0, 3, 2, 1), series.geometry)


def _stack(series: Series, colours: bool) -> Array:
    """All slices (channels, slices, rows, columns)."""
    assert series.volume is not None
    frames = series.volume.frames
    offset = _common_offset(series)
    stack: Array | None = None
    for file in series.files:
        facts = facts_of(file)
        wanted = {f.number: (place, f) for place, f in enumerate(frames) if f.path == file}
        for index, (pixels, header) in enumerate(decoded_frames(file)):
            if index not in wanted:
                continue
            place, frame = wanted.pop(index)
            if facts.photometric == "PALETTE COLOR" and colours:
                pixels = as_colours(pixels, header)
                pixels = pixels[..., 0] if facts.gray_palette else pixels
            elif facts.table:
                pixels = as_measured(pixels, header)
            if stack is None:
                kind = pixels.dtype if offset is not None else _type(pixels, series)
                stack = np.empty(
                    (3 if pixels.ndim == 3 else 1, len(frames), *pixels.shape[:2]), kind
                )
            if offset is not None:
                frame = frame._replace(slope=1.0, intercept=0.0)
            _place(stack[:, place], pixels, frame, facts)
        if wanted:
            what = f"holds {len(wanted)} frames less than its header announces"
            raise ScanError(file.name, what, "copy or export it again")
    assert stack is not None
    return stack if not offset else _shifted(stack, offset)


def _common_offset(series: Series) -> int | None:
    """What is added to every stored value, where nothing else is done to them; None where it is."""
    assert series.volume is not None
    scales = {(frame.slope, frame.intercept) for frame in series.volume.frames}
    slope, intercept = scales.pop()
    kinds = {(one.bits, one.signed) for one in map(facts_of, series.files)}
    simple = not scales and slope == 1 and intercept.is_integer() and len(kinds) == 1
    return int(intercept) if simple and abs(intercept) < 2**31 else None


def _shifted(stack: Array, offset: int) -> Array:
    """Add to whole numbers, in their own bytes where the result fits into as many."""
    if stack.dtype.kind == "f":
        return stack + stack.dtype.type(offset)
    ends = int(stack.min()) + offset, int(stack.max()) + offset
    unsigned = np.dtype(f"u{stack.dtype.itemsize}")
    for kind in (np.dtype(f"i{stack.dtype.itemsize}"), unsigned):
        if np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max:
            wrapped = stack.view(unsigned)
            wrapped += np.array(offset % 2 ** (8 * unsigned.itemsize), unsigned)
            return stack.view(kind)
    return stack.astype(np.int64 if stack.dtype.itemsize > 2 else np.int32) + offset


def _check_size(series: Series) -> None:
    facts, frames = series.facts, series.volume.frames if series.volume else ()
    flat = next((frame for frame in frames if frame.slope == 0), None)
    if flat is not None:
        what = "its rescale slope is 0, which makes all values equal"
        raise ScanError(flat.path.name, what, "export it again")
    _check_all_scaled(frames)
    if facts.samples not in (1, 3, 4):
        what = f"its header announces {facts.samples} values per pixel, 1 and 3 can be read"
        raise ScanError(series.first.name, what, "export it again")
    channels = channels_of(series)
    check_announced(series.first.name, (facts.columns, facts.rows, len(frames), channels))


def _check_all_scaled(frames: Sequence[Frame]) -> None:
    """A slice that lost its scale would be read in other units than its neighbours."""
    bare = [frame for frame in frames if not frame.scaled]
    scales = {(f.slope, f.intercept) for f in frames if f.scaled} - {(1.0, 0.0)}
    if bare and scales:
        slope, intercept = min(scales)
        several = "states" if len(bare) == 1 else "state"
        what = (
            f"{len(bare)} of its {len(frames)} slices {several} no rescale slope and intercept, "
            f"others {slope:g} and {intercept:g}"
        )
        raise ScanError(bare[0].path.name, what, "export it again, or give that slice its scale")


def channels_of(series: Series) -> int:
    """Values per voxel that `read_series` gives, without reading one."""
    if series.facts.photometric == "PALETTE COLOR":
        return 1 if series.facts.gray_palette else 3
    return 1 if series.facts.samples == 1 else 3


def _type(pixels: Array, series: Series) -> type[np.generic]:
    """The smallest type that holds what every slice may hold once it is scaled."""
    assert series.volume is not None
    frames, facts = series.volume.frames, [facts_of(file) for file in series.files]
    if pixels.dtype.kind == "f":
        return np.float64 if pixels.dtype.itemsize > 4 else np.float32
    if series.facts.table or series.facts.photometric == "PALETTE COLOR":
        return np.result_type(pixels.dtype, np.uint8).type
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if not all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales):
        return np.float32
    ends = [
        slope * stored + intercept
        for slope, intercept in scales
        for one in facts
        for stored in _range(one)
    ]
    for kind in _INTEGERS:
        if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
            return kind
    return np.float64


def _range(facts: Facts) -> tuple[int, int]:
    """What may be stored."""
    half = 1 << (facts.bits - 1)
    return (-half, half - 1) if facts.signed else (0, 2 * half - 1)


def _place(target: Array, pixels: Array, frame: Frame, facts: Facts) -> None:
    """Put one frame (rows, columns[, 3]) into (channels, rows, columns)."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3].transpose(2, 0, 1)
    if pixels.shape[-2:] != target.shape[-2:]:
        what = f"a slice of {pixels.shape[-1]}x{pixels.shape[-2]} pixels among others of "
        what += f"{target.shape[-1]}x{target.shape[-2]}"
        raise ScanError(frame.path.name, what, "export it again")
    lowest, highest = _range(facts)
    scaled = not facts.table and facts.photometric != "PALETTE COLOR"
    if scaled and pixels.dtype.kind != "f" and facts.samples == 1:
        if int(pixels.min()) < lowest or int(pixels.max()) > highest:
            what = f"holds values beyond the {facts.bits} bits that its header announces"
            raise ScanError(frame.path.name, what, "export it again")
        if facts.photometric == "MONOCHROME1" and facts.picture:
            pixels = lowest + highest - pixels.astype(np.int64)
    if scaled and (frame.slope, frame.intercept) != (1.0, 0.0):
        wide = np.float64 if target.dtype.kind == "f" or pixels.dtype.kind == "f" else np.int64
        pixels = pixels.astype(wide) * wide(frame.slope) + wide(frame.intercept)
    target[...] = pixels
