"""Images in memory, of the libraries that people use, as subjects; and masks as such images."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torchio
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import SpatialImage

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.case import Subject
from medseg.scans.sanitise import finite_image
from medseg.scans.voxels import Voxels, lps_grid, placed_grid

SitkImage: TypeAlias = sitk.Image
NibabelImage: TypeAlias = Nifti1Image
_NAME = "image"
"""What it is called in messages: it has no file."""


def subject_of(
    image: object, channels: int, spacing_mm: Sequence[float] | None = None, *, world: bool = True
) -> Subject:
    """What a model reads, of an image in memory.

    Args:
        image: A SimpleITK or nibabel image; a torchio image, or a subject, whose intensity images
            are the channels; an array, (*size) or (channels, *size) with the axes to the right, to
            the front and up, or for pictures (rows, columns) or (rows, columns, channels).
        channels: What the model was trained on.
        spacing_mm: Of an array's axes, in mm; goes with arrays of volumes alone.
        world: Whether the model was trained on scans with a world frame, or on pictures.

    Raises:
        ScanError: If it is none of these, or its spacing is needed and missing.
    """
    states_its_spacing = (sitk.Image, SpatialImage, torchio.Image, torchio.Subject)
    if isinstance(image, states_its_spacing) and spacing_mm is not None:
        raise ScanError(_NAME, "states its spacing itself", "leave out spacing_mm")
    if isinstance(image, sitk.Image):
        voxels = _of_sitk(image)
    elif isinstance(image, SpatialImage):
        voxels = _of_nibabel(image)
    elif isinstance(image, (torchio.Image, torchio.Subject)):
        voxels = _of_torchio(image)
    elif world:
        voxels = _of_volume(_array(image), channels, spacing_mm)
    else:
        voxels = _of_picture(_array(image), spacing_mm)
    values, notes = finite_image(_NAME, voxels.values)
    return Subject(_NAME, values, None, voxels.geometry, tuple(notes))


def _of_sitk(image: sitk.Image) -> Voxels:
    values = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    values = np.moveaxis(values, -1, 0).transpose(0, *range(image.GetDimension(), 0, -1))
    number = image.GetDimension()
    if number not in (2, 3):
        raise ScanError(_NAME, f"has {number} axes", "give one scan of 2 or 3 axes")
    axes = np.array(image.GetDirection()).reshape(number, number) * image.GetSpacing()
    grid = lps_grid(_NAME, image.GetSize(), axes.T, image.GetOrigin())
    return Voxels(values.reshape(len(values), *grid.size), grid)


def _of_nibabel(image: SpatialImage) -> Voxels:
    values = np.asanyarray(image.dataobj)
    if not 2 <= values.ndim <= 4 or image.affine is None:
        raise ScanError(_NAME, f"has {values.ndim} axes", "give one scan of 2 or 3 axes")
    values = values.reshape(*values.shape, *[1] * (4 - values.ndim))
    grid = placed_grid(_NAME, values.shape[:3], np.asarray(image.affine, dtype=np.float64))
    return Voxels(np.moveaxis(values, -1, 0), grid)


def _of_torchio(image: torchio.Image | torchio.Subject) -> Voxels:
    images = [image]
    if isinstance(image, torchio.Subject):
        images = image.get_images(intensity_only=True)
    tensors = [each.data for each in images]
    if not tensors or any(tensor.shape[1:] != tensors[0].shape[1:] for tensor in tensors):
        raise ScanError(_NAME, "has no images, or images of different sizes", "resample them first")
    values = np.concatenate([tensor.numpy() for tensor in tensors])
    grid = placed_grid(_NAME, values.shape[1:], np.asarray(images[0].affine, dtype=np.float64))
    return Voxels(values, grid)


def _array(image: object) -> npt.NDArray[Any]:
    array = np.asarray(image)
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise ScanError(
            _NAME,
            f"a {type(image).__name__} is no image",
            "give a path, an array of numbers, or an image of SimpleITK, nibabel or torchio",
        )
    return array


def _of_volume(
    array: npt.NDArray[Any], channels: int, spacing_mm: Sequence[float] | None
) -> Voxels:
    if spacing_mm is None:
        raise ScanError(_NAME, "an array does not tell its voxels' size", "give spacing_mm")
    if array.ndim == 3 and channels == 1:
        array = array[None]
    if array.ndim != 4 or len(array) != channels or len(spacing_mm) != 3:
        raise ScanError(
            _NAME,
            f"an array of shape {array.shape} with {len(spacing_mm)} spacings",
            f"give ({'' if channels == 1 else f'{channels}, '}right, front, up) and 3 spacings",
        )
    affine = np.diag([*(float(length) for length in spacing_mm), 1.0])
    return Voxels(array, placed_grid(_NAME, array.shape[1:], affine))


def _of_picture(array: npt.NDArray[Any], spacing_mm: Sequence[float] | None) -> Voxels:
    if spacing_mm is not None:
        raise ScanError(_NAME, "the model knows pictures, without spacing", "leave out spacing_mm")
    if array.ndim not in (2, 3):
        what = f"an array of shape {array.shape}"
        raise ScanError(_NAME, what, "give (rows, columns) or (rows, columns, channels)")
    rows, columns, *_ = array.shape
    values = array.reshape(rows, columns, -1).transpose(2, 1, 0)[..., None]
    return Voxels(values, Geometry((columns, rows, 1), world=False))


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
