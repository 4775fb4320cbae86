"""From a folder to prepared cases and a plan: everything before the first step."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from pydantic import ValidationError

from medseg.errors import MedsegError, SettingsError
from medseg.hparams import HParams
from medseg.measure.facts import Fingerprint
from medseg.measure.held import Held
from medseg.measure.survey import measure_cases
from medseg.networks.build import build_network
from medseg.networks.cost import training_bytes
from medseg.plan.checks import check_cases
from medseg.plan.classes import UNDECLARED, Declared
from medseg.plan.doubts import doubts
from medseg.plan.missing_channels import absent_lines, constant_as_absent
from medseg.plan.overview import case_table
from medseg.plan.patch import Candidate
from medseg.plan.plan import Plan
from medseg.plan.rules import make_plan
from medseg.prepare.cache import prepare_cases
from medseg.prepare.prepared import StoredCase
from medseg.progress import Progress
from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule
from medseg.scans.demo import make_demo
from medseg.scans.discover import Dataset, discover, discover_scans
from medseg.scans.known import shown
from medseg.scans.regions import regions_of
from medseg.training.annotated import unannotated
from medseg.training.device import limits, number_format
from medseg.training.doubts import Labels, copies, unseen_channels, unseen_classes
from medseg.training.losses import build_loss
from medseg.training.parts import Dealt, Parts, deal, read_told
from medseg.training.start import autoencoder, network_choice, savers
from medseg.training.task import Learner

DEMO = Path("data/demo")


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        facts: Of the cases that can be used.
        cases: Those cases, in natural order.
        problems: Why the others cannot.
        unused: Names of cases that are on no side.
        channel_rule: How the files of one case are told apart.
        declared: The classes as settings or the dataset name them.
        dealt: Who trains and who validates.
        held: What was read of the cases, until they are prepared.
    """

    facts: Fingerprint
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    unused: tuple[str, ...]
    channel_rule: ChannelRule
    declared: Declared
    dealt: Dealt
    held: Held


@dataclass(frozen=True)
class TrainingData:
    """Prepared cases.

    Attributes:
        training: To learn from.
        validation: To be scored, each with its files.
        problems: Cases that could not be prepared.
        folds: Those that there are, as `Parts` has them.
    """

    training: tuple[StoredCase, ...]
    validation: tuple[tuple[Case, StoredCase], ...]
    problems: tuple[Problem, ...]
    folds: tuple[int, ...]

    @property
    def parts(self) -> Parts:
        """Who trains and who validates."""
        return Parts(
            training=tuple(stored.name for stored in self.training),
            validation=tuple(files.name for files, _ in self.validation),
            folds=self.folds,
        )


def survey(
    hparams: HParams, folder: Path, progress: Progress, parts: Parts | None = None
) -> Survey:
    """Look at the data and show what was found.

    Args:
        hparams: Where it is.
        folder: What is measured of any dataset is kept below it.
        progress: Gets the table.
        parts: Of a run that goes on; None deals the cases.

    Raises:
        MedsegError: If there is nothing to train on.
    """
    dataset = _find(hparams, progress)
    labelled = hparams.pretrain is None
    declared = _declared(hparams, dataset) if labelled else UNDECLARED
    told = read_told(
        dataset.cases, [left_out.name for left_out in dataset.problems], hparams, parts
    )
    asked = told.of_interest(dataset.cases)
    held = Held()
    found, unreadable = measure_cases(
        asked, kept_in(folder, hparams), progress, held, declared.ignore_label
    )
    facts, misfits = check_cases(
        found, declared.values, hparams.channels, unreadable, labelled=labelled, files=asked
    )
    absent: tuple[str, ...] = ()
    if hparams.missing_channels == "absent":
        names = dataset.channel_rule.names(len(facts.cases[0].channels))
        read, facts = facts, constant_as_absent(facts, names)
        absent = tuple(absent_lines(read, facts, names))
    problems = (*dataset.problems, *unreadable, *misfits)
    usable = {case.name for case in facts.cases}
    cases = tuple(case for case in asked if case.name in usable)
    dealt = deal(cases, told, hparams)
    progress.table(*case_table(facts, problems, dataset.layout, declared, dealt.rows))
    for note in (*dataset.notes, *absent):
        progress.note(note)
    for warning in (*doubts(facts.cases, tuple(declared.values or ())), *dealt.warnings):
        progress.warn(warning)
    unused = tuple(case.name for case in dataset.cases if case not in asked)
    return Survey(facts, cases, problems, unused, dataset.channel_rule, declared, dealt, held)


def _declared(hparams: HParams, dataset: Dataset) -> Declared:
    """The classes: the user's own word goes before the dataset's.

    Raises:
        SettingsError: If a class of the user has the value that the dataset ignores.
    """
    ignore_label = hparams.ignore_label
    if ignore_label is None:
        ignore_label = dataset.ignore_label
    if hparams.classes is None:
        return Declared(dataset.class_values, dataset.regions, ignore_label)
    for name, values in hparams.classes.items():
        if ignore_label in ((values,) if isinstance(values, int) else values):
            raise SettingsError(
                f"classes: {name} = {ignore_label}",
                "the dataset's own file says that nobody annotated these voxels",
                "take the value out of classes, or ignore out of that file",
            )
    regions = regions_of(hparams.classes)
    plain = {name: v for name, v in hparams.classes.items() if isinstance(v, int)}
    return Declared(None if regions else plain, regions, ignore_label)


