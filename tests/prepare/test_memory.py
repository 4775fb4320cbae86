"""How much memory a case takes on its way to prepared arrays, per voxel of the file."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SIZE = (256, 256, 200)
MOST_BYTES = 12
STAGES = Path(__file__).with_name("memory_stages.py")


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """A CT of one channel with its label, as scanners write them."""
    folder = tmp_path_factory.mktemp("scans")
    random = np.random.default_rng(0)
    image = random.integers(-1010, -990, SIZE, dtype=np.int16)  # noisy air: all of it is content
    image[30:220, 40:210] += 1200
    label = np.zeros(SIZE, np.uint8)
    label[60:160, 60:160, 40:160] = 1
    label[160:190, 60:160, 40:160] = 2
    affine = np.diag([-0.8, -0.8, 1.5, 1])  # LPS, as most are
    for name, array in (("image", image), ("label", label)):
        with gzip.open(folder / f"{name}.nii.gz", "wb", compresslevel=1) as file:
            file.write(nib.Nifti1Image(array, affine).to_bytes())
    return folder


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read in /proc")
def test_no_stage_takes_more_than_twelve_bytes_per_voxel(scans):
    found = subprocess.run(
        [sys.executable, str(STAGES), str(scans)],
        capture_output=True,
        text=True,
        check=True,
        # What is freed goes back at once: what counts is what was in use, not what glibc keeps.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"},
    )
    peaks = json.loads(found.stdout)
    assert set(peaks) == {"read", "facts", "prepare kept", "prepare resampled"}
    bytes_per_voxel = {stage: peak / np.prod(SIZE) for stage, peak in peaks.items()}
    assert max(bytes_per_voxel.values()) < MOST_BYTES, bytes_per_voxel
