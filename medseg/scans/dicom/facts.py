"""What the header of one DICOM file says: its frames, where they lie, what their values mean."""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from medseg.errors import ScanError
from medseg.scans.dicom.header import (
    IDENTITY,
    PALETTE,
    first_item,
    number_of,
    numbers_of,
    read_header,
    reading,
    text_of,
    value_of,
    whole_of,
)
from medseg.scans.dicom.kinds import Kind, is_picture, kind_of

if TYPE_CHECKING:
    from pydicom import Dataset

_MAX_FRAMES = 2**17
_FARTHEST_MM = 1e5
"""Beyond 100 m nobody lies in a scanner; nor has a pixel that size, or its inverse."""
_MARKS = (
    ("stack", "FrameContentSequence", "StackID", ""),
    ("time", "FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("echo", "", "", "EchoNumbers"),
    ("echo time", "MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("type", "MRImageFrameTypeSequence", "FrameType", "ImageType"),
    ("type", "CTImageFrameTypeSequence", "FrameType", ""),
    ("b-value", "MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
    ("inversion time", "", "", "InversionTime"),
    ("kernel", "", "", "ConvolutionKernel"),
    ("kVp", "", "", "KVP"),
    ("cardiac delay", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", ""),
    ("cardiac delay", "", "", "TriggerTime"),
    ("acquisition", "FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
    ("acquisition time", "", "", "AcquisitionTime"),
)
"""What tells apart volumes of one series: its name, where a frame says it (a group and an element
in it), where a file does."""

_UNPRINTABLE = re.compile(r"[^\w .,:;+*/()\[\]=<>%&#'-]+")
_DATES = re.compile(r"\b(?:\d{6,}|\d{1,4}[-./]\d{1,2}[-./]\d{1,4})\b")


class Frame(NamedTuple):
    """One slice: a file, or a frame of one.

    Attributes:
        path: Its file.
        number: Its place in that file, from 0.
        position: Centre of its first pixel in LPS mm; None where it does not say.
        orientation: Directions of increasing column, and of increasing row, in LPS.
        spacing_mm: Between rows, and between columns.
        thickness_mm: To the next slice as the header has it; 0 where it does not say.
        slope: Stored value x slope + intercept is what the scanner measured.
        intercept: See `slope`.
        order: Instance number.
        marks: What may tell the volumes of a series apart, as `facts.MARK_NAMES`.
        scaled: Whether it states slope or intercept itself.
    """

    path: Path
    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    thickness_mm: float
    slope: float
    intercept: float
    order: int
    marks: tuple[str, ...]
    scaled: bool


class Facts(NamedTuple):
    """What one file's header says.

    Attributes:
        path: The file.
        kind: Image, labels, or other.
        series: Its series' identifier; never shown.
        instance: Its own identifier; never shown.
        number: Its series' number, if it has one.
        description: Of its series, without names, identifiers and dates.
        modality: Such as CT.
        rows: Height in pixels.
        columns: Width in pixels.
        samples: Values per pixel: 1, or 3 for colours.
        photometric: What they mean.
        bits: Of a stored value.
        signed: Whether stored values may be negative.
        table: Whether a table says what the values mean.
        gray_palette: Whether its palette, if it has one, holds nothing but grays.
        picture: Whether it is a flat picture, which nothing lies behind.
        frames: Its slices.
        problem: What is wrong with it and what to do; nothing where it can be read.
        patient: Who it is of: the same for the same, and nothing that tells who.
    """

    path: Path
    kind: Kind
    series: str = ""
    instance: str = ""
    number: int | None = None
    description: str = ""
    modality: str = ""
    rows: int = 0
    columns: int = 0
    samples: int = 1
    photometric: str = ""
    bits: int = 16
    signed: bool = False
    table: bool = False
    gray_palette: bool = False
    picture: bool = False
    frames: tuple[Frame, ...] = ()
    problem: tuple[str, str] | None = None
    patient: str = ""


MARK_NAMES = tuple(name for name, *_ in _MARKS)


def facts_of(path: Path) -> Facts:
    """What a file's header says; remembered for as long as the file stays as it is.

    A file that is no sound DICOM image has a `problem`.

    Raises:
        MachineError: If the machine fails.
        OSError: If the file is not there.
    """
    status = path.stat()
    return _facts(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16384)
def _facts(path: Path, _size: int, _changed: int) -> Facts:
    try:
        with reading(path):
            return _understood(path, read_header(path))
    except ScanError as error:
        return Facts(path, Kind("other"), problem=(error.what, error.remedy))


def _understood(path: Path, header: "Dataset") -> Facts:
    storage = text_of(header, "SOPClassUID")
    if not storage and hasattr(header, "file_meta"):
        storage = text_of(header.file_meta, "MediaStorageSOPClassUID")
    rows, columns = whole_of(header, "Rows"), whole_of(header, "Columns")
    kind = kind_of(storage, rows > 0 and columns > 0)
    if kind.what == "other":
        what = f"holds {kind.words}, not an image" if kind.words else "holds no pixels"
        return Facts(path, kind, problem=(what, kind.remedy or "copy or export it again"))
    number = value_of(header, "SeriesNumber")
    modality = text_of(header, "Modality")
    count = max(whole_of(header, "NumberOfFrames", 1), 1)
    facts = Facts(
        path,
        kind,
        text_of(header, "SeriesInstanceUID"),
        text_of(header, "SOPInstanceUID"),
        None if number is None else whole_of(header, "SeriesNumber"),
        _anonymous(text_of(header, "SeriesDescription"), header),
        _anonymous(modality, header)[:16],
        rows,
        columns,
        whole_of(header, "SamplesPerPixel", 1),
        text_of(header, "PhotometricInterpretation"),
        min(max(whole_of(header, "BitsStored", whole_of(header, "BitsAllocated", 16)), 1), 64),
        whole_of(header, "PixelRepresentation") == 1,
        value_of(header, "ModalityLUTSequence") is not None,
        _has_gray_palette(header),
        is_picture(modality),
        patient=blake2b(text_of(header, "PatientID").encode(), digest_size=8).hexdigest(),
    )
    problem = _unreadable(header, facts)
    if problem is not None:
        return facts._replace(problem=problem)
    if value_of(header, "ConcatenationUID") is not None and count > 1:
        what = "is one part of an object that was split into several files"
        return facts._replace(problem=(what, "export it as one file, or slice by slice"))
    if count > _MAX_FRAMES:
        what = f"announces {count} frames, {_MAX_FRAMES} can be read"
        return facts._replace(problem=(what, "export it again"))
    return facts._replace(frames=tuple(_frames(path, header, count)))


def _unreadable(header: "Dataset", facts: Facts) -> tuple[str, str] | None:
    """What its header says that would be read as something else."""
    allocated = whole_of(header, "BitsAllocated", facts.bits)
    if allocated not in (1, 8, 16, 32, 64):
        return f"stores values of {allocated} bits each, which is not read", "export it again"
    highest = whole_of(header, "HighBit", facts.bits - 1)
    if highest != facts.bits - 1:
        what = f"stores its values in bits {highest - facts.bits + 1} to {highest}, not from bit 0"
        return f"{what}, which is not read", "export it again"
    if "MOSAIC" in text_of(header, "ImageType").upper().split("/"):
        what = "is a mosaic: the slices of a volume side by side in one picture"
        return what, "convert it with dcm2niix, and give its .nii.gz"
    return None


def _has_gray_palette(header: "Dataset") -> bool:
    values = [value_of(header, name) for name in PALETTE]
    red, green, blue = values[0:3], values[3:6], values[6:9]
    return any(part is not None for part in red) and red == green == blue


def _frames(path: Path, header: "Dataset", count: int) -> Iterator[Frame]:
    from pydicom import Dataset

    shared = first_item(header, "SharedFunctionalGroupsSequence")
    several = value_of(header, "PerFrameFunctionalGroupsSequence")
    groups = [item for item in several or () if isinstance(item, Dataset)]
    if shared is None and not groups:
        # Older objects of several frames have one position, if any: that of the first.
        yield from (_frame(path, index, header, (), lone=count == 1) for index in range(count))
        return
    groups += [Dataset()] * (count - len(groups))
    for index, group in enumerate(groups[:count]):
        levels = tuple(level for level in (group, shared) if level is not None)
        yield _frame(path, index, header, levels, lone=count == 1)


def _frame(
    path: Path, index: int, header: "Dataset", levels: tuple["Dataset", ...], *, lone: bool
) -> Frame:
    """One frame: what its own groups say goes before what all share, and that before the file."""

    def holder(sequence: str, keyword: str) -> "Dataset | None":
        for level in levels:
            item = first_item(level, sequence)
            if item is not None and value_of(item, keyword) is not None:
                return item
        return header if lone else None

    def placed(sequence: str, keyword: str, count: int, most: float) -> tuple[float, ...] | None:
        found = numbers_of(holder(sequence, keyword), keyword, count)
        return found if found is not None and max(map(abs, found)) <= most else None

    measures = holder("PixelMeasuresSequence", "PixelSpacing") or header
    spacing = next(
        (
            found
            for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
            if (found := numbers_of(measures, keyword, 2)) is not None
            and 1 / _FARTHEST_MM < min(found) <= max(found) < _FARTHEST_MM
        ),
        None,
    )
    scaled = holder("PixelValueTransformationSequence", "RescaleSlope") or header
    slope, intercept = number_of(scaled, "RescaleSlope"), number_of(scaled, "RescaleIntercept")
    thickness = number_of(measures, "SpacingBetweenSlices") or number_of(measures, "SliceThickness")
    position = placed("PlanePositionSequence", "ImagePositionPatient", 3, _FARTHEST_MM)
    orientation = placed("PlaneOrientationSequence", "ImageOrientationPatient", 6, 1.1)
    return Frame(
        path,
        index,
        position,
        orientation,
        spacing,
        min(abs(thickness or 0.0), _FARTHEST_MM),
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        whole_of(header, "InstanceNumber"),
        tuple(_mark(header, levels, *where) for _, *where in _MARKS),
        slope is not None or intercept is not None,
    )


def _mark(
    header: "Dataset", levels: tuple["Dataset", ...], sequence: str, keyword: str, own: str
) -> str:
    for level in levels if sequence else ():
        text = text_of(first_item(level, sequence), keyword)
        if text:
            return text
    return text_of(header, own) if own else ""


def _anonymous(text: str, header: "Dataset") -> str:
    """A description without the words that say who the patient is, and without dates."""
    for keyword in IDENTITY:
        for word in re.split(r"[\s^=,/\\]+", text_of(header, keyword)):
            if len(word) >= 2:
                edges = (r"(?<!\w)", r"(?!\w)") if len(word) < 4 else ("", "")
                text = re.sub(edges[0] + re.escape(word) + edges[1], " ", text, flags=re.IGNORECASE)
    text = _DATES.sub(" ", _UNPRINTABLE.sub(" ", text))
    return " ".join(text.split())[:64]
