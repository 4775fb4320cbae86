"""Values are what the scanner measured, in a type that holds them exactly."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medseg.errors import ScanError
from medseg.scans.decode import decode, decode_header
from medseg.scans.dicom import header
from medseg.scans.dicom.codecs import register
from medseg.scans.dicom.codestream import stated_size
from medseg.scans.formats import is_scan, reading_notes
from tests.scans.dicom.objects import (
    CR,
    CT,
    ENHANCED_MR,
    MR,
    PET,
    SC,
    affine,
    dataset,
    groups,
    ramp,
    save,
    save_series,
    slices,
    to_ras,
)


def values_of(folder: Path, **how: bool) -> np.ndarray:
    (path,) = [path for path in sorted(folder.iterdir()) if is_scan(path)]
    return decode(path, **how).values


@pytest.mark.parametrize(
    ("stored", "intercept", "kind"),
    [
        (np.array([0, 1024, 4095], np.uint16), -1024, np.int16),
        (np.array([-2000, 0, 3071], np.int16), -1024, np.int16),
        (np.array([0, 1000, 65535], np.uint16), -1024, np.int32),
        (np.array([0, 1000, 65535], np.uint16), 0, np.uint16),
        (np.array([-32768, 0, 32767], np.int16), -1024, np.int32),
        (np.array([0, 7, 255], np.uint8), 0, np.uint8),
        (np.array([0, 7, 255], np.uint8), 10, np.int32),
    ],
)
def test_whole_numbers_stay_whole(
    tmp_path: Path, stored: np.ndarray, intercept: int, kind: type
) -> None:
    volume = np.broadcast_to(stored[:, None, None], (3, 4, 2)).copy()
    save_series(tmp_path, volume, storage=CT, RescaleSlope=1, RescaleIntercept=intercept)
    values = values_of(tmp_path)
    assert values.dtype == kind
    np.testing.assert_array_equal(values[0], volume.astype(np.int64) + intercept)


def test_each_slice_has_a_slope_of_its_own(tmp_path: Path) -> None:
    volume, slopes = ramp(5, 4, 6), np.linspace(0.37, 5.2, 6).round(5)
    for index, one in enumerate(slices(volume, affine(), PET)):
        one.RescaleSlope, one.RescaleIntercept = float(slopes[index]), 0
        save(one, tmp_path / f"{index}.dcm")
    values = values_of(tmp_path)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[0], volume * slopes, rtol=1e-6)


def test_whole_slopes_that_differ_stay_whole(tmp_path: Path) -> None:
    volume = ramp(3, 4, 2)
    for index, one in enumerate(slices(volume, affine(), PET)):
        one.RescaleSlope, one.RescaleIntercept = index + 1, -5
        save(one, tmp_path / f"{index}.dcm")
    values = values_of(tmp_path)
    assert values.dtype == np.int32
    np.testing.assert_array_equal(values[0], volume.astype(int) * [1, 2] - 5)


def test_bits_beyond_those_stored_are_no_value(tmp_path: Path) -> None:
    """Overlays were once kept there."""
    volume = ramp(4, 4, 2, kind=np.uint16) % 4096
    save_series(tmp_path / "plain", volume, BitsStored=12, HighBit=11)
    save_series(tmp_path / "overlay", volume | 0xA000, BitsStored=12, HighBit=11)
    for folder in ("plain", "overlay"):
        np.testing.assert_array_equal(values_of(tmp_path / folder)[0], volume)


def test_signed_values_of_twelve_bits(tmp_path: Path) -> None:
    volume = (ramp(4, 4, 2) % 4096) - 2048
    save_series(tmp_path, volume & 0x0FFF, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(values_of(tmp_path)[0], volume)


def test_a_table_gives_the_measured_values(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 0, 16], "HU"
    table.LUTData = [100, 350, 7, 60000]
    table["LUTData"].VR = "US"
    volume = ramp(3, 3, 2, kind=np.uint8) % 4
    save_series(tmp_path, volume, storage=CT, ModalityLUTSequence=[table])
    expected = np.array([100, 350, 7, 60000])[volume]
    np.testing.assert_array_equal(values_of(tmp_path)[0], expected)


def test_inverted_pictures_are_read_as_viewers_show_them(tmp_path: Path) -> None:
    stored = ramp(5, 4, kind=np.uint16) % 1024
    made = dataset(
        CR, stored.T.copy(), PhotometricInterpretation="MONOCHROME1", BitsStored=10, HighBit=9
    )
    path = save(made, tmp_path / "chest.dcm")
    np.testing.assert_array_equal(decode(path).values[0, :, :, 0], 1023 - stored)
    assert (
        reading_notes(path)[0][0]
        == "stored with white as the lowest value, read as viewers show it"
    )


def test_measured_values_are_never_inverted(tmp_path: Path) -> None:
    volume = ramp(4, 4, 2)
    save_series(tmp_path, volume, storage=CT, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(values_of(tmp_path)[0], volume)


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_are_channels(tmp_path: Path, planar: int) -> None:
    colours = ramp(4, 5, 3, kind=np.uint8)  # rows, columns, samples
    made = dataset(SC, colours, PlanarConfiguration=planar)
    if planar:
        made.PixelData = np.ascontiguousarray(colours.transpose(2, 0, 1)).tobytes()
    path = save(made, tmp_path / "photo.dcm")
    np.testing.assert_array_equal(decode(path).values[..., 0], colours.transpose(2, 1, 0))
    assert decode_header(path).channels == 3
    assert decode_header(path).plane


@pytest.mark.parametrize("gray", [True, False])
def test_palettes(tmp_path: Path, gray: bool) -> None:
    indices = ramp(4, 5, kind=np.uint8) % 4
    palette = np.array(
        [[0, 90, 200, 255]] * 3 if gray else [[1, 2, 3, 4], [9, 8, 7, 6], [0, 5, 0, 5]]
    )
    made = dataset(SC, indices, PhotometricInterpretation="PALETTE COLOR")
    for colour, row in zip(("Red", "Green", "Blue"), palette, strict=True):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 8])
        made[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(made, f"{colour}PaletteColorLookupTableData", row.astype(np.uint8).tobytes())
        made[f"{colour}PaletteColorLookupTableData"].VR = "OW"
    path = save(made, tmp_path / "a.dcm")
    expected = palette[:1] if gray else palette
    np.testing.assert_array_equal(decode(path, colours=True).values[..., 0], expected[:, indices.T])
    assert decode_header(path).channels == len(expected)
    np.testing.assert_array_equal(decode(path).values[0, ..., 0], indices.T)


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, DeflatedExplicitVRLittleEndian]
)
def test_compressed_slices_are_equal(tmp_path: Path, syntax: str) -> None:
    volume = ramp(64, 48, 3)
    for index, one in enumerate(slices(volume, affine())):
        if syntax == DeflatedExplicitVRLittleEndian:
            one.file_meta.TransferSyntaxUID = syntax
        else:
            one.compress(syntax, generate_instance_uid=False)
        save(one, tmp_path / f"{index}.dcm")
    np.testing.assert_array_equal(values_of(tmp_path)[0], volume)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEGLosslessSV1, imagecodecs.ljpeg_encode),
        (JPEGLSLossless, imagecodecs.jpegls_encode),
        (JPEG2000Lossless, partial(imagecodecs.jpeg2k_encode, codecformat="J2K", reversible=True)),
    ],
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_no_further_package_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: UID, encode: Callable, kind: type
) -> None:
    """Those of pydicom's plug-ins that are installed decide nothing."""
    register()
    decoder = get_decoder(syntax)
    monkeypatch.setattr(decoder, "_available", {"medseg": decoder._available["medseg"]})
    picture = ramp(48, 40, kind=kind)
    one = dataset(SC, picture)
    one.file_meta.TransferSyntaxUID = syntax
    one.PixelData = encapsulate([bytes(encode(picture))])
    values = decode(save(one, tmp_path / "a.dcm")).values
    assert values.dtype == kind
    np.testing.assert_array_equal(values[0, :, :, 0], picture.T)


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = dataset(SC, ramp(4, 4, kind=np.uint8))
    one.file_meta.TransferSyntaxUID = HTJ2KLossless
    one.PixelData = encapsulate([b"\xff\x4f\xff\x51"])
    path = save(one, tmp_path / "a.dcm")
    monkeypatch.setattr(get_decoder(HTJ2KLossless), "_available", {})
    with pytest.raises(ScanError, match=r"compressed as High-Throughput.*no decoder is") as error:
        decode(path)
    assert error.value.remedy.startswith('pip install "medseg[dicom]"')


