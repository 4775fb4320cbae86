"""The end of a run: all validation cases are scored, the report is written."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from medseg.evaluation.scores import ClassScore
from medseg.evaluation.summary import Summary, summarise, summary_table
from medseg.progress import Progress
from medseg.report.curves import Curve
from medseg.report.figures import Example, pick_examples
from medseg.report.page import ReportContent, write_report
from medseg.scans.case import Problem
from medseg.training.last_words import Facts, last_notes, run_facts
from medseg.training.monitor import ALL_METRICS
from medseg.training.record import read_records
from medseg.training.segmentation import Segmentation


def close_run(done: Segmentation, problems: Sequence[Problem], progress: Progress) -> None:
    """Validate, report.

    Args:
        done: With its model saved.
        problems: Cases that were left out; listed last.
        progress: Gets the table of scores.
    """
    found, remark = _score(done, progress)
    scores, mended = _mended(done, found, progress)
    summary = summarise([score for each in scores.values() for score in each])
    if done.validator.cases:
        summary.save(done.loop.run.validation)
    if scores:
        progress.table(*summary_table(summary))
    content = ReportContent(
        title=done.loop.run.folder.resolve().name,
        facts=_facts(done),
        curves=_curves(done),
        summary=summary,
        examples=_examples(done, summary),
        reasons=(*done.card.plan.reasons.items(), *mended),
        problems=tuple(problems),
        remark=remark,
    )
    write_report(done.loop.run.report, content)
    minutes = done.loop.budget.elapsed_s / 60
    progress.note(
        f"trained, validated and reported in {minutes:.1f} minutes: {done.loop.run.report}"
    )
    if done.loop.run.folder.parent != Path("runs"):
        progress.note(f"to predict with it: --model {done.loop.run.folder}")
    last_notes(done.loop, problems, progress)


_RESCORING = 0.5
"""What scoring mended masks takes, as a share of scoring them first: nothing is predicted."""
Scores = dict[int, tuple[ClassScore, ...]]
"""By the place of the case among those that validate."""


def _score(done: Segmentation, progress: Progress) -> tuple[Scores, str]:
    """All validation cases; under a time budget those that it holds, drawn at random.

    Returns:
        The scores, and what is to be known of them.
    """
    cases, budget = done.validator.cases, done.loop.budget
    scores: Scores = {}
    order = np.random.default_rng(done.loop.hparams.seed).permutation(len(cases)).tolist()
    if cases:
        done.costs.measure(done.validator)
    for index in progress.track(order, "validating", len(cases)):
        case = cases[index]
        if ALL_METRICS * done.costs.of(done.validator, [case]) > budget.scoring_left_s:
            continue
        began = time.monotonic()
        scores[index] = done.validator.score(case)
        done.costs.scored(done.validator, [case], time.monotonic() - began)
    remark = _remark(done, len(scores))
    if remark:
        progress.warn(remark)
    return {index: scores[index] for index in sorted(scores)}, remark


def _remark(done: Segmentation, scored: int) -> str:
    """Why cases have no score; nothing where all have one."""
    cases = done.validator.cases
    if not cases:
        return "every case trained, so nothing tells how good the model is on new scans"
    if scored == len(cases):
        return ""
    each_s = done.costs.of(done.validator, cases) / len(cases)
    each = f"{each_s / 60:.0f} minutes" if each_s > 120 else f"{each_s:.1f} seconds"
    why = f"each takes about {each}, and the time budget holds"
    remedy = "raise it, or predict the others and use evaluate"
    if scored:
        return f"{scored} of {len(cases)} validation cases are scored: {why} no more; {remedy}"
    on_the_way = [record for record in read_records(done.loop.run.metrics) if "dice" in record]
    last = "".join(
        f" (mean Dice {record['dice']:.3f} at step {record['step']:.0f}, of what was looked at on "
        "the way)"
        for record in on_the_way[-1:]
    )
    return f"none of {len(cases)} validation cases is scored{last}: {why} none; {remedy}"


def _mended(
    done: Segmentation, scores: Scores, progress: Progress
) -> tuple[Scores, tuple[tuple[str, str], ...]]:
    """Adopt what makes masks better, in the model file too; new scores, and what to say of it."""
    tidyings = done.validator.tidyings() if done.loop.hparams.cleanup == "learned" else {}
    if not tidyings:
        return scores, ()
    cases = [done.validator.cases[index] for index in scores]
    needed_s = _RESCORING * done.costs.of(done.validator, cases)
    if needed_s > done.loop.budget.scoring_left_s:
        progress.note("masks are not mended: the time budget holds no scoring of it")
        return scores, ()
    rules = {name: tidying.rule for name, tidying in tidyings.items()}
    done.adopt(rules)
    said = tuple(
        (f"masks of {name}", f"{rule}: mean Dice {before:.4f}, so mended {after:.4f}")
        for name, (rule, before, after) in tidyings.items()
    )
    for name, why in said:
        progress.note(f"{name}: {why}")
    again = [
        done.validator.rescore(case, old, rules)
        for case, old in zip(cases, scores.values(), strict=True)
    ]
    return dict(zip(scores, again, strict=True)), said


def _facts(done: Segmentation) -> Facts:
    name = done.card.network.network or done.card.network.encoder
    weights = sum(weight.numel() for weight in done.network.parameters())
    learned, validated = len(done.data.training), len(done.data.validation)
    own = (
        ("cases", f"{learned} to learn from, {validated} to validate"),
        ("network", f"{name}, {done.card.network.head}, {weights / 1e6:.2f} M parameters"),
    )
    return run_facts(done.loop, own)


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
