"""Takes one case through every stage, and prints the peak of memory above idle of each, in bytes.

A process of its own, so that nothing else is counted: `memory_stages.py FOLDER`.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

import nibabel as nib
import numpy as np
from plans import plan_for_tests

from medseg.measure.survey import measure_cases
from medseg.plan.plan import Normalisation
from medseg.prepare.cache import prepare_cases
from medseg.scans.case import Case
from medseg.scans.read import read_subject


def main(folder: Path) -> None:
    tiny, large = folder / "tiny", folder
    tiny.mkdir(exist_ok=True)
    for name in ("image", "label"):
        nib.save(nib.Nifti1Image(np.eye(8, dtype=np.int16)[None] % 3, np.eye(4)), file(tiny, name))
    stages(tiny, 0)  # whatever libraries load at first use
    sys.stdout.write(json.dumps(stages(large, memory("VmRSS"))))


def stages(folder: Path, idle: int) -> dict[str, int]:
    case = Case("a", (file(folder, "image"),), (file(folder, "label"),))
    rule = Normalisation(kind="dataset", low=-200, high=800, mean=300, std=200)
    kept, other = ((0.8, 0.8, 1.5), (1.1, 0.7, 1.0))

    def prepare(spacing_mm: tuple[float, ...]) -> None:
        plan = plan_for_tests(spacing_mm=spacing_mm, normalisation=(rule,))
        prepare_cases([case], plan, folder / "cache")

    works: dict[str, Callable[[], object]] = {
        "read": lambda: read_subject(case),
        "facts": lambda: measure_cases([case], folder / "cache"),
        "prepare kept": lambda: prepare(kept),
        "prepare resampled": lambda: prepare(other),
    }
    peaks: dict[str, int] = {}
    for stage, work in works.items():
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
        work()
        peaks[stage] = memory("VmHWM") - idle
    return peaks


def memory(kind: str) -> int:
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def file(folder: Path, name: str) -> Path:
    return folder / f"{name}.nii.gz"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
