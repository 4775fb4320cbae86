"""What is learned of masks is in the model, in its scores and in what it predicts."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.evaluation.overlap import dice
from medseg.evaluation.summary import Summary
from medseg.hparams import HParams
from medseg.inference.ensemble import load_predictor
from medseg.prepare.cleanup import Cleanup
from medseg.progress import Silent
from medseg.runs import Run, load_model
from medseg.scans.case import Case
from medseg.scans.phantom import ORGANS
from medseg.scans.read import read_label_map
from medseg.training.closing import _mended
from medseg.training.folds import train
from medseg.training.tidying import Tidying
from medseg.training.validation import Validator

CPU = torch.device("cpu")
RULE = Cleanup(largest=True, fill=True)


@pytest.fixture
def run(photo_folder, tmp_path, monkeypatch, request):
    """A rough network, that has learned to keep the largest piece of the liver."""
    monkeypatch.setattr(Validator, "tidyings", lambda _: {"liver": Tidying(RULE, 0.5, 0.6)})
    hparams = HParams(
        dim=2,
        data=photo_folder,
        classes=ORGANS,
        encoder="convnext_micro",
        patch_size=(32, 32),
        steps=12,
        output=tmp_path / "run",
        device="cpu",
        **getattr(request, "param", {}),
    )
    return Run(train(hparams, False, Silent()))


def predicted(run, photo_folder, **options):
    predictor, _ = load_predictor([run.folder], CPU, **options)
    return predictor.predict(Case("case1", (photo_folder / "images" / "case1.png",))).label


def test_a_model_mends_what_it_predicts_and_is_scored_so(run, photo_folder):
    assert load_model(run.folder)[1].cleanup == {"liver": RULE}
    plain = predicted(run, photo_folder, cleanup=False) == ORGANS["liver"]
    label = predicted(run, photo_folder)
    liver = label == ORGANS["liver"]
    assert ndimage.label(plain, np.ones((3, 3, 3)))[1] > 1
    assert ndimage.label(liver, np.ones((3, 3, 3)))[1] == 1
    truth, _ = read_label_map(photo_folder / "labels" / "case1.png")
    scores = Summary.model_validate_json(run.validation.read_text()).scores
    assert {(score.case, score.class_name) for score in scores} == {
        ("case1", name) for name in ORGANS
    }
    for score in scores:
        found = dice(label == score.value, truth == score.value)
        assert score.dice == (None if found is None else pytest.approx(found))
    assert "largest piece, holes filled: mean Dice 0.5000" in run.report.read_text("utf-8")


@pytest.mark.parametrize("run", [{"cleanup": "none"}], indirect=True)
def test_masks_may_stay_as_they_are(run, photo_folder):
    assert load_model(run.folder)[1].cleanup == {}
    assert json.loads(run.hparams.read_text())["cleanup"] == "none"
    plain = predicted(run, photo_folder, cleanup=False)
    np.testing.assert_array_equal(predicted(run, photo_folder), plain)


def test_what_the_time_budget_does_not_hold_is_not_adopted():
    left = SimpleNamespace(budget=SimpleNamespace(scoring_left_s=4.0), hparams=HParams())
    validator = SimpleNamespace(tidyings=lambda: {"liver": Tidying(RULE, 0.5, 0.6)}, cases=["case"])
    done = SimpleNamespace(
        loop=left, validator=validator, costs=SimpleNamespace(of=lambda *_: 10.0), adopt=None
    )
    scores = {0: ()}
    assert _mended(done, scores, Silent()) == (scores, ())
