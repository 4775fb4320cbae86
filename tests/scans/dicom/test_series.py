"""Which files form a series: told by where slices lie, never by names or numbers."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from scipy.spatial.transform import Rotation

from medseg.errors import ScanError, SettingsError
from medseg.scans.decode import decode, decode_header
from medseg.scans.dicom.folder import chosen, series_in
from medseg.scans.formats import files_of, first_file, is_scan, named_path
from tests.scans.dicom.objects import (
    CR,
    CT,
    SC,
    affine,
    dataset,
    listed,
    merged,
    ramp,
    read,
    save,
    save_series,
    slices,
    to_ras,
    uid,
)

OBLIQUE = tuple(
    Rotation.from_euler("xyz", [20, -35, 110], degrees=True).as_matrix()[:, :2].T.ravel()
)
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "feet first": (-1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "oblique": OBLIQUE,
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_every_voxel_is_where_its_slice_says(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    volume, lps = ramp(7, 6, 5), affine(orientation)
    save_series(tmp_path, volume, lps)
    values, ras = read(tmp_path)
    assert values.dtype == np.int16
    np.testing.assert_array_equal(values[0], volume)
    np.testing.assert_allclose(ras, to_ras(lps), atol=1e-4)


def test_order_of_files_and_numbers_means_nothing(tmp_path: Path) -> None:
    volume, lps = ramp(4, 5, 9), affine()
    order = np.random.default_rng(1).permutation(9)
    for name, (one, number) in enumerate(zip(slices(volume, lps), order, strict=True)):
        one.InstanceNumber = int(number)
        save(one, tmp_path / f"{(name * 4) % 9}.dcm")
    values, _ = read(tmp_path)
    np.testing.assert_array_equal(values[0], volume)


def test_a_series_is_the_same_scan_as_its_nifti(tmp_path: Path) -> None:
    volume, lps = ramp(6, 7, 5), affine(OBLIQUE)
    save_series(tmp_path / "dicom", volume, lps)
    nib.save(
        nib.Nifti1Image(volume[::-1, :, ::-1], flipped(to_ras(lps), volume)), tmp_path / "a.nii"
    )
    (path,) = listed(tmp_path / "dicom")
    ours, theirs = decode(path), decode(tmp_path / "a.nii")
    turned = ours.geometry.to_canonical(), theirs.geometry.to_canonical()
    np.testing.assert_array_equal(turned[0].apply(ours.values), turned[1].apply(theirs.values))
    grid = ours.geometry.reoriented(turned[0])
    assert grid.same_grid(theirs.geometry.reoriented(turned[1]), 1e-3)


def flipped(ras: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """The matrix of `volume[::-1, :, ::-1]`."""
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[:3, 3] = [volume.shape[0] - 1, 0, volume.shape[2] - 1]
    return ras @ flip


def test_one_path_stands_for_all_files(tmp_path: Path) -> None:
    files = save_series(tmp_path / "case1", ramp(3, 3, 4))
    assert listed(tmp_path / "case1") == [files[0]]
    assert files_of(files[0]) == tuple(files)
    assert {first_file(path) for path in files} == {files[0]}
    assert named_path(files[2]) == tmp_path / "case1"
    np.testing.assert_array_equal(decode(files[3]).values, decode(files[0]).values)
    header = decode_header(files[0])
    assert header.geometry == decode(files[0]).geometry
    assert (header.channels, header.plane) == (1, False)


def test_names_without_a_meaning_are_dicom_by_content(tmp_path: Path) -> None:
    volume = ramp(3, 4, 3)
    for name, one in zip(
        ["IM0001", "MR.1.2.840.77", "x.IMA"], slices(volume, affine()), strict=True
    ):
        save(one, tmp_path / name)
    (tmp_path / "notes").write_text("nothing of interest")
    (tmp_path / "._IM0001").write_bytes(b"\0" * 200)
    values, _ = read(tmp_path)
    np.testing.assert_array_equal(values[0], volume)


def test_series_of_one_folder_are_inputs_each(tmp_path: Path) -> None:
    first, second = ramp(3, 4, 3), ramp(5, 4, 6, seed=1)
    save_series(tmp_path / "a", first, SeriesInstanceUID=uid("a"), SeriesNumber=3)
    save_series(
        tmp_path / "b",
        second,
        SeriesInstanceUID=uid("b"),
        SeriesNumber=12,
        SeriesDescription="T2 tra",
    )
    both = tmp_path / "both"
    both.mkdir()
    for path in [*(tmp_path / "a").iterdir(), *(tmp_path / "b").iterdir()]:
        path.rename(both / f"{path.parent.name}{path.name}")
    found = series_in(both)
    assert [one.line for one in found] == [
        "series 3, MR, T1 axial, 3x4x3, 0.8 x 1.1 x 2.5 mm",
        "series 12, MR, T2 tra, 5x4x6, 0.8 x 1.1 x 2.5 mm",
    ]
    assert [named_path(one.first).name for one in found] == ["series3", "series12"]
    assert [decode(path).values.shape[1:] for path in listed(both)] == [(3, 4, 3), (5, 4, 6)]
    firsts = [one.first for one in found]
    assert (
        chosen(firsts, "12") == chosen(firsts, "t2") == chosen(firsts, str(uid("b"))) == firsts[1:]
    )
    with pytest.raises(
        SettingsError, match=r"fits none of the inputs: series 3, MR.*series 12, MR, T2"
    ):
        chosen(firsts, "flair")


def test_volumes_of_one_series_are_told_apart(tmp_path: Path) -> None:
    """Echoes at the same places; the scanner gave them one identifier."""
    echoes = [ramp(4, 3, 5, seed=seed) for seed in range(2)]
    for number, volume in enumerate(echoes, start=1):
        save_series(tmp_path / str(number), volume, EchoNumbers=number, EchoTime=4.6 * number)
    together = merged(tmp_path, ["1", "2"])
    found = series_in(together)
    assert [one.description for one in found] == ["T1 axial, echo 1", "T1 axial, echo 2"]
    for one, volume in zip(found, echoes, strict=True):
        np.testing.assert_array_equal(decode(one.first).values[0], volume)
    assert len({named_path(one.first) for one in found}) == 2


def test_time_points_without_a_mark_follow_their_numbers(tmp_path: Path) -> None:
    times = [ramp(4, 3, 3, seed=seed) for seed in range(4)]
    for time, volume in enumerate(times):
        for index, one in enumerate(slices(volume, affine())):
            one.InstanceNumber = time * 3 + index + 1
            one.SOPInstanceUID = uid(f"{time} {index}")
            save(one, tmp_path / f"{time}{index}.dcm")
    found = series_in(tmp_path)
    assert [one.description.split(", ")[1] for one in found] == [
        f"time {n} of 4" for n in range(1, 5)
    ]
    for one, volume in zip(found, times, strict=True):
        np.testing.assert_array_equal(decode(one.first).values[0], volume)


def test_slices_of_a_localizer_are_scans_of_their_own(tmp_path: Path) -> None:
    for name in ("axial", "coronal", "sagittal"):
        save_series(tmp_path / name, ramp(4, 4, 1), affine(ORIENTATIONS[name]), SliceThickness=6)
    together = merged(tmp_path, ["axial", "coronal", "sagittal"])
    grids = [decode(one.first).geometry for one in series_in(together)]
    assert sorted(grid.codes for grid in grids) == ["LIP", "LPS", "PIR"]
    assert {grid.spacing_mm[2] for grid in grids} == {6.0}


def test_one_identifier_for_all_slices_loses_none(tmp_path: Path) -> None:
    """What some programs make of identifiers when they take names away."""
    volume = ramp(4, 3, 5)
    save_series(tmp_path, volume, SOPInstanceUID=uid("same"))
    np.testing.assert_array_equal(read(tmp_path)[0][0], volume)


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        (17, "5 mm after slice 17, usually 2.5; 1 slice missing there"),
        (1, "5 mm after slice 1, usually 2.5; 1 slice missing there"),
    ],
)
def test_a_missing_slice_is_named(tmp_path: Path, gone: int, what: str) -> None:
    files = save_series(tmp_path, ramp(3, 3, 24), AcquisitionNumber=1)
    files[gone].unlink()
    with pytest.raises(ScanError, match=what) as error:
        read(tmp_path)
    assert error.value.subject == tmp_path.name


def test_uneven_slices_are_refused_and_jitter_is_not(tmp_path: Path) -> None:
    for name, shifts in {"even": 0.0, "jitter": 0.02, "rounded": 0.04, "uneven": 0.9}.items():
        random = np.random.default_rng(0)
        for index, one in enumerate(slices(ramp(3, 3, 8), affine())):
            x, y, z = one.ImagePositionPatient
            one.ImagePositionPatient = [x, y, round(float(z) + shifts * random.uniform(-1, 1), 4)]
            save(one, tmp_path / name / f"{index}.dcm")
    notes = {name: series_in(tmp_path / name)[0].notes for name in ("even", "jitter", "rounded")}
    assert notes["even"] == ()
    assert notes["rounded"][0][0] == "slices read as evenly spaced"
    assert "2.498 mm apart, by up to 0.0" in notes["rounded"][0][1]
    for name in notes:
        assert read(tmp_path / name)[1][2, 2] == pytest.approx(2.5, abs=0.02)
    with pytest.raises(ScanError, match=r"slices are uneven: .* mm after slice \d, usually"):
        read(tmp_path / "uneven")


def test_slices_twice_at_one_place_are_refused(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(3, 3, 6))
    (extra,) = list(slices(ramp(3, 3, 1, seed=5), affine()))
    extra.SOPInstanceUID = uid("another")
    save(extra, tmp_path / "extra.dcm")
    with pytest.raises(ScanError, match="1 of its 7 slices lie where another one does"):
        read(tmp_path)


def test_a_tilted_gantry_is_a_sheared_grid(tmp_path: Path) -> None:
    """Exact: no voxel is resampled, and every one is where its slice says."""
    volume, lps = ramp(5, 6, 7), affine(step=(0.0, 1.2, 3.0))
    save_series(tmp_path, volume, lps, CT)
    values, ras = read(tmp_path)
    np.testing.assert_array_equal(values[0], volume)
    np.testing.assert_allclose(ras, to_ras(lps), atol=1e-5)
    (series,) = series_in(tmp_path)
    assert series.notes == (("tilted gantry, kept as it is on a sheared grid", "21.8 degrees"),)


def test_slices_shifted_at_random_are_refused(tmp_path: Path) -> None:
    for index, one in enumerate(slices(ramp(3, 3, 6), affine())):
        x, y, z = map(float, one.ImagePositionPatient)
        one.ImagePositionPatient = [x + 4.0 * (index == 3), y, z]
        save(one, tmp_path / f"{index}.dcm")
    with pytest.raises(ScanError, match="shifted sideways by up to 4 mm, and not evenly"):
        read(tmp_path)


def test_slices_without_a_position_are_refused(tmp_path: Path) -> None:
    for index, one in enumerate(slices(ramp(3, 3, 4), affine(), CT)):
        del one.ImagePositionPatient
        save(one, tmp_path / f"{index}.dcm")
    with pytest.raises(ScanError, match="its 4 frames do not say where they lie"):
        read(tmp_path)


def test_a_last_slice_without_a_direction_is_no_shorter_scan(tmp_path: Path) -> None:
    *_, last = save_series(tmp_path, ramp(4, 5, 4))
    one = dcmread(last)
    del one.ImageOrientationPatient
    one.save_as(last)
    with pytest.raises(ScanError, match="1 of its 4 slices do not say where they lie"):
        read(tmp_path)


def test_pictures_are_each_for_themselves(tmp_path: Path) -> None:
    """Two views of a chest, with one series' identifier."""
    views = [ramp(5, 6, kind=np.uint16, seed=seed) for seed in range(2)]
    for name, view in zip(["frontal", "lateral"], views, strict=True):
        save(dataset(CR, view.T.copy(), ImagerPixelSpacing=[0.2, 0.15]), tmp_path / f"{name}.dcm")
    paths = listed(tmp_path)
    assert [named_path(path).name for path in paths] == ["frontal", "lateral"]
    for path, view in zip(paths, views, strict=True):
        values, geometry = decode(path)
        np.testing.assert_array_equal(values[0, :, :, 0], view)
        assert not geometry.world
        assert geometry.spacing_mm == (0.15, 0.2, 1.0)


def test_a_film_is_refused(tmp_path: Path) -> None:
    save(dataset(SC, ramp(9, 4, 5, kind=np.uint8)), tmp_path / "film.dcm")
    with pytest.raises(ScanError, match="its 9 frames do not say where they lie"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("storage", "what"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.3", "a radiotherapy structure set: contours, no voxels"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "a radiotherapy dose"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "a report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "a selection of key images"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "a way of showing images"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "a document"),
        ("1.3.12.2.1107.5.9.1", "an object without pixels"),
    ],
)
def test_what_is_no_image_is_no_scan_and_says_so(tmp_path: Path, storage: str, what: str) -> None:
    path = save(dataset(storage), tmp_path / "object.dcm")
    assert not is_scan(path)
    with pytest.raises(ScanError, match=f"object.dcm: holds {what}, not an image"):
        decode(path)


def test_a_file_that_only_ends_like_dicom_says_so(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    path.write_text("a text")
    assert is_scan(path)  # so that it is refused, not passed over
    with pytest.raises(ScanError, match=r"scan.dcm: damaged, or not really a DICOM file"):
        decode(path)