def test_a_film_is_named_as_such(tmp_path: Path) -> None:
    one = dataset(SC, ramp(4, 4, kind=np.uint8))
    one.file_meta.TransferSyntaxUID = MPEG2MPML
    one.PixelData = encapsulate([b"film"])
    with pytest.raises(ScanError, match=r"compressed as MPEG2 Main Profile.*not read; export"):
        decode(save(one, tmp_path / "a.dcm"))


def test_a_compressed_picture_is_no_larger_than_announced(tmp_path: Path) -> None:
    """Nothing is decoded that the header did not announce."""
    big = dataset(SC, np.zeros((900, 800), np.uint8))
    big.compress(JPEG2000Lossless, generate_instance_uid=False)
    big.Rows, big.Columns = 8, 8
    with pytest.raises(ScanError, match="picture has 800x900 pixels, its header announces 8x8"):
        decode(save(big, tmp_path / "a.dcm"))


def test_sizes_that_streams_state() -> None:
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc3\x00\x0b\x08\x01\x02\x03\x04\x01\x00\x00\x00"
    assert stated_size(jpeg) == (0x0102, 0x0304)
    assert stated_size(b"\xff\xd8\xff\xe0\x00") is None
    assert stated_size(b"rle") is None
    codestream = (
        b"\xff\x4f\xff\x51" + bytes(4) + (300).to_bytes(4, "big") + (200).to_bytes(4, "big")
    )
    codestream += bytes(20)
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    boxed = signature + b"\0\0\0\x09ftyp\0" + b"\0\0\0\0jp2c" + codestream
    assert stated_size(codestream) == stated_size(boxed) == (200, 300)
    with pytest.raises(ValueError, match="boxes without a picture"):
        stated_size(signature + b"\0\0\0\0ftyp" + boxed)


