"""PNG, JPEG, GIF and BMP, by Pillow, held against what their headers announce.

Pillow makes 8 bits of 16-bit colours; those are read by imagecodecs.
"""

import math
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from medseg.errors import MedsegError, ScanError
from medseg.geometry import Geometry
from medseg.scans.upright import upright, upright_size
from medseg.scans.voxels import Header, Voxels, check_announced

_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
_JPEG = ("JPEG", "MPO")
_ORIENTATION = 274
_AGAIN = "copy or export it again"
_MOST_RAW, _MOST = 8, 1 << 14
"""Pixels that a stored byte can give: LZW gives most, 4096 for each of its codes of 12 bits."""
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MODES = ("1", "L", "LA", "P", "PA", "I;16", "I", "RGB", "RGBA", "CMYK")


class _Depth(NamedTuple):
    """What a header says of its samples."""

    bits: int
    channels: int


def header(path: Path) -> Header:
    """Size and channels, without decoding a pixel."""
    with _opened(path) as image:
        rows, columns = upright_size(image.height, image.width, _orientation(image))
        gray = _depth(path, image).channels <= 2 and image.mode not in ("P", "PA")
        channels = 1 if gray else 3
        return Header(Geometry((columns, rows, 1), world=False), channels, plane=True)


def read(path: Path, *, colours: bool) -> Voxels:
    """All pixels; see `decode` for palettes, alpha and labels."""
    with _opened(path) as image:
        if image.format in _JPEG and not colours:
            what = "JPEG alters label values" + _in_disguise(path)
            raise ScanError(path.name, what, "save labels as .png instead")
        orientation = _orientation(image)
        depth = _depth(path, image)
        if depth.bits > 8 and depth.channels > 1:
            pixels = imagecodecs.png_decode(path.read_bytes())
            pixels = pixels[..., : 1 if depth.channels == 2 else 3]
        else:
            pixels = _pixels(image, colours=colours)
    wanted = _sixteen if depth.bits > 8 else _eight
    if pixels.shape[:2] != image.size[::-1] or pixels.dtype != wanted:
        what = f"its header announces {image.size} pixels of {depth.bits} bits"
        raise ScanError(path.name, f"{what}, others were read", "save it again")
    pixels = upright(pixels, orientation)
    values = pixels.transpose(2, 1, 0)[..., None]
    _, columns, rows, _ = values.shape
    return Voxels(values, Geometry((columns, rows, 1), world=False))


_eight, _sixteen = np.dtype(np.uint8), np.dtype(np.uint16)


@contextmanager
def _opened(path: Path) -> Generator[Image.Image, None, None]:
    """A picture whose pixels are not decoded yet.

    Raises:
        ScanError: If it is of another format, moves, or is too large to be true.
    """
    with path.open("rb") as file:
        try:
            opened = Image.open(file, formats=_FORMATS)
        except Image.UnidentifiedImageError as error:
            what, remedy = "damaged, or not a PNG, JPEG, GIF, BMP or TIFF file", _AGAIN
            bits = _jpeg_bits(file)
            if bits > 8:
                what, remedy = f"a JPEG of {bits} bits, 8 can be read", "save it as .png"
            raise ScanError(path.name, what, remedy) from error
        with opened as image:
            check_announced(path.name, image.size)
            _check_filled(path, image)
            frames = 1 if image.format in _JPEG else getattr(image, "n_frames", 1)
            if frames > 1:
                what = f"an animation of {frames} frames, which may be slices or points in time"
                remedy = "save slices as pages of a .tif, points in time as a file each"
                raise ScanError(path.name, what, remedy)
            if image.mode not in _MODES:
                what = f"pixels of a kind that is not read ({image.mode})"
                raise ScanError(path.name, what, "save it as gray or RGB")
            yield image


def _check_filled(path: Path, image: ImageFile.ImageFile) -> None:
    """Whether what is stored can fill it: GIF and BMP are laid out before they are decoded."""
    stored = path.stat().st_size
    raw = any(tile.codec_name == "raw" for tile in image.tile)
    if stored * (_MOST_RAW if raw else _MOST) < math.prod(image.size):
        what = f"cut short: its header announces {image.width}x{image.height} pixels, "
        raise ScanError(path.name, f"{what}{stored} bytes are stored", _AGAIN)


