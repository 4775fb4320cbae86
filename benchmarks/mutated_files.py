"""Damaged files in every format for as long as one likes: no traceback, no hang, no memory.

    python benchmarks/mutated_files.py --minutes 60

Each file is read twice, as an image and as a label, in a process of its own; what it came to is
counted and the table of docs/reliability.md printed. A file at fault is kept for a look.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from medseg.errors import MedsegError
from medseg.scans.case import Case
from medseg.scans.read import read_label_map, read_subject

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from tests.scans.mutations import damaged, sound_files  # noqa: E402 - tests are not installed

SECONDS = 20
SPARE = 256 * 2**20
"""Bytes that reading may take beside those of the voxels: libraries keep buffers of their own."""
PER_VOXEL = 24
OUTCOMES = ("read", "refused", "traceback", "several lines", "hang", "memory", "crash")


def main() -> None:
    """Damage, read, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("mutated"), help="files at fault")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    files = sound_files(work / "sound")
    counts = {name: Counter[str]() for name in files}
    end, number = time.monotonic() + 60 * arguments.minutes, 0
    while time.monotonic() < end:
        for kind, (name, file) in enumerate(files.items()):
            random = np.random.default_rng([arguments.seed, number, kind])
            victim = _victim(work / "now", file)
            victim.write_bytes(damaged(file.read_bytes(), random))
            for as_label in (False, True):
                outcome = outcome_of(victim, as_label=as_label)
                counts[name][outcome] += 1
                if outcome not in ("read", "refused"):
                    arguments.keep.mkdir(exist_ok=True)
                    kept = arguments.keep / f"{number}-{'label' if as_label else 'image'}-{name}"
                    shutil.copy(victim, kept)
                    print(f"{outcome}: {kept}", flush=True)
        number += 1
    shutil.rmtree(work)
    print("| file | " + " | ".join(OUTCOMES) + " |\n|---" * 1 + "|---" * len(OUTCOMES) + "|")
    for name, count in counts.items():
        print(f"| {name} | " + " | ".join(str(count[outcome]) for outcome in OUTCOMES) + " |")
    total = sum((*counts.values(),), Counter())
    print("| all | " + " | ".join(str(total[outcome]) for outcome in OUTCOMES) + " |")


def _victim(folder: Path, sound: Path) -> Path:
    """A folder with the file, and with those that belong to it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for beside in sound.parent.glob(sound.name.split(".")[0] + ".*"):
        shutil.copy(beside, folder)
    return folder / sound.name


def outcome_of(path: Path, *, as_label: bool) -> str:
    """Read in a fork, and say what became of it."""
    child = os.fork()
    if child == 0:
        os._exit(_read(path, as_label=as_label))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return OUTCOMES[code] if 0 <= code < len(OUTCOMES) else "crash"
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hang"


def _read(path: Path, *, as_label: bool) -> int:
    """Exit status: the place in OUTCOMES."""
    voxels = 0
    before = _resident()
    try:
        if as_label:
            voxels = read_label_map(path)[0].size
        else:
            voxels = read_subject(Case("case", (path,))).image.size
        outcome = "read"
    except MedsegError as error:
        outcome = "refused" if "\n" not in str(error) else "several lines"
    except BaseException:
        import traceback

        traceback.print_exc()
        outcome = "traceback"
    if _resident() - before > SPARE + PER_VOXEL * voxels:
        outcome = "memory"
    return OUTCOMES.index(outcome)


def _resident() -> int:
    """Peak of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
