"""Images in memory, of the libraries that people use, as subjects; and masks as such images."""

from collections.abc import Sequence
from math import inf
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image
import SimpleITK as sitk
import torchio
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import SpatialImage

from medseg.errors import ScanError
from medseg.files import machine_error
from medseg.geometry import Geometry
from medseg.scans.alignment import align
from medseg.scans.case import Subject
from medseg.scans.decode import said
from medseg.scans.notes import Note
from medseg.scans.pictures import pixels_in_memory
from medseg.scans.quiet import quiet
from medseg.scans.read import with_absent
from medseg.scans.sanitise import finite_image
from medseg.scans.voxels import Voxels, lps_grid, placed_grid

SitkImage: TypeAlias = sitk.Image
NibabelImage: TypeAlias = Nifti1Image
_Stating: TypeAlias = sitk.Image | SpatialImage | torchio.Image
_STATING = (sitk.Image, SpatialImage, torchio.Image)
_NAME = "image"
"""What it is called in messages: it has no file."""
_GIVE = "give a path, an array of numbers, or an image of SimpleITK, nibabel or torchio"
_GIVE_ALIKE = "give files alone, or images of SimpleITK, nibabel and torchio alone"


def subject_of(
    image: object, channels: int, spacing_mm: Sequence[float] | None = None, *, world: bool = True
) -> Subject:
    """What a model reads, of an image in memory.

    Args:
        image: A SimpleITK or nibabel image; a torchio image, or a subject, whose intensity images
            are the channels; a list of such images, or of arrays, the channels in their order, with
            None where one is absent; a Pillow picture; an array, (*size) or (channels, *size) with
            the axes to the right, to the front and up, or for pictures (rows, columns) or (rows,
            columns, channels).
        channels: What the model was trained on.
        spacing_mm: Of an array's axes, in mm; goes with arrays of volumes alone.
        world: Whether the model was trained on scans with a world frame, or on pictures.

    Raises:
        ScanError: If it is none of these, its spacing is needed and missing, or its channels lie
            apart.
        MachineError: If its voxels are still in a file that this machine could not read.
    """
    image, absent = _without_absent(image, channels)
    images = _stating_images(image)
    if images and spacing_mm is not None:
        raise ScanError(_NAME, "states its spacing itself", "leave out spacing_mm")
    if images:
        read = [_read(each) for each in images]
    elif world:
        read = [_of_volume(_array(image), channels - len(absent), spacing_mm)]
    else:
        there = channels - len(absent)
        read = [_of_picture(_pixels(image, there), there, spacing_mm)]
    geometry = read[0].geometry
    notes: list[Note] = []
    parts: list[npt.NDArray[np.float32]] = []
    for index, voxels in enumerate(read):
        name = f"{_NAME} {index}" if len(read) > 1 else _NAME
        values, mended = finite_image(name, _numbers(voxels.values))
        values, moved = align(name, Voxels(values, voxels.geometry), geometry, order=1)
        parts.append(values)
        notes += [*mended, *moved]
    if absent:
        each = [channel[None] for values in parts for channel in values]
        parts = with_absent(_NAME, each, absent)
    values = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return Subject(_NAME, values, None, geometry, tuple(notes), absent)


def _without_absent(image: object, channels: int) -> tuple[object, tuple[int, ...]]:
    """A list without None, and where None stood; anything else as it is."""
    if not isinstance(image, (list, tuple)):
        return image, ()
    places = tuple(place for place, each in enumerate(image) if each is None)
    if not places:
        return image, ()
    if len(image) != channels:
        what = f"a list of {len(image)} with None in it, and the model knows {channels} channels"
        raise ScanError(_NAME, what, "give an image or None for each channel")
    if len(places) == len(image):
        raise ScanError(_NAME, "a list without an image", _GIVE)
    return [each for each in image if each is not None], places


