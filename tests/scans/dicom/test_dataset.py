"""DICOM as images, and as labels, in the layouts that datasets have."""

from pathlib import Path

import nibabel as nib
import numpy as np

from medseg.scans.discover import discover
from medseg.scans.read import read_subject
from tests.scans.dicom.objects import affine, ramp, save_series, to_ras


def test_series_in_case_folders_pair_with_nifti_labels(tmp_path: Path) -> None:
    """One grid, whatever the two programs made of its axes."""
    for case in range(1, 4):
        volume, label = ramp(6, 7, 5, seed=case), (ramp(6, 7, 5, seed=case) > 2000).astype(np.uint8)
        save_series(tmp_path / "images" / f"case{case}", volume)
        flip = np.diag([-1.0, 1.0, 1.0, 1.0])
        flip[0, 3] = 5
        (tmp_path / "labels").mkdir(exist_ok=True)
        nib.save(
            nib.Nifti1Image(label[::-1], to_ras(affine()) @ flip),
            tmp_path / "labels" / f"case{case}.nii.gz",
        )
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["case1", "case2", "case3"]
    assert dataset.problems == ()
    subject = read_subject(dataset.cases[1])
    np.testing.assert_array_equal(subject.image[0], ramp(6, 7, 5, seed=2))
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], ramp(6, 7, 5, seed=2) > 2000)
