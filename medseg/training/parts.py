"""Which cases train and which validate."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medseg.errors import MedsegError, SettingsError
from medseg.hparams import HParams
from medseg.plan.split import fold_sizes, split
from medseg.records import Frozen
from medseg.scans.case import Case
from medseg.scans.groups import Groups, group_cases, groups_in_words
from medseg.scans.known import Known, shown
from medseg.training.own_split import OwnSplit, read_split


class Parts(Frozen):
    """Names of the cases that train and validate; a run keeps them, whatever its folder gains."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    folds: tuple[int, ...] = ()
    """All folds that there are, where the cases were dealt into such."""


class Told(NamedTuple):
    """What is said of the cases before they are measured.

    Attributes:
        groups: Who each is of, by its name.
        source: How that was found, in words.
        doubt: What is uncertain about it.
        own: The user's own split.
        begun: How a run that goes on has dealt them; goes before all else.
    """

    groups: Mapping[str, str]
    source: str = ""
    doubt: str = ""
    own: OwnSplit | None = None
    begun: Parts | None = None

    def of_interest(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """The cases that are on any side: the others need not be read."""
        given = self.begun or self.own
        if given is None:
            return tuple(cases)
        named = {*given.training, *given.validation}
        return tuple(case for case in cases if case.name in named)


class Dealt(NamedTuple):
    """Who trains and who validates.

    Attributes:
        parts: The cases.
        groups: Who each case is of, by its name.
        by_folds: Whether folds decided, so that another fold is another split.
        rows: What a table should say of it.
        warnings: What a user should know, a line each.
    """

    parts: Parts
    groups: Mapping[str, str]
    by_folds: bool = False
    rows: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def read_told(
    cases: Sequence[Case], others: Sequence[str], hparams: HParams, begun: Parts | None = None
) -> Told:
    """Read what the user, the folders and the names say of who belongs where.

    Args:
        cases: All that were found, in natural order.
        others: Names of what was left out, which a user's tables may hold.
        hparams: Gives `groups`, `split`, `folds` and `fold`.
        begun: Of a run that goes on; then nothing else is looked at.

    Raises:
        SettingsError: If the user's groups or split do not fit the cases.
    """
    if begun is not None:
        return Told({}, begun=begun)
    names = [case.name for case in cases]
    groups = group_cases(cases, hparams.groups, hparams.folds, others)
    own = None
    if hparams.split is not None:
        fold = None if hparams.fold == "all" else hparams.one_fold
        own = read_split(hparams.split, Known(names, others), fold)
    group_of = dict(zip(names, groups.names, strict=True))
    return Told(group_of, groups.source, groups.doubt, own)


def deal(cases: Sequence[Case], told: Told, hparams: HParams) -> Dealt:
    """As a run began, else as the user's own split says, else the folders, else folds of groups.

    Args:
        cases: That can be used, in natural order.
        told: What is said of them.
        hparams: Gives `split`, `folds` and `fold`.

    Raises:
        MedsegError: If the user's split leaves a side empty, since its cases cannot be used, or
            each fold is to be trained and there are none.
    """
    if told.begun is not None:
        return Dealt(told.begun, {})
    names = [case.name for case in cases]
    groups = Groups(tuple(told.groups[name] for name in names), told.source)
    sides = {case.name: case.part for case in cases}
    if hparams.fold == "none":
        dealt = _all_train(names)
    elif told.own is not None:
        dealt = _by_own(told.own, names, hparams)
    elif {"training", "validation"} <= set(sides.values()):
        dealt = _by_folders(sides, hparams)
    else:
        dealt = _by_folds(names, groups, hparams)
    if hparams.fold == "all" and len(dealt.parts.folds) < 2:
        what = "the cases are dealt once and for all" if len(names) > 1 else "there is one case"
        raise SettingsError("fold = all", what, "leave out --fold")
    group_of = dict(zip(names, groups.names, strict=True))
    warnings = list(dealt.warnings)
    if told.doubt and dealt.by_folds:
        warnings.append(told.doubt)
    elif not (told.doubt or dealt.by_folds):  # a mere guess accuses no one's split
        warnings += _both_sides(dealt.parts, group_of)
    rows = (("groups", groups_in_words(groups)), *dealt.rows) if len(names) > 1 else ()
    return Dealt(dealt.parts, group_of, dealt.by_folds, rows, tuple(warnings))


def _all_train(names: Sequence[str]) -> Dealt:
    said = f"all {len(names)} cases train, none validates"
    return Dealt(Parts(training=tuple(names), validation=()), {}, rows=(("split", said),))


def _by_own(own: OwnSplit, names: Sequence[str], hparams: HParams) -> Dealt:
    assert hparams.split is not None
    training, validation = {*own.training}, {*own.validation}
    parts = Parts(
        training=tuple(name for name in names if name in training),
        validation=tuple(name for name in names if name in validation),
        folds=own.folds,
    )
    if not (parts.training and parts.validation):
        side = "validates" if parts.training else "trains on"
        raise MedsegError(
            f"split {hparams.split}",
            f"none of the {len(validation if parts.training else training)} cases that it {side} "
            "can be used",
            "mend them, or change the split",
        )
    ignored = () if own.folds else _fold_ignored(hparams, hparams.split.name)
    return Dealt(
        parts, {}, rows=_sides_row(parts, hparams.split.name), warnings=(*own.notes, *ignored)
    )


def _by_folders(sides: Mapping[str, str | None], hparams: HParams) -> Dealt:
    parts = Parts(
        training=tuple(name for name, side in sides.items() if side != "validation"),
        validation=tuple(name for name, side in sides.items() if side == "validation"),
    )
    unsaid = [name for name, side in sides.items() if side is None]
    said = (
        f"{len(unsaid)} cases are on neither side of the dataset's own split and train: "
        f"{shown(unsaid)}; --split deals them otherwise"
    )
    source = "the dataset's own split"
    return Dealt(
        parts,
        {},
        rows=_sides_row(parts, source),
        warnings=(*((said,) if unsaid else ()), *_fold_ignored(hparams, source)),
    )


def _by_folds(names: Sequence[str], groups: Groups, hparams: HParams) -> Dealt:
    indices = split(groups.names, hparams.folds, hparams.one_fold)
    sizes = fold_sizes(groups.names, hparams.folds)
    parts = Parts(
        training=tuple(names[index] for index in indices.training),
        validation=tuple(names[index] for index in indices.validation),
        folds=tuple(range(len(sizes))) if len(names) > 1 else (),
    )
    if len(names) < 2:
        return Dealt(parts, {}, by_folds=True)
    fold = hparams.one_fold % len(sizes)
    said = f"fold {fold} of {len(sizes)}: {len(parts.training)} train, {sizes[fold]} validate"
    if max(sizes) > 2 * min(sizes):
        said += f"; the folds have {', '.join(map(str, sizes))} cases, since groups stay together"
    return Dealt(parts, {}, by_folds=True, rows=(("split", said),))


def _sides_row(parts: Parts, source: str) -> tuple[tuple[str, str], ...]:
    said = f"{source}: {len(parts.training)} train, {len(parts.validation)} validate"
    return (("split", said),)


def _fold_ignored(hparams: HParams, source: str) -> tuple[str, ...]:
    fold = hparams.one_fold
    return (f"fold = {fold} has no effect beside {source}",) if fold else ()


def _both_sides(parts: Parts, groups: Mapping[str, str]) -> list[str]:
    trained = {groups[name]: name for name in reversed(parts.training)}
    pairs = [(name, trained[groups[name]]) for name in parts.validation if groups[name] in trained]
    if not pairs:
        return []
    validated, learned = pairs[0]
    count = len({groups[name] for name, _ in pairs})
    return [
        f"{count} of the patients are on both sides of the split ({validated} validates, {learned} "
        "trains), so scores are better than of new patients; change the split"
    ]
