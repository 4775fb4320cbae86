"""Segments by name, frames where their headers place them; written by another implementation."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from medseg.errors import ScanError
from medseg.scans.decode import decode, decode_header
from medseg.scans.dicom.segmentation import segment_notes, segments_overlap
from medseg.scans.formats import is_scan, mask_suffix
from medseg.scans.segments import decode_segments, segment_names
from tests.scans.dicom.objects import affine, ramp, save_series, slices, to_ras, uid

SIZE = (6, 7, 8)
MASKS = np.zeros((2, *SIZE), np.uint8)
MASKS[0, 1:4, 2:5, 2:6] = 1
MASKS[1, 4:6, 1:3, 3:5] = 1
OVERLAPPING = MASKS.copy()
OVERLAPPING[1, 2:4, 2:4, 4] = 1


def sources() -> list[Dataset]:
    made = list(slices(ramp(*SIZE), affine()))
    for one in made:
        one.SliceThickness = 2.5
        one.FrameOfReferenceUID = uid("frame of reference")
        one.PatientSex, one.StudyTime, one.StudyID, one.ReferringPhysicianName = "F", "", "", ""
    return made


def write(path: Path, masks: np.ndarray, kind: str = "BINARY", names: tuple[str, ...] = ()) -> Path:
    """Masks (segments, columns, rows, slices)."""
    names = names or ("liver", "tumour")
    described = [
        hd.seg.SegmentDescription(
            number, name, codes.SCT.Organ, codes.SCT.Organ, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number, name in enumerate(names, start=1)
    ]
    pixels = masks.transpose(3, 2, 1, 0)
    if kind == "LABELMAP":
        pixels = sum(masks[i] * (i + 1) for i in range(len(masks))).transpose(2, 1, 0)
    made = hd.seg.Segmentation(
        sources(),
        pixels,
        kind,
        described,
        series_instance_uid=uid("segmentation"),
        series_number=7,
        sop_instance_uid=uid(path.name),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        max_fractional_value=200 if kind == "FRACTIONAL" else 255,
        transfer_syntax_uid=UID("1.2.840.10008.1.2.1"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)
    return path


def whole(path: Path, names: tuple[str, ...], layered: bool = False) -> np.ndarray:
    """The labels on the image's grid: slices without a frame are not stored."""
    values, geometry = decode_segments(path, names, layered=layered)
    grid = to_ras(affine())
    start = np.rint(np.linalg.inv(grid) @ geometry.affine[:, 3]).astype(int)
    np.testing.assert_allclose(geometry.affine[:3, :3], grid[:3, :3], atol=1e-4)
    placed = np.zeros((len(values), *SIZE), int)
    placed[:, :, :, start[2] : start[2] + values.shape[3]] = values
    return placed


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segments_are_read_by_name(tmp_path: Path, kind: str) -> None:
    masks = MASKS.astype(float) if kind == "FRACTIONAL" else MASKS
    path = write(tmp_path / "seg.dcm", masks, kind)
    assert [segment.name for segment in segment_names(path)] == ["liver", "tumour"]
    assert not segments_overlap(path)
    np.testing.assert_array_equal(whole(path, ("tumour", "liver"))[0], 2 * MASKS[0] + MASKS[1])
    np.testing.assert_array_equal(whole(path, ("a", "liver", "tumour"), layered=True)[1:], MASKS)
    assert is_scan(path)
    assert mask_suffix(path) == ".nii.gz"
    assert decode_header(path).geometry == decode(path).geometry


def test_shares_of_at_least_half_are_taken_with_a_word(tmp_path: Path) -> None:
    shares = np.zeros((1, *SIZE))
    shares[0, 1, 1, :] = [0, 0.2, 0.45, 0.5, 0.55, 0.8, 1, 0]
    path = write(tmp_path / "seg.dcm", shares, "FRACTIONAL", ("liver",))
    np.testing.assert_array_equal(whole(path, ("liver",))[0], shares[0] >= 0.5)
    assert segment_notes(path)[0][0] == "holds shares of voxels: those of at least half are taken"


def test_slices_without_a_frame_are_empty(tmp_path: Path) -> None:
    """Only where the header says how far slices are apart can a gap be told from a thick slice."""
    masks = np.zeros((1, *SIZE), np.uint8)
    masks[0, 2:4, 2:4, [1, 2, 6]] = 1
    path = write(tmp_path / "seg.dcm", masks, names=("liver",))
    assert decode(path).geometry.size == (6, 7, 6)
    np.testing.assert_array_equal(whole(path, ("liver",))[0], masks[0])


def test_segments_that_overlap_are_layers(tmp_path: Path) -> None:
    path = write(tmp_path / "seg.dcm", OVERLAPPING)
    assert segments_overlap(path)
    assert [segment.layer for segment in segment_names(path)] == [0, 1]
    np.testing.assert_array_equal(whole(path, ("liver", "tumour"), layered=True), OVERLAPPING)
    with pytest.raises(ScanError, match="segments overlap"):
        decode_segments(path, ("liver", "tumour"))


def test_a_segmentation_beside_its_series_is_a_label(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(*SIZE))
    path = write(tmp_path / "seg.dcm", MASKS)
    assert [p.name for p in sorted(tmp_path.iterdir()) if is_scan(p)] == ["0008.dcm", "seg.dcm"]
    assert segment_names(tmp_path / "0008.dcm") == ()
    assert len(segment_names(path)) == 2
    np.testing.assert_array_equal(decode(tmp_path / "0008.dcm").values[0], ramp(*SIZE))


def test_what_a_segment_is_called_may_be_anything(tmp_path: Path) -> None:
    path = write(tmp_path / "seg.dcm", MASKS, names=("Leber  rechts", "Tumor/Zyste"))
    assert [segment.name for segment in segment_names(path)] == ["Leber rechts", "Tumor/Zyste"]