def _in_disguise(path: Path) -> str:
    return "" if path.suffix.lower() in (".jpg", ".jpeg") else ", and this is one by its content"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # viewers show a picture whose EXIF is broken as it is stored
        return 1


def _depth(path: Path, image: Image.Image) -> _Depth:
    """Bits and samples, alpha included, by the header alone."""
    with path.open("rb") as file:
        if image.format == "PNG":
            start = file.read(26)
            return _Depth(start[24], _PNG_CHANNELS.get(start[25], 0))
    return _Depth(8, len(image.getbands()))


def _jpeg_bits(file: BinaryIO) -> int:
    """The sample precision, which stands in the frame's header; 8 for what is no JPEG."""
    file.seek(0)
    if file.read(2) != b"\xff\xd8":
        return 8
    while True:
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:
            return 8
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
            return (file.read(1) or b"\x08")[0]
        file.seek(int.from_bytes(marker[2:], "big") - 2, 1)


def _pixels(image: Image.Image, *, colours: bool) -> npt.NDArray[Any]:
    """(rows, columns, channels) without alpha."""
    if image.mode in ("P", "PA"):
        return _palette(image, colours=colours)
    if image.mode == "1":
        return np.asarray(image, dtype=np.uint8)[..., None] * np.uint8(255)
    if image.mode == "CMYK":
        return np.asarray(image.convert("RGB"))
    pixels = np.atleast_3d(np.asarray(image))
    pixels = pixels.astype(_sixteen) if image.mode.startswith("I") else pixels
    return pixels[..., : 1 if image.mode == "LA" else 3]


def pixels_in_memory(image: Image.Image) -> npt.NDArray[Any]:
    """(rows, columns, channels) of a picture that Pillow opened or made, as `read` gives a file's.

    Raises:
        ScanError: If its pixels are of a kind that is not read.
    """
    if image.mode in ("I", "F"):  # in memory these may hold more than a file's 16 bits
        pixels = np.atleast_3d(np.asarray(image))
    elif image.mode in _MODES:
        pixels = _pixels(image, colours=True)
    else:
        what = f"pixels of a kind that is not read ({image.mode})"
        raise ScanError("image", what, 'give image.convert("RGB")')
    return upright(pixels, _orientation(image))


def _palette(image: Image.Image, *, colours: bool) -> npt.NDArray[np.uint8]:
    indices = np.atleast_3d(np.asarray(image))[..., :1]
    entries = image.getpalette("RGB") or []
    return through_palette(indices, np.array(entries, dtype=np.uint8).reshape(-1, 3), colours)


def through_palette(
    indices: npt.NDArray[Any], palette: npt.NDArray[np.uint8], colours: bool
) -> npt.NDArray[Any]:
    """Gray values of a gray palette; else colours, or for a label the indices themselves.

    Args:
        indices: (..., 1).
        palette: (entries, 3).
        colours: Whether it is an image.

    Raises:
        ValueError: If an index has no entry.
    """
    gray = bool((palette == palette[:, :1]).all())
    if not (gray or colours):
        return indices
    if int(indices.max(initial=0)) >= len(palette):
        raise ValueError(f"index {indices.max()} in a palette of {len(palette)}")
    return (palette[:, :1] if gray else palette)[indices[..., 0]]


def write(values: npt.NDArray[Any], path: Path) -> None:
    """Write (1 or 3 channels, *size) of one slice, 8 bits, or 16 as PNG."""
    suffix = path.suffix.lower()
    pixels = np.ascontiguousarray(values[..., 0].transpose(2, 1, 0))
    if pixels.dtype == np.uint16 and suffix != ".png":
        what = f"values up to {pixels.max()} do not fit its 8 bits"
        raise MedsegError(path.name, what, "write .png instead")
    if pixels.dtype == np.uint16 and pixels.shape[2] > 1:
        path.write_bytes(imagecodecs.png_encode(pixels))
        return
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    how = {"quality": 95, "subsampling": 0} if suffix in (".jpg", ".jpeg") else {}
    image.save(
        path, format={".jpg": "JPEG", ".jpeg": "JPEG"}.get(suffix, suffix[1:].upper()), **how
    )
