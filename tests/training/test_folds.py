"""All folds are trained, gone on with, scored together and averaged; or none is left out."""

import json
import signal

import numpy as np
import pytest
import torch

from medseg.errors import MedsegError, SettingsError, Stopped
from medseg.evaluation.scores import score_case
from medseg.evaluation.summary import Summary, summarise
from medseg.files import write_text
from medseg.geometry import Geometry
from medseg.hparams import HParams
from medseg.inference.ensemble import load_predictor
from medseg.progress import Silent
from medseg.runs import Run, State, latest_run
from medseg.training import folds
from medseg.training.folds import train
from medseg.training.parts import Parts
from medseg.training.record import read_records

FOLDS = 3


class Told(Silent):
    """Keeps what is said, and presses Ctrl-C in the middle of one of several trainings."""

    def __init__(self, stop_in=None):
        self.lines = []
        self._left = stop_in

    def note(self, message):
        self.lines.append(message)

    warn = note

    def track(self, items, what, total=None):
        del total
        for count, item in enumerate(items, 1):
            if what == "training" and count == 2 and self._left is not None:
                self._left -= 1
                if self._left < 0:
                    self._left = None
                    signal.raise_signal(signal.SIGINT)
            yield item


@pytest.fixture
def settings(photo_folder, tmp_path):
    def make(**changed):
        fields = {"fold": "all", "folds": FOLDS, "output": tmp_path / "runs" / "cv", "steps": 4}
        return HParams(
            dim=2,
            data=photo_folder,
            encoder="convnext_micro",
            patch_size=(32, 32),
            batch_size=2,
            device="cpu",
            **{**fields, **changed},
        )

    return make


def test_every_case_is_scored_by_the_model_that_has_not_seen_it(settings, tmp_path):
    folder = train(settings(), False, told := Told())
    runs = Run(folder).folds
    assert [run.folder.name for run in runs] == ["fold_0", "fold_1", "fold_2"]
    validated = [json.loads(run.split.read_text())["validation"] for run in runs]
    assert sorted(name for names in validated for name in names) == [
        f"case{n}" for n in range(1, 6)
    ]
    together = Summary.model_validate_json(Run(folder).validation.read_text())
    assert {score.case for score in together.scores} == {f"case{n}" for n in range(1, 6)}
    alone = Summary.model_validate_json(runs[1].validation.read_text())
    assert set(alone.scores) <= set(together.scores)
    assert "fold 1" in Run(folder).report.read_text(encoding="utf-8")
    assert told.lines[-1] == f"to predict with all of them: --model {folder}"
    assert latest_run(tmp_path / "runs") == folder
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"cv", "latest", "prepared"}
    predictor, _ = load_predictor([folder], torch.device("cpu"))
    assert len(predictor.members) == FOLDS
    with pytest.raises(SettingsError, match="already holds a run"):
        train(settings(), False, Silent())


def test_cases_that_no_fold_had_time_to_score_are_said(tmp_path, settings):
    grid, mask = Geometry((4, 4, 1), world=False), np.ones((4, 4, 1), np.uint8)
    whole = Run(tmp_path / "cv")
    runs = {fold: Run(whole.folder / f"fold_{fold}") for fold in (0, 1)}
    for fold, names in ((0, ("a", "b")), (1, ("c",))):
        runs[fold].folder.mkdir(parents=True)
        write_text(runs[fold].split, Parts(training=(), validation=names).model_dump_json())
        scored = names[1:]
        scores = [s for name in scored for s in score_case(name, mask, mask, grid, {"organ": 1})]
        summarise(scores).save(runs[fold].validation)
    folds._close(whole, settings(), runs, told := Told())
    (line,) = [line for line in told.lines if "no score" in line]
    assert line.startswith("2 of 3 validation cases have no score")
    assert line in whole.report.read_text(encoding="utf-8")
    folds._close(whole, settings(), {1: runs[1]}, told := Told())  # and none at all
    assert [line for line in told.lines if "1 of 1 validation cases have no score" in line]


def test_what_is_finished_stays_and_the_rest_goes_on(settings):
    folder = train(settings(), False, told := Told(stop_in=1))
    states = [run.state for run in Run(folder).folds]
    assert states == [State.BEGUN, State.BEGUN]
    assert told.lines[-1] == f"stopped early; to go on: --resume --output {folder}"
    assert not Run(folder).report.exists()
    first = Run(folder).folds[0].model
    before = first.stat().st_mtime_ns
    again = Told()
    assert train(HParams(output=folder, fold=1, seed=7), True, again) == folder
    said = [line for line in again.lines if line.startswith("ignored")]
    assert said == ["ignored, since the run has settings of its own: fold = 1, seed = 7"]
    assert first.stat().st_mtime_ns == before
    for run in Run(folder).folds:
        assert read_records(run.metrics)[-1]["step"] == 4
    assert Run(folder).report.exists()


