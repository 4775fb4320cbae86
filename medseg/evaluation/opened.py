"""One side of a case, read class by class: from a label map, or from one mask per class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.evaluation.entries import Entry
from medseg.evaluation.masks import spelled
from medseg.evaluation.overlap import Mask
from medseg.geometry import Geometry
from medseg.hparams import MissingMasks
from medseg.scans.alignment import align
from medseg.scans.case import Case
from medseg.scans.decode import Voxels
from medseg.scans.kinds import looks_like_image
from medseg.scans.notes import Note
from medseg.scans.read import read_label_map, read_layers
from medseg.scans.segments import segment_names

Labels = npt.NDArray[np.integer[Any]]

_GRID = "the prediction"


def label_map(path: Path) -> tuple[Labels, Geometry]:
    """A label map, if it is one.

    Raises:
        ScanError: If it cannot be read, or is plainly an image.
    """
    if segment_names(path):
        raise ScanError(
            path.name,
            "names its classes, and which values they have only its dataset tells",
            "give the dataset's folder, scans and all",
        )
    values, geometry = read_label_map(path)
    if looks_like_image(values):
        raise ScanError(
            path.name,
            f"holds {len(np.unique(values))} values from {values.min()} to {values.max()}, as an "
            "image does and no label map",
            "give a label map in its place",
        )
    return values, geometry


def values_in(path: Path) -> set[int]:
    """Every value of a label map but 0."""
    return nonzero(label_map(path)[0])


def nonzero(labels: Labels) -> set[int]:
    """Every value but 0."""
    return {int(value) for value in np.unique(labels)} - {0}


class Opened:
    """One side of a case: where each class is, on the grid of the prediction.

    Masks are read when they are asked for: a case with a hundred classes needs no more memory than
    one with two.

    Args:
        entry: Its files.
        side: What to call it.
        missing: What a mask means that is not there.
        grid: The prediction's grid; None for the prediction itself, whose first file has it.

    Attributes:
        label: The label map, (*size); None where each class is a mask.
        grid: As given or found.
        notes: How files on other grids were brought to it.

    Raises:
        ScanError: If a file cannot be used.
    """

    def __init__(
        self,
        entry: Entry,
        side: Literal["prediction", "reference"],
        missing: MissingMasks,
        grid: Geometry | None = None,
    ) -> None:
        self.notes: list[Note] = []
        self.label: Labels | None = None
        self._side, self._missing = side, missing
        self._files = {spelled(name): path for name, path in entry.masks()}
        self._layers: Mapping[str, Labels] = {}
        self.grid = self._own_grid(entry) if grid is None else grid
        if entry.case is not None:
            self._read_together(entry.case)
        elif self.label is None and not entry.classes and entry.files[0] is not None:
            self.label = self._read(entry.files[0])

    def find(
        self, name: str, values: tuple[int, ...], ignore_label: int | None = None
    ) -> tuple[Mask, Mask | None]:
        """Where a class is, and where nothing counts, (*size) each; None where all counts.

        Args:
            name: The class.
            values: Those that it has in a label map; in a mask any value but 0 is inside.
            ignore_label: The value of voxels that nobody annotated.
        """
        layer = self._layer(name)
        if self.label is None:
            inside = layer != 0
        else:
            inside = layer == values[0] if len(values) == 1 else np.isin(layer, values)
        return inside, None if ignore_label is None else layer == ignore_label

    def _layer(self, name: str) -> Labels:
        if self.label is not None:
            return self.label
        key = spelled(name)
        if key in self._layers:
            return self._layers[key]
        if key in self._files:
            return self._read(self._files[key])
        if self._missing == "empty":
            return np.zeros(self.grid.size, np.uint8)
        held = ", ".join(sorted(self._files)[:5]) + ", ..." * (len(self._files) > 5)
        raise ScanError(
            self._side,
            f"has no mask of {name}, but of {held or 'no class'}",
            "add it or name the files alike; if a class without a mask is absent, --missing-masks "
            "empty" + "; if nobody looked for it, unannotated" * (self._side == "reference"),
        )

    def _own_grid(self, entry: Entry) -> Geometry:
        """That of the label map, which is kept, or of the first mask."""
        if not entry.classes and entry.files[0] is not None:
            self.label, grid = label_map(entry.files[0])
            return grid
        first = next(iter(self._files.values()), None)
        if first is None:
            raise ScanError(self._side, "has no mask of any class", "predict it")
        return label_map(first)[1]

    def _read_together(self, case: Case) -> None:
        """As training reads them: by the names of segments, or as pieces of one class."""
        layers = list(read_layers(case, self.grid, _GRID))
        self.notes += [note for layer in layers for note in layer.warnings]
        if case.layered:
            each = (layer.values for layer in layers)
            self._layers = dict(zip(map(spelled, case.segments), each, strict=True))
        else:
            self.label = layers[0].values

    def _read(self, path: Path) -> Labels:
        values, own = label_map(path)
        moved, said = align(path.name, Voxels(values[None], own), self.grid, order=0, of=_GRID)
        self.notes += said
        return moved[0]
