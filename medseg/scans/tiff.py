"""TIFF by tifffile: any bit depth, tiles, planes and compression.

What an axis is says the file's own metadata (OME, ImageJ, samples per pixel); pages of a file that
says nothing are slices. What may be two things is refused.
"""

import math
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.pictures import through_palette
from medseg.scans.upright import upright, upright_size
from medseg.scans.voxels import Header, Voxels, check_announced

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = range(7)
_PHOTOMETRIC = (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR, 51177)
_JPEG = (6, 7, 34892, 33007)
"""Compressions that alter values."""
_JPEG_2000_LOSSY = (33003, 33004, 33005)
_ALPHA = (1, 2)
_RAW = 1
_ORIENTATION = 274
_REDUCED, _TRANSPARENCY = 1, 4
_SLICES = "ZIQ"
MAX_PAGES = 100_000
_MOST = 1 << 14
"""Bytes that a compressed byte can give."""
_LARGEST_TILE = 1 << 22
_AGAIN = "export it again"


class _Roles(NamedTuple):
    """Which axis of the pixels is what; None where there is none."""

    rows: int
    columns: int
    slices: int | None
    channels: int | None
    samples: int | None


def header(path: Path) -> Header:
    """Size and channels, without decoding a pixel."""
    with _opened(path) as series:
        roles = _roles(path.name, series)
        page = _keyframe(series)
        rows, columns = upright_size(
            series.shape[roles.rows], series.shape[roles.columns], _orientation(page)
        )
        slices = 1 if roles.slices is None else series.shape[roles.slices]
        channels = 1 if roles.channels is None else series.shape[roles.channels]
        samples = 1 if roles.samples is None else len(_kept_samples(page))
        coloured = int(page.photometric) in (_PALETTE, _CMYK)
        channels = 3 if coloured else channels * samples
        return Header(Geometry((columns, rows, slices), world=False), channels, slices == 1)


def read(path: Path, *, colours: bool) -> Voxels:
    """All pixels; see `decode` for palettes, alpha and labels."""
    with _opened(path) as series:
        roles, page = _roles(path.name, series), _keyframe(series)
        _check(path, series, page, colours=colours)
        pixels = series.asarray(maxworkers=1)
        if tuple(pixels.shape) != tuple(series.shape):
            what = f"its header announces {series.shape} values, {pixels.shape} were read"
            raise ScanError(path.name, what, _AGAIN)
        pixels = _native(np.asarray(pixels))
        # (rows, columns, slices, channels), views all of them
        lead = [roles.rows, roles.columns]
        rest = [axis for axis in (roles.slices, roles.channels, roles.samples) if axis is not None]
        pixels = pixels.transpose(*lead, *rest)
        pixels = pixels if roles.slices is not None else np.expand_dims(pixels, 2)
        pixels = pixels if pixels.ndim == 4 else pixels[..., None]
        if roles.samples is not None:
            pixels = pixels[..., _kept_samples(page)]
        pixels = _shown(pixels, page, colours=colours)
        pixels = upright(pixels, _orientation(page))
    values = pixels.transpose(3, 1, 0, 2)
    _, columns, rows, slices = values.shape
    return Voxels(values, Geometry((columns, rows, slices), world=False))


def notes_of(path: Path) -> tuple[tuple[str, str], ...]:
    """A word on three planes that tifffile may have called colours: by itself, or when told to."""
    with _opened(path) as series:
        roles, shape = _roles(path.name, series), series.shape
        if roles.samples != 0 or series.kind != "shaped" or len(shape) != 3:
            return ()
    what = (
        "its three planes are read as the colours that its header calls them, as tifffile does "
        "unasked; if they are slices, save it with photometric='minisblack'"
    )
    return ((what, "x".join(map(str, shape))),)


def write(values: npt.NDArray[Any], path: Path) -> None:
    """Write (channels, *size): slices are pages, channels samples."""
    pages = values.transpose(3, 2, 1, 0)
    pages = pages[..., 0] if len(values) == 1 else pages
    tifffile.imwrite(
        path,
        np.ascontiguousarray(pages),
        photometric="rgb" if len(values) == 3 else "minisblack",
        planarconfig=None if len(values) == 1 else "contig",
        compression="zlib",
        metadata=None,
    )


