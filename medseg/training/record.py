"""`metrics.jsonl`: what happened in training, one JSON object per line."""

import json
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from medseg.files import append_line, write_text
from medseg.training.schedule import Budget


class JsonLines(Logger):
    """A Lightning logger that appends to a file, so that a killed run keeps its past.

    Args:
        file: The file.
        budget: Tells the time since the first step.
    """

    def __init__(self, file: Path, budget: Budget) -> None:
        super().__init__()
        self._file = file
        self._budget = budget

    @property
    def name(self) -> str:
        """Nothing to name."""
        return ""

    @property
    def version(self) -> str:
        """Nothing to count."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """They are in hparams.json."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one line."""
        self.log_scores(metrics, step)

    @rank_zero_only
    def log_scores(self, metrics: Mapping[str, float | None], step: int | None) -> None:
        """Append one line, with null where there was nothing to score."""
        record = {"step": step, "elapsed_s": round(self._budget.elapsed_s, 2)}
        record |= {name: value for name, value in metrics.items() if name != "epoch"}
        append_line(self._file, json.dumps(record))


def forget_after(file: Path, step: int) -> None:
    """Drop the lines beyond a step, and one that a kill cut: a resumed run writes them anew."""
    if file.exists():
        kept = [record for record in _whole_lines(file) if record["step"] <= step]
        write_text(file, "".join(json.dumps(record) + "\n" for record in kept))


def read_records(file: Path) -> list[dict[str, float]]:
    """The lines that are whole, without what is null; a kill or a full disk may have cut one."""
    return [
        {name: value for name, value in record.items() if value is not None}
        for record in _whole_lines(file)
    ]


def _whole_lines(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    found: list[Any] = []
    for line in text.splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return [record for record in found if isinstance(record, dict) and "step" in record]
