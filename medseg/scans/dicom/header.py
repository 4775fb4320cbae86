"""Reads the header of one DICOM file: bounded, quiet, and without keeping who the patient is."""

import math
import zlib
from collections.abc import Generator, Iterable, MutableSequence
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import MedsegError, ScanError
from medseg.files import machine_error
from medseg.scans.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = (".dcm", ".dicom", ".ima")
"""What DICOM files end with, if they end with anything that means something."""
_MAX_ELEMENT = 2**25
"""Bytes of one header element that are read; that of 10,000 frames has 10 MB."""
_MAX_INFLATED = 2**29
"""Bytes that a deflated file may hold."""
_PREAMBLE = 128
_SHORT_VRS = (
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split()
)

TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "SpecificCharacterSet"),
    *("SeriesNumber", "SeriesDescription", "InstanceNumber", "ImageType", "NumberOfFrames"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "ImagerPixelSpacing"),
    *("NominalScannedPixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "EchoNumbers", "EchoTime", "InversionTime", "TriggerTime"),
    *("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionTime", "ConvolutionKernel"),
    *("DiffusionBValue", "KVP", "ConcatenationUID", "DirectoryRecordSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("SegmentSequence", "SegmentationType", "MaximumFractionalValue", "PixelPaddingValue"),
)
PALETTE = tuple(
    name
    for colour in ("Red", "Green", "Blue")
    for name in (
        f"{colour}PaletteColorLookupTableDescriptor",
        f"{colour}PaletteColorLookupTableData",
        f"Segmented{colour}PaletteColorLookupTableData",
    )
)
IDENTITY = (
    *("PatientName", "PatientID", "OtherPatientNames", "OtherPatientIDs", "PatientBirthName"),
    *("PatientMotherBirthName", "PatientBirthDate", "AccessionNumber", "StudyID", "StudyDate"),
    *("InstitutionName", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName"),
)
"""Read for one purpose: to take them out of descriptions."""


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file's first 132 bytes are those of a DICOM file, with or without a preamble."""
    if start[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return True
    for order in ("little", "big"):
        group = int.from_bytes(start[0:2], order)
        element = int.from_bytes(start[2:4], order)
        if group not in (2, 8) or element > 0x0100 or len(start) < 16:
            continue
        # Implicitly typed elements are little endian; the first ones are short.
        length = int.from_bytes(start[4:8], "little")
        if start[4:6] in _SHORT_VRS or (order == "little" and length <= 64 and length % 2 == 0):
            return True
    return False


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, told by its first bytes.

    Raises:
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        return looks_like_dicom(file.read(_PREAMBLE + 4))


class CappedFile(BufferedReader):
    """A file that never sets memory aside for more than it holds, whatever its header announces."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        super().__init__(FileIO(path))
        self._bytes = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's."""
        left = max(0, self._bytes - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


@contextmanager
def reading(path: Path) -> Generator[None, None, None]:
    """Whatever goes wrong inside becomes a ScanError, or a failure of the machine.

    What pydicom says is not passed on: it may quote the patient's name.
    """
    try:
        with quiet():
            yield
    except MedsegError:
        raise
    # pydicom and the decoders below it raise a dozen unrelated types for damaged files.
    except Exception as error:
        failed = machine_error(error, path.name)
        if failed is not None:
            raise failed from error
        if isinstance(error, OSError) and error.filename is not None:
            what = f"cannot be read ({error.strerror})"
            raise ScanError(path.name, what, "check its permissions") from error
        what = "damaged, cut short or not really a DICOM file"
        raise ScanError(path.name, what, "copy or export it again") from error


def read_header(path: Path, tags: Iterable[str] = TAGS + PALETTE + IDENTITY) -> "Dataset":
    """The elements of a file that are asked for, without its pixels.

    To be called within `reading`.
    """
    import pydicom

    with CappedFile(path) as file:
        check_inflated(path, file)
        return pydicom.dcmread(
            file,
            defer_size=_MAX_ELEMENT,
            stop_before_pixels=True,
            force=True,
            specific_tags=list(tags),
        )


def check_inflated(path: Path, file: CappedFile) -> None:
    """Refuse a deflated file that holds more than memory should; others are free to go.

    Raises:
        ScanError: If it does.
    """
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    start = file.read(1024)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() not in start:
        return
    meta = _PREAMBLE + 4 + 12  # the first element of the meta group states the group's length
    file.seek(meta + int.from_bytes(start[meta - 4 : meta], "little"))
    inflater, held = zlib.decompressobj(-zlib.MAX_WBITS), 0
    pending = file.read(1 << 16)
    while pending and held <= _MAX_INFLATED:
        held += len(inflater.decompress(pending, 1 << 20))
        pending = inflater.unconsumed_tail or file.read(1 << 16)
    file.seek(0)
    if held > _MAX_INFLATED:
        what = f"holds over {_MAX_INFLATED >> 20} MiB when unpacked"
        raise ScanError(path.name, what, "export it again without deflation")


def value_of(dataset: "Dataset | None", keyword: str) -> Any:  # noqa: ANN401 - whatever it holds
    """An element's value; None where it is missing, empty or cannot be understood."""
    if dataset is None:
        return None
    try:
        value = dataset.get(keyword)
    except Exception:  # a value is converted when it is asked for: any type of error
        return None
    return None if value is None or value == "" else value


def text_of(dataset: "Dataset | None", keyword: str) -> str:
    """An element as text, several values joined; empty where there is none."""
    value = value_of(dataset, keyword)
    if value is None:
        return ""
    # A person's name is no text, and gives its letters one by one.
    return "/".join(map(str, value)) if isinstance(value, MutableSequence) else str(value)


def numbers_of(dataset: "Dataset | None", keyword: str, count: int) -> tuple[float, ...] | None:
    """An element's `count` finite numbers; None where it has not exactly these."""
    value = value_of(dataset, keyword)
    try:
        several = [value] if isinstance(value, str | int | float) else list(value)
        numbers = tuple(float(one) for one in several)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def number_of(dataset: "Dataset | None", keyword: str) -> float | None:
    """An element's number, if it is one."""
    numbers = numbers_of(dataset, keyword, 1)
    return numbers[0] if numbers else None


def whole_of(dataset: "Dataset | None", keyword: str, otherwise: int = 0) -> int:
    """An element's whole number, or `otherwise`."""
    number = number_of(dataset, keyword)
    return otherwise if number is None else int(number)


def first_item(dataset: "Dataset | None", keyword: str) -> "Dataset | None":
    """The first item of a sequence, if it has one."""
    from pydicom import Dataset

    items = value_of(dataset, keyword)
    try:
        item = items[0] if items else None
    except Exception:
        return None
    return item if isinstance(item, Dataset) else None
