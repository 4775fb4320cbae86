"""What the end of every run says, whatever was learned: facts for its report, and notes."""

from collections.abc import Sequence
from datetime import datetime

import torch

from medseg import __version__
from medseg.progress import Progress
from medseg.scans.case import Problem
from medseg.training.loop import Loop
from medseg.training.record import read_records

Facts = tuple[tuple[str, str], ...]


def run_facts(loop: Loop, own: Facts) -> Facts:
    """Facts for a report: those of every run around those of this kind."""
    records = read_records(loop.run.metrics)
    steps = str(int(records[-1]["step"])) if records else "0"
    plateau = loop.budget.plateau
    ended_early = (("annealed early", plateau.why),) if plateau else ()
    return (
        ("finished", f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"),
        ("medseg", __version__),
        ("data", str(loop.hparams.images or loop.hparams.data)),
        *own,
        ("steps", steps + (" (interrupted)" if loop.stop.asked else "")),
        *ended_early,
        ("device", f"{loop.device}, {torch.get_num_threads()} threads"),
    )


def last_notes(loop: Loop, problems: Sequence[Problem], progress: Progress) -> None:
    """How to go on, and what was left out."""
    if loop.stop.asked:
        progress.note(f"stopped early; to go on: --resume --output {loop.run.folder}")
    for problem in problems:
        progress.warn(f"left out: {problem}")
