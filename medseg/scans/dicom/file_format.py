"""DICOM as one of the formats that scans come in: what each of them offers."""

from pathlib import Path

from medseg.errors import ScanError
from medseg.geometry import Array, Geometry
from medseg.scans.dicom.folder import files_of, series_of
from medseg.scans.dicom.read import channels_of, read_series
from medseg.scans.dicom.segmentation import read_segmentation, segmentation_grid, segments
from medseg.scans.voxels import Header, Voxels

__all__ = ["files_of", "header", "read", "segments", "write"]


def header(path: Path) -> Header:
    """Grid and channels, without reading a voxel."""
    series = series_of(path)
    series.check()
    if series.geometry is None:
        layers = {segment.layer for segment in segments(path)}
        return Header(segmentation_grid(path), len(layers))
    return Header(series.geometry, channels_of(series), not series.geometry.world)


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels of a series; of a segmentation, as `segments` states them."""
    series = series_of(path)
    series.check()
    if series.is_labels:
        return read_segmentation(path)
    return read_series(path, colours=colours)


def write(
    _values: Array, _geometry: Geometry, path: Path, _like: Path | None, /, *, plane: bool
) -> None:
    """DICOM is read, not written: masks of its scans are NIfTI."""
    del plane
    raise ScanError(path.name, "DICOM is not written", "name a file that ends with .nii.gz")
