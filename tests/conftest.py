from pathlib import Path

import pytest
import torch

from medseg.geometry import Geometry, Size
from medseg.scans.phantom import phantom
from medseg.scans.write import write_image, write_label_map

CASES = 5

# Tensors of tests are small: a second thread costs more than it does.
torch.set_num_threads(1)


@pytest.fixture(scope="session", params=[2, 3])
def dim(request: pytest.FixtureRequest) -> int:
    """Every test that asks for it runs in 2D and in 3D."""
    return request.param


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled dataset of small volumes: images/, labels/, case1.nii.gz to case5.nii.gz."""
    return _write_dataset(tmp_path_factory.mktemp("volumes"), (26, 24, 22), ".nii.gz")


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as 2D images without a world frame: case1.png to case5.png."""
    return _write_dataset(tmp_path_factory.mktemp("photos"), (48, 44, 1), ".png")


@pytest.fixture(scope="session")
def tiny_dataset(dim: int, request: pytest.FixtureRequest) -> Path:
    """`photo_folder` in 2D, `phantom_folder` in 3D."""
    return request.getfixturevalue("photo_folder" if dim == 2 else "phantom_folder")


def _write_dataset(folder: Path, size: Size, suffix: str) -> Path:
    volume = size[2] > 1
    spacing_mm = (2.0, 2.0, 2.5) if volume else (1.0, 1.0, 1.0)
    geometry = Geometry(size, spacing_mm, world=volume)
    for number in range(1, CASES + 1):
        image, label = phantom(number, size, (2.0, 2.0, 2.5))
        write_image(image, geometry, folder / "images" / f"case{number}{suffix}")
        write_label_map(label, geometry, folder / "labels" / f"case{number}{suffix}")
    return folder
