"""The run folder and the model file, written and read in one place.

A model file is self-contained: safetensors weights, and the plan and the network's name as its
metadata. Reading one executes nothing, and takes no more memory than the file is large.
"""

import contextlib
import os
import platform
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from itertools import count
from pathlib import Path
from textwrap import shorten

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from medseg.errors import MachineError, MedsegError, SettingsError
from medseg.files import held_file, machine_error, whole_file, write_text
from medseg.networks.build import NetworkChoice, build_network
from medseg.networks.layers.folding import fold
from medseg.networks.segmenter import Segmenter
from medseg.plan.plan import Plan
from medseg.prepare.cleanup import Cleanup
from medseg.records import Frozen
from medseg.scans.channels import ChannelRule
from medseg.scans.names import natural_key

_DESCRIPTION = "medseg"
_UNFIT = (
    SafetensorError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
)
"""What reading a foreign file, or building what its plan claims, may raise."""


class ModelCard(Frozen):
    """Everything but the weights.

    Attributes:
        plan: How scans are prepared and what the network looks like.
        network: Which network the plan is made into.
        channel_rule: How the files of one case are told apart.
        cleanup: What is mended in its masks, by the name of the class.
    """

    plan: Plan
    network: NetworkChoice
    channel_rule: ChannelRule
    cleanup: dict[str, Cleanup] = Field(default_factory=dict)


FOLD = "fold_{}"
"""A fold's run in the folder of a training of all folds."""


class State(Enum):
    """What became of a run, as its files tell, and so what may be done with it."""

    NEW = auto()
    """Nothing was begun: it may be started."""
    DEAD = auto()
    """It ended before its first checkpoint: it may be started anew, or resumed from its settings.
    """
    BEGUN = auto()
    """There is a checkpoint: it may be resumed, and is never overwritten."""
    KEPT = auto()
    """There is what was learned and no checkpoint: it may be used, and is never overwritten."""


