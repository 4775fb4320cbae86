"""Writing NIfTI so that every program finds it where it finds the scan it belongs to."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header, Nifti1Image, Nifti1Pair
from nibabel.nifti2 import Nifti2Header, Nifti2Image

from medseg.geometry import Geometry
from medseg.scans.formats import NIFTI_SUFFIXES, suffix_of

_QFORM = (
    "qform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
)
_SFORM = ("sform_code", "srow_x", "srow_y", "srow_z")
_SCANNER = 1
_MAX_NIFTI1 = 32767


def nifti_header(path: Path | None) -> Nifti1Header | None:
    """The header of a NIfTI file; None for another format."""
    if path is None or suffix_of(path) not in NIFTI_SUFFIXES:
        return None
    image = nib.load(path)
    return image.header if isinstance(image, Nifti1Pair) else None


def write_nifti(
    array: npt.NDArray[Any], geometry: Geometry, path: Path, source: Nifti1Header | None
) -> None:
    """Write (i, j), (i, j, k) or (i, j, k, channels), in the array's type.

    qform and sform are both set, since programs differ in which they read. A source on the same
    grid hands down its own: where they disagree, or have no code, programs differ about where the
    scan is, and the label map has to move along with it.

    Args:
        array: Voxels.
        geometry: Their grid; a sheared one is exact in the sform, the qform cannot hold shear.
        path: File to write.
        source: Header of the scan this belongs to.
    """
    wide = isinstance(source, Nifti2Header) or max(array.shape) > _MAX_NIFTI1
    header = Nifti2Header() if wide else Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    if source is not None and _places(source, geometry):
        _hand_down(source, header, geometry)
    else:
        header.set_qform(geometry.affine, _SCANNER)
        header.set_sform(geometry.affine, _SCANNER)
        header.set_xyzt_units("mm" if geometry.world else "unknown")
    nib.save((Nifti2Image if wide else Nifti1Image)(array, None, header), path)


def _places(source: Nifti1Header, geometry: Geometry) -> bool:
    return np.allclose(np.asarray(source.get_best_affine()), geometry.affine, rtol=1e-6, atol=1e-6)


def _hand_down(source: Nifti1Header, header: Nifti1Header, geometry: Geometry) -> None:
    header["pixdim"][:4] = source["pixdim"][:4]
    header.set_xyzt_units(source.get_xyzt_units()[0])
    for name in _QFORM + _SFORM:
        header[name] = source[name]
    qform, sform = int(source["qform_code"]), int(source["sform_code"])
    if sform and not qform:
        header.set_qform(geometry.affine, sform)
    if qform and not sform:
        header.set_sform(geometry.affine, qform)
