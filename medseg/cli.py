"""The command line: `medseg`, `python -m medseg`, `python train.py` and `python predict.py`.

Exit status: 0 everything asked for was done. train: 2 it could not start, 1 it failed later.
99 a queue ended it (SIGTERM, SIGUSR1): what was learned is saved, `--resume` goes on. predict,
evaluate: 2 wrong arguments, 1 some inputs failed and the others are done. All: 1 the machine failed
(a disk is full, a folder may not be read, memory ran out), 130 interrupted.

Whatever takes long to import is imported by the command that needs it: `--help` is instant.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from medseg import __version__
from medseg.errors import MachineError, MedsegError, SettingsError, Stopped, TrainingError
from medseg.files import machine_error, whole_file, write_text
from medseg.flags import parse_flags
from medseg.hparams import Device, HParams, LabelValue, LabelValues, MissingMasks, Overlap, Tta
from medseg.progress import one_line
from medseg.quantities import Bytes
from medseg.settings import Settings
from medseg.settings_file import resolve, settings_file

if TYPE_CHECKING:
    from medseg.inference.job import AfterWriting
    from medseg.inference.predictor import Prediction
    from medseg.plan.plan import Plan
    from medseg.scans.case import Case


class TrainOptions(Settings):
    """What a training takes beside HParams."""

    hparam: Path | None = None
    """Settings file. None: hparam.py of the working directory, if there is one."""
    resume: bool = False
    """Continue the run in `output`, or the newest one; more steps or time, and where the data lies
    now, may be given with it."""


class PredictOptions(Settings):
    """What a prediction takes."""

    input: Annotated[tuple[str, ...], Field(min_length=1)]
    """Scans: files, folders or globs."""
    series: str | None = None
    """Of DICOM series only those with this number, name or part of a description. None: each."""
    model: tuple[Path, ...] = ()
    """Run folder or model file, or several, whose class probabilities are averaged; the folder of
    a training of all folds stands for each of them. None: the newest run in `runs`."""
    output: Path | None = None
    """Folder, in which each scan keeps its name, or a file for a single scan. None: scan_seg.nii.gz
    for scan.nii.gz, in the working directory."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda, cuda:N or mps."""
    max_memory: Bytes | None = None
    """Memory such as 4GB or 4GiB: class scores that would take over half of it go to a temporary
    file. None: what is free."""
    tta: Tta = "none"
    """mirror averages over the axes that were mirrored in training."""
    cleanup: Literal["learned", "none"] = "learned"
    """learned: masks are mended as training found best. none: they stay as the network has them."""
    overlap: Overlap = 0.5
    """Overlap of neighbouring windows as a share of the patch, in [0, 0.9]."""
    save: tuple[Literal["probabilities", "uncertainty", "overlay"], ...] = ()
    """What else to write: class probabilities, their entropy (0 sure, 1 undecided), a picture of
    the largest slice."""


class EvaluateOptions(Settings):
    """What an evaluation takes."""

    prediction: Path
    """Folder of predicted masks, or one file."""
    reference: Path
    """Folder of true masks under the same names, or one file."""
    output: Path | None = None
    """JSON file for all scores. None: only the table."""
    tolerance_mm: float = Field(default=1.0, ge=0)
    """Distance that the surface Dice forgives, in mm (pixels for plain images)."""
    classes: dict[str, LabelValues] | None = Field(default=None, min_length=1)
    """Class name -> its value in the files, or several of a region: whole=1,2,4. None: what the
    references' dataset names, else every value but 0 that a reference holds."""
    ignore_label: LabelValue | None = None
    """Value in the references of voxels that are not scored. None: as their dataset says."""
    missing_masks: MissingMasks = "refuse"
    """Where each class has a mask file and a case has none of it. refuse: nothing of the case is
    scored. empty: the class is absent there. unannotated: nobody looked for it in that reference,
    so it is not scored there."""
    annotated: Path | None = None
    """CSV or JSON table of case and the classes annotated in its reference, such as liver|spleen;
    others are not scored there. Cases that it does not name have all. None: all cases have."""


