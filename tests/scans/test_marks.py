from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.geometry import Geometry
from medseg.scans.marks import is_ours, mark
from medseg.scans.read import read_label_map
from medseg.scans.write import write_label_map

VOLUME = Geometry((6, 5, 4), (1.0, 2.0, 2.5), (3.0, -4.0, 5.0))
FLAT = Geometry((6, 5, 1), world=False)


@pytest.mark.parametrize(
    "suffix",
    [
        *(".nii", ".nii.gz", ".NII.GZ", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".img"),
        *(".png", ".tif", ".tiff", ".bmp"),
    ],
)
def test_a_mark_changes_nothing_but_that_it_is_there(tmp_path: Path, suffix: str):
    grid = FLAT if suffix in (".png", ".tif", ".tiff", ".bmp") else VOLUME
    label = (2 * np.arange(np.prod(grid.size))).reshape(grid.size).astype(np.int32)
    file = write_label_map(label, grid, tmp_path / f"a{suffix}")
    assert not is_ours(file)
    before = read_label_map(file)
    mark(file)
    assert is_ours(file)
    values, geometry = read_label_map(file)
    np.testing.assert_array_equal(values, label)
    assert geometry == before[1]
    if suffix.lower() == suffix and suffix not in (".mgz", ".mgh", ".bmp"):
        other = sitk.GetArrayFromImage(sitk.ReadImage(str(file))).T
        np.testing.assert_array_equal(other.reshape(grid.size), label)
    if grid is FLAT:
        with Image.open(file) as image:
            np.testing.assert_array_equal(np.asarray(image).T, label[..., 0])


def test_the_permissions_stay(tmp_path: Path):
    file = write_label_map(np.ones(VOLUME.size, np.int32), VOLUME, tmp_path / "a.nii.gz")
    plain = tmp_path / "plain"
    plain.touch()
    mark(file)
    assert file.stat().st_mode == plain.stat().st_mode


def test_nifti_2_has_room_too(tmp_path: Path):
    file = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti2Image(np.ones((3, 3, 3), np.uint8), np.eye(4)), file)
    mark(file)
    assert is_ours(file)
    assert nib.load(file).get_fdata().sum() == 27


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"\x1f\x8bjunk", b"junk" * 5000])
def test_junk_is_not_ours(tmp_path: Path, content: bytes):
    file = tmp_path / "a.nii.gz"
    file.write_bytes(content)
    assert not is_ours(file)