def _stating_images(image: object) -> Sequence[_Stating]:
    """Images that say themselves where they lie; nothing if it is an array or a picture."""
    if isinstance(image, torchio.Subject):
        images = image.get_images(intensity_only=True)
        if not images:
            raise ScanError(_NAME, "a torchio subject without intensity images", "add a scan")
        return images
    named = image if isinstance(image, (list, tuple)) else [image]
    images = [each for each in named if isinstance(each, _STATING)]
    if images and len(images) < len(named):
        kinds = ", ".join(dict.fromkeys(type(each).__name__ for each in named))
        raise ScanError(_NAME, f"a list of different things ({kinds})", _GIVE_ALIKE)
    return images


def _read(image: _Stating) -> Voxels:
    """Its voxels, which nibabel and torchio may read from a file only now."""
    try:
        with quiet():
            if isinstance(image, sitk.Image):
                return _of_sitk(image)
            return _of_nibabel(image) if isinstance(image, SpatialImage) else _of_torchio(image)
    except ScanError:
        raise
    # Libraries raise a dozen unrelated types for damaged files.
    except Exception as error:
        failure = machine_error(error, _NAME)
        if failure is not None:
            raise failure from error
        what = f"its voxels cannot be read ({said(error)})"
        raise ScanError(_NAME, what, "check the file that it was made of") from error


def _of_sitk(image: sitk.Image) -> Voxels:
    number = image.GetDimension()
    if number not in (2, 3):
        raise ScanError(_NAME, f"has {number} axes", "give one scan of 2 or 3 axes")
    kind = image.GetPixelIDTypeAsString()
    if "label" in kind:  # SimpleITK would end the process
        raise ScanError(_NAME, f"holds a {kind}", "give a scan of numbers")
    values = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    values = np.moveaxis(values, -1, 0).transpose(0, *range(number, 0, -1))
    axes = np.array(image.GetDirection()).reshape(number, number) * image.GetSpacing()
    grid = lps_grid(_NAME, image.GetSize(), axes.T, image.GetOrigin())
    return Voxels(values.reshape(len(values), *grid.size), grid)


def _of_nibabel(image: SpatialImage) -> Voxels:
    values = np.asanyarray(image.dataobj)
    if values.dtype.names:  # colours, of which alpha is no channel
        values = np.stack([values[colour] for colour in values.dtype.names[:3]], axis=-1)
    if not 2 <= values.ndim <= 4 or image.affine is None:
        raise ScanError(_NAME, f"has {values.ndim} axes", "give one scan of 2 or 3 axes")
    values = values.reshape(*values.shape, *[1] * (4 - values.ndim))
    grid = placed_grid(_NAME, values.shape[:3], np.asarray(image.affine, dtype=np.float64))
    return Voxels(np.moveaxis(values, -1, 0), grid)


def _of_torchio(image: torchio.Image) -> Voxels:
    values = image.data.numpy()
    grid = placed_grid(_NAME, values.shape[1:], np.asarray(image.affine, dtype=np.float64))
    return Voxels(values, grid)


def _array(image: object) -> npt.NDArray[Any]:
    if isinstance(image, PIL.Image.Image):
        raise ScanError(_NAME, "a picture, and the model knows scans with a spacing", _GIVE)
    if isinstance(image, np.ma.MaskedArray):
        what = "a masked array, of which the mask would be lost"
        raise ScanError(_NAME, what, "give image.filled(VALUE)")
    try:
        array = np.asarray(image)
    except Exception as error:  # lists of uneven lengths, tensors on a GPU
        what = f"a {type(image).__name__} is no array ({said(error)})"
        raise ScanError(_NAME, what, _GIVE) from error
    if array.ndim == 0 or array.shape == (0,) or array.dtype.kind not in "biufc":
        of = f" of {array.dtype}" if isinstance(image, np.ndarray) else ""
        raise ScanError(_NAME, f"a {type(image).__name__}{of} is no image", _GIVE)
    return array