def main(argv: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run one command.

    Args:
        argv: The command and its flags; None takes what was typed.
        program: What was typed up to the flags, for help and messages.

    Returns:
        The exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    typed = "python -m medseg" if Path(sys.argv[0]).name == "__main__.py" else "medseg"
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help", "--version"):
        sys.stdout.write(f"medseg {__version__}\n" if name == "--version" else _usage(typed))
        return 0
    try:
        if name not in COMMANDS:
            raise SettingsError(name or "no command", "not a command", f"see `{typed} --help`")
        return COMMANDS[name](program or f"{typed} {name}", arguments[1:])
    except (TrainingError, MachineError) as error:
        failure, status = error, 1
    except MedsegError as error:
        failure, status = error, 2
    except Stopped as end:
        sys.stderr.write(f"{one_line(str(end))}\n")
        return 99
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Exception as error:
        failure, status = _of_machine(error, name), 1
        if failure is None:  # a defect of ours
            raise
    for one in failure.each:
        sys.stderr.write(f"{one_line(str(one))}\n")
    return status


def init(program: str, argv: Sequence[str]) -> int:
    """Write hparam.py, the settings file, into the working directory."""
    parse_flags(program, _summary(init), argv, [])
    file = Path("hparam.py")
    if file.exists():
        raise SettingsError("hparam.py", "exists already", "move it away to start afresh")
    try:
        write_text(file, settings_file())
    except OSError as error:
        raise machine_error(error, "hparam.py") or SettingsError(
            "hparam.py", f"cannot be written ({error.strerror})", "choose another folder"
        ) from None
    sys.stdout.write("wrote hparam.py: edit it, then `medseg train`\n")
    return 0


def train(program: str, argv: Sequence[str]) -> int:
    """Train a model on a folder of scans. A flag wins over hparam.py."""
    flags = parse_flags(program, _summary(train), argv, [HParams, TrainOptions])
    options = TrainOptions.build({k: flags.pop(k) for k in TrainOptions.model_fields if k in flags})
    hparams = resolve(options.hparam, flags)

    from medseg.console import Terminal
    from medseg.training.folds import train as fit

    fit(hparams, options.resume, Terminal(), flags)
    return 0


def predict(program: str, argv: Sequence[str]) -> int:
    """Segment scans with a trained model; each mask lies on the grid of its scan."""
    flags = parse_flags(program, _summary(predict), argv, [PredictOptions])
    options = PredictOptions.build(flags)

    import torch

    from medseg.console import Terminal
    from medseg.inference.ensemble import load_predictor
    from medseg.inference.job import predict_inputs
    from medseg.machine import keep_freed_memory, pick_device
    from medseg.runs import latest_run

    keep_freed_memory()
    predictor, rule = load_predictor(
        options.model or (latest_run(Path("runs")),),
        torch.device(pick_device(options.device)),
        overlap=options.overlap,
        tta=options.tta,
        max_memory=options.max_memory,
        cleanup=options.cleanup == "learned",
    )
    terminal = Terminal()
    if options.tta == "mirror" and not any(m.plan.flip_axes for m in predictor.members):
        terminal.warn("tta = mirror: changes nothing, as the model was trained without mirroring")
    outcomes = predict_inputs(
        options.input,
        predictor,
        rule,
        options.output,
        terminal,
        save=[what for what in options.save if what != "overlay"],
        after={"overlay": _overlay(predictor.plan)} if "overlay" in options.save else {},
        series=options.series,
    )
    return int(any(outcome.failure for outcome in outcomes))


def evaluate(program: str, argv: Sequence[str]) -> int:
    """Compare predicted masks with true ones: Dice, IoU, HD95, surface Dice, volume error."""
    flags = parse_flags(program, _summary(evaluate), argv, [EvaluateOptions])
    options = EvaluateOptions.build(flags)

    from medseg.console import Terminal
    from medseg.evaluation.evaluate import evaluate_folders
    from medseg.evaluation.summary import summary_table
    from medseg.inference.outputs import check_writable

    if options.output is not None:
        if options.output.is_dir():
            raise SettingsError(
                f"output = {options.output}", "is a folder", "name a JSON file in it"
            )
        check_writable(options.output.parent)
    terminal = Terminal()
    summary, problems = evaluate_folders(
        options.prediction,
        options.reference,
        options.classes,
        options.tolerance_mm,
        terminal,
        options.ignore_label,
        options.missing_masks,
        options.annotated,
    )
    terminal.table(*summary_table(summary))
    for problem in problems:
        terminal.warn(str(problem))
    if options.output is not None:
        summary.save(options.output)
    return int(bool(problems))


Command = Callable[[str, Sequence[str]], int]
COMMANDS: Mapping[str, Command] = {
    "init": init,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
}


def _overlay(plan: "Plan") -> "AfterWriting":
    """Writes a picture of each prediction."""
    from medseg.report.figures import overlay_png
    from medseg.scans.marks import mark
    from medseg.scans.read import read_subject

    def write(case: "Case", prediction: "Prediction", target: Path) -> None:
        image = read_subject(case, with_label=False).seen
        picture = overlay_png(image, prediction.label, prediction.geometry, plan.scored_classes)
        with whole_file(target) as part:
            part.write_bytes(picture)
        mark(target)

    return write


def _of_machine(error: Exception, command: str) -> MachineError | None:
    """What no room has named: the machine's failure, or a file that may not be read or written."""
    where = str(getattr(error, "filename", None) or command)
    failure = machine_error(error, where)
    if failure is None and isinstance(error, OSError):
        why = error.strerror or str(error) or type(error).__name__
        failure = MachineError(where, why, "check its permissions and the free space")
    return failure


def _usage(typed: str) -> str:
    lines = [f"  {name:<10}{_summary(command)}" for name, command in COMMANDS.items()]
    return "\n".join(
        [f"usage: {typed} COMMAND [OPTIONS]", "", *lines, "", f"{typed} COMMAND --help", ""]
    )


def _summary(command: Command) -> str:
    return command.__doc__ or ""
