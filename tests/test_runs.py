import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from networks.fill import difference, fill
from plans import plan_for_tests
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from medseg.errors import MedsegError, SettingsError
from medseg.networks.build import NetworkChoice, build_network
from medseg.runs import ModelCard, Run, State, latest_run, load_model, save_model, write_text
from medseg.scans.channels import ChannelRule

ENCODER = "convnext_micro"
ROOT = Path(__file__).parent.parent


def card_of(dim=3, task="multiclass", head="pointrend", encoder=ENCODER):
    plan = plan_for_tests(dim=dim, task=task, reasons={"patch_size": "it is small"})
    rule = ChannelRule(kind="suffix", keys=("_t1",))
    choice = NetworkChoice(encoder=encoder, head=head)
    return ModelCard(plan=plan, network=choice, channel_rule=rule)


def network_of(card):
    multilabel = card.plan.task == "multilabel"
    return fill(build_network(card.plan, card.network, multilabel=multilabel)).eval()


def rewrite(model, weights):
    """Put other weights into a model file."""
    with safe_open(model, framework="pt") as stored:
        description = stored.metadata()
    save_file(weights, model, metadata=description)


@pytest.fixture
def model(tmp_path):
    """A model file that is whole."""
    card = card_of()
    save_model(tmp_path / "model.safetensors", network_of(card), card)
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("head", ["pointrend", "dense"])
def test_a_model_comes_back(dim, task, head, tmp_path):
    card = card_of(dim, task, head)
    network = network_of(card)
    file = tmp_path / "some name.safetensors"
    save_model(file, network, card)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    loaded, found = load_model(file)
    assert found == card
    assert not loaded.training
    image = torch.randn(1, 1, *(16,) * dim)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))
    assert all(weight.requires_grad for weight in loaded.parameters())


@pytest.mark.parametrize("encoder", ["repmlp_mini", "repmlpnet_mini"])
def test_a_model_is_saved_in_the_form_that_is_fastest_to_run(encoder, dim, tmp_path):
    card = card_of(dim, encoder=encoder)
    network = network_of(card)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    save_model(tmp_path / "model.safetensors", network, card)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert not any(
        "running_mean" in name for name in loaded.state_dict() if "encoder.stages" in name
    )
    image = torch.randn(1, 1, *(16,) * dim)
    with torch.no_grad():
        assert difference(loaded(image), network(image)) < 1e-4


def test_a_run_folder_stands_for_its_model(model):
    torch.testing.assert_close(
        load_model(model.parent)[0].state_dict(), load_model(model)[0].state_dict()
    )


def test_weights_of_half_the_size_are_loaded_in_full(model):
    weights = {name: weight.half() for name, weight in load_file(model).items()}
    rewrite(model, weights)
    assert {weight.dtype for weight in load_model(model)[0].parameters()} == {torch.float32}


class Boom:
    """Unpickling it writes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def described(model, change):
    """The same weights under another description."""
    card = json.loads(card_of().model_dump_json())
    change(card)
    save_file(load_file(model), model, metadata={"medseg": json.dumps(card)})


def with_plan(**changes):
    return lambda card: card["plan"].update(changes)


DESCRIPTIONS = {
    "an unknown encoder": lambda card: card["network"].update(encoder="no_such_net"),
    "an unknown head": lambda card: card.update(head="../head"),
    "an unknown field": lambda card: card.update(run="rm -rf"),
    "a missing field": lambda card: card.pop("plan"),
    "another class": with_plan(class_names=["a"], label_values=[1]),
    "a dimension of five": with_plan(dim=5),
    "kernels of another dimension": with_plan(kernels=[[5, 5], [5, 5]]),
    "more stages than there are": with_plan(stage_strides=[[2, 2, 2]] * 9, kernels=[[3] * 3] * 10),
    "more memory than there is": with_plan(channels=10**12),
    "more than a number holds": with_plan(channels=10**30),
    "a negative stride": with_plan(stem_strides=[-2, 2, 2]),
    "no stride": with_plan(stem_strides=[0, 0, 0]),
    "no kernel": with_plan(kernels=[]),
}


def refused(path):
    """The message: one line that names the file."""
    with pytest.raises(MedsegError) as error:
        load_model(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < len(str(path)) + 300
    return message


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("change", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_description_that_does_not_fit_is_refused(change, model):
    described(model, change)
    refused(model)


def test_weights_that_do_not_fit_are_refused(model):
    whole = load_file(model)
    name = next(iter(whole))
    for weights in (
        {**whole, name: whole[name][:1]},
        {**whole, "extra": torch.zeros(1)},
        {key: weight for key, weight in whole.items() if key != name},
        {**whole, name: whole[name].int()},
        {},
    ):
        rewrite(model, weights)
        refused(model)


@pytest.mark.parametrize("length", [0, 4, 8, 100, 4000, -1])
def test_a_file_that_was_cut_is_refused(length, model):
    model.write_bytes(model.read_bytes()[:length])
    refused(model)


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"medseg": ""}, {"medseg": "[" * 100_000}, {"medseg": "{" + '"a":{' * 50_000}],
    ids=["none", "empty", "blank", "deep list", "deep object"],
)
def test_a_file_without_our_description_is_refused(metadata, model):
    save_file(load_file(model), model, metadata=metadata)
    refused(model)


def test_a_header_that_lies_about_its_length_is_refused(model):
    model.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    refused(model)


def test_a_pickle_is_not_run(model, tmp_path):
    flag = tmp_path / "run"
    model.write_bytes(pickle.dumps(Boom(flag)))
    refused(model)
    torch.save({"a": Boom(flag)}, model)
    refused(model)
    assert not flag.exists()


def test_nothing_there_is_refused(tmp_path):
    assert "no model file there" in refused(tmp_path)
    assert "no model file there" in refused(tmp_path / "absent")


def begin(folder):
    """A run that has just begun, and whose process is gone."""
    run = Run(folder)
    with run.begun():
        pass
    return run


def test_states_follow_from_files(tmp_path):
    run = Run(tmp_path / "one")
    assert run.state is State.NEW
    run.folder.mkdir()
    (run.folder / "notes.txt").touch()
    assert run.state is State.NEW
    for file, state in (
        (run.log, State.DEAD),
        (run.hparams, State.DEAD),
        (run.model, State.KEPT),
        (run.checkpoint, State.BEGUN),
    ):
        file.touch()
        assert run.state is state
    run.model.unlink()
    assert run.state is State.BEGUN
    run.checkpoint.unlink()
    run.encoder.touch()
    assert run.state is State.KEPT


def test_what_was_learned_is_never_overwritten(tmp_path):
    run = begin(tmp_path / "runs" / "one")
    assert run.state is State.DEAD
    for file, remedy in ((run.model, "or remove it"), (run.checkpoint, "or add --resume")):
        file.touch()
        with pytest.raises(MedsegError, match="already holds a run") as error:
            begin(run.folder)
        assert "\n" not in str(error.value)
        assert error.value.remedy == f"choose another --output, {remedy}"
        assert error.value.subject == f"output = {run.folder}"
    assert run.log.is_file()


def test_a_run_that_died_before_its_first_checkpoint_is_begun_anew(tmp_path):
    run = begin(tmp_path / "one")
    run.log.write_text("its last words\n", encoding="utf-8")
    run.hparams.touch()
    (run.folder / "notes.txt").touch()
    run.holder.write_text("process 1 on a machine that is off", encoding="utf-8")  # by kill -9
    with run.begun():
        assert not run.log.read_text(encoding="utf-8")
        assert not run.hparams.exists()
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"failed.txt", "log.txt", "notes.txt"}
    assert (run.folder / "failed.txt").read_text(encoding="utf-8") == "its last words\n"


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    run = Run(tmp_path / "one")
    with run.begun():
        for way in (run.begun, run.held):
            with pytest.raises(SettingsError) as caught, way():
                pass
            assert f"process {os.getpid()} on " in caught.value.what
            assert "wait" in caught.value.remedy
        assert run.log.is_file()
    with run.held():
        assert run.holder.is_file()
    assert not run.holder.exists()


def test_a_killed_process_lets_go(tmp_path):
    run = Run(tmp_path / "one")
    hold = f"""
