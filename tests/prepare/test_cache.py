import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plans import plan_for_tests
from prepare.files import GEOMETRY, entries, save, two_cases
from subjects import ellipsoids

from medseg.errors import MedsegError
from medseg.measure import digest
from medseg.plan.plan import Normalisation
from medseg.prepare import cache
from medseg.prepare.cache import StoredCase, prepare_cases
from medseg.prepare.foreground import foreground
from medseg.prepare.pipeline import place, prepare
from medseg.scans.read import read_subject


@pytest.fixture
def cases(tmp_path):
    """Two labelled cases on disk."""
    return two_cases(tmp_path)


@pytest.fixture
def work(monkeypatch):
    """The names of the cases that were prepared, and of the files that were hashed."""
    done = []

    def place_and_tell(subject, plan):
        done.append(subject.name)
        return place(subject, plan)

    def hash_and_tell(path, hash_file=digest._hash):
        done.append(path.name)
        return hash_file(path)

    monkeypatch.setattr(cache, "place", place_and_tell)
    monkeypatch.setattr(digest, "_hash", hash_and_tell)
    return done


def age(path, days):
    then = path.stat().st_mtime - days * 24 * 3600
    os.utime(path, (then, then))


def test_what_comes_from_disk_is_what_prepare_gives(cases, tmp_path):
    plan = plan_for_tests(spacing_mm=(1.0, 1.0, 1.0))
    stored, problems = prepare_cases(cases, plan, tmp_path / "cache")
    assert problems == ()
    for case, found in zip(cases, stored, strict=True):
        expected = prepare(read_subject(case), plan)
        assert found.prepared.name == case.name
        assert found.prepared.placement == expected.placement
        np.testing.assert_array_equal(found.prepared.image, expected.image)
        np.testing.assert_array_equal(found.prepared.label, expected.label)
        assert isinstance(found.prepared.image, np.memmap)
        assert not found.prepared.image.flags.writeable
        rows, ends, voxels = foreground(expected.label, plan)
        np.testing.assert_array_equal(found.foreground, rows)
        assert (found.ends, found.class_voxels) == (ends, voxels)
        assert sum(voxels) == expected.label.size


def test_unchanged_cases_are_neither_prepared_nor_read(cases, tmp_path, work):
    plan = plan_for_tests()
    prepare_cases(cases, plan, tmp_path / "cache")
    assert sorted(work) == ["0.nii.gz", "0_seg.nii.gz", "1.nii.gz", "1_seg.nii.gz", "a", "sub/b"]
    work.clear()
    again = plan.model_copy(update={"patch_size": (8, 8, 8), "steps": 9, "reasons": {"a": "b"}})
    prepare_cases(cases, again, tmp_path / "cache")
    assert work == []


def test_touched_files_are_hashed_and_their_entries_kept(cases, tmp_path, work):
    prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    work.clear()
    os.utime(cases[0].images[0], ns=(1, 1))
    prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    assert work == ["0.nii.gz"]


def test_changed_files_are_prepared_again(cases, tmp_path, work):
    before, _ = prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    work.clear()
    save(cases[1].labels[0], np.ones(GEOMETRY.size, dtype=np.int16))
    after, _ = prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    assert work == ["1_seg.nii.gz", "sub/b"]
    assert (after[1].prepared.label == 1).all()
    assert not (before[1].prepared.label == 1).all()  # what is mapped stays as it was


@pytest.mark.parametrize("change", [
    {"spacing_mm": (2.0, 2.0, 2.0)}, {"dim": 2}, {"image_orders": (1, 1, 1)},
    {"class_names": ("background", "lesion", "organ")},
    {"normalisation": (Normalisation(kind="body"),)},
])  # fmt: skip
def test_a_plan_that_changes_the_arrays_is_a_new_entry(cases, tmp_path, work, change):
    folder = tmp_path / "cache"
    prepare_cases(cases[:1], plan_for_tests(), folder)
    work.clear()
    prepare_cases(cases[:1], plan_for_tests(**change), folder)
    assert work == ["a"]
    assert len(entries(folder)) == 2
    prepare_cases(cases[:1], plan_for_tests(), folder)
    assert work == ["a"]


def test_a_new_version_of_the_preparation_forgets_the_old(cases, tmp_path, work, monkeypatch):
    prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    work.clear()
    monkeypatch.setattr(cache, "_VERSION", -1)
    prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    assert work == ["a", "sub/b"]


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "foreground.npy", "entry.json"])
@pytest.mark.parametrize("rest", [0, 100, None])
def test_a_damaged_entry_is_made_again(cases, tmp_path, work, name, rest):
    first, _ = prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache")
    work.clear()
    file = entries(tmp_path / "cache")[0] / name
    whole = file.read_bytes()
    if rest is None:
        file.unlink()
    else:
        file.rename(file.with_suffix(".old"))  # what is mapped must not be cut short
        file.write_bytes(whole[:rest])
    again, _ = prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache")
    assert work == ["a"]
    assert file.read_bytes() == whole
    np.testing.assert_array_equal(again[0].prepared.image, first[0].prepared.image)


def test_a_damaged_index_is_begun_anew(cases, tmp_path, work):
    prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache")
    work.clear()
    (tmp_path / "cache" / "files.jsonl").write_text("{")
    prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache")
    assert work == ["0.nii.gz", "0_seg.nii.gz"]


