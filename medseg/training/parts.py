"""Which cases train and which validate, and what that leaves unseen."""

from collections.abc import Mapping, Sequence

from medseg.hparams import HParams
from medseg.measure.facts import CaseFacts
from medseg.plan.plan import Plan
from medseg.plan.split import split
from medseg.prepare.prepared import StoredCase
from medseg.progress import Progress
from medseg.records import Frozen
from medseg.scans.case import Case
from medseg.scans.groups import Groups
from medseg.training.own_split import read_split

_MOST_SHOWN = 3


class Parts(Frozen):
    """Names of the cases that train and validate; a run keeps them, whatever its folder gains."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def deal(cases: Sequence[Case], groups: Groups, hparams: HParams, progress: Progress) -> Parts:
    """As the user's own split says, else as the dataset's folders do, else by folds of groups.

    Args:
        cases: That can be used, in natural order.
        groups: Who each is of.
        hparams: Gives `split`, `folds` and `fold`.
        progress: Hears what a person should know of it.

    Raises:
        SettingsError: If the user's own split does not fit the cases.
    """
    names = [case.name for case in cases]
    if hparams.split is not None:
        own = read_split(hparams.split, names, hparams.fold)
        if own.unnamed:
            progress.warn(f"{_some(own.unnamed)} left out: not in {hparams.split.name}")
        parts = Parts(training=own.training, validation=own.validation)
    else:
        sides = {case.name: case.part for case in cases}
        if {"training", "validation"} <= set(sides.values()):
            progress.note("the dataset's own split into training and validation is used")
            unsaid = tuple(name for name, side in sides.items() if side is None)
            if unsaid:
                progress.warn(f"{_some(unsaid)}: on neither side of that split, so they train")
            parts = Parts(
                training=tuple(name for name in names if sides[name] != "validation"),
                validation=tuple(name for name in names if sides[name] == "validation"),
            )
        else:
            indices = split(groups.names, hparams.folds, hparams.fold)
            parts = Parts(
                training=tuple(names[i] for i in indices.training),
                validation=tuple(names[i] for i in indices.validation),
            )
    _warn_of_both_sides(names, groups, parts, progress)
    return parts


def _warn_of_both_sides(
    names: Sequence[str], groups: Groups, parts: Parts, progress: Progress
) -> None:
    group_of = dict(zip(names, groups.names, strict=True))
    trained = {group_of[name] for name in parts.training}
    both = [group for group in {group_of[name]: 0 for name in parts.validation} if group in trained]
    if both and len(names) > 1:
        progress.warn(
            f"{_some(both)}: on both sides of the split, so scores are better than of new "
            "patients; --groups says who belongs together, --split who validates"
        )


def warn_of_copies(facts: Sequence[CaseFacts], parts: Parts, progress: Progress) -> None:
    """Scans that are there twice, on both sides: what is validated was learned."""
    digests = {case.name: case.image_digests for case in facts if case.image_digests}
    trained = {digests[name]: name for name in parts.training if name in digests}
    copies = [
        f"{name} = {trained[digests[name]]}"
        for name in parts.validation
        if name in digests and trained.get(digests[name], name) != name
    ]
    if copies:
        progress.warn(
            f"the same scan trains and validates under two names ({_some(copies)}); "
            "remove one, or keep them together with --groups"
        )


def warn_of_unseen(
    plan: Plan,
    facts: Sequence[CaseFacts],
    training: Sequence[StoredCase],
    validation: Sequence[StoredCase],
    progress: Progress,
) -> None:
    """Classes that the labels hold and training will not see, before the first step.

    Args:
        plan: The classes.
        facts: What the label files hold.
        training: Prepared cases that train.
        validation: Prepared cases that validate.
        progress: Gets a warning per class.
    """
    by_name = {case.name: case for case in facts}
    first = 0 if plan.task == "multilabel" else 1
    for index in range(first, plan.num_outputs):
        name = _named(plan, index)
        has = [case for case in training if _holds(by_name[case.name], plan, index)]
        kept = [case for case in has if case.class_voxels[index]]
        if not has:
            others = [c.name for c in validation if _holds(by_name[c.name], plan, index)]
            if others:
                progress.warn(
                    f"{name}: in no training case, only in {_some(others)} of validation, so it "
                    "cannot be learned; choose another --fold, or say who validates with --split"
                )
        elif len(kept) < len(has):
            how_many = "none" if not kept else f"{len(kept)}"
            finest = min((by_name[c.name].spacing_mm for c in has), key=lambda mm: max(mm))
            wanted = " ".join(f"{mm:.3g}" for mm in finest)
            spacing = "x".join(f"{mm:.3g}" for mm in plan.spacing_mm)
            progress.warn(
                f"{name}: in {len(has)} of {len(training)} training cases, in {how_many} after "
                f"resampling to {spacing} mm; set --spacing-mm {wanted} to keep it"
            )


def _holds(case: CaseFacts, plan: Plan, index: int) -> bool:
    """Whether a case's label files hold a class."""
    if len(case.label_values) == 1:
        return case.label_values[0].get(plan.label_values[index], 0) > 0
    layer = index if plan.task == "multilabel" else index - 1
    found: Mapping[int, int] = case.label_values[layer] if layer < len(case.label_values) else {}
    return any(count for value, count in found.items() if value)


def _named(plan: Plan, index: int) -> str:
    """Such as `class 2 (lesion)`, or `class_2` where nothing names it."""
    name, value = plan.class_names[index], plan.label_values[index]
    return name if name == f"class_{value}" else f"class {value} ({name})"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_SHOWN])
    return shown + f" and {len(names) - _MOST_SHOWN} more" * (len(names) > _MOST_SHOWN)
