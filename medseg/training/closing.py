"""The end of a run: the model is kept, all validation cases are scored, the report is written."""

from collections.abc import Sequence
from datetime import datetime

import torch

from medseg import __version__
from medseg.evaluation.scores import ClassScore
from medseg.evaluation.summary import Summary, summarise, summary_table
from medseg.progress import Progress
from medseg.report.curves import Curve
from medseg.report.figures import Example, pick_examples
from medseg.report.page import ReportContent, write_report
from medseg.scans.case import Problem
from medseg.training.loop import Loop
from medseg.training.record import read_records
from medseg.training.validation import mean_dice

_WORDS = ("worst", "second worst", "third worst", "median")


def close_run(
    loop: Loop, problems: Sequence[Problem], interrupted: bool, progress: Progress
) -> None:
    """Save, validate, report.

    Args:
        loop: With its network trained.
        problems: Cases that were left out; listed last.
        interrupted: Whether it ended early.
        progress: Gets the table of scores.
    """
    loop.save_model()
    scores: list[ClassScore] = []
    for case in progress.track(loop.validator.cases, "validating", len(loop.validator.cases)):
        scores += loop.validator.score(case)
    summary = summarise(scores)
    summary.save(loop.run.validation)
    progress.table(*summary_table(summary))
    content = ReportContent(
        title=loop.run.folder.resolve().name,
        facts=_facts(loop, interrupted),
        curves=_curves(loop),
        summary=summary,
        examples=_examples(loop, summary),
        reasons=tuple(loop.card.plan.reasons.items()),
        problems=tuple(problems),
    )
    write_report(loop.run.report, content)
    minutes = loop.budget.elapsed_s / 60
    progress.note(f"trained, validated and reported in {minutes:.1f} minutes: {loop.run.report}")
    if interrupted:
        progress.note(f"stopped early; to go on: --resume --output {loop.run.folder}")
    for name, what, remedy in problems:
        progress.warn(f"left out: {name}: {what}; {remedy}")


def _facts(loop: Loop, interrupted: bool) -> tuple[tuple[str, str], ...]:
    records = read_records(loop.run.metrics)
    steps = str(int(records[-1]["step"])) if records else "0"
    weights = sum(weight.numel() for weight in loop.network.parameters())
    return (
        ("finished", f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"),
        ("medseg", __version__),
        ("data", str(loop.hparams.images or loop.hparams.data)),
        ("cases", f"{len(loop.data.training)} trained on, {len(loop.data.validation)} validated"),
        ("network", f"{loop.card.encoder}, {loop.card.head}, {weights / 1e6:.2f} M parameters"),
        ("steps", steps + (" (interrupted)" if interrupted else "")),
        ("device", f"{loop.device}, {torch.get_num_threads()} threads"),
    )


def _curves(loop: Loop) -> tuple[Curve, ...]:
    records = read_records(loop.run.metrics)
    losses = [record for record in records if "loss" in record]
    dice = [record for record in records if "dice" in record]
    names = ["dice", *(f"dice_{name}" for name in loop.card.plan.scored_classes)]
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


def _examples(loop: Loop, summary: Summary) -> tuple[Example, ...]:
    cases = {files.name: (files, stored) for files, stored in loop.validator.cases}
    names = pick_examples(summary.scores)
    examples: list[Example] = []
    for name, word in zip(names, _WORDS[: len(names) - 1] + _WORDS[-1:], strict=True):
        dice = list(mean_dice([s for s in summary.scores if s.case == name]).values())
        mean = sum(dice) / len(dice) if dice else None
        examples.append(loop.validator.example(cases[name], word, mean))
    return tuple(examples)
