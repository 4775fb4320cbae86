"""Damage of any kind is read or refused in one line; benchmarks/mutated_files.py runs longer."""

import resource
import shutil
import time

import numpy as np
import pytest

from medseg.errors import ScanError
from medseg.scans.case import Case
from medseg.scans.read import read_label_map, read_subject
from tests.scans.mutations import damaged, sound_files

ROUNDS = 100
SECONDS = 10
SPARE, PER_VOXEL = 256 * 2**20, 24
KINDS = 24


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return sound_files(tmp_path_factory.mktemp("mutations") / "sound")


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("kind", range(KINDS))
def test_damage_is_read_or_refused_in_one_line(sound, tmp_path, kind):
    assert len(sound) == KINDS
    name, file = list(sound.items())[kind]
    for beside in file.parent.glob(f"{name.split('.')[0]}.*"):
        shutil.copy(beside, tmp_path)
    victim, content = tmp_path / name, file.read_bytes()
    for number in range(ROUNDS):
        victim.write_bytes(damaged(content, np.random.default_rng([number, kind])))
        for read in (
            lambda: read_subject(Case("case", (victim,))).image.size,
            lambda: read_label_map(victim)[0].size,
        ):
            before, start, voxels, line = peak(), time.process_time(), 0, ""
            try:
                voxels = read()
            except ScanError as error:
                line = str(error)
            assert "\n" not in line, f"seed {number}: {line}"
            assert peak() - before <= SPARE + PER_VOXEL * voxels, f"seed {number}"
            assert time.process_time() - start < SECONDS, f"seed {number}"
