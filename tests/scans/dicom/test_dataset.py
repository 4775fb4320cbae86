"""DICOM as images, and as labels, in the layouts that datasets have."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.scans.discover import discover
from medseg.scans.read import read_subject
from tests.scans.dicom.objects import affine, ramp, save_series, to_ras
from tests.scans.dicom.test_segmentation import MASKS, SIZE, write


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


def test_segmentations_are_labels_by_name(tmp_path: Path) -> None:
    """In one file a class is the first segment, in the next the second."""
    for case, names in enumerate([("liver", "tumour"), ("tumour", "liver")], start=1):
        save_series(tmp_path / "images" / f"case{case}", ramp(*SIZE))
        masks = MASKS if names[0] == "liver" else MASKS[::-1]
        write(tmp_path / "labels" / f"case{case}.dcm", masks, names=names)
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["case1", "case2"]
    assert dataset.cases[0].segments == ("liver", "tumour")
    for case in dataset.cases:
        subject = read_subject(case)
        assert subject.label is not None
        np.testing.assert_array_equal(subject.label[0], MASKS[0] + 2 * MASKS[1])


def test_a_segmentation_beside_its_series_in_a_folder_per_case(tmp_path: Path) -> None:
    for case in ("a", "b", "c"):
        save_series(tmp_path / case / "ct", ramp(*SIZE))
        write(tmp_path / case / "seg.dcm", MASKS)
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["a", "b", "c"]
    subject = read_subject(dataset.cases[2])
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], MASKS[0] + 2 * MASKS[1])


def test_a_segmentation_among_the_slices_of_its_case(tmp_path: Path) -> None:
    """A folder per case holds both, and only the content says which file is the label."""
    for case in ("a", "b", "c"):
        save_series(tmp_path / case, ramp(*SIZE))
        write(tmp_path / case / "1-1.dcm", MASKS)
    dataset = discover(tmp_path)
    assert [case.name for case in dataset.cases] == ["a", "b", "c"]
    subject = read_subject(dataset.cases[1])
    np.testing.assert_array_equal(subject.image[0], ramp(*SIZE))
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], MASKS[0] + 2 * MASKS[1])


def test_a_segmentation_for_each_class(tmp_path: Path) -> None:
    for case in ("a", "b", "c"):
        save_series(tmp_path / case / "ct", ramp(*SIZE))
        for name, mask in zip(("liver", "tumour"), MASKS, strict=True):
            write(tmp_path / case / f"{name}.dcm", mask[None], names=(name,))
    dataset = discover(tmp_path)
    subject = read_subject(dataset.cases[0])
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label, MASKS)


def test_segmentations_of_one_segment_are_no_classes(tmp_path: Path) -> None:
    """Two raters, whose files are called by identifiers."""
    for case in ("a", "b", "c"):
        save_series(tmp_path / case / "ct", ramp(*SIZE))
        for rater in (1, 2):
            write(tmp_path / case / f"1.2.840.{rater}.5.6.dcm", MASKS[:1], names=("liver",))
    with pytest.raises(MedsegError, match="both hold 'liver': they are of several raters"):
        discover(tmp_path)