def test_frames_of_one_object_are_slices(tmp_path: Path) -> None:
    """Stored in any order, each with a scale of its own."""
    volume, lps, order = ramp(5, 6, 4), affine(step=(0.5, 0.0, 3.0)), [2, 0, 3, 1]
    parts = groups(lps, order)
    for index, frame in zip(order, parts["PerFrameFunctionalGroupsSequence"], strict=True):
        scale = Dataset()
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = index + 1.5, 10, "US"
        frame.PixelValueTransformationSequence = [scale]
    frames = np.ascontiguousarray(volume[:, :, order].transpose(2, 1, 0))
    path = save(dataset(ENHANCED_MR, frames, **parts), tmp_path / "scan.dcm")
    voxels = decode(path)
    np.testing.assert_allclose(voxels.values[0], volume * (np.arange(4) + 1.5) + 10, rtol=1e-6)
    np.testing.assert_allclose(voxels.geometry.affine, to_ras(lps), atol=1e-6)


def test_one_object_of_two_volumes_is_refused(tmp_path: Path) -> None:
    parts = groups(affine(), [0, 1, 2, 0, 1, 2])
    for time, frame in enumerate(parts["PerFrameFunctionalGroupsSequence"]):
        content = Dataset()
        content.TemporalPositionIndex = 1 + time // 3
        frame.FrameContentSequence = [content]
    path = save(dataset(ENHANCED_MR, ramp(6, 4, 5), **parts), tmp_path / "scan.dcm")
    with pytest.raises(ScanError, match="one file of 2 volumes: time 1 of 3 slices, time 2 of 3"):
        decode(path)


def test_fewer_pixels_than_announced(tmp_path: Path) -> None:
    files = save_series(tmp_path, ramp(9, 8, 3))
    files[1].write_bytes(files[1].read_bytes()[:-40])
    with pytest.raises(ScanError, match="damaged, cut short"):
        values_of(tmp_path)


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ({"BitsStored": 12, "HighBit": 15}, "in bits 4 to 15, not from bit 0"),
        ({"BitsAllocated": 12, "BitsStored": 12, "HighBit": 11}, "values of 12 bits each"),
    ],
)
def test_bits_where_nobody_looks_are_refused(
    tmp_path: Path, elements: dict[str, int], what: str
) -> None:
    (one,) = slices(ramp(4, 6, 1, kind=np.uint16), affine(), **elements)
    with pytest.raises(ScanError, match=what):
        decode(save(one, tmp_path / "a.dcm"))


def test_a_scale_of_nothing_is_refused(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(3, 3, 2), storage=MR, RescaleSlope=0, RescaleIntercept=0)
    with pytest.raises(ScanError, match="its rescale slope is 0"):
        values_of(tmp_path)


@pytest.mark.parametrize(("scale", "lost"), [((1, -1024), True), ((1, 0), False)])
def test_a_slice_that_lost_its_scale_is_refused(
    tmp_path: Path, scale: tuple[int, int], lost: bool
) -> None:
    volume = ramp(4, 3, 5)
    for index, one in enumerate(slices(volume, affine(), CT)):
        if index != 2:
            one.RescaleSlope, one.RescaleIntercept = scale
        save(one, tmp_path / f"{index}.dcm")
    if lost:
        with pytest.raises(ScanError, match=r"2\.dcm: 1 of its 5 slices states no .* 1 and -1024;"):
            values_of(tmp_path)
    else:
        np.testing.assert_array_equal(values_of(tmp_path)[0], volume)


def test_what_no_scan_can_be_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    made = dataset(CR, ramp(3, 3, kind=np.uint8), Rows=65535, Columns=65535)
    with pytest.raises(ScanError, match="header announces 65535x65535x1x1 values"):
        decode(save(made, tmp_path / "a.dcm"))


def test_a_small_file_that_unpacks_to_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header, "_MAX_INFLATED", 2**20)
    made = dataset(SC, np.zeros((2000, 2000), np.uint8))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(made, tmp_path / "a.dcm")
    assert path.stat().st_size < 2**14
    with pytest.raises(ScanError, match="holds over 1 MiB when unpacked"):
        decode(path)
