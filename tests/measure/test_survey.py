"""Laws of the survey: each file is measured once, and a failing machine is no broken file."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.errors import MachineError, ScanError
from medseg.measure import survey as room
from medseg.measure.facts import case_facts
from medseg.measure.held import Held
from medseg.measure.survey import heaviness, measure_cases
from medseg.progress import Silent
from medseg.scans.case import Case
from medseg.scans.marks import mark
from medseg.scans.read import read_subject
from tests.scans.dicom.objects import save_series


class Told(Silent):
    def __init__(self):
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    made: list[Case] = []
    for index, name in enumerate("abcdefgh"):
        image = np.random.default_rng(index).integers(0, 900, (9, 8, 7)).astype(np.float32)
        image[index, 0, 0] = np.nan
        paths = [tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_seg.nii.gz"]
        for path, array in zip(paths, (image, (image > 500).astype(np.uint8)), strict=True):
            nib.save(nib.Nifti1Image(array, np.eye(4)), path)
        made.append(Case(name, (paths[0],), (paths[1],)))
    return made


@pytest.fixture
def read(monkeypatch):
    names: list[str] = []

    def tell(case: Case, with_label: bool = True):
        names.append(case.name)
        return read_subject(case, with_label)

    monkeypatch.setattr(room, "read_subject", tell)
    return names


def test_the_second_survey_reads_nothing_and_says_the_same(cases, tmp_path, read):
    first_told, second_told = Told(), Told()
    first = measure_cases(cases, tmp_path / "kept", first_told)
    assert sorted(read) == list("abcdefgh")
    assert [case.name for case in first[0].cases] == list("abcdefgh")
    (line,) = first_told.warnings
    assert "8 cases" in line
    read.clear()
    assert measure_cases(cases, tmp_path / "kept", second_told) == first
    assert read == []
    assert second_told.warnings == first_told.warnings


def test_only_what_changed_is_read_again(cases, tmp_path, read):
    measure_cases(cases, tmp_path / "kept")
    read.clear()
    nib.save(nib.Nifti1Image(np.zeros((9, 8, 7), np.uint8), np.eye(4)), cases[3].labels[0])
    found, _ = measure_cases(cases, tmp_path / "kept")
    assert read == ["d"]
    assert found.cases[3].label_values == ({0: 504},)


def test_other_contents_of_the_same_size_and_times_are_read(cases, tmp_path):
    """As when an archive is unpacked over an older one of itself."""
    label = tmp_path / "a_seg.nii"
    image = nib.load(cases[0].labels[0])
    nib.save(image, label)
    case = replace(cases[0], labels=(label,))
    then = label.stat()
    first, _ = measure_cases([case], tmp_path / "kept")
    nib.save(nib.Nifti1Image(1 - np.asarray(image.dataobj), np.eye(4)), label)
    os.utime(label, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert (label.stat().st_size, label.stat().st_mtime_ns) == (then.st_size, then.st_mtime_ns)
    second, _ = measure_cases([case], tmp_path / "kept")
    (before,), (after,) = first.cases[0].label_values, second.cases[0].label_values
    assert (after[0], after[1]) == (before[1], before[0])


def test_files_that_change_while_they_are_read_leave_nothing_behind(cases, tmp_path, monkeypatch):
    """What is read is of both, and must not be known as the facts of either."""

    def read_and_replace(case: Case, with_label: bool = True):
        found = read_subject(case, with_label)
        if case.name == "b":
            nib.save(nib.Nifti1Image(np.ones((9, 8, 7), np.uint8), np.eye(4)), case.labels[0])
        return found

    monkeypatch.setattr(room, "read_subject", read_and_replace)
    held = Held()
    found, (problem,) = measure_cases(cases, tmp_path / "kept", held=held)
    assert (problem.name, len(found.cases)) == ("b", 7)
    assert "changed while they were read" in problem.what
    monkeypatch.setattr(room, "read_subject", read_subject)
    again, problems = measure_cases(cases, tmp_path / "kept")
    assert problems == ()
    assert again.cases[1].label_values == ({1: 9 * 8 * 7},)


def test_a_case_weighs_what_all_its_files_do(tmp_path):
    """A series is many files, of which a case names the first."""
    slices = save_series(tmp_path / "a", np.zeros((16, 16, 9), np.int16))
    label = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.zeros((16, 16, 9), np.uint8), np.eye(4)), label)
    weight = heaviness(Case("a", (slices[0],), (label, None)))
    assert weight == 24 * sum(path.stat().st_size for path in (*slices, label))


def test_damage_to_what_is_kept_costs_the_damaged_lines_only(cases, tmp_path, read):
    before = measure_cases(cases, tmp_path / "kept")
    facts = tmp_path / "kept" / "facts.jsonl"
    content = facts.read_bytes()
    facts.write_bytes(content[: len(content) * 2 // 3])  # as a kill leaves it
    read.clear()
    assert measure_cases(cases, tmp_path / "kept") == before
    assert 0 < len(read) < 8
    read.clear()
    assert measure_cases(cases, tmp_path / "kept") == before
    assert read == []


def test_a_number_that_a_disk_got_wrong_is_measured_again(cases, tmp_path):
    before = measure_cases(cases[:1], tmp_path / "kept")
    facts = tmp_path / "kept" / "facts.jsonl"
    content = facts.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(content), 30):
        damaged = bytearray(content)
        damaged[place] = ord("7") if content[place] != ord("7") else ord("3")
        facts.write_bytes(damaged)
        assert measure_cases(cases[:1], tmp_path / "kept") == before


def test_what_is_kept_and_cannot_be_opened_is_not_absent(cases, tmp_path, monkeypatch):
    """All cases would be read again, for one moment without a free file."""
    measure_cases(cases[:1], tmp_path / "kept")

    def fail(path: Path):
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(MachineError, match="too many open files"):
        measure_cases(cases[:1], tmp_path / "kept")


def test_broken_cases_are_left_out_by_name_in_order_and_tried_again(cases, tmp_path, read):
    for index in (5, 1):
        cases[index].images[0].write_bytes(b"broken")
    found, problems = measure_cases(cases, tmp_path / "kept")
    assert [case.name for case in found.cases] == list("acdegh")
    assert [problem.name for problem in problems] == ["b", "f"]
    read.clear()
    measure_cases(cases, tmp_path / "kept")
    assert sorted(read) == ["b", "f"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ENOSPC])
def test_a_failing_machine_ends_the_survey_under_its_own_name(cases, tmp_path, monkeypatch, number):
    def fail(case: Case, with_label: bool = True):
        if case.name == "c":
            raise OSError(number, "no")
        return read_subject(case, with_label)

    monkeypatch.setattr(room, "read_subject", fail)
    with pytest.raises(MachineError, match="c: "):
        measure_cases(cases, tmp_path / "kept")


def test_a_share_that_was_away_for_a_moment_costs_no_case(cases, tmp_path, monkeypatch):
    failed: list[str] = []

    def fail_once(case: Case, with_label: bool = True):
        if case.name == "c" and not failed:
            failed.append(case.name)
            raise OSError(errno.ESTALE, "stale")
        return read_subject(case, with_label)

    monkeypatch.setattr(room, "read_subject", fail_once)
    monkeypatch.setattr(room, "_PAUSE_S", 0)
    found, problems = measure_cases(cases, tmp_path / "kept")
    assert (len(found.cases), problems) == (8, ())


def _refused(text: str) -> ScanError:
    return ScanError(text, "is odd", "mend it")


@pytest.mark.parametrize("wrapper", [RuntimeError, _refused])
def test_a_wrapped_machine_failure_is_found(cases, tmp_path, monkeypatch, wrapper):
    def fail(case: Case, **_):
        try:
            raise OSError(errno.EMFILE, "too many")
        except OSError:
            raise wrapper("cannot read " + case.name)  # noqa: B904 - as libraries do

    monkeypatch.setattr(room, "read_subject", fail)
    with pytest.raises(MachineError, match="too many open files"):
        measure_cases(cases, tmp_path / "kept")


def test_what_is_no_failure_of_the_machine_keeps_its_case(cases, tmp_path, monkeypatch):
    def refuse(case: Case, **_):
        raise ScanError(case.name, "is odd", "mend it")

    monkeypatch.setattr(room, "read_subject", refuse)
    found, problems = measure_cases(cases, tmp_path / "kept")
    assert found.cases == ()
    assert [problem.remedy for problem in problems] == ["mend it"] * 8


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory")])
def test_a_case_too_large_for_memory_ends_the_survey_with_its_size(
    cases, tmp_path, monkeypatch, error
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(room, "read_subject", fail)
    with pytest.raises(MachineError, match=r"a: out of memory while reading its files of .* GB;"):
        measure_cases(cases, tmp_path / "kept")


def test_a_full_disk_is_no_broken_case(cases, tmp_path, monkeypatch):
    open_file = Path.open

    def full(path: Path, *how, **more):
        if path.parent.name == "kept" and how[:1] == ("ab",):
            raise OSError(errno.ENOSPC, "No space left on device")
        return open_file(path, *how, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(MachineError, match=r"kept: .*No space left.*; free some space, or give an"):
        measure_cases(cases, tmp_path / "kept")


def test_mask_files_are_measured_one_by_one_as_they_would_be_together(cases, tmp_path):
    masks = []
    for index in range(3):
        path = tmp_path / f"mask{index}.nii.gz"
        values = np.zeros((9, 8, 7), np.uint8)
        values[index * 3 : index * 3 + 3] = 255
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        masks.append(path)
    case = Case("m", cases[0].images, (masks[0], None, masks[2]))
    (found,) = measure_cases([case], tmp_path / "kept")[0].cases
    together = case_facts(read_subject(case))
    assert found.model_copy(update={"digest": "", "image_digests": ()}) == together
    assert found.label_values == ({0: 336, 255: 168}, {0: 504}, {0: 336, 255: 168})
    assert found.extents[2] == {255: ((6, 0, 0), (3, 8, 7))}
    assert not found.overlap
    both = Case("n", cases[0].images, (masks[0], masks[1], masks[1]))
    assert measure_cases([both], tmp_path / "kept")[0].cases[0].overlap


def test_a_label_that_medseg_predicted_is_said_once(cases, tmp_path):
    mark(cases[3].labels[0])
    told = Told()
    measure_cases(cases, tmp_path / "kept", told)
    (line,) = [line for line in told.warnings if "itself predicted" in line]
    assert line.startswith("d: d_seg.nii.gz: ")
