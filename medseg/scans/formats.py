"""Which file formats are understood: one entry each, one module each.

A new format is a module with the functions of `Module`, and a line in `FORMATS`. Nothing heavy is
imported before a file is read: listing files is instant.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medseg.errors import ScanError
from medseg.files import machine_error
from medseg.scans.format_modules import Module, NotesModule, SegmentsModule, SeriesModule

ALL_INTEGERS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64")
_SIGNED = ("uint8", "int16", "int32")
_BYTE = ("uint8",)


@dataclass(frozen=True)
class Format:
    """One entry.

    Attributes:
        name: What people call it.
        suffixes: In lower case; files that end so are listed.
        module: Imports its module when first asked.
        world: Whether it states spacing, origin and direction.
        lossy: Whether its compression changes values: fine for photographs, never for labels.
        masks: The suffix in which a mask of such a scan is written; empty for the scan's own.
        integers: Types that label values can have, smallest first.
        fractions: Whether it holds float32.
        named: Suffixes that are read when a user names such a file, but not listed.
        listed: Whether a file that ends so is one indeed; looks beside it at most.
        sniff: For files whose name tells nothing: whether the first 132 bytes are of this format.
        segments: Imports the module that knows such labels' names, where the format has any.
        series: Imports the module that knows which files are one scan, where it may be several.
        notes: Imports the module that knows what to say of a reading, where there may be anything.
    """

    name: str
    suffixes: tuple[str, ...]
    module: Callable[[], Module]
    world: bool = True
    lossy: bool = False
    masks: str = ""
    integers: tuple[str, ...] = ALL_INTEGERS
    fractions: bool = True
    named: tuple[str, ...] = ()
    listed: Callable[[Path], bool] = lambda _path: True
    sniff: Callable[[bytes], bool] | None = None
    segments: Callable[[], SegmentsModule] | None = None
    series: Callable[[], SeriesModule] | None = None
    notes: Callable[[], NotesModule] | None = None


def _nifti() -> Module:
    from medseg.scans import nifti

    return nifti


def _nifti_notes() -> NotesModule:
    from medseg.scans import nifti

    return nifti


def _pair() -> Module:
    from medseg.scans import nifti_pair

    return nifti_pair


def _meta() -> Module:
    from medseg.scans import metaimage

    return metaimage


def _nrrd() -> Module:
    from medseg.scans import nrrd

    return nrrd


def _nrrd_segments() -> SegmentsModule:
    from medseg.scans import nrrd_segments

    return nrrd_segments


def _mgh() -> Module:
    from medseg.scans import mgh

    return mgh


def _flat() -> Module:
    from medseg.scans import flat

    return flat


def _flat_notes() -> NotesModule:
    from medseg.scans import flat

    return flat


def _dicom() -> Module:
    from medseg.scans.dicom import file_format

    return file_format


def _dicom_segments() -> SegmentsModule:
    from medseg.scans.dicom import segmentation

    return segmentation


def _dicom_series() -> SeriesModule:
    from medseg.scans.dicom import folder

    return folder


def _dicom_notes() -> NotesModule:
    from medseg.scans.dicom import folder

    return folder


def _stands_for_series(path: Path) -> bool:
    from medseg.scans.dicom.folder import is_first

    return is_first(path)


def _looks_like_dicom(start: bytes) -> bool:
    from medseg.scans.dicom.header import looks_like_dicom

    return looks_like_dicom(start)


def header_beside(path: Path) -> Path | None:
    """The other half of a pair of .hdr and .img, in whatever case. `.img` alone may be anything."""
    half = "img" if path.suffix.lower() == ".hdr" else "hdr"
    spelled = (f".{half}", f".{half.upper()}", f".{half.title()}")
    halves = (path.with_suffix(suffix) for suffix in spelled)
    return next((other for other in halves if other.is_file()), None)


FORMATS = (
    Format("NIfTI", (".nii", ".nii.gz"), _nifti, notes=_nifti_notes),
    Format(
        "NIfTI or Analyze pair",
        (".img",),
        _pair,
        named=(".hdr",),
        listed=lambda path: header_beside(path) is not None,
        integers=_SIGNED,
    ),
    Format("MetaImage", (".mha", ".mhd"), _meta),
    Format("NRRD", (".nrrd", ".nhdr"), _nrrd, segments=_nrrd_segments),
    Format("FreeSurfer", (".mgz", ".mgh"), _mgh, integers=_SIGNED),
    Format(
        "DICOM",
        (".dcm", ".dicom", ".ima"),
        _dicom,
        masks=".nii.gz",
        listed=_stands_for_series,
        sniff=_looks_like_dicom,
        segments=_dicom_segments,
        series=_dicom_series,
        notes=_dicom_notes,
    ),
    Format("PNG", (".png",), _flat, world=False, integers=("uint8", "uint16"), fractions=False),
    Format("TIFF", (".tif", ".tiff"), _flat, world=False, notes=_flat_notes),
    Format("BMP", (".bmp",), _flat, world=False, integers=_BYTE, fractions=False),
    Format("GIF", (".gif",), _flat, world=False, masks=".png", integers=_BYTE, fractions=False),
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        _flat,
        world=False,
        lossy=True,
        masks=".png",
        integers=_BYTE,
        fractions=False,
    ),
)

_BY_SUFFIX = {suffix: entry for entry in FORMATS for suffix in (*entry.suffixes, *entry.named)}

IMAGE_SUFFIXES = tuple(suffix for entry in FORMATS for suffix in entry.suffixes)
"""Everything that is listed, in lower case."""
WORLD_SUFFIXES = tuple(
    s for entry in FORMATS if entry.world and not entry.masks for s in entry.suffixes
)
"""Volumes with a world frame - spacing, origin, direction - that are read and written."""
FLAT_SUFFIXES = tuple(s for entry in FORMATS if not entry.world for s in entry.suffixes)
"""Images without a world frame."""
LOSSY_SUFFIXES = tuple(s for entry in FORMATS if entry.lossy for s in entry.suffixes)
"""Compression changes the values: fine for photographs, never for labels."""


def suffix_of(path: Path) -> str:
    """The suffix in lower case, `.nii.gz` counted as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def format_of(path: Path) -> Format | None:
    """The entry of a file, by its suffix; where that is unknown, by its first bytes.

    Raises:
        OSError: If it has to be opened and cannot.
    """
    entry = _BY_SUFFIX.get(suffix_of(path))
    sniffers = [entry for entry in FORMATS if entry.sniff is not None]
    if entry is not None or not sniffers or not path.is_file():
        return entry
    with path.open("rb") as file:
        start = file.read(132)
    return next((entry for entry in sniffers if entry.sniff and entry.sniff(start)), None)


