from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plans import plan_for_tests
from torch import nn

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.inference.doubts import check_resampled, scan_doubts
from medseg.inference.predictor import Predictor
from medseg.scans.case import Case, Subject
from medseg.scans.write import write_image, write_label_map

SIZE = (12, 10, 8)
PLAN = plan_for_tests()


def doubts_of(image, geometry=None, plan=PLAN, files=("scan.nii.gz",)):
    geometry = geometry or Geometry(SIZE)
    case = Case("scan", tuple(map(Path, files)))
    return scan_doubts(case, Subject("scan", image.astype(np.float32), None, geometry), plan)


def noise(channels=1):
    return np.random.default_rng(0).normal(size=(channels, *SIZE))


@pytest.mark.parametrize("value", [0, 7, -1024, 0.5])
def test_a_constant_scan_is_said_to_hold_nothing(value):
    (line,) = doubts_of(np.full((1, *SIZE), value))
    assert line == f"scan.nii.gz: nothing in the scan: every voxel is {value:g}; check the file"


def test_the_constant_channel_is_named():
    image = noise(2)
    image[1] = 3
    plan = plan_for_tests(channels=2)
    (line,) = doubts_of(image, plan=plan, files=("t1.nii.gz", "flair.nii.gz"))
    assert line.startswith("flair.nii.gz: nothing")
    (line,) = doubts_of(image, plan=plan)
    assert line.startswith("scan.nii.gz channel 1: nothing")


def test_a_mask_in_a_scans_place_is_doubted():
    (line,) = doubts_of((noise() > 1) * 2)
    assert "as a mask does" in line


@pytest.mark.parametrize("image", [noise(), np.rint(20 * noise()), np.rint(noise() * 3) - 1])
def test_a_scan_is_not_doubted(image):
    assert doubts_of(image) == ()


def test_a_scan_of_air_is_said_to_hold_nothing():
    for modality in ("ct", "other"):
        (line,) = doubts_of(noise() - 1010, plan=plan_for_tests(modality=modality))
        assert line.startswith("scan.nii.gz: nothing but air in the scan: no value above -100")
    assert doubts_of(noise() - 1010, plan=plan_for_tests(world=False)) == ()


def test_a_scan_in_other_units_than_the_models_is_said():
    body = 200 * noise() - 800
    ct = plan_for_tests(modality="ct")
    assert doubts_of(body, plan=ct) == ()
    for image in (body + 1800, noise()):
        (line,) = doubts_of(image, plan=ct)
        assert "where the model's scans have air in Hounsfield units (below -500)" in line
        assert doubts_of(image) == ()


@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (1.0, 1.0, 8.0), (1e-3, 1e-3, 1e-3)])
def test_a_spacing_far_from_the_models_is_said(spacing):
    (line,) = doubts_of(noise(), Geometry(SIZE, spacing))
    assert line.startswith("scan.nii.gz: spacing of ")
    assert "1 x 1 x 1 mm" in line
    assert doubts_of(noise(), Geometry(SIZE, (2.0, 0.5, 5.0))) == ()


def test_slices_may_lie_as_far_apart_as_they_will():
    plan = plan_for_tests(dim=2, slice_axis=2)
    assert doubts_of(noise(), Geometry(SIZE, (1.0, 1.0, 20.0)), plan) == ()
    assert len(doubts_of(noise(), Geometry(SIZE, (20.0, 1.0, 1.0)), plan)) == 1


def subject(spacing, size=SIZE):
    grid = Geometry(size, spacing)
    return Subject("scan", np.broadcast_to(np.float32(1), (1, *size)), None, grid)


def test_a_spacing_that_would_take_all_memory_is_refused_by_its_header():
    with pytest.raises(ScanError) as error:
        check_resampled(subject((1000.0, 1000.0, 1000.0)), PLAN)
    assert error.value.subject == "scan"
    assert "12x10x8 voxels become 12000x10000x8000" in error.value.what
    assert "1000 x 1000 x 1000 mm where the model has 1 x 1 x 1 mm" in error.value.what
    assert error.value.remedy == "check the spacing in its header"


def test_little_memory_is_not_called_a_wrong_header(monkeypatch):
    monkeypatch.setattr("medseg.inference.doubts.available_memory_bytes", lambda: 1000)
    with pytest.raises(ScanError, match="out of memory") as error:
        check_resampled(subject((2.0, 2.0, 2.0)), PLAN)
    assert "header" not in str(error.value)
    assert "more memory" in error.value.remedy


def test_a_border_of_nothing_takes_no_memory(monkeypatch):
    monkeypatch.setattr("medseg.inference.doubts.available_memory_bytes", lambda: 3000)
    image = np.zeros((1, *SIZE), np.float32)
    image[:, 4:8, 4:8, 2:6] = noise()[:, :4, :4, :4]
    check_resampled(replace(subject((1.0, 1.0, 1.0)), image=image), PLAN)


class Background(nn.Module):
    def forward(self, images):
        return torch.cat([0 * images[:, :1] + 1, 0 * images[:, :1], 0 * images[:, :1]], 1)


def test_what_is_odd_comes_with_the_prediction(tmp_path):
    file = write_image(np.full((1, *SIZE), 7, np.float32), Geometry(SIZE), tmp_path / "a.nii.gz")
    prediction = Predictor(Background(), PLAN, torch.device("cpu")).predict(Case("a", (file,)))
    assert "every voxel is 7" in prediction.warnings[0]
    mask = write_label_map(noise()[0] > 1, Geometry(SIZE), tmp_path / "m.nii.gz")
    prediction = Predictor(Background(), PLAN, torch.device("cpu")).predict(Case("m", (mask,)))
    assert "as a mask does" in prediction.warnings[0]


def test_memory_that_runs_out_on_the_way_is_the_scans_line(tmp_path, monkeypatch):
    file = write_image(noise().astype(np.float32), Geometry(SIZE), tmp_path / "a.nii.gz")

    def fails(*_):
        raise MemoryError

    monkeypatch.setattr("medseg.inference.predictor.prepare", fails)
    with pytest.raises(ScanError, match=r"out of memory: its 12x10x8 voxels become 12x10x8"):
        Predictor(Background(), PLAN, torch.device("cpu")).predict(Case("a", (file,)))
