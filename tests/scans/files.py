"""Files to read, and the line that refuses one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.case import Case
from medseg.scans.read import read_subject
from medseg.scans.write import write_image
from tests.grids import grid

RANDOM = np.random.default_rng(0)


def image_file(path: Path, geometry: Geometry | None = None, channels: int = 1) -> Path:
    geometry = geometry or grid()
    image = RANDOM.normal(size=(channels, *geometry.size)).astype(np.float32)
    return write_image(image, geometry, path)


def photo(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def refusal(case: Case | Path) -> str:
    """The one line that refuses a case or an image file."""
    with pytest.raises(ScanError) as caught:
        read_subject(case if isinstance(case, Case) else Case("case", (case,)))
    message = str(caught.value)
    assert "\n" not in message
    return message
