"""One file -> its voxels, exactly as stored. Whatever is broken about a file is a ScanError here.

torchio reads, except where it would lose something:

- NIfTI is read by nibabel. ITK, below torchio, turns NaN into 0 without a word and refuses sheared
  affines.
- Palette, one-bit and gray+alpha images are read by PIL: ITK paints palettes (a label's index is
  lost), returns one-bit TIFF in colour and has no type for gray+alpha.
- JPEG is read by PIL: ITK fills a truncated one up with gray.
"""

from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torchio as tio
from nibabel.nifti1 import Nifti1Pair
from PIL import Image, ImageSequence

from medseg.errors import ScanError
from medseg.geometry import Geometry, Size
from medseg.scans.formats import FLAT_SUFFIXES, LOSSY_SUFFIXES, NIFTI_SUFFIXES, check_suffix
from medseg.scans.quiet import quiet

MAX_VALUES = 2**31
"""Voxels x channels that a header may announce: 8 GiB as float32, four whole-body CT scans.
More is refused before anything is allocated."""

_PIL_MODES = ("1", "P", "PA", "LA")


class Voxels(NamedTuple):
    """What a file holds: values (channels, *size) in a type that keeps them exact; their grid."""

    values: npt.NDArray[Any]
    geometry: Geometry


def decode(path: Path, *, colours: bool = False) -> Voxels:
    """Read one file.

    A stack of TIFF pages is a volume; alpha is dropped. A palette image gives gray values if its
    palette is gray, otherwise its colours for an image (`colours=True`) or indices for a label.

    Raises:
        ScanError: If it is missing, of an unknown format, damaged, or too large to be true.
    """
    suffix = check_suffix(path)
    _check_present(path)
    try:
        with quiet():
            if suffix in FLAT_SUFFIXES:
                values = _picture(path, suffix, colours)
                return Voxels(values, Geometry(_size(values), world=False))
            values, affine = _nifti(path) if suffix in NIFTI_SUFFIXES else _torchio(path)
            return Voxels(values, _geometry(path, _size(values), affine))
    except (ScanError, MemoryError):  # a file is not damaged because this machine is too small
        raise
    # Four libraries raise a dozen unrelated types for damaged files; none says it better.
    except Exception as error:
        lost = ", or its data file is missing" if suffix == ".mhd" else ""
        raise ScanError(
            f"{path.name}: damaged, cut short or not really a {suffix} file{lost}; "
            "copy or export it again"
        ) from error


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise ScanError(f"{path.name}: no such file in {path.parent}; check the path")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise ScanError(f"{path.name}: {error.strerror}; check its permissions") from error
    if empty:
        raise ScanError(f"{path.name}: empty file; copy or export it again")


def _check_announced(path: Path, shape: tuple[int, ...]) -> None:
    """Python integers cannot overflow, whatever the header says."""
    count = 1
    for length in shape:
        count *= int(length)
    if min(shape, default=0) < 1 or count > MAX_VALUES:
        raise ScanError(
            f"{path.name}: its header announces {'x'.join(map(str, shape))} values, "
            f"between 1 and {MAX_VALUES} can be read; export it again, or crop it"
        )


def _nifti(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    image = nib.load(path, mmap=False)
    assert isinstance(image, Nifti1Pair)
    _check_announced(path, image.shape)
    stored = np.dtype(image.get_data_dtype())
    if stored.kind == "c":
        raise ScanError(f"{path.name}: complex values; save the magnitude instead")
    if stored.names is not None:  # RGB(A) voxels: one record each
        records = np.asarray(image.dataobj)
        values = np.stack([records[name] for name in "RGB"], axis=-1)
    else:
        # Stored integers stay exact; scaled ones become float64.
        values = np.asarray(image.dataobj)
        values = values.reshape(values.shape + (1,) * (3 - values.ndim))
    lead, extra = values.shape[:3], [length for length in values.shape[3:] if length > 1]
    if len(extra) > 1:
        raise ScanError(
            f"{path.name}: {values.ndim} axes {values.shape}, three of space and one of channels "
            "can be read; split it"
        )
    values = np.moveaxis(values.reshape(*lead, *(extra or [1])), -1, 0)
    return values, np.asarray(image.affine)


def _torchio(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    _check_announced(path, (*header.GetSize(), header.GetNumberOfComponents()))
    # ScalarImage and LabelMap read alike: both keep the stored type.
    image = tio.ScalarImage(path)
    return image.data.numpy(), np.asarray(image.affine)


def _picture(path: Path, suffix: str, colours: bool) -> npt.NDArray[Any]:
    mode = _pil_mode(path)
    if mode in _PIL_MODES or (mode is not None and suffix in LOSSY_SUFFIXES):
        with Image.open(path) as image:
            _check_announced(path, (*image.size, getattr(image, "n_frames", 1)))
            pages = [_page(page, colours) for page in ImageSequence.Iterator(image)]
        return np.stack(pages).transpose(3, 2, 1, 0)  # (pages, H, W, C) -> (C, W, H, pages)
    values, _ = _torchio(path)
    return values[:3] if mode == "RGBA" else values


def _pil_mode(path: Path) -> str | None:
    """What PIL makes of an image; None where it cannot tell (it knows no 64-bit TIFF, for one)."""
    try:
        with Image.open(path) as image:
            return image.mode
    except (OSError, Image.DecompressionBombError):
        return None


def _page(image: Image.Image, colours: bool) -> npt.NDArray[np.uint8]:
    """One page as (H, W, channels)."""
    if image.mode not in ("P", "PA"):
        gray = image.mode in ("1", "L", "LA")
        return np.atleast_3d(np.asarray(image.convert("L" if gray else "RGB")))
    palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
    indices = np.atleast_3d(np.asarray(image))[..., :1]
    if (palette == palette[:, :1]).all():
        palette = palette[:, :1]
    elif not colours:
        return indices
    return palette.astype(np.uint8)[indices[..., 0]]


def _geometry(path: Path, size: Size, affine: npt.NDArray[Any]) -> Geometry:
    try:
        return Geometry.from_affine(size, affine)
    except ValueError as error:
        raise ScanError(
            f"{path.name}: its header does not say where it lies ({error}); export it again"
        ) from error


def _size(values: npt.NDArray[Any]) -> Size:
    _, i, j, k = values.shape
    return i, j, k