@dataclass(frozen=True)
class Run:
    """The files of one training, and what became of it."""

    folder: Path

    @property
    def hparams(self) -> Path:
        """Settings, as resolved."""
        return self.folder / "hparams.json"

    @property
    def plan(self) -> Path:
        """The plan with its reasons."""
        return self.folder / "plan.json"

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """What `--resume` continues from."""
        return self.folder / "last.ckpt"

    @property
    def encoder(self) -> Path:
        """Weights of a pretrained encoder."""
        return self.folder / "encoder.safetensors"

    @property
    def split(self) -> Path:
        """Names of the cases that train and validate."""
        return self.folder / "split.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per line, as training goes."""
        return self.folder / "metrics.jsonl"

    @property
    def validation(self) -> Path:
        """Scores per case and class."""
        return self.folder / "validation.json"

    @property
    def log(self) -> Path:
        """What was said on the terminal."""
        return self.folder / "log.txt"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / "report.html"

    @property
    def holder(self) -> Path:
        """There while a process trains: locked by it, with its number."""
        return self.folder / "running"

    @property
    def state(self) -> State:
        """What became of it."""
        if self.checkpoint.is_file() or any(fold.checkpoint.is_file() for fold in self.folds):
            return State.BEGUN
        if self.model.exists() or self.encoder.exists():
            return State.KEPT
        begun = any(file.exists() for file in (self.log, self.hparams, self.plan))
        return State.DEAD if begun else State.NEW

    @property
    def folds(self) -> "tuple[Run, ...]":
        """The runs of a training of all folds, in order; of any other there are none."""
        found = sorted(self.folder.glob(FOLD.format("*")), key=lambda path: natural_key(path.name))
        return tuple(Run(path) for path in found)

    @property
    def top(self) -> "Run":
        """The training of all folds that this is one of, or this one itself."""
        above = Run(self.folder.parent)
        is_fold = self.folder.name.startswith(FOLD.format("")) and above.hparams.is_file()
        return above if is_fold else self

    @classmethod
    def named(cls, output: Path | None, name: str) -> "Run":
        """A run in a folder of the user's choice, or in `runs/<name>-<date>-<time>`."""
        return cls(output or _unused(Path("runs"), name))

    @contextlib.contextmanager
    def begun(self) -> Generator[None, None, None]:
        """Hold the folder for a new run; what one that died there said stays, as failed.txt.

        Raises:
            SettingsError: If the folder holds something already or cannot be written, or another
                process trains in it.
            MachineError: If the machine fails, such as for want of space.
        """
        subject = f"output = {self.folder}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(error, subject) from None
        with self.held():
            state = self.state
            if state in (State.BEGUN, State.KEPT):
                more = ", or add --resume" if state is State.BEGUN else ", or remove it"
                remedy = "choose another --output" + more
                raise SettingsError(subject, "already holds a run", remedy)
            self.give_up()
            try:
                self.log.touch()
            except OSError as error:
                raise _unwritable(error, subject) from None
            yield

    @contextlib.contextmanager
    def held(self) -> Generator[None, None, None]:
        """Within, no other process trains in this folder; a kill leaves nothing behind that counts.

        Raises:
            SettingsError: If another one does, or the folder cannot be written.
            MachineError: If the machine fails, such as for want of space.
        """
        try:
            with self._locked():
                yield
        finally:
            with contextlib.suppress(OSError):  # there is something in it, as there should be
                self.folder.rmdir()

    @contextlib.contextmanager
    def _locked(self) -> Generator[None, None, None]:
        subject = f"output = {self.folder}"
        who = f"process {os.getpid()} on {platform.node()}"
        with contextlib.ExitStack() as stack:
            try:
                other = stack.enter_context(held_file(self.holder, who))
            except OSError as error:
                raise _unwritable(error, subject) from None
            if other is not None:
                raise SettingsError(
                    subject,
                    f"already holds a run, in which {other or 'another process'} trains now",
                    "wait for its end, or choose another --output",
                )
            yield

    def discard(self) -> None:
        """Leave no trace of a run that could not start; what else is in its folder stays.

        A run that has learned something is left as it is.
        """
        if self.state in (State.BEGUN, State.KEPT):
            return
        curves = self.folder / "tensorboard"
        ours = (self.log, self.hparams, self.plan, self.split, self.metrics)
        for file in (*ours, curves / "hparams.yaml", *curves.glob("events.out.tfevents.*")):
            with contextlib.suppress(OSError):
                file.unlink()
        for folder in (curves, self.folder):
            with contextlib.suppress(OSError):  # it holds something else
                folder.rmdir()

    def give_up(self) -> None:
        """Let another run have the folder of one that ended before its first checkpoint.

        What was said stays, as failed.txt; a run that has learned something is left as it is.
        """
        with contextlib.suppress(OSError):
            if self.state is State.DEAD and self.log.stat().st_size:
                self.log.replace(self.folder / "failed.txt")
        self.discard()

    def become_latest(self) -> None:
        """Be what `latest_run` finds, for a run that there is something of."""
        with contextlib.suppress(OSError, MachineError):  # a run is none the worse for it
            write_text(self.top.folder.parent / "latest", self.top.folder.name)


def _unwritable(error: OSError, subject: str) -> MedsegError:
    return machine_error(error, subject) or SettingsError(
        subject, f"cannot be written ({error.strerror})", "choose another --output"
    )


def _unused(folder: Path, name: str) -> Path:
    """Two trainings may start in the same second."""
    stem = f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    return next(folder / name for name in names if not (folder / name).exists())


def latest_run(folder: Path) -> Path:
    """The newest run in a folder of runs.

    Raises:
        SettingsError: If there is none.
        MachineError: If the machine fails to read it.
    """
    try:
        name = (folder / "latest").read_text(encoding="utf-8").strip()
        if name not in ("", "..") and Path(name).name == name and (folder / name).is_dir():
            return folder / name
    except (OSError, ValueError) as error:  # no such file, or no such text
        failure = machine_error(error, str(folder / "latest"))
        if failure is not None:
            raise failure from error
    raise SettingsError(
        f"{folder}/", "no run found there", "train one first, or name one with --model"
    )


