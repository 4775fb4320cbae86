"""A run that trains an encoder on scans alone, from the first step to its report."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from medseg.files import write_text
from medseg.networks.masked import MaskedAutoencoder, Reconstruction, masked_l1
from medseg.patches.sampler import PatchSampler
from medseg.progress import Progress
from medseg.report.curves import Curve
from medseg.report.pretraining import PretrainingContent, Restored, write_pretraining_report
from medseg.runs import save_encoder
from medseg.scans.case import Problem
from medseg.training.data import TrainingData
from medseg.training.last_words import Facts, last_notes, run_facts
from medseg.training.loop import Loop, optimise
from medseg.training.record import read_records

_BATCHES = 8
_EXAMPLES = 4
_CLOSING_S = 10.0
"""What the end takes: a few batches, and drawing."""


class _Held(NamedTuple):
    """How well scans are restored that were not learned from.

    Attributes:
        l1: Mean absolute difference of masked voxels, in standard deviations of intensity.
        trivial_l1: The same for the mean of what is seen, in each place.
        examples: Slices.
    """

    l1: float
    trivial_l1: float
    examples: tuple[Restored, ...]


def pretrain(
    loop: Loop,
    network: MaskedAutoencoder,
    data: TrainingData,
    problems: Sequence[Problem],
    progress: Progress,
) -> None:
    """Train, save the encoder, report.

    Args:
        loop: With `network` as its network.
        network: To be trained.
        data: Prepared scans.
        problems: Scans that were left out; listed last.
        progress: Hears how it goes.
    """
    loop.budget.reserve([], _CLOSING_S)
    run = loop.run
    name = loop.hparams.encoder
    with loop.stop.patient(progress):
        optimise(loop, lambda *_: [], progress)
        save_encoder(run.encoder, network, f"{name}, {loop.plan.dim}D, masked pretraining")
    loop.stop.end()
    held = _validate(loop, network, data)
    write_text(run.validation, f'{{"l1": {held.l1:.6f}, "trivial_l1": {held.trivial_l1:.6f}}}\n')
    losses = [record for record in read_records(run.metrics) if "loss" in record]
    content = PretrainingContent(
        title=run.folder.resolve().name,
        facts=_facts(loop, data, held),
        curves=(Curve("loss", "loss", [r["step"] for r in losses], [r["loss"] for r in losses]),),
        examples=held.examples,
        reasons=tuple(loop.plan.reasons.items()),
        problems=tuple(problems),
    )
    write_pretraining_report(run.report, content)
    progress.note(
        f"masked voxels are restored to {held.l1:.3f} standard deviations; their surroundings' "
        f"mean gives {held.trivial_l1:.3f}"
    )
    progress.note(f"pretrained in {loop.budget.elapsed_s / 60:.1f} minutes: {run.report}")
    progress.note(f"to train with it: --encoder {name} --pretrained {run.encoder}")
    last_notes(loop, problems, progress)


@torch.inference_mode()
def _validate(loop: Loop, network: MaskedAutoencoder, data: TrainingData) -> _Held:
    """Restore patches of the scans held back; the same patches and masks for every run."""
    network.to(loop.device).eval()
    sampler = PatchSampler([stored for _, stored in data.validation], loop.plan, seed=0, margin=0.0)
    torch.manual_seed(0)
    losses: list[float] = []
    trivial: list[float] = []
    examples: list[Restored] = []
    for step in range(_BATCHES):
        output = network.training_output(sampler.batch(step).image.to(loop.device))
        losses.append(float(masked_l1(output)))
        trivial.append(float(masked_l1(output._replace(image=_mean_of_seen(output)))))
        if len(examples) < _EXAMPLES:
            examples.append(_example(output, f"patch {step + 1}"))
    return _Held(float(np.mean(losses)), float(np.mean(trivial)), tuple(examples))


def _mean_of_seen(output: Reconstruction) -> torch.Tensor:
    axes = tuple(range(2, output.target.ndim))
    seen = ~output.mask
    total = (output.target * seen).sum(axes, keepdim=True)
    return (total / seen.sum(axes, keepdim=True)).expand_as(output.target)


def _example(output: Reconstruction, name: str) -> Restored:
    """The middle slice of the first patch and channel, rows from top to bottom."""
    mask, target, image = (
        tensor[0, 0].float().cpu().numpy() for tensor in (output.mask, output.target, output.image)
    )
    if target.ndim == 3:
        middle = target.shape[2] // 2
        mask, target, image = (array[..., middle] for array in (mask, target, image))
    hidden = mask.T[::-1] > 0
    original, restored = target.T[::-1], image.T[::-1]
    grey = float(np.median(original))
    return Restored(
        name, original, np.where(hidden, grey, original), np.where(hidden, restored, original)
    )


def _facts(loop: Loop, data: TrainingData, held: _Held) -> Facts:
    own = (
        ("scans", f"{len(data.training)} to learn from, {len(data.validation)} held back"),
        ("encoder", loop.hparams.encoder),
        (
            "restored",
            f"{held.l1:.3f} standard deviations off, where the mean is {held.trivial_l1:.3f}",
        ),
    )
    return run_facts(loop, own)
