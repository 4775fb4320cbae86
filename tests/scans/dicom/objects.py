"""DICOM files made from arrays, all of one patient whose name must never be seen again."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from medseg.scans.decode import decode
from medseg.scans.formats import is_scan

CT, MR, PET = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
)
CR, SC = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SECRETS = ("Zwolinska", "Hildegard", "ID-7741", "19610417", "ACC99123", "Bethesda General")


def uid(text: str) -> UID:
    """One identifier per text."""
    return generate_uid(entropy_srcs=[text])


def dataset(storage: str, pixels: np.ndarray | None = None, **elements: Any) -> Dataset:
    """An object with a patient, and pixels (rows, columns) or (frames, rows, columns[, 3])."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = storage
    made.SOPInstanceUID = uid(repr(sorted(elements.items(), key=str)))
    made.PatientName = "Zwolinska^Hildegard"
    made.PatientID, made.PatientBirthDate = "ID-7741", "19610417"
    made.AccessionNumber, made.InstitutionName = "ACC99123", "Bethesda General"
    made.StudyDate = "20240131"
    made.StudyInstanceUID = uid("study")
    made.SeriesInstanceUID = uid("series")
    made.SeriesDescription = "T1 Zwolinska axial 20240131"
    made.SeriesNumber = 4
    made.Modality = {CT: "CT", MR: "MR", PET: "PT", CR: "CR", ENHANCED_MR: "MR"}.get(storage, "OT")
    if pixels is not None:
        _set_pixels(made, pixels)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def _set_pixels(made: Dataset, pixels: np.ndarray) -> None:
    colours = pixels.shape[-1] == 3 and pixels.ndim > 2
    shape = pixels.shape[:-1] if colours else pixels.shape
    made.Rows, made.Columns = shape[-2:]
    if len(shape) > 2:
        made.NumberOfFrames = shape[0]
    made.SamplesPerPixel = 3 if colours else 1
    made.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        made.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.tobytes()
    made.add_new("PixelData", "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))


def save(made: Dataset, path: Path) -> Path:
    """Write it as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.save_as(path, enforce_file_format=True)
    return path


def affine(
    orientation: Sequence[float] = AXIAL,
    spacing_mm: Sequence[float] = (0.8, 1.1, 2.5),
    origin: Sequence[float] = (-31.0, 12.5, 7.0),
    step: Sequence[float] | None = None,
) -> np.ndarray:
    """4x4 voxel (column, row, slice) -> LPS mm; `step` goes to the next slice."""
    row, column = np.array(orientation, float).reshape(2, 3)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = row * spacing_mm[0], column * spacing_mm[1]
    matrix[:3, 2] = np.cross(row, column) * spacing_mm[2] if step is None else step
    matrix[:3, 3] = origin
    return matrix


def to_ras(lps: np.ndarray) -> np.ndarray:
    """The same in RAS."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def slices(
    volume: np.ndarray, lps: np.ndarray, storage: str = MR, **elements: Any
) -> Iterator[Dataset]:
    """One object per slice of a volume (columns, rows, slices)."""
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    for index in range(volume.shape[2]):
        yield dataset(
            storage,
            np.ascontiguousarray(volume[:, :, index].T),
            ImagePositionPatient=[round(float(x), 6) for x in lps[:3, 2] * index + lps[:3, 3]],
            ImageOrientationPatient=[
                *(round(float(x), 8) for x in lps[:3, 0] / spacing[0]),
                *(round(float(x), 8) for x in lps[:3, 1] / spacing[1]),
            ],
            PixelSpacing=[round(float(spacing[1]), 6), round(float(spacing[0]), 6)],
            InstanceNumber=index + 1,
            **elements,
        )


def save_series(
    folder: Path,
    volume: np.ndarray,
    lps: np.ndarray | None = None,
    storage: str = MR,
    **elements: Any,
) -> list[Path]:
    """A series, its files named against their order."""
    lps = affine() if lps is None else lps
    made = list(slices(volume, lps, storage, **elements))
    return [save(one, folder / f"{len(made) - index:04}.dcm") for index, one in enumerate(made)]


def ramp(*size: int, kind: type = np.int16, seed: int = 0) -> np.ndarray:
    """Values without any symmetry."""
    high = min(np.iinfo(kind).max, 4000)
    return np.random.default_rng(seed).integers(0, high, size).astype(kind)


def groups(lps: np.ndarray, frames: Sequence[int], **shared: Any) -> dict[str, Any]:
    """Functional groups of an enhanced object whose frames are slices of a grid, in this order."""
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing = [float(spacing[1]), float(spacing[0])]
    for keyword, value in shared.items():
        setattr(measures, keyword, value)
    plane.ImageOrientationPatient = [
        *map(float, lps[:3, 0] / spacing[0]), *map(float, lps[:3, 1] / spacing[1])
    ]  # fmt: skip
    common = Dataset()
    common.PixelMeasuresSequence, common.PlaneOrientationSequence = [measures], [plane]
    each: list[Dataset] = []
    for index in frames:
        position = Dataset()
        position.ImagePositionPatient = [float(x) for x in lps[:3, 2] * index + lps[:3, 3]]
        frame = Dataset()
        frame.PlanePositionSequence = [position]
        each.append(frame)
    return {
        "SharedFunctionalGroupsSequence": [common],
        "PerFrameFunctionalGroupsSequence": each,
    }


def merged(folder: Path, names: list[str]) -> Path:
    """A folder of all slices that lay in several."""
    together = folder / "together"
    together.mkdir()
    for name in names:
        for path in (folder / name).iterdir():
            path.rename(together / f"{name}-{path.name}")
    return together


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and voxel-to-RAS matrix of the only scan of a folder."""
    (path,) = listed(folder)
    values, geometry = decode(path)
    return values, geometry.affine


def listed(folder: Path) -> list[Path]:
    """One path for each scan of a folder."""
    return [path for path in sorted(folder.iterdir()) if is_scan(path)]