import os, signal
from pathlib import Path
from medseg.files import held_file
with held_file(Path({str(run.holder)!r}), "me") as other:
    assert other is None
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run.folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", hold], env=environment, check=False).returncode
    assert run.holder.read_text(encoding="utf-8") == "me"
    with run.begun():
        assert run.state is State.DEAD


def test_a_new_run_that_could_not_start_leaves_no_folder(tmp_path):
    run = Run(tmp_path / "one")
    with run.begun():
        run.discard()
    assert not run.folder.exists()


def test_discarding_takes_what_is_ours_and_nothing_that_was_learned(tmp_path):
    run = begin(tmp_path / "one")
    (run.folder / "notes.txt").touch()
    (run.folder / "tensorboard").mkdir()
    (run.folder / "tensorboard" / "events.out.tfevents.1").touch()
    run.plan.touch()
    run.discard()
    assert [path.name for path in run.folder.iterdir()] == ["notes.txt"]
    for learned in (run.checkpoint, run.model, run.encoder):
        run.log.touch()
        learned.touch()
        run.discard()
        run.give_up()
        assert run.log.exists()
        learned.unlink()


def test_a_run_is_named_after_its_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.named(None, "liver-3d")
    assert run.folder.parent == Path("runs")
    assert run.folder.name.startswith("liver-3d-2")
    run.folder.mkdir(parents=True)
    assert Run.named(None, "liver-3d").folder != run.folder  # though it is the same second
    assert Run.named(Path("there"), "liver-3d").folder == Path("there")


def test_a_run_without_a_model_yet_says_how_to_get_one(tmp_path):
    run = begin(tmp_path / "one")
    run.checkpoint.touch()
    assert f"train --resume --output {run.folder}" in refused(run.folder)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MedsegError, match="cannot be written"):
        begin(tmp_path / "file" / "run")


def test_the_latest_run_is_found(tmp_path):
    for name in ("one", "two"):
        begin(tmp_path / name).become_latest()
        assert latest_run(tmp_path) == tmp_path / name


@pytest.mark.parametrize(
    "text", [b"", b"..", b".", b"../../etc", b"/etc", b"one/deep", b"absent", b"a\0b", b"\xff"]
)
def test_a_latest_that_names_no_run_of_the_folder_is_refused(text, tmp_path):
    runs = tmp_path / "runs"
    (runs / "one" / "deep").mkdir(parents=True)
    (runs / "latest").write_bytes(text)
    with pytest.raises(MedsegError, match="no run found"):
        latest_run(runs)


def test_no_folder_of_runs_is_refused(tmp_path):
    with pytest.raises(MedsegError, match="no run found"):
        latest_run(tmp_path / "absent")


def test_text_is_written_whole(tmp_path):
    file = tmp_path / "text"
    write_text(file, "one")
    write_text(file, "zwei ä")
    assert file.read_text(encoding="utf-8") == "zwei ä"
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