def test_a_longer_training_that_was_stopped_makes_every_fold_longer(settings):
    folder = train(settings(), False, Told())
    train(HParams(output=folder, steps=8), True, told := Told(stop_in=1), {"steps"})
    assert told.lines[-1].startswith("stopped early")
    train(HParams(output=folder), True, Told())
    for run in Run(folder).folds:
        assert read_records(run.metrics)[-1]["step"] == 8
        assert HParams.load(run.hparams).steps == 8


@pytest.mark.parametrize("moment", ["Your data", "Folds", "validating"])
def test_a_queue_that_ends_one_of_them_is_told_how_to_go_on_with_all(settings, moment):
    class Queue(Told):
        def table(self, title, header, rows):
            del header, rows
            if title == moment:
                signal.raise_signal(signal.SIGTERM)

        def track(self, items, what, total=None):
            if what == moment:
                signal.raise_signal(signal.SIGTERM)
            return super().track(items, what, total)

    with pytest.raises(Stopped) as stopped:
        train(settings(steps=1), False, Queue())
    folder = settings().output
    assert str(stopped.value).endswith(f"--resume --output {folder}")
    dead = moment == "Your data"  # nothing is learned yet, so whatever is typed counts
    train(HParams(output=folder, learning_rate=0.002), True, Told(), {"learning_rate"})
    rates = {HParams.load(run.hparams).learning_rate for run in Run(folder).folds}
    assert rates == {0.002 if dead else 0.004}
    assert len(Run(folder).folds) == FOLDS
    assert Run(folder).report.exists()


def test_folds_that_go_on_compute_where_it_is_typed(settings, monkeypatch):
    folder = train(settings(), False, Told(stop_in=1))
    asked = []
    monkeypatch.setattr("medseg.training.fit.pick_device", lambda name: asked.append(name) or "cpu")
    train(HParams(output=folder, device="cuda:7"), True, Told(), {"device"})
    assert {*asked} == {"cuda:7"}


def test_a_single_fold_goes_on_by_itself(settings):
    folder = train(settings(), False, Told(stop_in=0))
    fold = folder / "fold_0"
    assert train(HParams(output=fold), True, Told()) == fold
    assert len(Run(folder).folds) == 1
    assert json.loads((fold / "hparams.json").read_text())["fold"] == 0


def test_folds_of_a_split_of_the_users_own(settings, tmp_path):
    split = tmp_path / "split.csv"
    split.write_text("case,fold\n" + "".join(f"case{n},{1 + n % 2}\n" for n in range(1, 6)))
    runs = Run(train(settings(split=split), False, Silent())).folds
    validated = [json.loads(run.split.read_text())["validation"] for run in runs]
    assert validated == [["case2", "case4"], ["case1", "case3", "case5"]]
    assert [json.loads(run.hparams.read_text())["fold"] for run in runs] == [1, 2]


def test_a_split_without_folds_has_no_others(settings, tmp_path):
    split = tmp_path / "split.json"
    split.write_text('{"training": ["case1", "case2"], "validation": ["case3"]}')
    with pytest.raises(SettingsError, match="fold = all: the cases are dealt once"):
        train(settings(split=split), False, Silent())
    assert not (tmp_path / "runs" / "cv").exists()


def test_every_case_may_train(settings, tmp_path):
    folder = train(settings(fold="none", output=tmp_path / "all"), False, told := Told())
    parts = json.loads(Run(folder).split.read_text())
    assert len(parts["training"]) == 5
    assert parts["validation"] == []
    assert not Run(folder).validation.exists()
    assert Run(folder).report.exists()
    assert any("nothing tells how good" in line for line in told.lines)
    with pytest.raises(MedsegError, match="has used its budget"):
        train(HParams(output=folder), True, Silent())


def test_folds_are_numbers_or_words(photo_folder):
    for wrong in (-1, "some", 1.5):
        with pytest.raises(SettingsError, match="fold"):
            HParams.build({"data": photo_folder, "fold": wrong})
    for right in (0, "3", "all", "none"):
        HParams.build({"fold": right})
    for other in ({"pretrain": "masked", "fold": "all"}, {"split": "x.csv", "fold": "none"}):
        with pytest.raises(SettingsError, match="fold"):
            HParams.build(other)
