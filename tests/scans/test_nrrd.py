"""NRRD headers as the world writes them."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import ScanError
from medseg.scans.decode import decode, decode_header
from medseg.scans.formats import files_of
from medseg.scans.write import write_label_map
from tests.grids import random_label

VALUES = np.random.default_rng(0).integers(-900, 900, (5, 4, 3), dtype=np.int16)
LPS = {
    "space": "left-posterior-superior",
    "space directions": "(1,0,0) (0,1.2,0) (0,0,1.5)",
    "space origin": "(12,-20,-7)",
}
AFFINE = np.array([[-1, 0, 0, -12], [0, -1.2, 0, 20], [0, 0, 1.5, -7], [0, 0, 0, 1.0]])


def saved(path: Path, fields: dict, values=VALUES, data: bytes | None = None, keys: str = ""):
    base = {
        "type": "short",
        "dimension": values.ndim,
        "sizes": " ".join(map(str, values.shape)),
        "endian": "little",
        "encoding": "raw",
    }
    lines = "".join(f"{field}: {value}\n" for field, value in (base | fields).items())
    content = values.tobytes(order="F") if data is None else data
    path.write_bytes(f"NRRD0004\n{lines}{keys}\n".encode() + content)
    return path


@pytest.mark.parametrize(
    "fields",
    [
        LPS,
        LPS | {"space": "LPS"},
        {
            "space": "right-anterior-superior",
            "space directions": "(-1,0,0) (0,-1.2,0) (0,0,1.5)",
            "space origin": "(-12,20,-7)",
        },
        {
            "space": "LAS",
            "space directions": "(1,0,0) (0,-1.2,0) (0,0,1.5)",
            "space origin": "(12,20,-7)",
        },
        LPS | {"kinds": "domain domain domain", "measurement frame": "(1,0,0) (0,1,0) (0,0,1)"},
    ],
)
def test_every_space_puts_voxels_at_the_same_place(tmp_path, fields):
    values, geometry = decode(saved(tmp_path / "a.nrrd", fields))
    np.testing.assert_array_equal(values[0], VALUES)
    np.testing.assert_allclose(geometry.affine, AFFINE)
    assert geometry.placed


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(VALUES.tobytes(order="F"))),
        ("GZ", gzip.compress(VALUES.tobytes(order="F"))),
        ("bzip2", bz2.compress(VALUES.tobytes(order="F"))),
        ("ascii", " ".join(map(str, VALUES.ravel(order="F"))).encode()),
        ("hex", VALUES.tobytes(order="F").hex().encode()),
    ],
)
def test_every_encoding(tmp_path, encoding, data):
    path = saved(tmp_path / "a.nrrd", LPS | {"encoding": encoding}, data=data)
    np.testing.assert_array_equal(decode(path).values[0], VALUES)
    whole = saved(tmp_path / "b.nrrd", LPS | {"encoding": encoding}, data=data[: len(data) // 2])
    with pytest.raises(ScanError, match=r"b\.nrrd: cut short|b\.nrrd: its compressed part"):
        decode(whole)


def test_byte_order(tmp_path):
    path = saved(tmp_path / "a.nrrd", LPS | {"endian": "big"}, VALUES.astype(">i2"))
    np.testing.assert_array_equal(decode(path).values[0], VALUES)
    path.write_bytes(path.read_bytes().replace(b"endian: big\n", b""))
    with pytest.raises(ScanError, match="does not say which byte order"):
        decode(path)


def test_units_of_length_are_obeyed_and_handed_down(tmp_path):
    micron = {
        "space": "LPS",
        "space directions": "(1000,0,0) (0,1200,0) (0,0,1500)",
        "space origin": "(12000,-20000,-7000)",
        "space units": '"um" "um" "um"',
    }
    path = saved(tmp_path / "a.nrrd", micron)
    geometry = decode(path).geometry
    np.testing.assert_allclose(geometry.affine, AFFINE)
    written = write_label_map(random_label((5, 4, 3)), geometry, tmp_path / "s.nrrd", like=path)
    np.testing.assert_allclose(decode(written).geometry.affine, AFFINE)
    scan, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(written))
    assert mask.GetOrigin() == pytest.approx(scan.GetOrigin())
    with pytest.raises(ScanError, match="in 'furlong', a unit of unknown length"):
        decode(saved(tmp_path / "b.nrrd", LPS | {"space units": '"furlong" "furlong" "furlong"'}))


def test_spacings_alone_are_no_position(tmp_path):
    geometry = decode(saved(tmp_path / "a.nrrd", {"spacings": "1 1.2 1.5"})).geometry
    assert geometry.spacing_mm == (1, 1.2, 1.5)
    assert not geometry.placed
    assert geometry.lps_direction == ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def test_one_point_in_time_is_a_volume_and_several_are_refused(tmp_path):
    fields = LPS | {
        "space directions": LPS["space directions"] + " none",
        "kinds": "domain domain domain time",
    }
    one = saved(tmp_path / "one.nrrd", fields, VALUES[..., None])
    np.testing.assert_array_equal(decode(one).values[0], VALUES)
    two = saved(tmp_path / "two.nrrd", fields, np.stack([VALUES] * 2, -1))
    with pytest.raises(ScanError, match=r"two\.nrrd: 2 points in time, .*; save each point"):
        decode(two)


@pytest.mark.parametrize(("kind", "channels"), [("vector", 4), ("list", 4), ("RGBA-color", 3)])
@pytest.mark.parametrize("first", [True, False])
def test_an_axis_of_another_kind_holds_channels(tmp_path, kind, channels, first):
    values = np.random.default_rng(0).integers(0, 99, (4, 5, 4, 3), dtype=np.int16)
    steps = LPS["space directions"]
    fields = LPS | {
        "kinds": f"{kind} domain domain domain" if first else f"domain domain domain {kind}",
        "space directions": f"none {steps}" if first else f"{steps} none",
    }
    path = saved(tmp_path / "a.nrrd", fields, values if first else np.moveaxis(values, 0, -1))
    np.testing.assert_array_equal(decode(path).values, values[:channels])
    assert decode_header(path).channels == channels


def test_four_axes_without_a_word_are_refused(tmp_path):
    path = saved(tmp_path / "a.nrrd", {"spacings": "1 1 1 1"}, np.stack([VALUES] * 2, -1))
    with pytest.raises(ScanError, match=r"4 axes \(5x4x3x2\), 4 of them of space"):
        decode(path)


def test_voxels_in_other_files(tmp_path):
    raw = VALUES.tobytes(order="F")
    (tmp_path / "v.raw.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "skip.raw").write_bytes(b"line one\nline two\n" + b"?" * 7 + raw)
    (tmp_path / "end.raw").write_bytes(b"?" * 77 + raw)
    for index in range(3):
        slice_ = VALUES[:, :, index].tobytes(order="F")
        (tmp_path / f"s{index + 1:02d}.raw").write_bytes(slice_)
    listed = "data file: LIST\n" + "".join(f"s{index + 1:02d}.raw\n" for index in range(3))
    headers = {
        "gz": LPS | {"encoding": "gzip", "data file": "v.raw.gz"},
        "skip": LPS | {"line skip": 2, "byte skip": 7, "datafile": "skip.raw"},
        "end": LPS | {"byte skip": -1, "data file": "./end.raw"},
        "pattern": LPS | {"data file": "s%02d.raw 1 3 1"},
        "list": LPS,
    }
    for name, fields in headers.items():
        keys = listed if name == "list" else ""
        path = saved(tmp_path / f"{name}.nhdr", fields, data=b"", keys=keys)
        np.testing.assert_array_equal(decode(path).values[0], VALUES, err_msg=name)
        assert len(files_of(path)) == (4 if name in ("pattern", "list") else 2)
    (tmp_path / "s02.raw").unlink()
    with pytest.raises(ScanError, match=r"pattern\.nhdr: its data file s02\.raw is missing"):
        decode(tmp_path / "pattern.nhdr")


def test_frames_of_a_slicer_sequence_are_no_channels(tmp_path):
    values = np.stack([VALUES] * 2)
    steps = f"none {LPS['space directions']}"
    fields = LPS | {"space directions": steps, "kinds": "list domain domain domain"}
    for key in ("axis 0 index type:=numeric\n", "MultiVolume.NumberOfFrames:=2\n"):
        path = saved(tmp_path / "a.nrrd", fields, values, keys=key)
        with pytest.raises(ScanError, match=r"2 frames of a sequence, .* neither channels nor"):
            decode(path)


def test_files_may_be_numbered_downwards(tmp_path):
    for index in range(3):
        (tmp_path / f"s{3 - index}.raw").write_bytes(VALUES[:, :, index].tobytes(order="F"))
    path = saved(tmp_path / "a.nhdr", LPS | {"data file": "s%d.raw 3 1 -1"}, data=b"")
    np.testing.assert_array_equal(decode(path).values[0], VALUES)


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    path = saved(tmp_path / "a.nrrd", LPS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    np.testing.assert_array_equal(decode(path).values[0], VALUES)


def test_true_reasons(tmp_path):
    refusals = {
        "in a space 'right-posterior-superior' that NRRD does not know": LPS
        | {"space": "right-posterior-superior"},
        "states 2 axes, and 3 sizes": LPS | {"dimension": 2},
        "unknown type of voxels 'block'": LPS | {"type": "block"},
        "coded as 'zip', which is unknown": LPS | {"encoding": "zip"},
        "'five' for a number": LPS | {"sizes": "five 4 3"},
        "its space origin none is none": LPS | {"space origin": "none"},
        "does not say where it lies": LPS | {"space directions": "(1,0,0) (2,0,0) (0,0,1)"},
    }
    for reason, fields in refusals.items():
        with pytest.raises(ScanError, match=reason):
            decode(saved(tmp_path / "a.nrrd", fields))
