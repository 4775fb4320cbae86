"""From a folder to prepared cases and a plan: everything before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from medseg.hparams import HParams
from medseg.machine import available_memory_bytes
from medseg.networks.build import build_segmenter
from medseg.networks.cost import training_bytes
from medseg.plan.checks import check_cases
from medseg.plan.fingerprint import fingerprint
from medseg.plan.overview import case_table
from medseg.plan.patch import Candidate, Limits
from medseg.plan.plan import Plan
from medseg.plan.rules import make_plan
from medseg.plan.split import split
from medseg.prepare.cache import StoredCase, prepare_cases
from medseg.progress import Progress
from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule
from medseg.scans.demo import make_demo
from medseg.scans.discover import Dataset, discover

DEMO = Path("data/demo")
_GPU_VOXELS = {2: 2**18, 3: 2**21}
"""Largest patch, in voxels, that trains at a bearable pace on a GPU, per dimension."""
_MEMORY_SHARE = 0.7
"""Of the free memory, what a training step may take; the rest is for data and the system."""


@dataclass(frozen=True)
class Survey:
    """What was found, and what will be done.

    Attributes:
        cases: Those that can be used, in natural order.
        problems: Why the others cannot.
        channel_rule: How the files of one case are told apart.
        plan: What will be done.
    """

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    channel_rule: ChannelRule
    plan: Plan


@dataclass(frozen=True)
class TrainingData:
    """Prepared cases.

    Attributes:
        training: To learn from.
        validation: To be scored, each with its files.
        problems: Cases that could not be prepared.
    """

    training: tuple[StoredCase, ...]
    validation: tuple[tuple[Case, StoredCase], ...]
    problems: tuple[Problem, ...]


def survey(hparams: HParams, device: str, progress: Progress) -> Survey:
    """Look at the data, show what was found, and plan.

    Raises:
        MedsegError: If there is nothing to train on, or the settings do not fit the data.
    """
    dataset = _find(hparams, progress)
    names = hparams.classes or dataset.class_values
    found, unreadable = fingerprint(dataset.cases, progress)
    facts, misfits = check_cases(found, names, hparams.channels)
    problems = (*dataset.problems, *unreadable, *misfits)
    progress.table(*case_table(facts, problems, dataset.layout, names))
    plan = make_plan(
        facts,
        hparams,
        lambda candidate: _step_bytes(candidate, hparams),
        dataset.class_values,
        _limits(device, hparams.dim),
    )
    usable = {case.name for case in facts.cases}
    cases = tuple(case for case in dataset.cases if case.name in usable)
    return Survey(cases, problems, dataset.channel_rule, plan)


def prepare_data(
    cases: Sequence[Case], plan: Plan, hparams: HParams, folder: Path, progress: Progress
) -> TrainingData:
    """Prepare every case and deal them into training and validation.

    Raises:
        MedsegError: If no case can be prepared.
    """
    source = (hparams.images or hparams.data).resolve()
    digest = blake2b(str(source).encode(), digest_size=4).hexdigest()
    stored, problems = prepare_cases(cases, plan, folder / f"{source.name}-{digest}", progress)
    files = {case.name: case for case in cases}
    parts = split(len(stored), hparams.folds, hparams.fold)
    return TrainingData(
        tuple(stored[i] for i in parts.training),
        tuple((files[stored[i].prepared.name], stored[i]) for i in parts.validation),
        problems,
    )


def _find(hparams: HParams, progress: Progress) -> Dataset:
    if hparams.data == DEMO and hparams.images is None and not DEMO.exists():
        progress.note(f"making phantom scans in {DEMO}/ to train on; --data takes your own")
        make_demo(DEMO, progress)
    return discover(hparams.data, hparams.images, hparams.labels, hparams.pattern)


def _limits(device: str, dim: int) -> Limits:
    if not device.startswith("cuda"):
        return Limits(memory=int(_MEMORY_SHARE * available_memory_bytes()))
    free, _ = torch.cuda.mem_get_info(device)
    return Limits(_GPU_VOXELS[dim], int(_MEMORY_SHARE * free))


def _step_bytes(candidate: Candidate, hparams: HParams) -> int:
    shape = (candidate.batch_size, candidate.channels, *candidate.patch_size)
    return training_bytes(
        lambda: build_segmenter(candidate, hparams.encoder, hparams.head, multilabel=False), shape
    )