@contextmanager
def _opened(path: Path) -> Generator[TiffPageSeries, None, None]:
    """The one image of a file, at full size.

    Raises:
        ScanError: If it holds several.
    """
    with path.open("rb") as file, _sound(path.name, file) as tiff:
        whole = [series for series in tiff.series if not _aside(series)]
        if len(whole) != 1:
            found = ", ".join("x".join(map(str, series.shape)) for series in whole[:4])
            found += ", ..." * (len(whole) > 4)
            what = f"holds {len(whole)} separate images ({found}), one can be read"
            what = what if whole else "holds no image"
            remedy = "save each as a file of its own, or all as one array if they are slices"
            raise ScanError(path.name, what, remedy if whole else _AGAIN)
        if tiff.is_ome and whole[0].kind != "ome":
            what = "its OME description speaks of pages in other files, or cannot be followed"
            raise ScanError(path.name, what, "export all pages into one file")
        check_announced(path.name, whole[0].shape)
        page = _keyframe(whole[0])
        if page.dtype is None:
            what = f"samples of {page.bitspersample} bits of no known kind"
            raise ScanError(path.name, what, _AGAIN)
        yield whole[0]


def _sound(name: str, file: BinaryIO) -> TiffFile:
    """A file whose chain of pages has an end, which tifffile would follow round and round."""
    order: Literal["little", "big"] = "little" if file.read(2) == b"II" else "big"
    big = int.from_bytes(file.read(2), order) == 43
    count_size, tag_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
    file.seek(8 if big else 4)
    at = int.from_bytes(file.read(offset_size), order)
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) == MAX_PAGES:
            what = f"its list of pages goes in circles, or is longer than {MAX_PAGES}"
            raise ScanError(name, what, "copy or export it again")
        seen.add(at)
        try:
            file.seek(at)
            tags = int.from_bytes(file.read(count_size), order)
            file.seek(at + count_size + tags * tag_size)
            at = int.from_bytes(file.read(offset_size), order)
        except (OverflowError, ValueError, OSError):
            break  # no such place: tifffile says what is wrong
    file.seek(0)
    return TiffFile(file, _multifile=False)


def _aside(series: TiffPageSeries) -> bool:
    """Thumbnails, smaller copies and transparency masks are flagged as such."""
    return bool(int(_keyframe(series).subfiletype) & (_REDUCED | _TRANSPARENCY))


def _keyframe(series: TiffPageSeries) -> TiffPage:
    return series.keyframe


def _roles(name: str, series: TiffPageSeries) -> _Roles:
    """Say of every axis what it is.

    Raises:
        ScanError: If there is a doubt.
    """
    axes = {letter: series.axes.count(letter) for letter in series.axes}
    found = {letter: series.axes.index(letter) for letter in series.axes}
    sizes = ", ".join(
        f"{letter} {length}" for letter, length in zip(series.axes, series.shape, strict=True)
    )
    slices = [axis for axis, letter in enumerate(series.axes) if letter in _SLICES]
    if "T" in axes:
        points = series.shape[found["T"]]
        what = f"its pages are {points} points in time ({sizes}), neither slices nor channels"
        remedy = "save each point in time as a file, or declare the pages slices (Z)"
        raise ScanError(name, what, remedy)
    unknown = [letter for letter in axes if letter not in "YXSC" + _SLICES]
    if unknown or len(slices) > 1 or axes.get("Y") != 1 or axes.get("X") != 1:
        what = f"its axes ({sizes}) may be slices or channels, it does not say which"
        raise ScanError(name, what, "save it with its axes named (OME-TIFF), or split it")
    samples, channels = found.get("S"), found.get("C")
    if samples is not None and channels is not None:
        what = f"both channels and colours ({sizes}), one of both can be read"
        raise ScanError(name, what, "split it")
    if samples == 0 and series.kind == "shaped" and _keyframe(series).extrasamples:
        count = series.shape[0]
        what = (
            f"{count} planes ({sizes}), which may be {count} slices or channels, or else colours "
            "with transparency, as tifffile calls them unasked"
        )
        raise ScanError(name, what, "save it with photometric='minisblack', or without alpha")
    if slices and series.kind == "shaped":
        _check_turned(name, series, slices[0], found)
    return _Roles(found["Y"], found["X"], slices[0] if slices else None, channels, samples)


def _check_turned(name: str, series: TiffPageSeries, slices: int, found: dict[str, int]) -> None:
    """An array of rows, columns and channels, saved without a word, comes back as pages."""
    pages, rows, columns = (series.shape[axis] for axis in (slices, found["Y"], found["X"]))
    if columns <= 10 and min(pages, rows) >= 4 * columns:
        what = (
            f"{pages} pages of {rows} rows of {columns} pixels, or else {pages} rows of {rows} "
            f"pixels of {columns} channels"
        )
        raise ScanError(name, what, "save it with its axes named (axes='YXC'), or as pages of rows")


