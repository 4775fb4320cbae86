"""Where a NIfTI says that it lies, in millimetres, and the same said again of its masks.

Programs differ in which of qform and sform they read and in what they make of a file that has
neither; masks repeat their scan's fields, so that each program puts both in the same place.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.quaternions import quat2mat

from medseg.errors import ScanError
from medseg.geometry import Geometry

_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_BITS = 7
_LONGEST = 1.01
"""Quaternions are off by a rounding; what is further off is none."""
_SCANNER = 1

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


class Position(NamedTuple):
    """A voxel-to-RAS matrix in mm, and whether the file states it."""

    affine: npt.NDArray[np.float64]
    placed: bool = True


def position(name: str, header: Nifti1Header) -> Position:
    """The sform, else the qform; of a file with neither what ITK makes of it.

    Raises:
        ScanError: If it states a position that cannot be.
    """
    scale = np.diag([mm_per_unit(header)] * 3 + [1.0])
    sform, qform = _sform(header), _qform(header)
    if int(header["sform_code"]) > 0 and _possible(sform):
        return Position(scale @ sform)
    if int(header["qform_code"]) > 0 and _possible(qform):
        return Position(scale @ qform)
    if int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0:
        stated = sform if int(header["sform_code"]) > 0 else qform
        what = f"its header does not say where it lies (affine {stated.round(4).tolist()})"
        raise ScanError(name, what, "export it again")
    spacing = _spacing(header)
    spacing = np.where(np.isfinite(spacing), spacing, 1.0)
    return Position(scale @ np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]), placed=False)


def state_position(
    header: Nifti1Header, geometry: Geometry, source: Nifti1Header | None = None
) -> None:
    """Write a grid into a header: as the source says it, if that says the same.

    qform and sform are both set, since programs differ in which they read. A sheared grid is exact
    in the sform; the qform cannot hold shear.
    """
    if source is not None and _same_place(source, geometry):
        _hand_down(source, header, geometry)
        return
    header.set_qform(geometry.affine, _SCANNER)
    header.set_sform(geometry.affine, _SCANNER)
    header.set_xyzt_units("mm" if geometry.world else "unknown")


def mm_per_unit(header: Nifti1Header) -> float:
    """Millimetres in the header's unit of length; files that name none mean millimetres."""
    return _MM_PER_UNIT.get(int(header["xyzt_units"]) & _UNIT_BITS, 1.0)


def _spacing(header: Nifti1Header) -> npt.NDArray[np.float64]:
    spacing = np.abs(np.array(header["pixdim"][1:4], dtype=np.float64))
    return np.where(spacing == 0, 1.0, spacing)


def _sform(header: Nifti1Header) -> npt.NDArray[np.float64]:
    rows = [np.array(header[name], dtype=np.float64) for name in _SFORM[1:]]
    return np.array([*rows, [0, 0, 0, 1]])


def _qform(header: Nifti1Header) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    bcd, length = _quaternion(header)
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    if not length <= _LONGEST:
        return np.full((4, 4), np.nan)
    real = np.sqrt(max(1.0 - float(bcd @ bcd), 0.0))
    qfac = -1.0 if float(header["pixdim"][0]) < 0 else 1.0
    affine[:3, :3] = quat2mat([real, *bcd]) * _spacing(header) * (1.0, 1.0, qfac)
    return affine


def _quaternion(header: Nifti1Header) -> tuple[npt.NDArray[np.float64], float]:
    """Its imaginary part, of length 1 at most, and the length it has in the file."""
    bcd = np.array([header[f"quatern_{axis}"] for axis in "bcd"], dtype=np.float64)
    length = float(np.sqrt(bcd @ bcd))
    return bcd / max(length, 1.0), length


def _possible(affine: npt.NDArray[np.float64]) -> bool:
    try:
        Geometry.from_affine((1, 1, 1), affine)
    except ValueError:
        return False
    return True


def _same_place(source: Nifti1Header, geometry: Geometry) -> bool:
    try:
        affine = position("", source).affine
    except ScanError:
        return False
    return np.allclose(affine, geometry.affine, rtol=1e-6, atol=1e-6)


def _hand_down(source: Nifti1Header, header: Nifti1Header, geometry: Geometry) -> None:
    header["pixdim"][:4] = source["pixdim"][:4]
    header["xyzt_units"] = int(source["xyzt_units"]) & _UNIT_BITS
    for name in _QFORM + _SFORM:
        header[name] = source[name]
    bcd, length = _quaternion(source)
    if 1.0 < length <= _LONGEST:  # some programs refuse what is over 1 by a rounding
        for axis, value in zip("bcd", bcd * (1 - 1e-7), strict=True):
            header[f"quatern_{axis}"] = value
    own: npt.NDArray[Any] = np.diag([1 / mm_per_unit(source)] * 3 + [1.0]) @ geometry.affine
    sform = int(source["sform_code"]) if _possible(_sform(source)) else 0
    qform = int(source["qform_code"]) if _possible(_qform(source)) else 0
    if sform > 0 and qform <= 0:
        header.set_qform(own, sform)
    if qform > 0 and sform <= 0:
        header.set_sform(own, qform)