def test_old_entries_of_a_case_make_room(cases, tmp_path):
    folder = tmp_path / "cache"
    for spacing in (1.0, 1.2, 1.4, 1.6, 1.8):
        for entry in entries(folder):
            age(entry, days=3)
        prepare_cases(cases[:1], plan_for_tests(spacing_mm=(spacing,) * 3), folder)
        newest = max(entries(folder), key=lambda entry: entry.stat().st_mtime_ns)
    assert len(entries(folder)) == 3
    assert newest in entries(folder)


def test_an_entry_that_a_training_uses_is_never_tidied_away(cases, tmp_path):
    folder = tmp_path / "cache"
    (used,), _ = prepare_cases(cases[:1], plan_for_tests(), folder)
    for spacing in (1.2, 1.4, 1.6, 1.8):
        for entry in entries(folder):
            age(entry, days=3)
        assert used.prepared.image.any()
        prepare_cases(cases[:1], plan_for_tests(spacing_mm=(spacing,) * 3), folder)
    assert used.folder.exists()


def test_what_a_killed_run_left_half_written_goes_after_some_days(cases, tmp_path):
    parts = tmp_path / "cache" / "parts"
    old, young = parts / "1-old", parts / "1-young"
    for part in (old, young):
        part.mkdir(parents=True)
    age(old, days=3)
    prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache")
    assert [path.name for path in parts.iterdir()] == ["1-young"]


def test_two_runs_that_prepare_the_same_case_share_the_first_one_s_entry(
    cases, tmp_path, monkeypatch
):
    folder = tmp_path / "cache"
    first: list[StoredCase] = []

    def overtaken(subject, plan):
        if not first:
            first.append(subject)
            first[:] = prepare_cases(cases[:1], plan, folder)[0]
        return place(subject, plan)

    monkeypatch.setattr(cache, "place", overtaken)
    (second,), _ = prepare_cases(cases[:1], plan_for_tests(), folder)
    assert second == first[0]
    assert len(entries(folder)) == 1
    assert list((folder / "parts").iterdir()) == []


def test_files_that_change_while_they_are_read_are_prepared_under_no_name(
    cases, tmp_path, monkeypatch
):
    def read_and_replace(case, with_label=True):
        found = read_subject(case, with_label)
        if case.name == "a":
            save(case.images[0], found.image[0] + 1)
        return found

    monkeypatch.setattr(cache, "read_subject", read_and_replace)
    stored, (problem,) = prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    assert ([case.name for case in stored], problem.name) == (["sub/b"], "a")
    assert "changed while they were read" in problem.what


def test_several_masks_are_stored_as_they_would_be_prepared_together(cases, tmp_path):
    masks = []
    for index in (1, 2):
        masks.append(tmp_path / f"mask{index}.nii.gz")
        label = ellipsoids(GEOMETRY.size, GEOMETRY.spacing_mm)
        save(masks[-1], 255 * (label == index).astype(np.int16))
    case = replace(cases[0], labels=tuple(masks))
    for task, layers in (("multiclass", 1), ("multilabel", 2)):
        plan = plan_for_tests(task=task, spacing_mm=(1.3, 0.8, 1.0))
        (found,), _ = prepare_cases([case], plan, tmp_path / "cache")
        expected = prepare(read_subject(case), plan)
        assert expected.label.shape[0] == layers
        np.testing.assert_array_equal(found.prepared.label, expected.label)
        rows, ends, voxels = foreground(expected.label, plan)
        np.testing.assert_array_equal(found.foreground, rows)
        assert (found.ends, found.class_voxels) == (ends, voxels)


def test_an_image_s_separate_data_file_counts(tmp_path):
    header, data = tmp_path / "scan.mhd", tmp_path / "voxels.raw"
    header.write_text("ObjectType = Image\nDimSize = 1 1 1\nElementDataFile = voxels.raw\n")
    data.write_bytes(b"1")
    digests = digest.FileDigests(tmp_path / "index.json")
    before = digests.of(header)
    data.write_bytes(b"22")
    assert digests.of(header) != before


def test_a_broken_case_is_named_and_the_others_are_done(cases, tmp_path):
    Path(cases[0].images[0]).write_bytes(b"not a scan")
    gone = replace(cases[1], name="gone", images=(tmp_path / "gone.nii.gz",))
    stored, problems = prepare_cases([cases[0], gone, cases[1]], plan_for_tests(), tmp_path / "c")
    assert [found.prepared.name for found in stored] == ["sub/b"]
    assert [problem.name for problem in problems] == ["a", "gone"]
    assert all(problem.what and problem.remedy for problem in problems)


def test_nothing_left_is_an_error(cases, tmp_path):
    plan = plan_for_tests(channels=2)
    with pytest.raises(MedsegError, match=r"0 of 2 cases.* \(a: .*1 channels.*; give every"):
        prepare_cases(cases, plan, tmp_path / "cache")


def test_a_folder_that_cannot_be_written_is_named(cases, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MedsegError, match=r"file.cache: prepared cases cannot be kept there"):
        prepare_cases(cases, plan_for_tests(), tmp_path / "file" / "cache")


def test_unlabelled_cases_are_stored_without_label(cases, tmp_path):
    stored, _ = prepare_cases([replace(cases[0], labels=())], plan_for_tests(), tmp_path / "cache")
    assert stored[0].prepared.label is None
    assert stored[0].foreground.shape == (0, 3)


def test_stored_cases_keep_no_file_open(cases, tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    stored, _ = prepare_cases(cases * 3, plan_for_tests(), tmp_path / "cache")
    for case in stored:
        assert case.prepared.image.any()
        assert case.foreground.any()
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after == before
