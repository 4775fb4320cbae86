"""DICOM as one of the formats that scans come in: what each of them offers."""

from pathlib import Path

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.decode import Voxels
from medseg.scans.dicom.read import read_series
from medseg.scans.dicom.segmentation import read_segments, segment_names
from medseg.scans.dicom.series import series_of


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of the series that a path stands for.

    Raises:
        ScanError: If it is no DICOM file.
        OSError: If its folder cannot be listed.
    """
    return series_of(path).files


def grid_of(path: Path) -> Geometry:
    """The grid of a series, without reading a voxel.

    Raises:
        ScanError: If it cannot be read.
    """
    series = series_of(path)
    series.check()
    if series.geometry is None:
        raise ScanError(path.name, "a segmentation, not an image", "use it as a label")
    return series.geometry


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels of a series; of a segmentation, its segments numbered as the file lists them.

    Raises:
        ScanError: If it cannot be read.
    """
    series = series_of(path)
    if series.is_labels and series.problem is None:
        return read_segments(path, segment_names(path))
    return read_series(path, colours=colours)
