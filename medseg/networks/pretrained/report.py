"""What became of each weight of a file."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_SHOWN = 4


class Adapted(NamedTuple):
    """A weight that was changed to fit.

    Attributes:
        name: Ours.
        change: Shapes before and after.
        how: In words.
    """

    name: str
    change: str
    how: str


class PretrainedReport(NamedTuple):
    """What became of a file's weights.

    Attributes:
        path: The file.
        layout: Whose names they had.
        loaded: Our names of weights that were copied.
        adapted: Weights that were changed to fit.
        left_out: Their names of weights that have no place here, such as classifiers.
        misfits: Our name and both shapes, of weights that could not be made to fit.
        missing: Our names of weights that the file does not have; they keep their random start.
        assumed: What the file does not say.
    """

    path: Path
    layout: str
    loaded: tuple[str, ...]
    adapted: tuple[Adapted, ...]
    left_out: tuple[str, ...]
    misfits: tuple[str, ...]
    missing: tuple[str, ...]
    assumed: str = ""

    @property
    def summary(self) -> str:
        """All in one line."""
        counts = (
            (len(self.adapted), "adapted"),
            (len(self.left_out), "left out"),
            (len(self.misfits), "do not fit"),
            (len(self.missing), "of the encoder start at random"),
        )
        words = [f"{len(self.loaded)} loaded", *(f"{n} {what}" for n, what in counts if n)]
        return f"{self.path} ({self.layout}): {', '.join(words)}"

    def table(self) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Arguments of `Progress.table`."""
        adapted: defaultdict[str, list[str]] = defaultdict(list)
        for weight in self.adapted:
            adapted[weight.how].append(f"{weight.name} {weight.change}")
        groups: list[tuple[str, Sequence[str]]] = [
            ("loaded", self.loaded),
            *((f"adapted: {how}", names) for how, names in adapted.items()),
            ("left out: no place for it", self.left_out),
            ("left out: does not fit", self.misfits),
            ("random: not in the file", self.missing),
        ]
        rows = [
            ("file", f"{self.path} ({self.layout})"),
            *((what, _listed(names)) for what, names in groups if names),
        ]
        if self.assumed:
            rows.append(("assumed", self.assumed))
        return "Pretrained weights", ("what", "which"), tuple(rows)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names)}: {shown}" + ", ..." * (len(names) > _SHOWN)
