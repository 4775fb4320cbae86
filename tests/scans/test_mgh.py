import gzip

import nibabel as nib
import numpy as np
import pytest

from medseg.errors import ScanError
from medseg.scans.decode import decode
from medseg.scans.write import write_image, write_label_map
from tests.grids import grid, random_label


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("frames", [1, 3])
def test_what_nibabel_writes(tmp_path, suffix, dtype, frames):
    values = np.random.default_rng(0).integers(0, 99, (5, 4, 3, frames)).astype(dtype)
    affine = grid(tilt="oblique").affine.astype(np.float32)
    stored = values if frames > 1 else values[..., 0]
    nib.save(nib.MGHImage(stored, affine), tmp_path / f"a{suffix}")
    read, geometry = decode(tmp_path / f"a{suffix}")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, np.moveaxis(values, -1, 0))
    np.testing.assert_allclose(geometry.affine, affine, atol=1e-4)
    assert geometry.placed


@pytest.mark.parametrize("suffix", [".mgz", ".mgh", ".MGZ"])
def test_nibabel_reads_what_is_written(tmp_path, suffix):
    geometry, label = grid(tilt="oblique"), random_label((5, 4, 3), high=300)
    path = write_label_map(label, geometry, tmp_path / f"a{suffix}")
    data = path.read_bytes()
    image = nib.MGHImage.from_bytes(data if suffix == ".mgh" else gzip.decompress(data))
    np.testing.assert_array_equal(np.asarray(image.dataobj), label)
    np.testing.assert_allclose(image.affine, geometry.affine, atol=1e-4)
    values = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    image = nib.load(write_image(values, geometry, tmp_path / "c.mgz"), mmap=False)
    np.testing.assert_array_equal(np.moveaxis(np.asarray(image.dataobj), -1, 0), values)


def test_without_the_flag_there_is_no_position(tmp_path):
    image = nib.MGHImage(np.zeros((5, 4, 3), np.uint8), np.eye(4))
    nib.save(image, tmp_path / "a.mgh")
    raw = bytearray((tmp_path / "a.mgh").read_bytes())
    raw[28:30] = b"\0\0"
    (tmp_path / "a.mgh").write_bytes(raw)
    geometry = decode(tmp_path / "a.mgh").geometry
    assert not geometry.placed
    assert geometry.codes == "LIA"


def test_true_reasons(tmp_path):
    (tmp_path / "a.mgh").write_bytes(b"\0\0\0\2" + bytes(300))
    with pytest.raises(ScanError, match=r"a\.mgh: not a FreeSurfer file: .* begin with 1"):
        decode(tmp_path / "a.mgh")