def _check(path: Path, series: TiffPageSeries, page: TiffPage, *, colours: bool) -> None:
    """Refuse what would be read as something else, before it is decoded."""
    name, photometric = path.name, int(page.photometric)
    if series.dtype.kind == "c":
        raise ScanError(name, "complex values", "save the magnitude instead")
    jpeg = int(page.compression) in _JPEG
    if not colours and (jpeg or int(page.compression) in _JPEG_2000_LOSSY):
        what = "its pixels are compressed as JPEG, which alters label values"
        raise ScanError(name, what, "save it without, or as .png")
    if photometric not in _PHOTOMETRIC or (photometric == _YCBCR and not jpeg):
        what = f"its colours are {getattr(page.photometric, 'name', photometric)}"
        raise ScanError(name, f"{what}, which are not read", "save it as gray or RGB")
    if photometric == _CMYK and (page.samplesperpixel != 4 or series.dtype != np.uint8):
        raise ScanError(name, "inks, or CMYK of more than 8 bits", "save it as gray or RGB")
    end = path.stat().st_size
    for other in series.pages:
        if other is None:
            what = "its metadata describes pages that are not there"
            raise ScanError(name, what, "export all pages into one file")
        if any(start + count > end for start, count in _stored(other)):
            raise ScanError(name, "cut short: its pixels lie behind its end", "copy it again")
    _check_filled(name, page)


def _check_filled(name: str, page: TiffPage) -> None:
    """Whether what is stored can fill a page: what is missing would be read as zeros, for hours."""
    announced = math.prod(page.shape) * int(page.bitspersample) // 8
    stored = sum(page.databytecounts)
    raw = int(page.compression) == _RAW
    if stored and stored * (1 if raw else _MOST) < announced:
        what = f"cut short: its header announces {announced} bytes a page, {stored} are stored"
        raise ScanError(name, what, "copy or export it again")
    pieces = math.prod(page.chunked)
    if not raw and len(page.dataoffsets) < pieces:
        what = f"its header announces {pieces} tiles or strips, {len(page.dataoffsets)} are stored"
        raise ScanError(name, what, "copy or export it again")
    if math.prod(page.chunks) > _LARGEST_TILE + 4 * math.prod(page.shape):
        what = f"tiles of {'x'.join(map(str, page.chunks))} in {'x'.join(map(str, page.shape))}"
        raise ScanError(name, what, "copy or export it again")


def _stored(page: TiffPage | TiffFrame) -> list[tuple[int, int]]:
    return list(zip(page.dataoffsets, page.databytecounts, strict=False))


def _orientation(page: TiffPage) -> int:
    tag = page.tags.get(_ORIENTATION)
    return tag.value if tag is not None and isinstance(tag.value, int) else 1


def _kept_samples(page: TiffPage) -> list[int]:
    """All but those that are said to be alpha."""
    extra = [int(kind) for kind in page.extrasamples]
    own = page.samplesperpixel - len(extra)
    kept = [index for index in range(page.samplesperpixel) if index < own]
    return kept + [own + index for index, kind in enumerate(extra) if kind not in _ALPHA]


def _native(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In this machine's byte order, without a second copy."""
    if pixels.dtype.isnative:
        return pixels
    if not pixels.flags.writeable:
        return pixels.astype(pixels.dtype.newbyteorder("="))
    return pixels.byteswap(inplace=True).view(pixels.dtype.newbyteorder("="))


def _shown(pixels: npt.NDArray[Any], page: TiffPage, *, colours: bool) -> npt.NDArray[Any]:
    """(rows, columns, slices, channels) as viewers show them."""
    photometric, bits = int(page.photometric), page.bitspersample
    if photometric == _PALETTE and page.colormap is not None:
        colormap = np.asarray(page.colormap).T
        palette = (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8)
        return through_palette(pixels, palette, colours)
    if photometric == _CMYK:
        left = 255 - pixels.astype(np.uint16)
        return (left[..., :3] * left[..., 3:] // 255).astype(np.uint8)
    # tifffile writes True as 1, under a tag by which 1 is black
    as_stored = bits == 1 and page.software.startswith("tifffile")
    if photometric == _MIN_IS_WHITE and pixels.dtype.kind in "ub" and not as_stored:
        whitest = 2 ** int(bits) - 1
        pixels = (whitest - pixels).astype(pixels.dtype) if bits > 1 else ~pixels.astype(bool)
    return pixels.astype(np.uint8) * np.uint8(255) if bits == 1 else pixels