def is_scan(path: Path) -> bool:
    """Whether a file found in a folder is one that can be read, going by name and first bytes.

    Raises:
        MachineError: If the machine fails: a scan that it did not open is not passed over.
    """
    try:
        entry = format_of(path)
        return entry is not None and suffix_of(path) not in entry.named and entry.listed(path)
    except ScanError:
        return False
    except OSError as error:
        failed = machine_error(error, path.name)
        if failed is not None:
            raise failed from error
        return False


def check_format(path: Path) -> Format:
    """The entry of a file.

    Raises:
        ScanError: If there is none.
        OSError: If it has to be opened and cannot.
    """
    entry = format_of(path)
    if entry is None:
        raise ScanError(
            path.name,
            f"unsupported suffix '{suffix_of(path)}'",
            f"convert it to one of {', '.join(IMAGE_SUFFIXES)}",
        )
    return entry


def check_suffix(path: Path) -> str:
    """The suffix, if it can be read.

    Raises:
        ScanError: If it cannot.
    """
    check_format(path)
    return suffix_of(path)


def mask_suffix(path: Path) -> str:
    """The suffix in which a mask of this scan is written, spelled as the scan's own if that is it.

    JPEG would alter a mask and GIF holds no 16 bits: they are answered with PNG.
    """
    entry = format_of(path)
    spelled = path.name[len(path.name) - len(suffix_of(path)) :]
    return entry.masks if entry is not None and entry.masks else spelled


def first_file(path: Path) -> Path:
    """The path that stands for the scan a file belongs to: itself, or a DICOM series' first slice.

    Reading says what is wrong with a file that only ends like DICOM.
    """
    with suppress(ScanError, OSError):
        entry = format_of(path)
        if entry is not None and entry.series is not None:
            return entry.series().first_file(path)
    return path


def named_path(path: Path) -> Path:
    """The path that a scan's name is taken from, without suffix: `case1/scan` of `case1/scan.nii`.

    A DICOM series goes by its folder: `case1` of `case1/0001.dcm`, `case1/series4` where it is one
    of several.
    """
    with suppress(ScanError, OSError):
        entry = format_of(path)
        if entry is not None and entry.series is not None:
            return entry.series().named_path(path)
    return path.with_name(path.name[: len(path.name) - len(suffix_of(path))])


def reading_notes(path: Path) -> tuple[tuple[str, str], ...]:
    """What a user should know of how a scan is read: in the same words for all, and this detail.

    Nothing for a file that cannot be read: reading says so.
    """
    with suppress(ScanError, OSError):
        entry = format_of(path)
        if entry is not None and entry.notes is not None:
            return entry.notes().notes_of(path)
    return ()


def shown_name(path: Path) -> str:
    """What a scan is called in messages: its file's name, or what its series is called."""
    called = named_path(path)
    return path.name if called.parent == path.parent and called.name in path.name else called.name


def files_of(path: Path) -> tuple[Path, ...]:
    """All files that a scan's path stands for: itself, and those that hold its voxels.

    Raises:
        ScanError: If it names files that it may not.
        OSError: If it cannot be read.
    """
    entry = format_of(path)
    return (path,) if entry is None else entry.module().files_of(path)
