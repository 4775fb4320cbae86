"""Which classes there are, and which value in the user's files each has."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medseg.errors import MedsegError, SettingsError
from medseg.measure.facts import CaseFacts
from medseg.plan.plan import BACKGROUND, Task
from medseg.scans.regions import Regions

MOST_CLASSES = 255
"""Class indices are kept in one byte."""
_SHARED = 1.5
"""Cases that have a value, on average: of a class many, of a numbered object one."""


class Classes(NamedTuple):
    """Names, values and regions in step, as in `Plan`. `reason` says where they come from."""

    names: tuple[str, ...]
    values: tuple[int, ...]
    reason: str
    regions: tuple[tuple[int, ...], ...] = ()


class Declared(NamedTuple):
    """What settings or a dataset say of its classes; nothing where they are found by looking.

    Attributes:
        values: Class name -> value in the label files.
        regions: Classes of several values each, in place of `values`.
        ignore_label: The value of voxels that nobody annotated.
    """

    values: Mapping[str, int] | None = None
    regions: Regions | None = None
    ignore_label: int | None = None


UNDECLARED = Declared()


def class_weights(names: Sequence[str], asked: Mapping[str, float] | None) -> tuple[float, ...]:
    """A weight for each class.

    Raises:
        SettingsError: If a name is none of them, or no class would count.
    """
    strange = [name for name in asked or {} if name not in names]
    weights = tuple((asked or {}).get(name, 1.0) for name in names)
    foreground = [w for name, w in zip(names, weights, strict=True) if name != BACKGROUND]
    if strange or not any(foreground or weights):
        what = f"{strange[0]!r} is no class" if strange else "nothing is left to learn"
        known = ", ".join(names)
        raise SettingsError(f"class_weights: {what}", f"the classes are {known}", "correct it")
    return weights


def choose_task(
    cases: Sequence[CaseFacts], asked: Task | None, regions: Regions | None = None
) -> tuple[Task, str]:
    """Multilabel where masks or regions overlap, else multiclass.

    Raises:
        SettingsError: If regions are asked to exclude each other.
    """
    if regions is not None:
        if asked == "multiclass":
            raise SettingsError(
                "task = multiclass", "regions of several values may overlap", "leave out task"
            )
        return "multilabel", "regions may overlap"
    overlap = next((case.name for case in cases if case.overlap), None)
    if asked is not None:
        later = asked == "multiclass" and overlap is not None
        return asked, "set by you" + "; where masks overlap the later file wins" * later
    if overlap is not None:
        return "multilabel", f"mask files overlap, first in {overlap}"
    return "multiclass", "no voxel has more than one class"


def choose_classes(
    cases: Sequence[CaseFacts],
    task: Task,
    declared: Mapping[str, int] | None,
    source: str,
    regions: Regions | None = None,
) -> Classes:
    """Classes from what is declared, else from the values found.

    Args:
        cases: Facts of cases with equal numbers of label layers; none where labels are not used.
        task: Multiclass has a background at index 0; multilabel has none.
        declared: Class name -> value.
        source: Who declared them, in words.
        regions: Declared classes of several values each, in place of `declared`.

    Raises:
        MedsegError: If there is nothing beside the background, or too much, or not one class per
            mask file.
    """
    layers = len(cases[0].label_values)
    if layers == 0:
        return Classes((BACKGROUND,), (0,), "none: the scans have no labels")
    if regions is not None:
        return _of_regions(cases, regions, source)
    if layers > 1:
        classes = _of_mask_files(cases, task, declared, source)
    elif task == "multilabel":
        classes = _without_background(_of_label_map(cases, declared, source))
    else:
        classes = _of_label_map(cases, declared, source)
    if len(classes.names) < (2 if task == "multiclass" else 1):
        raise MedsegError(
            "the labels",
            f"hold only {', '.join(classes.names) or 'background'}: there must be something to "
            "tell from it",
            "add cases with labelled voxels",
        )
    if len(classes.names) > MOST_CLASSES:
        raise _too_many(cases, len(classes.names))
    return classes


def _of_regions(cases: Sequence[CaseFacts], regions: Regions, source: str) -> Classes:
    if len(cases[0].label_values) > 1:
        raise MedsegError(
            f"classes ({', '.join(regions.values)})",
            "regions are made of the values of one label map, and each case has a mask per class",
            "leave out classes: masks may overlap as they are",
        )
    found = {value for case in cases for value in case.label_values[0]}
    named = {value for values in regions.values.values() for value in values}
    reason = (
        source
        + "; "
        + "; ".join(
            f"{name} = {', '.join(map(str, values))}" for name, values in regions.values.items()
        )
    )
    others = sorted(found - named - {0})
    if others:
        reason += f"; in no region: {', '.join(map(str, others[:5]))}"
    values = tuple(regions.values.values())
    order = regions.order or (1,) * len(values)
    if len({*order}) < len(order):
        reason += "; no map can tell them apart, so each is written as a mask"
    return Classes(tuple(regions.values), order, reason, values)


def _too_many(cases: Sequence[CaseFacts], found: int) -> MedsegError:
    """More classes than possible: numbered objects, where hardly any two cases share a value."""
    where = Counter(value for case in cases for value in case.label_values[0] if value)
    in_a_row = all(
        sorted({*case.label_values[0]} - {0})
        == list(range(1, len({*case.label_values[0]} - {0}) + 1))
        for case in cases
    )
    what = f"hold {found} values: at most {MOST_CLASSES} classes are possible"
    if in_a_row or sum(where.values()) < _SHARED * len(where):
        return MedsegError(
            "the labels",
            f"{what}, and these seem to number objects",
            "give every object the value of its class, such as 1 (label > 0)",
        )
    return MedsegError(
        "the labels", what, "check that they are label maps and not images, or merge classes"
    )


def _of_label_map(
    cases: Sequence[CaseFacts], declared: Mapping[str, int] | None, source: str
) -> Classes:
    """Value 0 first, as background; where it never occurs, the smallest value stands in for it."""
    found = {value for case in cases for value in case.label_values[0]}
    names = {value: name for name, value in (declared or {}).items()}
    values = {*names} if declared else {*found}
    reason = source if declared else "values found in the labels"
    if 0 in found:
        values.add(0)
    ordered = sorted(values, key=lambda value: (value != 0, value))
    if 0 not in values:
        reason += f"; 0 never occurs: {ordered[0]}, the smallest value, is taken as background"
    absent = [names[value] for value in ordered if value and value not in found]
    if absent:
        reason += f"; never seen in the labels: {', '.join(absent)}"
    default = {0: BACKGROUND}
    return Classes(
        tuple(names.get(value, default.get(value, f"class_{value}")) for value in ordered),
        tuple(ordered),
        reason,
    )


def _without_background(classes: Classes) -> Classes:
    pairs = [
        (name, value)
        for name, value in zip(classes.names, classes.values, strict=True)
        if value != 0
    ]
    return Classes(
        tuple(name for name, _ in pairs), tuple(value for _, value in pairs), classes.reason
    )


def _of_mask_files(
    cases: Sequence[CaseFacts], task: Task, declared: Mapping[str, int] | None, source: str
) -> Classes:
    """One class per mask file: counted from 1 in a merged map, else with the value of its file."""
    layers = len(cases[0].label_values)
    ordered = sorted((declared or {}).items(), key=lambda item: item[1])
    names = tuple(name for name, value in ordered if value != 0)
    if declared and len(names) != layers:
        raise MedsegError(
            f"classes ({', '.join(names)})",
            f"each case has {layers} mask files, one per class",
            "name one class per file, in the order of the files",
        )
    names = names or tuple(f"class_{layer + 1}" for layer in range(layers))
    reason = source if declared else "one class per mask file"
    if task == "multiclass":
        return Classes((BACKGROUND, *names), tuple(range(layers + 1)), reason)
    highest = (
        max(value for case in cases for value in case.label_values[layer])
        for layer in range(layers)
    )
    return Classes(names, tuple(value or 1 for value in highest), reason)
