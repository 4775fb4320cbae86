"""What NIfTI headers say, and what is made of those that say it oddly."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import ScanError
from medseg.scans.case import Case
from medseg.scans.decode import decode, decode_header
from medseg.scans.read import read_subject
from medseg.scans.write import write_label_map
from tests.grids import grid, random_label

VALUES = np.random.default_rng(0).integers(-900, 900, (5, 4, 3), dtype=np.int16)
AFFINE = grid(tilt="oblique").affine


def saved(path: Path, *edits: tuple, values=VALUES, affine=AFFINE, qform=1, sform=1) -> Path:
    """A .nii whose header bytes are overwritten: (offset, struct format, *numbers)."""
    image = nib.Nifti1Image(values, affine)
    image.set_qform(affine, qform)
    image.set_sform(affine, sform)
    raw = bytearray(image.to_bytes())
    for offset, form, *numbers in edits:
        struct.pack_into("<" + form, raw, offset, *numbers)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(("unit", "code", "per_mm"), [("metre", 1, 0.001), ("micron", 3, 1000.0)])
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1)])
def test_units_of_length_are_obeyed_and_handed_down(tmp_path, unit, code, per_mm, codes):
    scaled = np.diag([per_mm] * 3 + [1]) @ AFFINE
    path = saved(tmp_path / f"{unit}.nii", (123, "b", code + 8), affine=scaled)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<hh", raw, 252, *codes)
    path.write_bytes(raw)
    geometry = decode(path).geometry
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-3)
    written = write_label_map(random_label((5, 4, 3)), geometry, tmp_path / "seg.nii", like=path)
    np.testing.assert_allclose(decode(written).geometry.affine, AFFINE, atol=1e-3)
    np.testing.assert_allclose(nib.load(written).affine, nib.load(path).affine, rtol=1e-5)
    scan, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(written))
    assert mask.GetOrigin() == pytest.approx(scan.GetOrigin(), rel=1e-4)
    assert mask.GetSpacing() == pytest.approx(scan.GetSpacing(), rel=1e-4)


def test_a_file_without_codes_has_spacing_but_no_position(tmp_path):
    path = saved(tmp_path / "a.nii", qform=0, sform=0)
    geometry = decode(path).geometry
    assert not geometry.placed
    assert geometry.spacing_mm == pytest.approx(grid().spacing_mm)
    scan = sitk.ReadImage(str(path))
    assert geometry.lps_origin == pytest.approx(scan.GetOrigin())
    assert np.ravel(geometry.lps_direction) == pytest.approx(scan.GetDirection())
    assert decode(saved(tmp_path / "b.nii")).geometry.placed


def test_placed_survives_what_is_done_to_a_grid(tmp_path):
    geometry = decode(saved(tmp_path / "a.nii", qform=0, sform=0)).geometry
    turned = geometry.reoriented(geometry.to_canonical())
    assert not turned.placed
    assert not turned.cropped((1, 1, 1), (2, 2, 2)).resized((3, 3, 3)).placed


@pytest.mark.parametrize("zeros", ["fff", "ffff"])
def test_a_zero_sform_gives_way_to_a_good_qform(tmp_path, zeros):
    rows = [(offset, zeros, *[0.0] * len(zeros)) for offset in (280, 296, 312)]
    path = saved(tmp_path / "a.nii", *rows, qform=1, sform=2)
    geometry = decode(path).geometry
    assert geometry.placed
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-4)
    written = write_label_map(random_label((5, 4, 3)), geometry, tmp_path / "seg.nii", like=path)
    np.testing.assert_allclose(nib.load(written).affine, AFFINE, atol=1e-4)


def test_where_forms_disagree_the_sform_holds(tmp_path):
    image = nib.Nifti1Image(VALUES, None)
    image.set_qform(grid().affine, 1)
    image.set_sform(AFFINE, 2)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(decode(tmp_path / "a.nii").geometry.affine, AFFINE, atol=1e-4)


def test_a_quaternion_off_by_a_rounding_is_a_rotation(tmp_path):
    bcd = np.array([0.6, 0.64, 0.48]) * (1 + 3e-6)
    path = saved(tmp_path / "a.nii", (256, "fff", *bcd), qform=1, sform=0)
    with pytest.raises(ValueError, match="w2 should be positive"):
        _ = nib.load(path).affine
    geometry = decode(path).geometry
    scan = sitk.ReadImage(str(path))
    assert np.ravel(geometry.lps_direction) == pytest.approx(scan.GetDirection(), abs=1e-5)
    written = write_label_map(random_label((5, 4, 3)), geometry, tmp_path / "seg.nii", like=path)
    nib.load(written).header.get_qform()
    assert sitk.ReadImage(str(written)).GetOrigin() == pytest.approx(scan.GetOrigin(), abs=1e-4)


def test_a_quaternion_that_is_none_is_refused(tmp_path):
    path = saved(tmp_path / "a.nii", (256, "fff", 1.0, 1.0, 1.0), qform=1, sform=0)
    with pytest.raises(ScanError, match=r"a\.nii: its header does not say where it lies"):
        decode(path)


@pytest.mark.parametrize("pixdim", [0.0, -0.7])
def test_odd_spacings_beside_a_good_sform_do_no_harm(tmp_path, pixdim):
    path = saved(tmp_path / "a.nii", (80, "f", pixdim))
    np.testing.assert_allclose(decode(path).geometry.affine, AFFINE, atol=1e-4)


NAN = float("nan")


@pytest.mark.parametrize(
    ("slope", "intercept", "expected", "dtype"),
    [
        (0.0, 7.0, VALUES, "int16"),
        (NAN, 7.0, VALUES, "int16"),
        (1.0, NAN, VALUES, "int16"),
        (1.0, 0.0, VALUES, "int16"),
        (2.0, NAN, VALUES * 2, "int32"),
        (1.0, -1024.0, VALUES - 1024, "int32"),
        (0.5, 0.25, VALUES * 0.5 + 0.25, "float32"),
    ],
)
def test_slopes(tmp_path, slope, intercept, expected, dtype):
    path = saved(tmp_path / "a.nii", (112, "ff", slope, intercept))
    values = decode(path).values
    assert values.dtype == dtype
    np.testing.assert_array_equal(values[0], expected)


def test_whole_numbers_scaled_by_whole_numbers_are_exact_over_the_whole_range(tmp_path):
    values = np.array([-32768, -1, 0, 32767], np.int16).reshape(2, 2, 1)
    path = saved(tmp_path / "a.nii", (112, "ff", 3.0, -5.0), values=values)
    np.testing.assert_array_equal(decode(path).values[0], values.astype(int) * 3 - 5)


def test_compression_follows_the_content(tmp_path):
    raw = saved(tmp_path / "plain.nii").read_bytes()
    packed = gzip.compress(raw)
    half = len(raw) // 2
    files = {
        "packed.nii": packed,
        "plain.nii.gz": raw,
        "members.nii.gz": gzip.compress(raw[:half]) + gzip.compress(raw[half:]),
        "padded.nii.gz": packed + bytes(1000),
        "padded_members.nii.gz": gzip.compress(raw[:half]) + bytes(7) + gzip.compress(raw[half:]),
        "trailing.nii.gz": packed + b"more words",
        "a.Nii": raw,
        "a.Nii.Gz": packed,
        "a.NII.GZ": packed,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        values, geometry = decode(tmp_path / name)
        np.testing.assert_array_equal(values[0], VALUES, err_msg=name)
        assert geometry == decode(tmp_path / "plain.nii").geometry


def test_cut_and_flipped_files_are_told_apart(tmp_path):
    values = np.random.default_rng(0).integers(0, 999, (20, 20, 20), dtype=np.int16)
    raw = saved(tmp_path / "a.nii", values=values).read_bytes()
    (tmp_path / "cut.nii").write_bytes(raw[:-100])
    with pytest.raises(
        ScanError, match=r"cut short: its header announces 16000 bytes .* 15900 are"
    ):
        decode(tmp_path / "cut.nii")
    packed = bytearray(gzip.compress(raw))
    (tmp_path / "cut.nii.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ScanError, match="cut short: its header announces 16000 bytes of voxels"):
        decode(tmp_path / "cut.nii.gz")
    packed[-6] ^= 1  # the checksum's last byte but one
    (tmp_path / "flipped.nii.gz").write_bytes(packed)
    with pytest.raises(ScanError, match=r"damaged.*incorrect data check"):
        decode(tmp_path / "flipped.nii.gz")


def test_a_small_file_that_announces_much_allocates_nothing(tmp_path):
    path = saved(tmp_path / "a.nii", (42, "hhh", 1200, 1200, 1200))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("a.nii", "a.nii.gz"):
        with pytest.raises(ScanError, match="cut short: its header announces 3456000000 bytes"):
            decode(tmp_path / name)


@pytest.mark.parametrize("offset", [0.0, 16.0, NAN, 352.0])
def test_voxels_begin_after_the_header_whatever_it_says(tmp_path, offset):
    path = saved(tmp_path / "a.nii", (108, "f", offset))
    np.testing.assert_array_equal(decode(path).values[0], VALUES)


def test_a_header_without_the_four_bytes_behind_it(tmp_path):
    raw = saved(tmp_path / "a.nii", (108, "f", 0.0)).read_bytes()
    (tmp_path / "a.nii").write_bytes(raw[:348] + raw[352:])
    np.testing.assert_array_equal(decode(tmp_path / "a.nii").values[0], VALUES)


@pytest.mark.parametrize(
    "dims",
    [
        (3, 5, 4, 3, 9, 9, 9, 9),  # what lies behind the announced axes means nothing
        (4, 5, 4, 3, 0, 0, 0, 0),
        (7, 5, 4, 3, 1, 1, 1, 1),
        (5, 5, 4, 3, 1, 1, 0, 0),
    ],
)
def test_unused_axes_are_no_axes(tmp_path, dims):
    path = saved(tmp_path / "a.nii", (40, "8h", *dims))
    np.testing.assert_array_equal(decode(path).values[0], VALUES)
    assert decode_header(path).channels == 1


@pytest.mark.parametrize("number", [0, -1, 8, 99])
def test_a_number_of_axes_that_cannot_be_is_named(tmp_path, number):
    path = saved(tmp_path / "a.nii", (40, "h", number))
    with pytest.raises(ScanError, match=r"a\.nii: its header .* axes; export it again"):
        decode(path)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", "<>")
def test_either_byte_order_and_version(tmp_path, kind, order):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    image = kind(VALUES.astype(np.dtype(np.int16).newbyteorder(order)), AFFINE, header)
    nib.save(image, tmp_path / "a.nii")
    values, geometry = decode(tmp_path / "a.nii")
    assert values.dtype == np.dtype(np.int16)
    np.testing.assert_array_equal(values[0], VALUES)
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-4)


def test_vectors_of_the_fifth_axis_and_colours_with_alpha(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 4, 3, 1, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(vectors, AFFINE), tmp_path / "v.nii")
    np.testing.assert_array_equal(
        decode(tmp_path / "v.nii").values, np.moveaxis(vectors, -1, 0)[..., 0]
    )
    rgba = np.random.default_rng(0).integers(0, 255, (5, 4, 3, 4), dtype=np.uint8)
    records = rgba.view([(name, np.uint8) for name in "RGBA"])[..., 0]
    nib.save(nib.Nifti1Image(records, AFFINE), tmp_path / "c.nii")
    np.testing.assert_array_equal(decode(tmp_path / "c.nii").values, np.moveaxis(rgba, -1, 0)[:3])


def test_what_is_no_nifti_says_so(tmp_path):
    path = saved(tmp_path / "a.nii", (344, "4s", b"xyz\0"))
    with pytest.raises(ScanError, match=r"a\.nii: not a NIfTI file: its header lacks the mark"):
        decode(path)
    nib.save(nib.Nifti1Image(VALUES.astype(np.complex64), AFFINE), tmp_path / "c.nii")
    with pytest.raises(ScanError, match=r"c\.nii: complex values; save the magnitude instead"):
        decode(tmp_path / "c.nii")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("stated", [348, 350])
def test_voxels_that_begin_four_bytes_behind_what_the_header_says(tmp_path, stated, packed):
    """Those bytes are no voxels: the file's own size says where they begin."""
    path = saved(tmp_path / "a.nii", (108, "f", stated))
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    subject = read_subject(Case("a", (path,)))
    np.testing.assert_array_equal(subject.image[0], VALUES)
    (note,) = subject.warnings
    assert note.detail == f"byte 352 instead of {stated}"
    # What really begins there, does.
    raw = saved(tmp_path / "b.nii", (108, "f", 348)).read_bytes()
    path.write_bytes(raw[:348] + raw[352:])
    subject = read_subject(Case("a", (path,)))
    np.testing.assert_array_equal(subject.image[0], VALUES)
    assert not subject.warnings


TIME = (123, "b", 2 + 8)
STEP = 76 + 4 * 4


@pytest.mark.parametrize("step", [0, 1, 2.5])
def test_a_fourth_axis_in_seconds_is_channels_with_a_word(tmp_path, step):
    values = np.stack([VALUES, VALUES + 1], axis=-1)
    path = saved(tmp_path / "a.nii", TIME, (STEP, "f", step), values=values)
    subject = read_subject(Case("a", (path,)))
    np.testing.assert_array_equal(subject.image, np.moveaxis(values, -1, 0))
    said = [str(note) for note in subject.warnings]
    # ITK says seconds, and a step of 1, of whatever it writes.
    assert len(said) == (step == 2.5)
    assert all(
        "if it is points in time" in line and "2 of them, 2.5 s apart" in line for line in said
    )
    one = saved(tmp_path / "one.nii", TIME, (STEP, "f", step))
    assert not read_subject(Case("one", (one,))).warnings


@pytest.mark.parametrize(("code", "name"), [(1, "binary"), (1536, "float128")])
def test_types_that_are_not_read_are_named(tmp_path, code, name):
    with pytest.raises(ScanError, match=f"values of type {name}; save it as float32"):
        decode(saved(tmp_path / "a.nii", (70, "h", code)))
