"""Cases that lack channels by the whole path: learned, predicted, said."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from medseg import load_model
from medseg.cli import main
from medseg.errors import MedsegError
from medseg.hparams import HParams
from medseg.inference.ensemble import load_predictor
from medseg.inference.job import predict_inputs
from medseg.plan.plan import Plan
from medseg.progress import Silent
from medseg.runs import Run
from medseg.scans.phantom import ORGANS
from medseg.scans.read import read_label_map
from medseg.training.fit import train
from tests.two_channels import write_two_channels

LACKING = {1: "flair", 2: "t1"}
"""Of six cases the first and the last validate."""
CPU = torch.device("cpu")


class Told(Silent):
    def __init__(self):
        self.lines = []

    def note(self, message):
        self.lines.append(message)

    def warn(self, message):
        self.lines.append(message)


def trained(dim, data, output, told=None, **settings):
    patch = {2: (32, 32), 3: (16, 16, 16)}[dim]
    fields = {"steps": 4, "patch_size": patch, "batch_size": 2, "encoder": "convnext_micro"}
    fields |= {"classes": ORGANS, "device": "cpu", **settings}
    hparams = HParams(dim=dim, data=data, output=output, **fields)
    return Run(train(hparams, False, told or Told()))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("missing")


@pytest.fixture(scope="module")
def data(here, dim):
    return write_two_channels(here / f"data{dim}", dim, lacking=LACKING)


@pytest.fixture(scope="module")
def told():
    return Told()


@pytest.fixture(scope="module")
def run(here, dim, data, told):
    return trained(dim, data, here / f"run{dim}", told, missing_channels="absent")


def files(data, *names):
    return [str(next((data / "images").glob(f"{name}.*"))) for name in names]


def predicted(run, inputs, output):
    predictor, rule = load_predictor([run.folder], CPU)
    told = Told()
    outcomes = predict_inputs(inputs, predictor, rule, output, told)
    return outcomes, told.lines


def test_all_cases_are_used_and_it_is_said_what_they_lack(run, told):
    assert any("flair: absent in 1 of 6 cases (p1)" in line for line in told.lines)
    assert any("t1: absent in 1 of 6 cases (p2)" in line for line in told.lines)
    assert not [line for line in told.lines if "left out" in line]
    plan = Plan.load(run.plan)
    assert (plan.channels, plan.channel_dropout) == (2, 0.2)
    assert "lack" in plan.reasons["channel_dropout"]


def test_a_case_that_lacks_its_first_channel_is_validated_and_drawn(run):
    scores = json.loads(run.validation.read_text(encoding="utf-8"))["scores"]
    assert {score["case"] for score in scores} == {"p1", "p6"}
    report = run.report.read_text(encoding="utf-8")
    assert "p1" in report
    assert "channel dropout" in report


def test_scans_are_predicted_with_what_is_there(run, data, tmp_path):
    outcomes, lines = predicted(run, [str(data / "images")], tmp_path)
    assert [outcome.failure for outcome in outcomes] == [None] * 6
    assert [outcome.written[0].name.split(".")[0] for outcome in outcomes] == [
        f"p{n}" for n in range(1, 7)
    ]
    doubts = [line for line in lines if "absent" in line]
    assert [line.split(":")[0].split(".")[0] for line in doubts] == ["p1_t1", "p2_flair"]
    assert ["channel flair" in doubts[0], "channel t1" in doubts[1]] == [True, True]
    for outcome in outcomes:
        mask, grid = read_label_map(outcome.written[0])
        truth = read_label_map(data / "labels" / outcome.written[0].name)
        assert (grid, mask.shape) == (truth[1], truth[0].shape)


def test_pictures_beside_the_masks_show_what_is_there(run, data, tmp_path):
    named = ["--input", *files(data, "p1_t1"), "--model", str(run.folder), "--device", "cpu"]
    extras = ["--save", "overlay", "probabilities", "uncertainty"]
    assert main(["predict", *named, "--output", str(tmp_path), *extras]) == 0
    assert len([*tmp_path.iterdir()]) == 4


def test_what_is_predicted_differs_by_what_is_seen(run, data):
    model = load_model(run, device="cpu")
    whole = model(files(data, "p3_flair", "p3_t1"), probabilities=True)
    part = model(files(data, "p3_t1"), probabilities=True)
    assert whole.warnings == ()
    assert len(part.warnings) == 1
    assert not np.array_equal(whole.probabilities, part.probabilities)


def test_a_channel_of_one_value_is_predicted_as_an_absent_one(run, dim, data):
    if dim == 2:
        return
    model = load_model(run, device="cpu")
    flair, t1 = (nib.load(path) for path in files(data, "p3_flair", "p3_t1"))
    empty = nib.Nifti1Image(np.full(flair.shape, 7, np.int16), flair.affine)
    one, two = (model([first, t1], probabilities=True) for first in (None, empty))
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert "without channel 0" in one.warnings[0]
    assert "every voxel is 7; counts as absent" in two.warnings[0]


def test_images_in_memory_may_be_none(run, dim, data):
    if dim == 2:
        return
    model = load_model(run, device="cpu")
    paths = files(data, "p3_flair", "p3_t1")
    expected = model(paths[1:]).label
    image = nib.load(paths[1])
    np.testing.assert_array_equal(model([None, image]).label, expected)
    array = np.asanyarray(image.dataobj)
    np.testing.assert_array_equal(model([None, array], spacing_mm=(2, 2, 2)).label, expected)
    for wrong, said in (
        ([None, None], "a list without an image"),
        ([None, image, image], "a list of 3 with None in it"),
        ([paths[0], None], "leave None out"),
    ):
        with pytest.raises(MedsegError, match=said):
            model(wrong)


def test_without_the_setting_such_cases_are_left_out_in_both(here, dim, data, tmp_path):
    told = Told()
    run = trained(dim, data, here / f"plain{dim}", told)
    left = [line for line in told.lines if line.startswith("left out: p")]
    assert len({*left}) == 2
    assert all("--missing-channels absent" in line for line in left)
    assert "channel_dropout" not in Plan.load(run.plan).reasons
    outcomes, _ = predicted(run, [str(data / "images")], tmp_path)
    failed = {outcome.name: outcome.failure for outcome in outcomes if outcome.failure}
    assert sorted(failed) == ["p1", "p2"]
    assert all("trained with --missing-channels absent" in f.remedy for f in failed.values())
    if dim == 3:
        model = load_model(run, device="cpu")
        image = nib.load(files(data, "p3_t1")[0])
        with pytest.raises(MedsegError, match="not trained for scans that lack one"):
            model([None, image])
    both = [here / f"run{dim}", run.folder]
    with pytest.raises(MedsegError, match="cases that lack channels"):
        load_predictor(both, CPU)


def test_a_run_goes_on_with_the_cases_it_began_with(run):
    longer = HParams(output=run.folder, steps=6, device="cpu")
    train(longer, True, Told(), ("steps",))
    assert Plan.load(run.plan).channel_dropout == 0.2


def test_a_model_learns_from_partly_equipped_cases_bit_for_bit_again(here, dim, data):
    weights = []
    for name in ("one", "two"):
        run = trained(
            dim, data, here / f"{name}{dim}", missing_channels="absent", deterministic=True
        )
        weights.append(Path(run.model).read_bytes())
    assert weights[0] == weights[1]
