"""Label maps and images -> files that any other program finds in the same place.

torchio's writer is not used: it casts PNG to 8 bits and loses sheared affines.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.errors import MedsegError
from medseg.geometry import Geometry
from medseg.scans.formats import (
    FLAT_SUFFIXES,
    IMAGE_SUFFIXES,
    LOSSY_SUFFIXES,
    NIFTI_SUFFIXES,
    suffix_of,
)
from medseg.scans.nifti import nifti_header, write_nifti
from medseg.scans.quiet import quiet

_LABEL_TYPES = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
_PNG_TYPES = (np.uint8, np.uint16)


def write_label_map(
    label: npt.NDArray[Any], geometry: Geometry, target: Path, like: Path | None = None
) -> Path:
    """Write a label map in the format of `target`'s suffix and the smallest type for its values.

    Args:
        label: (*size), any integer type.
        geometry: Its grid.
        target: File to write or replace; missing folders are made.
        like: The scan it belongs to: a NIfTI hands down how it states its position, a plane with a
            world frame is answered with a plane.

    Returns:
        The path written: `target`, or the `.png` beside it if `target` is a JPEG, which would alter
        the values.

    Raises:
        MedsegError: If the format cannot hold it or the folder cannot be written.
    """
    if suffix_of(target) in LOSSY_SUFFIXES:
        target = target.with_suffix(".png")
    types = _PNG_TYPES if suffix_of(target) == ".png" else _LABEL_TYPES
    low, high = int(label.min()), int(label.max())
    for dtype in types:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return _write(label.astype(dtype)[None], geometry, target, like)
    raise MedsegError(
        f"{target.name}: label values from {low} to {high} do not fit this format; "
        "write .nii.gz instead"
    )


def write_image(
    image: npt.NDArray[np.float32], geometry: Geometry, target: Path, like: Path | None = None
) -> Path:
    """Write intensities or probabilities; channels are a fourth axis in NIfTI, vectors elsewhere.

    PNG and JPEG hold whole numbers only: PNG 0 to 65535, JPEG 0 to 255.

    Args:
        image: (channels, *size).
        geometry: Its grid.
        target: File to write or replace; missing folders are made.
        like: The scan it belongs to, as for `write_label_map`.

    Raises:
        MedsegError: If the format cannot hold it or the folder cannot be written.
    """
    suffix = suffix_of(target)
    if suffix == ".png" or suffix in LOSSY_SUFFIXES:
        limit = 65535 if suffix == ".png" else 255
        if image.min() < 0 or image.max() > limit or (image != np.rint(image)).any():
            raise MedsegError(
                f"{target.name}: holds only whole numbers from 0 to {limit}; "
                "write .tif or .nii.gz instead"
            )
        whole = image.astype(np.uint16 if image.max() > 255 else np.uint8)
        return _write(whole, geometry, target, like)
    return _write(image, geometry, target, like)


def _write(values: npt.NDArray[Any], geometry: Geometry, target: Path, like: Path | None) -> Path:
    """Write (channels, *size) in the format of `target`'s suffix."""
    assert values.shape[1:] == geometry.size, f"{values.shape} is not of size {geometry.size}"
    suffix = suffix_of(target)
    if suffix not in IMAGE_SUFFIXES:
        raise MedsegError(
            f"{target.name}: unsupported suffix '{suffix}', use one of {', '.join(IMAGE_SUFFIXES)}"
        )
    if suffix in FLAT_SUFFIXES:
        _check_picture(values, suffix, target)
    squeeze = values.shape[3] == 1 and (suffix in FLAT_SUFFIXES or _has_two_axes(like))
    if suffix in NIFTI_SUFFIXES:
        array = np.moveaxis(values, 0, -1) if len(values) > 1 else values[0]
        array = array[:, :, 0] if squeeze else array
        return _atomically(
            target, lambda path: write_nifti(array, geometry, path, nifti_header(like))
        )
    return _atomically(target, lambda path: _write_itk(values, geometry, path, squeeze))


def _has_two_axes(like: Path | None) -> bool:
    """Whether a file with a world frame holds a plane instead of a volume of one slice."""
    if like is None or suffix_of(like) in FLAT_SUFFIXES:
        return False
    with quiet():
        header = nifti_header(like)
        if header is not None:
            return len(header.get_data_shape()) == 2
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(like))
        reader.ReadImageInformation()
    return reader.GetDimension() == 2


def _check_picture(values: npt.NDArray[Any], suffix: str, target: Path) -> None:
    channels, _, _, slices = values.shape
    one_slice = slices == 1 or suffix in (".tif", ".tiff")
    if not one_slice or channels not in (1, 3):
        raise MedsegError(
            f"{target.name}: {channels} channels of {slices} slices do not fit a picture; "
            "write .nii.gz instead"
        )


def _write_itk(values: npt.NDArray[Any], geometry: Geometry, path: Path, squeeze: bool) -> None:
    array = values.transpose(3, 2, 1, 0)  # ITK's arrays have the first axis last, then the channels
    several = array.shape[-1] > 1
    array = array if several else array[..., 0]
    axes = 2 if squeeze else 3
    image = sitk.GetImageFromArray(array[0] if squeeze else array, isVector=several)
    if geometry.world:
        image.SetSpacing(geometry.spacing_mm[:axes])
        image.SetOrigin(geometry.lps_origin[:axes])
        image.SetDirection(np.array(geometry.lps_direction)[:axes, :axes].ravel().tolist())
    sitk.WriteImage(image, str(path), True)


def _atomically(target: Path, write: Callable[[Path], None]) -> Path:
    """Nobody ever sees half a file under the target's name: write beside it, then move.

    Under its final name, since a header names its data file; data first, so that no header lacks
    its data.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=".medseg-") as folder:
            with quiet():
                write(Path(folder) / target.name)
            for path in sorted(Path(folder).iterdir(), key=lambda path: path.name == target.name):
                path.replace(target.parent / path.name)
    # ITK has one type for a full disk and for a value it cannot store.
    except (OSError, RuntimeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "writing failed"
        )
        raise MedsegError(
            f"{target}: cannot be written ({reason}); check the folder's permissions and free space"
        ) from error
    return target
