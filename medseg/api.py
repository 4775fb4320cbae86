"""medseg from Python: `from medseg import train, load_model`.

    from medseg import load_model, train

    run = train(data="my_scans", time_budget="15m")
    model = load_model(run)
    mask = model("scan.nii.gz")
    mask.save("scan_seg.nii.gz")

Nothing is printed unless asked for; what is doubtful about a scan stands in `mask.warnings`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medseg.errors import MedsegError, SettingsError
from medseg.geometry import Geometry
from medseg.hparams import HParams, Tta
from medseg.inference.ensemble import Ensemble, load_predictor
from medseg.inference.predictor import Prediction
from medseg.machine import pick_device
from medseg.plan.plan import Plan
from medseg.progress import Silent
from medseg.runs import Run
from medseg.scans.case import Case
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.formats import mask_suffix
from medseg.scans.in_memory import (
    NibabelImage,
    SitkImage,
    as_rows,
    subject_of,
    to_nibabel,
    to_sitk,
)
from medseg.scans.known import shown
from medseg.scans.marks import mark
from medseg.scans.names import safe_names
from medseg.scans.write import write_label_map

Pathlike = str | Path


def train(
    hparams: HParams | None = None,
    *,
    resume: bool = False,
    verbose: bool = False,
    **settings: object,
) -> Run:
    """Train a model.

    Args:
        hparams: The settings; or give them one by one, as `settings`.
        resume: Go on with the run in `output`, or the newest; its settings stay, but for what is
            given of `steps`, `epochs`, `time_budget` and where the data lies.
        verbose: Show on the terminal what the command line shows.
        settings: Fields of `HParams`, as hparam.py or the command line take them: `data="scans"`,
            `dim=2`, `time_budget="15m"`.

    Returns:
        The run: `run.folder`, `run.model`, `run.report`, `run.validation`.

    Raises:
        SettingsError: If a setting is unknown or wrong, or the data cannot be used.
        TrainingError: If it fails later.
        MachineError: If the machine fails.
        Stopped: If a queue ends it (SIGTERM, SIGUSR1), once all is saved.
    """
    from medseg.training.folds import train as fit

    if hparams is not None and settings:
        which = ", ".join(settings)
        raise SettingsError(which, "given beside hparams", "put all settings into one of them")
    progress = Silent()
    if verbose:
        from medseg.console import Terminal

        progress = Terminal()
    folder = fit(hparams or HParams.build(settings), resume, progress, tuple(settings))
    return Run(folder.absolute())


def load_model(
    *models: Pathlike | Run,
    device: str = "auto",
    tta: Tta = "none",
    overlap: float = 0.5,
    max_memory: int | None = None,
) -> "Model":
    """A trained model, loaded once for any number of scans.

    Args:
        models: Run folder or model file; several are averaged.
        device: auto, cpu, cuda, cuda:N or mps.
        tta: mirror averages over the axes that training mirrored.
        overlap: Least share of a window that its neighbour covers too, in [0, 0.9].
        max_memory: Bytes; class scores that would take over half of them go to a temporary file.

    Raises:
        MedsegError: If a model cannot be read, or they segment different things.
    """
    import torch

    named = [model.folder if isinstance(model, Run) else model for model in models]
    if not named or "" in named:
        what = "an empty path" if named else "none is named"
        raise SettingsError("models", what, "name a run folder or a model file")
    paths = [Path(each) for each in named]
    # As the command line checks them.
    HParams.build({"device": device, "tta": tta, "overlap": overlap, "max_memory": max_memory})
    where = torch.device(pick_device(device))
    return Model(*load_predictor(paths, where, overlap=overlap, tta=tta, max_memory=max_memory))


@dataclass(frozen=True)
class Mask:
    """What a model says of one scan.

    Attributes:
        label: (*size) of the values that training's labels had, in the axes of what was given;
            of a model with a mask per class (classes, *size) of 0 and 1.
        probabilities: (classes, *size), if asked for.
        classes: Name -> value in `label`; of a model with a mask per class, in their order.
        warnings: What is doubtful about the scan, and what of a folder was left out, a line each.
        geometry: Its grid.
    """

    label: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32] | None
    classes: dict[str, int]
    warnings: tuple[str, ...]
    geometry: Geometry
    _native: npt.NDArray[np.int32]
    _like: Path | None = None

    def save(self, path: Pathlike) -> tuple[Path, ...]:
        """Write it, in the scan's place, in the format of the name's suffix.

        A model with a mask per class writes a folder of that name without suffix, a file per class.

        Returns:
            The files written.

        Raises:
            MedsegError: If the format cannot hold it, or the folder cannot be written.
        """
        target = Path(path)
        masks = {target: self._native}
        if self._native.ndim == 4:
            suffix = mask_suffix(target)
            folder = target.with_name(target.name.removesuffix(suffix))
            names = safe_names(tuple(self.classes))
            masks = {
                folder / (name + suffix): value * layer
                for name, value, layer in zip(
                    names, self.classes.values(), self._native, strict=True
                )
            }
        files = tuple(
            write_label_map(layer, self.geometry, file, like=self._like)
            for file, layer in masks.items()
        )
        for file in files:
            mark(file)
        return files

    def to_sitk(self) -> SitkImage:
        """As a SimpleITK image in its place; a mask per class is a channel each."""
        return to_sitk(self._native, self.geometry)

    def to_nibabel(self) -> NibabelImage:
        """As a nibabel image in its place; masks of classes are the fourth axis."""
        return to_nibabel(self._native, self.geometry)


class Model:
    """Segments scans: files, arrays, and images of SimpleITK, nibabel and torchio.

    Args:
        ensemble: One network or several.
        rule: How the files of a case are told apart.
    """

    def __init__(self, ensemble: Ensemble, rule: ChannelRule) -> None:
        self._ensemble = ensemble
        self._rule = rule

    @property
    def plan(self) -> Plan:
        """How scans are prepared, and what the classes are."""
        return self._ensemble.plan

    def __call__(
        self,
        scan: object,
        *,
        spacing_mm: Sequence[float] | None = None,
        probabilities: bool = False,
    ) -> Mask:
        """Segment one scan.

        Args:
            scan: A file, the files of its channels or a DICOM folder; or an image in memory:

                - a SimpleITK or nibabel image;
                - a torchio image, or a subject, whose intensity images are the channels;
                - a list of such images, which are the channels in the training files' order, with
                  None for those that are absent, if the model learned from cases that lack some;
                - a Pillow picture, for a model of pictures: upright, as viewers show it;
                - an array, (*size) or (channels, *size), its axes to the right, to the front and
                  up; for a model of pictures (rows, columns) or (rows, columns, channels).
            spacing_mm: Size of an array's voxels along its axes, in mm.
            probabilities: Give the class probabilities too.

        Raises:
            MedsegError: If the scan cannot be used: its cause, and what to do.
        """
        files = _files(scan)
        if files:
            case, notes = self._case(files)
            prediction = self._ensemble.predict(case, with_probabilities=probabilities)
            mask = self._mask(prediction, case.images[0], rows=False)
            return replace(mask, warnings=(*notes, *mask.warnings))
        plan = self.plan
        subject = subject_of(scan, plan.channels, spacing_mm, world=plan.world)
        prediction = self._ensemble.segment(subject, with_probabilities=probabilities)
        return self._mask(prediction, None, rows=not subject.geometry.world)

    def _case(self, paths: Sequence[str]) -> tuple[Case, Sequence[str]]:
        """The case that files or a folder are, and what was left out of the folder, a line each."""
        lacking = self.plan.channel_dropout > 0
        found = group_inputs(paths, self._rule, self.plan.channels, lacking=lacking)
        if found.problems:
            raise MedsegError(*found.problems[0])
        if len(found.cases) != 1:
            raise MedsegError(
                ", ".join(paths),
                f"{len(found.cases)} scans were found there "
                f"({shown([case.name for case in found.cases])})",
                "name one; call the model once for each",
            )
        return found.cases[0], found.notes

    def _mask(self, prediction: Prediction, like: Path | None, *, rows: bool) -> Mask:
        label, probabilities = prediction.label, prediction.probabilities
        plan = self.plan
        return Mask(
            as_rows(label) if rows else label,
            probabilities if probabilities is None or not rows else as_rows(probabilities),
            dict(zip(plan.class_names, plan.label_values, strict=True)),
            prediction.warnings,
            prediction.geometry,
            label,
            like,
        )


def _files(scan: object) -> list[str]:
    """A file, or the files of the channels; nothing if it is an image."""
    named = scan if isinstance(scan, (list, tuple)) else [scan]
    files = [str(each) for each in named if isinstance(each, (str, Path))]
    if "" in files:
        raise MedsegError("scan", "an empty path", "name a file")
    if files and len(files) < len(named):
        others = next(each for each in named if not isinstance(each, (str, Path)))
        remedy = "give files alone"
        if others is None:
            remedy = "leave None out: names of files tell which channels they are"
        raise MedsegError(files[0], f"given beside a {type(others).__name__}", remedy)
    return files
