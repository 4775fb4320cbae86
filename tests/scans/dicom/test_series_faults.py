"""Slices that are copies, damaged, of another patient or no slices: never a scan in silence."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from medseg.errors import ScanError
from medseg.scans.decode import decode
from medseg.scans.dicom.folder import series_in, series_of
from medseg.scans.formats import is_scan
from tests.scans.dicom.objects import (
    affine,
    listed,
    ramp,
    read,
    save,
    save_series,
    slices,
    uid,
)


def test_a_copy_of_a_slice_is_left_out_with_a_word(tmp_path: Path) -> None:
    volume = ramp(4, 3, 5)
    files = save_series(tmp_path, volume)
    (tmp_path / "0009.dcm").write_bytes(files[2].read_bytes())
    series = series_of(files[0])
    assert series.notes == (("copies of slices left out", "1: 0009.dcm"),)
    np.testing.assert_array_equal(decode(tmp_path / "0009.dcm").values[0], volume)


def test_a_copy_may_be_written_otherwise(tmp_path: Path) -> None:
    volume = ramp(4, 5, 3)
    path = save_series(tmp_path, volume)[1]
    again = dcmread(path)
    again.compress(RLELossless, generate_instance_uid=False)
    again.save_as(tmp_path / "again.dcm")
    assert np.array_equal(read(tmp_path)[0][0], volume)


def test_other_slices_under_one_identifier_are_no_copies(tmp_path: Path) -> None:
    """Two echoes that were made anonymous: all files have one identifier, and lie at one place."""
    volumes = [ramp(4, 5, 3, seed=seed) for seed in range(2)]
    for echo, volume in enumerate(volumes):
        for index, one in enumerate(slices(volume, affine(), SOPInstanceUID="1.2.3")):
            del one.InstanceNumber
            save(one, tmp_path / f"{echo}{index}.dcm")
    found = [decode(path).values[0] for path in listed(tmp_path)]
    np.testing.assert_array_equal(found, volumes)


def test_two_patients_are_never_one_volume(tmp_path: Path) -> None:
    """Series of one identifier whose slices go on from one patient to the other."""
    volumes = [ramp(4, 5, 3, seed=seed) for seed in range(2)]
    for patient, volume in enumerate(volumes):
        grid = affine(origin=(0, 0, 7.5 * patient))
        for index, one in enumerate(slices(volume, grid, PatientID=f"P{patient}")):
            save(one, tmp_path / f"{patient}{index}.dcm")
    found = series_in(tmp_path)
    np.testing.assert_array_equal([decode(one.first).values[0] for one in found], volumes)
    assert len({one.name for one in found}) == 2


def damaged(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "noise": b"\1" * 900, "cut": content[:500]}[kind])


@pytest.mark.parametrize("kind", ["empty", "noise", "cut"])
def test_a_damaged_last_slice_is_no_shorter_scan(tmp_path: Path, kind: str) -> None:
    paths = save_series(tmp_path, ramp(4, 5, 3))
    damaged(paths[-1], kind)
    (path,) = listed(tmp_path)
    with pytest.raises(ScanError, match=f"may lack a slice: beside it, {paths[-1].name} is no"):
        decode(path)


def test_a_slice_that_may_not_be_read_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = save_series(tmp_path, ramp(4, 5, 3))
    opens = Path.open

    def refused(self: Path, *args, **kwargs):
        if self == paths[-1]:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return opens(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refused)
    (path,) = listed(tmp_path)
    with pytest.raises(ScanError, match=r"is no sound file \(cannot be read \(Permission denied"):
        decode(path)


def test_a_mosaic_is_no_slice(tmp_path: Path) -> None:
    kinds = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    (one,) = slices(ramp(12, 12, 1), affine(), ImageType=kinds)
    with pytest.raises(ScanError, match="a mosaic: the slices of a volume side by side"):
        decode(save(one, tmp_path / "a.dcm"))


def test_thousands_of_slices_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file asks for its series; the folder must not be listed anew for every one of them."""
    paths = save_series(tmp_path, ramp(4, 5, 40))
    os.utime(tmp_path, (1e9, 1e9))
    scandir, looks = os.scandir, []

    def counted(folder):
        looks.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counted)
    assert [path for path in paths if is_scan(path)] == paths[:1]
    assert len(looks) == 1


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    """Whatever the clock of the folder says."""
    paths = save_series(tmp_path, ramp(4, 5, 6))
    for changed in (1e9, 4e9):
        os.utime(tmp_path, (changed, changed))
        assert series_of(paths[0]).files == tuple(paths)
    (other,) = slices(ramp(4, 5, 1), affine(), SeriesInstanceUID=uid("other"))
    save(other, paths[0])
    assert series_of(paths[0]).files == (paths[0],)
    save_series(tmp_path, ramp(4, 5, 7))
    assert len(series_of(tmp_path / "0007.dcm").files) == 7