def _numbers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Voxels that can become floats without a loss in silence."""
    if values.dtype.kind == "c":
        raise ScanError(_NAME, "complex values", "give the magnitude instead")
    if values.size == 0:
        raise ScanError(_NAME, f"has no voxels (shape {values.shape})", "give a scan")
    return values


def _of_volume(
    array: npt.NDArray[Any], channels: int, spacing_mm: Sequence[float] | None
) -> Voxels:
    if spacing_mm is None:
        raise ScanError(_NAME, "an array does not tell its voxels' size", "give spacing_mm")
    spacing = _spacing(spacing_mm)
    if array.ndim == 3 and channels == 1:
        array = array[None]
    if array.ndim != 4 or len(array) != channels or len(spacing) != 3:
        raise ScanError(
            _NAME,
            f"an array of shape {array.shape} with {len(spacing)} spacings",
            f"give ({'' if channels == 1 else f'{channels}, '}right, front, up) and 3 spacings",
        )
    return Voxels(array, placed_grid(_NAME, array.shape[1:], np.diag([*spacing, 1.0])))


def _spacing(spacing_mm: Sequence[float]) -> list[float]:
    try:
        lengths = [float(length) for length in spacing_mm]
    except (TypeError, ValueError):
        lengths = []
    if not lengths or isinstance(spacing_mm, str) or not all(0 < each < inf for each in lengths):
        what = f"spacing_mm = {spacing_mm!r}, a length above 0 for each axis is needed"
        raise ScanError(_NAME, what, "give three, in mm, such as (0.8, 0.8, 2.5)")
    return lengths


def _of_picture(
    array: npt.NDArray[Any], channels: int, spacing_mm: Sequence[float] | None
) -> Voxels:
    if spacing_mm is not None:
        raise ScanError(_NAME, "the model knows pictures, without spacing", "leave out spacing_mm")
    found = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or found != channels:
        remedy = "give (rows, columns) or (rows, columns, 1)"
        if channels > 1:
            remedy = f"give (rows, columns, {channels})"
        what = f"an array of shape {array.shape}, and the model knows {channels} channel(s)"
        raise ScanError(_NAME, what, remedy)
    rows, columns, *_ = array.shape
    values = array.reshape(rows, columns, channels).transpose(2, 1, 0)[..., None]
    return Voxels(values, Geometry((columns, rows, 1), world=False))


def _pixels(image: object, channels: int) -> npt.NDArray[Any]:
    """As an array, (rows, columns) or (rows, columns, channels); of a list, of its channels."""
    if isinstance(image, PIL.Image.Image):
        return _upright(image)
    if isinstance(image, (list, tuple)) and len(image) == channels:
        each = [_pixels(one, 1) for one in image if isinstance(one, (PIL.Image.Image, np.ndarray))]
        flat = [one[..., 0] if one.shape[2:] == (1,) else one for one in each]
        if len(flat) == channels and {one.ndim for one in flat} == {2}:
            if len({one.shape for one in flat}) > 1:
                what = f"pictures of shapes {', '.join(str(one.shape) for one in flat)}"
                raise ScanError(_NAME, what, "give channels of one size")
            return np.stack(flat, axis=-1)
    return _array(image)


def _upright(image: PIL.Image.Image) -> npt.NDArray[Any]:
    """A picture of Pillow as the same file would be read."""
    try:
        return pixels_in_memory(image)
    except ScanError:
        raise
    except (OSError, ValueError) as error:  # it reads the pixels only now
        failure = machine_error(error, _NAME)
        what = f"its pixels cannot be read ({said(error)})"
        raise failure or ScanError(_NAME, what, "check the file that it was made of") from error


def as_rows(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A picture's mask (..., columns, rows, 1) as (..., rows, columns)."""
    return np.swapaxes(mask[..., 0], -1, -2)


def to_sitk(mask: npt.NDArray[Any], geometry: Geometry) -> sitk.Image:
    """A label map (*size), or (channels, *size), as a SimpleITK image in its place."""
    voxels = np.ascontiguousarray(mask.T)
    image = sitk.GetImageFromArray(voxels, isVector=mask.ndim == 4)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.lps_origin)
    image.SetDirection([number for row in geometry.lps_direction for number in row])
    return image


def to_nibabel(mask: npt.NDArray[Any], geometry: Geometry) -> Nifti1Image:
    """A label map (*size), or (channels, *size), as a nibabel image in its place."""
    voxels = np.moveaxis(mask, 0, -1) if mask.ndim == 4 else mask
    return Nifti1Image(voxels, geometry.affine)
