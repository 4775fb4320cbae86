from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import ScanError
from medseg.scans.decode import decode
from medseg.scans.write import write_label_map
from tests.grids import grid, random_label

VALUES = np.random.default_rng(0).integers(-900, 900, (5, 4, 3), dtype=np.int16)
AFFINE = grid(tilt="oblique").affine


@pytest.mark.parametrize("named", ["a.img", "a.hdr"])
def test_a_nifti_pair_lies_where_it_says(tmp_path, named):
    nib.save(nib.Nifti1Pair(VALUES, AFFINE), tmp_path / "a.img")
    values, geometry = decode(tmp_path / named)
    np.testing.assert_array_equal(values[0], VALUES)
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-4)
    assert geometry.placed


def test_either_half_may_be_spelled_in_capitals(tmp_path):
    nib.save(nib.Nifti1Pair(VALUES, AFFINE), tmp_path / "a.img")
    (tmp_path / "a.hdr").rename(tmp_path / "a.HDR")
    (tmp_path / "a.img").rename(tmp_path / "a.IMG")
    np.testing.assert_array_equal(decode(tmp_path / "a.IMG").values[0], VALUES)


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage])
@pytest.mark.parametrize("order", "<>")
def test_analyze_has_spacing_but_no_position(tmp_path, kind, order):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    nib.save(kind(VALUES, np.diag([2.0, 3.0, 4.0, 1.0]), header), tmp_path / "a.img")
    values, geometry = decode(tmp_path / "a.img")
    np.testing.assert_array_equal(values[0], VALUES)
    assert geometry.spacing_mm == (2, 3, 4)
    assert not geometry.placed


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Nifti1Pair])
def test_masks_of_pairs_are_pairs_that_other_programs_find_in_place(tmp_path, kind):
    nib.save(kind(VALUES, np.diag([-2.0, 3.0, 4.0, 1.0])), tmp_path / "a.img")
    label = random_label((5, 4, 3))
    written = write_label_map(
        label, decode(tmp_path / "a.img").geometry, tmp_path / "s.img", like=tmp_path / "a.img"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdr", "a.img", "s.hdr", "s.img"]
    np.testing.assert_array_equal(decode(written).values[0], label)
    scan, mask = nib.load(tmp_path / "a.img"), nib.load(written)
    np.testing.assert_array_equal(np.asarray(mask.dataobj).reshape(label.shape), label)
    np.testing.assert_allclose(mask.affine, scan.affine)
    scan, mask = (sitk.ReadImage(str(path)) for path in (tmp_path / "a.img", written))
    assert mask.GetOrigin()[:3] == pytest.approx(scan.GetOrigin()[:3])
    assert mask.GetSpacing()[:3] == pytest.approx(scan.GetSpacing()[:3])


def test_half_a_pair_and_headers_of_other_programs_are_named(tmp_path):
    def refused(path: Path) -> str:
        with pytest.raises(ScanError) as caught:
            decode(path)
        return str(caught.value)

    (tmp_path / "a.img").write_bytes(bytes(100))
    assert "a.img: one half of a pair, its .hdr is not beside it" in refused(tmp_path / "a.img")
    (tmp_path / "a.hdr").write_text("ENVI\nsamples = 5\n" * 40)
    assert "a.img: neither a NIfTI nor an Analyze file" in refused(tmp_path / "a.img")
