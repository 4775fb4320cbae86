"""Every fold of a dataset, one training after another, and their scores together."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from medseg import __version__
from medseg.errors import Stopped
from medseg.evaluation.summary import Summary, number, summarise, summary_table
from medseg.hparams import Fold, HParams
from medseg.progress import Logged, Progress
from medseg.report.page import ReportContent, write_report
from medseg.runs import FOLD, Run, State, latest_run
from medseg.training import fit
from medseg.training.going_on import (
    LENGTH,
    SOURCE,
    settings_to_go_on,
    settings_to_start_again,
    warn_of_ignored,
)
from medseg.training.parts import Parts
from medseg.training.stop import Stop


def train(hparams: HParams, resume: bool, progress: Progress, given: Collection[str] = ()) -> Path:
    """Train a model, or with `fold` = all one for each fold.

    Args:
        hparams: As in `fit.train`.
        resume: As in `fit.train`. Of several folds, those that are finished are left as they are.
        progress: As in `fit.train`.
        given: As in `fit.train`.

    Returns:
        The run folder; of all folds the one that holds theirs.

    Raises:
        MedsegError, Stopped: As `fit.train`.
    """
    if resume:
        whole = Run(hparams.output or latest_run(Path("runs")))
        kept = HParams.load(whole.hparams) if whole.hparams.is_file() else hparams
        if kept.fold != "all" or whole.top != whole:
            return fit.train(hparams, resume, progress, given)
        asked = hparams
        if whole.state is State.DEAD:
            hparams = settings_to_start_again(kept, asked, given)
        else:
            hparams = settings_to_go_on(kept, asked, given)
            warn_of_ignored(hparams, asked, progress)
        hparams = hparams.model_copy(update={"device": asked.device})
        given = {*given, *_of_each(hparams)}
    elif hparams.fold == "all":
        whole = fit.new_run(hparams)
    else:
        return fit.train(hparams, resume, progress, given)
    # Between two folds, and while all are scored together, a queue's signal has its status too.
    with Stop(str(whole.folder)).heard(), whole.held() if resume else whole.begun():
        hparams.save(whole.hparams)
        try:
            _train_each(whole, hparams, given, Logged(progress, whole.log))
        except Stopped:
            raise  # it is to go on by itself, and keeps its settings
        except BaseException:
            whole.discard()  # unless a fold has learned something
            raise
    return whole.folder


def _of_each(hparams: HParams) -> set[str]:
    """What each fold takes from the settings of all when they go on.

    A fold that had its turn before it was typed, or never came to it, is no other than the rest.
    """
    timed = any(getattr(hparams, name) is not None for name in LENGTH)
    return {*SOURCE, *(LENGTH if timed else ())}


def _train_each(whole: Run, hparams: HParams, given: Collection[str], progress: Progress) -> None:
    runs: list[Run] = []
    folds: Sequence[int] = ()
    while not runs or len(runs) < len(folds):
        run = Run(whole.folder / FOLD.format(len(runs)))
        if runs:
            progress.note(f"fold {len(runs) + 1} of {len(folds)}")
        own = {"fold": _number(run, folds[len(runs)] if runs else "all"), "output": run.folder}
        begun = run.state in (State.BEGUN, State.DEAD)
        try:
            fit.train(hparams.model_copy(update=own), begun, progress, given)
        except fit.FinishedError as done:
            progress.note(str(done))
        if not fit.is_finished(run):
            progress.note(f"stopped early; to go on: --resume --output {whole.folder}")
            return
        runs.append(run)
        folds = Parts.model_validate_json(run.split.read_text(encoding="utf-8")).folds
    _close(whole, hparams, dict(zip(folds, runs, strict=True)), progress)


def _number(run: Run, planned: Fold) -> Fold:
    """Which fold a run is of: what it began with, or the planned one; all means the first."""
    return HParams.load(run.hparams).fold if run.hparams.is_file() else planned


def _close(whole: Run, hparams: HParams, runs: dict[int, Run], progress: Progress) -> None:
    """Scores of all cases together, each by the model that has not seen it."""
    found = {
        fold: Summary.model_validate_json(run.validation.read_text(encoding="utf-8"))
        for fold, run in runs.items()
    }
    scores = [score for summary in found.values() for score in summary.scores]
    if len({score.case for score in scores}) < sum(len(cases_of(s)) for s in found.values()):
        scores = [  # folds of the user's own may share cases
            score.model_copy(update={"case": f"{score.case} (fold {fold})"})
            for fold, summary in found.items()
            for score in summary.scores
        ]
    together = summarise(scores)
    together.save(whole.validation)
    rows = [
        (
            str(fold),
            str(len(cases_of(summary))),
            number(summary.overall.dice.mean, ".3f"),
            number(summary.overall.hd95_mm.mean, ".2f"),
        )
        for fold, summary in found.items()
    ]
    progress.table("Folds", ("fold", "cases", "mean Dice", f"HD95 ({together.unit})"), rows)
    if scores:
        progress.table(*summary_table(together))
    remark = _remark(runs.values(), sum(len(cases_of(summary)) for summary in found.values()))
    if remark:
        progress.warn(remark)
    facts = (
        ("finished", f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"),
        ("medseg", __version__),
        ("data", str(hparams.images or hparams.data)),
        *((f"fold {row[0]}", f"mean Dice {row[2]} of {row[1]} cases") for row in rows),
    )
    title = whole.folder.resolve().name
    write_report(whole.report, ReportContent(title, facts, (), together, (), (), (), remark))
    progress.note(f"all folds are trained: {whole.report}")
    progress.note(f"to predict with all of them: --model {whole.folder}")


def _remark(runs: Iterable[Run], scored: int) -> str:
    """That cases have no score; nothing where all have one."""
    parts = [Parts.model_validate_json(run.split.read_text(encoding="utf-8")) for run in runs]
    validated = sum(len(part.validation) for part in parts)
    left = validated - scored
    if left <= 0:
        return ""
    return f"{left} of {validated} validation cases have no score; the reports of the folds say why"


def cases_of(summary: Summary) -> set[str]:
    """Names of the cases that were scored."""
    return {score.case for score in summary.scores}
