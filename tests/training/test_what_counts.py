"""By the whole path: what nobody annotated is neither trained nor scored, and regions overlap."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from medseg.hparams import HParams
from medseg.inference.ensemble import load_predictor
from medseg.inference.job import predict_inputs
from medseg.progress import Silent
from medseg.scans.read import read_label_map
from medseg.training.fit import train

IGNORE, CASES = 9, 5


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Nested boxes of 1 and 2; the upper half is not annotated."""
    root = tmp_path_factory.mktemp("sparse")
    label = np.zeros((20, 20, 20), np.uint8)
    label[3:17, 3:17, 3:17], label[6:13, 6:13, 6:13] = 1, 2
    for number in range(CASES):
        image = np.random.default_rng(number).normal(0, 10, label.shape) + 60.0 * label
        sparse = label.copy()
        sparse[:, :, 10:] = IGNORE
        for kind, array in (("images", image.astype(np.float32)), ("labels", sparse)):
            (root / kind).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), root / kind / f"p{number}.nii.gz")
    return root, label


def trained(data, output, **changed):
    fields = {"data": data, "output": output, "device": "cpu", "encoder": "convnext_micro"}
    fields |= {"patch_size": (16,) * 3, "batch_size": 1, "steps": 2, "ignore_label": IGNORE}
    run = train(HParams.build({**fields, **changed}), resume=False, progress=Silent())
    scores = json.loads((run / "validation.json").read_text())["scores"]
    found = {score["class_name"]: score for score in scores if score["case"] == "p0"}
    predictor, rule = load_predictor([run], torch.device("cpu"))
    scan = [str(data / "images" / "p0.nii.gz")]
    (outcome,) = predict_inputs(scan, predictor, rule, output / "masks", Silent())
    assert outcome.failure is None
    (file,) = (output / "masks").iterdir()
    return found, read_label_map(file)[0]


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_scores_are_those_of_the_annotated_half(data, tmp_path):
    root, label = data
    found, mask = trained(root, tmp_path / "run")
    assert set(found) == {"class_1", "class_2"}
    assert {*np.unique(mask).tolist()} <= {0, 1, 2}
    for value in (1, 2):
        score = found[f"class_{value}"]
        ours, theirs = mask[:, :, :10] == value, label[:, :, :10] == value
        assert score["reference_volume_ml"] == pytest.approx(theirs.sum() / 1000)
        assert score["dice"] == pytest.approx(dice(ours, theirs))


def test_regions_are_scored_as_they_overlap_and_come_back_as_one_map(data, tmp_path):
    root, label = data
    regions = {"whole": (1, 2), "core": 2}
    found, mask = trained(root, tmp_path / "run", classes=regions)
    assert set(found) == {"whole", "core"}
    assert {*np.unique(mask).tolist()} <= {0, 1, 2}
    for name, values in (("whole", (1, 2)), ("core", (2,))):
        ours, theirs = (np.isin(side[:, :, :10], values) for side in (mask, label))
        assert found[name]["reference_volume_ml"] == pytest.approx(theirs.sum() / 1000)
        assert found[name]["dice"] == pytest.approx(dice(ours, theirs))


def test_a_class_that_nobody_looked_for_is_not_scored(data, tmp_path):
    root, _ = data
    (tmp_path / "annotated.csv").write_text("case,annotated\np0,class_1\np2,class_2\n")
    found, _ = trained(root, tmp_path / "run", annotated=tmp_path / "annotated.csv")
    assert set(found) == {"class_1"}
