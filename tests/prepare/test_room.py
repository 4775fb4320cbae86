"""Laws of what preparing takes: room on the disk is known first, and no file is read needlessly."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from plans import plan_for_tests
from prepare.files import GEOMETRY, entries, save, two_cases

from medseg.errors import MachineError
from medseg.measure.held import Held
from medseg.measure.survey import known_facts, measure_cases, opened
from medseg.prepare import cache
from medseg.prepare import entries as store
from medseg.prepare.cache import prepare_cases
from medseg.scans import read as reading
from medseg.scans.decode import decode


@pytest.fixture
def cases(tmp_path):
    """Two labelled cases on disk."""
    return two_cases(tmp_path)


def test_too_little_room_is_known_before_any_case_is_prepared(cases, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    measure_cases(cases, folder)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage._replace(free=30_000))
    with pytest.raises(
        MachineError, match=r"2 cases take .* GB prepared, 3e-05 GB are free.*--out"
    ):
        prepare_cases(cases, plan_for_tests(), folder)
    assert entries(folder) == []
    monkeypatch.undo()
    prepare_cases(cases, plan_for_tests(), folder)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage._replace(free=0))
    prepare_cases(cases, plan_for_tests(), folder)  # what is prepared takes no more


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_the_room_foreseen_is_the_room_taken(cases, tmp_path, task):
    measure_cases(cases, tmp_path)
    values = (0, 1, 2) if task == "multiclass" else (1, 2)
    plan = plan_for_tests(task=task, label_values=values, spacing_mm=(0.4, 0.5, 0.6))
    known = opened(tmp_path)
    for case in cases:
        (found,), _ = prepare_cases([case], plan, tmp_path)
        taken = sum(file.stat().st_size for file in found.folder.iterdir())
        facts = known_facts(known.digests.of_case(case), known)
        assert taken <= cache._prepared_bytes(facts, plan) < taken + 20_000


def test_a_disk_that_fills_up_midway_ends_the_work_and_leaves_no_half(cases, tmp_path, monkeypatch):
    written = []

    def full(file, values, append=store._append):
        written.append(values)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, values)

    monkeypatch.setattr(store, "_append", full)
    with pytest.raises(MachineError, match=r"cache: .*No space left on device.*; free some space"):
        prepare_cases(cases, plan_for_tests(), tmp_path / "cache")
    assert list((tmp_path / "cache" / "parts").iterdir()) == []
    assert entries(tmp_path / "cache") == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask to speak of")
def test_entries_follow_the_umask(cases, tmp_path):
    before = os.umask(0o002)
    try:
        (found,), _ = prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache")
    finally:
        os.umask(before)
    assert found.folder.stat().st_mode & 0o777 == 0o775
    assert (found.folder / "image.npy").stat().st_mode & 0o777 == 0o664


def test_a_small_dataset_is_read_once(cases, tmp_path, monkeypatch):
    opened_files = []

    def tell(path, **how):
        opened_files.append(path.name)
        return decode(path, **how)

    monkeypatch.setattr(reading, "decode", tell)
    mask = cases[0].labels[0]
    several = replace(cases[0], name="m", labels=(mask, mask))
    listed, held = [*cases, several], Held()
    measure_cases([*listed, replace(cases[0], name="unwanted")], tmp_path / "cache", held=held)
    opened_files.clear()
    found, _ = prepare_cases(listed, plan_for_tests(), tmp_path / "cache", held=held)
    assert opened_files == []
    assert held.bytes == 0
    again, _ = prepare_cases(listed, plan_for_tests(), tmp_path / "other")
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.prepared.image, other.prepared.image)
        np.testing.assert_array_equal(one.prepared.label, other.prepared.label)


def test_what_has_no_room_in_memory_is_read_again(cases, tmp_path):
    held = Held(budget=9 * 8 * 7 * 5)
    measure_cases(cases, tmp_path / "cache", held=held)
    assert held.bytes == 9 * 8 * 7 * 5
    found, _ = prepare_cases(cases, plan_for_tests(), tmp_path / "cache", held=held)
    assert [case.name for case in found] == ["a", "sub/b"]


def test_a_file_that_changed_after_it_was_measured_is_read_again(cases, tmp_path):
    held = Held()
    measure_cases(cases[:1], tmp_path / "cache", held=held)
    save(cases[0].labels[0], np.ones(GEOMETRY.size, dtype=np.int16))
    (found,), _ = prepare_cases(cases[:1], plan_for_tests(), tmp_path / "cache", held=held)
    assert (found.prepared.label == 1).all()