def kept_in(folder: Path, hparams: HParams) -> Path:
    """Where facts and prepared cases of this dataset are kept, below the folder for all."""
    source = (hparams.images or hparams.data).resolve()
    digest = blake2b(str(source).encode(), digest_size=4).hexdigest()
    return folder / f"{source.name}-{digest}"


def plan_training(found: Survey, hparams: HParams, device: str) -> Plan:
    """Decide what the data decides.

    Raises:
        MedsegError: If the settings do not fit the data, or memory is too small.
    """
    try:
        return make_plan(
            found.facts,
            hparams,
            lambda candidate: _step_bytes(candidate, hparams, device),
            found.declared,
            # What is held of the cases is given back once they are prepared.
            limits(device, hparams.dim, found.held.bytes),
            len(found.dealt.parts.training),
        )
    except ValidationError as error:  # a plan has bounds, files may have any spacing and values
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise MedsegError(
            f"{hparams.images or hparams.data}",
            f"leads to a plan beyond all use ({where}: {detail['msg']})",
            "mend its files",
        ) from None


def prepare_data(
    found: Survey,
    plan: Plan,
    hparams: HParams,
    folder: Path,
    progress: Progress,
    *,
    resumed: bool = False,
) -> TrainingData:
    """Prepare every case; what was lost on the way is said before the first step.

    Args:
        found: The cases, and who trains and validates.
        plan: How.
        hparams: Folds, and where the cases come from.
        folder: Prepared cases of any dataset are kept below it.
        progress: Hears how far it is.
        resumed: Whether a run goes on, whose cases must all be there.

    Raises:
        MedsegError: If no case can be prepared, or one that a run began with is gone.
    """
    listed, problems = prepare_cases(
        found.cases, plan, kept_in(folder, hparams), progress, found.held
    )
    partly: dict[str, tuple[int, ...]] = {}
    if hparams.pretrain is None:
        others = [*(problem.name for problem in found.problems), *found.unused]
        partly = unannotated(found.cases, others, plan, hparams)
    listed = [replace(case, unannotated=partly.get(case.name, ())) for case in listed]
    stored = {case.name: case for case in listed}
    files = {case.name: case for case in found.cases}
    parts = found.dealt.parts
    named = (*parts.training, *parts.validation)
    gone = [name for name in named if name not in stored]
    if gone and resumed:
        raise MedsegError(
            str(hparams.images or hparams.data),
            f"{len(gone)} of the run's cases are gone, first {gone[0]}",
            "bring them back, or start a new run without --resume",
        )
    training = tuple(stored[name] for name in parts.training if name in stored)
    validation = tuple(stored[name] for name in parts.validation if name in stored)
    if not training or (parts.validation and not validation):
        raise MedsegError(
            str(hparams.images or hparams.data),
            f"of {len(named)} cases {len(training)} are left to train and {len(validation)} to "
            "validate, at least 1 of each must be",
            "mend the others, or choose another --fold or --split",
        )
    for name, what, remedy in (*found.problems, *problems):
        progress.warn(f"left out: {name}: {what}; {remedy}")
    for line in unseen_channels(training, found.channel_rule.names(plan.channels)):
        progress.warn(line)
    for line in copies(found.facts.cases, stored, found.dealt):
        progress.warn(line)
    for index in sorted({index for classes in partly.values() for index in classes}):
        without = [name for name, classes in partly.items() if index in classes]
        progress.note(
            f"{plan.class_names[index]}: not annotated in {len(without)} of {len(listed)} cases "
            f"({shown(without)}), where it is neither learned nor scored"
        )
    if hparams.pretrain is None:
        labels = Labels(plan, found.facts.cases, listed)
        for line in unseen_classes(labels, found.dealt, hparams):
            progress.warn(line)
    validated = tuple((files[case.name], case) for case in validation)
    return TrainingData(training, validated, problems, parts.folds)


def _find(hparams: HParams, progress: Progress) -> Dataset:
    if hparams.data == DEMO and hparams.images is None and not DEMO.exists():
        progress.note(f"making phantom scans in {DEMO}/ to train on; --data takes your own")
        make_demo(DEMO, progress)
    if hparams.pretrain:
        return discover_scans(hparams.data, hparams.images, hparams.pattern)
    return discover(
        hparams.data,
        hparams.images,
        hparams.labels,
        hparams.pattern,
        "refuse" if hparams.missing_masks == "refuse" else "empty",
        hparams.missing_channels,
    )


def _step_bytes(candidate: Candidate, hparams: HParams, device: str) -> int:
    shape = (candidate.batch_size, candidate.channels, *candidate.patch_size)
    task = "multilabel" if candidate.multilabel else "multiclass"

    def build() -> Learner:
        network = build_network(
            candidate,
            network_choice(hparams),
            multilabel=candidate.multilabel,
            savers=savers(hparams),
        )
        return autoencoder(network, candidate) if hparams.pretrain else network

    return training_bytes(
        build,
        shape,
        None if hparams.pretrain else build_loss(hparams.loss, task),
        layers=candidate.num_outputs if candidate.multilabel else 1,
        half=number_format(device, hparams.precision) != "32",
    )