def save_model(path: Path, network: Segmenter, card: ModelCard) -> None:
    """Write a model file, whole or not at all: the network in the form that is fastest to run.

    Raises:
        MachineError, OSError: As `whole_file`.
    """
    folded = fold(network)
    aliases = _aliases(folded)
    tensors = {
        name: weight.detach().cpu().contiguous()
        for name, weight in folded.state_dict().items()
        if name not in aliases
    }
    _save_tensors(path, tensors, {_DESCRIPTION: card.model_dump_json()})


def save_encoder(path: Path, network: nn.Module, description: str) -> None:
    """Write a pretrained encoder, and the detail stem that it reads, whole or not at all.

    Args:
        path: The file.
        network: With `encoder` and, if that reads one, `detail`.
        description: What it is, in words.

    Raises:
        MachineError, OSError: As `whole_file`.
    """
    weights = {
        name: weight.detach().cpu().contiguous()
        for name, weight in network.state_dict().items()
        if name.startswith(("encoder.", "detail."))
    }
    _save_tensors(path, weights, {"medseg-encoder": description})


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with whole_file(path, durable=True) as part:
        try:
            save_file(tensors, part, metadata=metadata)
        except SafetensorError as error:  # its own name for whatever the system says
            raise machine_error(error, str(path)) or OSError(str(error)) from error


def _aliases(network: nn.Module) -> set[str]:
    """Further names of weights whose module stands in several places of a network."""

    def names(*, once: bool) -> set[str]:
        parameters = network.named_parameters(remove_duplicate=once)
        buffers = network.named_buffers(remove_duplicate=once)
        return {name for name, _ in (*parameters, *buffers)}

    return names(once=False) - names(once=True)


def model_files(path: Path) -> tuple[Path, ...]:
    """The model file of a run folder, those of all its folds, or `path` if it is a file.

    Raises:
        MedsegError: If there is none.
    """
    files = (path,)
    if path.is_dir():
        run = Run(path)
        files = (run.model,) if run.model.is_file() else tuple(fold.model for fold in run.folds)
    files = tuple(file for file in files if file.is_file())
    if not files:
        if path.is_dir() and Run(path).state is State.BEGUN:
            remedy = f"go on with `train --resume --output {path}`, or name another run"
            raise MedsegError(f"model = {path}", "its training has saved none yet", remedy)
        raise MedsegError(
            f"model = {path}", "no model file there", "name a run folder or a .safetensors file"
        )
    return files


def load_model(path: Path) -> tuple[Segmenter, ModelCard]:
    """Read a model file, or the one of a run folder.

    Raises:
        MedsegError: If there is none, or it is not one of ours, or does not hold together.
        MachineError: If the machine fails to read it, such as for want of memory.
    """
    file, *others = model_files(path)
    if others:
        remedy = f"name one of them, such as {file.parent}"
        raise MedsegError(f"model = {path}", f"holds {1 + len(others)} models", remedy)
    try:
        with safe_open(file, framework="pt") as stored:
            description = (stored.metadata() or {}).get(_DESCRIPTION, "")
            card = ModelCard.model_validate_json(description)
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        with torch.device("meta"):
            network = build_network(
                card.plan, card.network, multilabel=card.plan.task == "multilabel"
            )
            network = fold(network)
        fit = network.load_state_dict(weights, strict=False, assign=True)
        strange = [*fit.unexpected_keys, *({*fit.missing_keys} - _aliases(network))]
        if strange:
            raise ValueError(f"weights without a place, or places without weights: {strange[0]}")
    except _UNFIT as error:
        raise machine_error(error, f"model = {file}") or MedsegError(
            f"model = {file}",
            f"not a model file of this medseg ({shorten(str(error), 120)})",
            "train again, or name another",
        ) from None
    return network.float().eval(), card
