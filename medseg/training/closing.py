"""The end of a run: all validation cases are scored, the report is written."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import torch

from medseg import __version__
from medseg.evaluation.scores import ClassScore
from medseg.evaluation.summary import Summary, summarise, summary_table
from medseg.progress import Progress
from medseg.report.curves import Curve
from medseg.report.figures import Example, pick_examples
from medseg.report.page import ReportContent, write_report
from medseg.scans.case import Problem
from medseg.training.record import read_records
from medseg.training.segmentation import Segmentation


def close_run(done: Segmentation, problems: Sequence[Problem], progress: Progress) -> None:
    """Validate, report.

    Args:
        done: With its model saved.
        problems: Cases that were left out; listed last.
        progress: Gets the table of scores.
    """
    scores = _score(done, progress)
    summary = summarise(scores)
    summary.save(done.loop.run.validation)
    progress.table(*summary_table(summary))
    content = ReportContent(
        title=done.loop.run.folder.resolve().name,
        facts=_facts(done),
        curves=_curves(done),
        summary=summary,
        examples=_examples(done, summary),
        reasons=tuple(done.card.plan.reasons.items()),
        problems=tuple(problems),
    )
    write_report(done.loop.run.report, content)
    minutes = done.loop.budget.elapsed_s / 60
    progress.note(
        f"trained, validated and reported in {minutes:.1f} minutes: {done.loop.run.report}"
    )
    if done.loop.run.folder.parent != Path("runs"):
        progress.note(f"to predict with it: --model {done.loop.run.folder}")
    if done.loop.stop.asked:
        progress.note(f"stopped early; to go on: --resume --output {done.loop.run.folder}")
    for problem in problems:
        progress.warn(f"left out: {problem}")


def _score(done: Segmentation, progress: Progress) -> list[ClassScore]:
    """All validation cases; under a time budget as many as it holds, drawn at random."""
    cases = done.validator.cases
    scores: dict[int, tuple[ClassScore, ...]] = {}
    order = np.random.default_rng(done.loop.hparams.seed).permutation(len(cases)).tolist()
    for index in progress.track(order, "validating", len(cases)):
        if scores and done.loop.budget.overdrawn:
            progress.warn(
                f"{len(scores)} of {len(cases)} validation cases are scored: the time budget holds "
                "no more; raise it, or predict the others and use evaluate"
            )
            break
        scores[index] = done.validator.score(cases[index])
    return [score for index in sorted(scores) for score in scores[index]]


def _facts(done: Segmentation) -> tuple[tuple[str, str], ...]:
    records = read_records(done.loop.run.metrics)
    steps = str(int(records[-1]["step"])) if records else "0"
    name = done.card.network.network or done.card.network.encoder
    weights = sum(weight.numel() for weight in done.network.parameters())
    return (
        ("finished", f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"),
        ("medseg", __version__),
        ("data", str(done.loop.hparams.images or done.loop.hparams.data)),
        (
            "cases",
            f"{len(done.data.training)} to learn from, {len(done.data.validation)} to validate",
        ),
        ("network", f"{name}, {done.card.network.head}, {weights / 1e6:.2f} M parameters"),
        ("steps", steps + (" (interrupted)" if done.loop.stop.asked else "")),
        ("device", f"{done.loop.device}, {torch.get_num_threads()} threads"),
    )


def _curves(done: Segmentation) -> tuple[Curve, ...]:
    records = read_records(done.loop.run.metrics)
    losses = [record for record in records if "loss" in record]
    dice = [record for record in records if "dice" in record]
    names = ["dice", *(f"dice_{name}" for name in done.card.plan.scored_classes)]
    return (
        Curve("loss", "loss", [r["step"] for r in losses], [r["loss"] for r in losses]),
        *(
            Curve(
                "mean" if name == "dice" else name.removeprefix("dice_"),
                "dice",
                [r["step"] for r in dice],
                [r.get(name, float("nan")) for r in dice],
            )
            for name in (names if len(names) > 2 else names[:1])
        ),
    )


def _examples(done: Segmentation, summary: Summary) -> Iterator[Example]:
    cases = {files.name: (files, stored) for files, stored in done.validator.cases}
    for name, why in pick_examples(summary.scores).items():
        dice = [s.dice for s in summary.scores if s.case == name and s.dice is not None]
        yield done.validator.example(cases[name], why, sum(dice) / len(dice))
