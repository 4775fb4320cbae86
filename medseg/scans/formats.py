"""Which file formats are understood, told by suffix. No heavy imports: listing files is instant."""

import os
import re
from pathlib import Path

from medseg.errors import ScanError

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd")
WORLD_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
"""Volumes with a world frame: spacing, origin, direction."""

LOSSY_SUFFIXES = (".jpg", ".jpeg")
"""Compression changes the values: fine for photographs, never for labels."""
FLAT_SUFFIXES = (".png", ".tif", ".tiff", *LOSSY_SUFFIXES)
"""Images without a world frame."""

IMAGE_SUFFIXES = WORLD_SUFFIXES + FLAT_SUFFIXES
"""Everything that can be read, in lower case."""


def suffix_of(path: Path) -> str:
    """The suffix in lower case, `.nii.gz` counted as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def check_suffix(path: Path) -> str:
    """The suffix, if it can be read.

    Raises:
        ScanError: If it cannot.
    """
    suffix = suffix_of(path)
    if suffix not in IMAGE_SUFFIXES:
        raise ScanError(
            f"{path.name}: unsupported suffix '{suffix}', convert it to one of "
            + ", ".join(IMAGE_SUFFIXES)
        )
    return suffix


_DATA_FILE = re.compile(rb"^ElementDataFile\s*=\s*(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)


def files_of(path: Path) -> tuple[Path, ...]:
    """All files that a scan's path stands for: itself, and the data file that a header names.

    Raises:
        OSError: If it cannot be read.
    """
    if suffix_of(path) != ".mhd":
        return (path,)
    named = _DATA_FILE.search(path.read_bytes())
    data = path.parent / os.fsdecode(named[1]) if named else None
    return (path,) if data is None or not data.is_file() else (path, data)
