"""MetaImage headers as the world writes them."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import ScanError
from medseg.scans.decode import decode
from medseg.scans.write import write_label_map
from tests.grids import random_label

VALUES = np.random.default_rng(0).integers(-900, 900, (5, 4, 3), dtype=np.int16)
RAW = VALUES.tobytes(order="F")
BASE = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "TransformMatrix": "0 1 0 -1 0 0 0 0 1",
    "Offset": "12 -20 -7",
    "ElementSpacing": "1 1.2 1.5",
    "DimSize": "5 4 3",
    "ElementType": "MET_SHORT",
}


def saved(path: Path, data: str = "v.raw", drop: tuple = (), more: str = "", **fields: str) -> Path:
    kept = {key: value for key, value in (BASE | fields).items() if key not in drop}
    lines = "".join(f"{key} = {value}\n" for key, value in kept.items())
    path.write_text(f"{lines}ElementDataFile = {data}\n{more}")
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "v.raw").write_bytes(RAW)
    (tmp_path / "big.raw").write_bytes(VALUES.astype(">i2").tobytes(order="F"))
    (tmp_path / "headed.raw").write_bytes(b"?" * 77 + RAW)
    (tmp_path / "v.zraw").write_bytes(zlib.compress(RAW))
    (tmp_path / "v.txt").write_text(" ".join(map(str, VALUES.ravel(order="F"))))
    for index in range(3):
        (tmp_path / f"s{index}.raw").write_bytes(VALUES[:, :, index].tobytes(order="F"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "v.raw").write_bytes(RAW)
    return tmp_path


VARIANTS = {
    "plain": {},
    "big": {"data": "big.raw", "BinaryDataByteOrderMSB": "True"},
    "elementbig": {
        "data": "big.raw",
        "drop": ("BinaryDataByteOrderMSB",),
        "ElementByteOrderMSB": "True",
    },
    "elementsize": {"drop": ("ElementSpacing",), "ElementSize": "1 1.2 1.5"},
    "both": {"ElementSize": "9 9 9"},
    "orientation": {
        "drop": ("TransformMatrix", "Offset"),
        "Orientation": BASE["TransformMatrix"],
        "Position": BASE["Offset"],
    },
    "rotation": {
        "drop": ("TransformMatrix", "Offset"),
        "Rotation": BASE["TransformMatrix"],
        "Origin": BASE["Offset"],
    },
    "end": {"data": "headed.raw", "HeaderSize": "-1"},
    "skip": {"data": "headed.raw", "HeaderSize": "77"},
    "packed": {"data": "v.zraw", "CompressedData": "True"},
    "text": {"data": "v.txt", "BinaryData": "False"},
    "list": {"data": "LIST", "more": "s0.raw\ns1.raw\ns2.raw\n"},
    "pattern": {"data": "s%d.raw 0 2 1"},
    "below": {"data": "sub/v.raw"},
    "windows": {"data": "sub\\v.raw"},
    "four": {
        "NDims": "4",
        "DimSize": "5 4 3 1",
        "TransformMatrix": "0 1 0 0 -1 0 0 0 0 0 1 0 0 0 0 1",
        "Offset": "12 -20 -7 0",
        "ElementSpacing": "1 1.2 1.5 1",
    },
    "um": {
        "DistanceUnits": "um",
        "ElementSpacing": "1000 1200 1500",
        "Offset": "12000 -20000 -7000",
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_the_same_scan(folder, name):
    values, geometry = decode(saved(folder / "a.mhd", **VARIANTS[name]))
    np.testing.assert_array_equal(values[0], VALUES)
    plain = sitk.ReadImage(str(saved(folder / "plain.mhd")))
    assert geometry.lps_origin == pytest.approx(plain.GetOrigin())
    assert np.ravel(geometry.lps_direction) == pytest.approx(plain.GetDirection())
    assert geometry.spacing_mm == pytest.approx(plain.GetSpacing())
    assert geometry.placed


def test_a_header_without_an_origin_states_no_position(folder):
    assert not decode(saved(folder / "a.mhd", drop=("Offset",))).geometry.placed


def test_a_fourth_axis_and_vectors_are_channels(folder):
    two = np.stack([VALUES, -VALUES])
    (folder / "t.raw").write_bytes(two[0].tobytes(order="F") + two[1].tobytes(order="F"))
    fields = VARIANTS["four"] | {"DimSize": "5 4 3 2"}
    np.testing.assert_array_equal(decode(saved(folder / "a.mhd", "t.raw", **fields)).values, two)
    (folder / "c.raw").write_bytes(two.tobytes(order="F"))
    path = saved(folder / "b.mhd", "c.raw", ElementNumberOfChannels="2")
    np.testing.assert_array_equal(decode(path).values, two)


def test_a_unit_is_handed_down_so_that_itk_finds_the_mask_on_the_scan(folder):
    path = saved(folder / "a.mhd", **VARIANTS["um"])
    label = random_label((5, 4, 3))
    written = write_label_map(label, decode(path).geometry, folder / "s.mha", like=path)
    scan, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(written))
    assert mask.GetOrigin() == pytest.approx(scan.GetOrigin())
    assert mask.GetSpacing() == pytest.approx(scan.GetSpacing())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask).T, label)


def test_true_reasons(folder):
    refusals = {
        "its data file gone.raw is missing; copy gone.raw beside it": {"data": "gone.raw"},
        r"its data file s3\.raw is missing": {"data": "s%d.raw 0 3 1"},
        "unknown type of voxels 'MET_STRING'": {"ElementType": "MET_STRING"},
        "states ElementSpacing = wide, 3 numbers are needed": {"ElementSpacing": "wide"},
        r"v\.raw cut short: its header announces 240 bytes .* 120 are there": {"DimSize": "5 4 6"},
        "5 axes, 2 to 4 can be read": {"NDims": "5"},
    }
    for reason, fields in refusals.items():
        with pytest.raises(ScanError, match=reason):
            decode(saved(folder / "a.mhd", **fields))


def test_a_byte_order_mark_is_no_part_of_a_field(folder):
    path = saved(folder / "a.mhd", drop=("ObjectType",))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    np.testing.assert_array_equal(decode(path).values[0], VALUES)


@pytest.mark.parametrize("from_start", [True, False])
def test_the_size_of_a_header_counts_from_the_beginning_of_its_own_file(folder, from_start):
    for _ in range(2):  # the number is part of what it counts
        size = (folder / "a.mha").stat().st_size + 9 if (folder / "a.mha").is_file() else 100
        path = saved(folder / "a.mha", "LOCAL", HeaderSize=str(size if from_start else -1))
    path.write_bytes(path.read_bytes() + b"?" * 9 + RAW)
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(decode(path).values[0], values)


def test_a_slope_that_most_programs_ignore_is_a_doubt(folder):
    decode(saved(folder / "a.mhd", ElementToIntensityFunctionSlope="1"))
    path = saved(folder / "a.mhd", ElementToIntensityFunctionSlope="2")
    with pytest.raises(ScanError, match=r"a slope of 2 and an offset of 0 .*; apply them"):
        decode(path)
