"""Which classes are scored, and which values they have in the label maps of either side."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from medseg.errors import MedsegError, ScanError
from medseg.evaluation.entries import Entry, Side
from medseg.evaluation.masks import classes_in, spelled
from medseg.evaluation.opened import values_in
from medseg.evaluation.pairing import Pairing
from medseg.hparams import MissingMasks
from medseg.plan.plan import BACKGROUND
from medseg.progress import Progress
from medseg.scans.annotated import read_unannotated
from medseg.scans.known import Known
from medseg.scans.marks import is_ours
from medseg.scans.names import natural_key
from medseg.scans.read import united_value

Values = Mapping[str, tuple[int, ...]]
"""Class -> its values in label maps, several of a region; none where no map needs to tell."""

_NUMBERED = re.compile(r"(?:class|label|value)?_?(\d{1,9})")


class Scored(NamedTuple):
    """The classes that are scored, in order, and their values on either side."""

    predictions: Values
    references: Values

    def without(self, value: int | None) -> "Scored":
        """Without the class that is a value alone."""
        left = {name for name, values in self.references.items() if values != (value,)}
        return Scored(*({n: v for n, v in side.items() if n in left} for side in self))


def choose_classes(
    pairing: Pairing,
    asked: Mapping[str, int | tuple[int, ...]] | None,
    ignored: int | None,
    progress: Progress,
) -> Scored:
    """As the user says, else as the references' dataset does, else every class that they hold.

    Args:
        pairing: The cases.
        asked: As the user says; None for nothing.
        ignored: The value of voxels that nobody annotated; not looked for in references.
        progress: Told what is doubtful.

    Raises:
        MedsegError: If one side has masks and nothing tells their values on the other.
    """
    declared = _declared(pairing, asked)
    if declared is not None:
        return Scored(declared, declared)
    ours, theirs = pairing.prediction, pairing.reference
    predictions = [one.prediction for one in pairing.pairs]
    references = [one.reference for one in pairing.pairs]
    masks = list(classes_in(references).values())
    if masks and not any(_is_map(entry) for entry in (*predictions, *references)):
        plain = dict.fromkeys(masks, ())
        return Scored(plain, plain)
    if masks:
        by_order = _numbered_by_us(masks, predictions)
        return _both(_tell(masks, (theirs, ours), by_order, progress), theirs, ours, progress)
    found = [value for value in _found(references, progress) if value != ignored]
    named = theirs.class_names or ours.class_names
    if not named and not all(map(_is_map, predictions)):
        by_content = _held(predictions, found)
        masks = list(classes_in(predictions).values())
        return _both(_tell(masks, (), by_content, progress), theirs, ours, progress)
    values = {named.get(value, f"class {value}"): value for value in found}
    return _both(values, theirs, ours, progress)


def _declared(pairing: Pairing, asked: Mapping[str, int | tuple[int, ...]] | None) -> Values | None:
    """Classes that the user, a dataset, or label files themselves name, with their values."""
    if asked is not None:
        return {name: (each,) if isinstance(each, int) else each for name, each in asked.items()}
    regions = pairing.reference.regions or pairing.prediction.regions
    if regions is not None:
        return regions.values
    for one in pairing.pairs:
        if one.reference.case and one.reference.case.segments:  # read by name, as values from 1
            names = one.reference.case.segments
            return {name: (value,) for value, name in enumerate(names, start=1)}
    return None


def find_unannotated(
    pairing: Pairing, names: Iterable[str], missing: MissingMasks, table: Path | None
) -> dict[str, frozenset[str]]:
    """Reference -> classes that nobody looked for in it, as spelled; those with all are left out.

    Args:
        pairing: The cases.
        names: What is scored.
        missing: What a mask that a reference lacks means.
        table: Case and the classes that are annotated in it; goes before what masks say.

    Raises:
        SettingsError: If the table cannot be used.
    """
    references = [one.reference for one in pairing.pairs]
    names = tuple(names)
    found: dict[str, frozenset[str]] = {}
    for entry in references if missing == "unannotated" else ():
        if entry.classes and entry.case is None:  # segments of a file are all that were looked for
            there = {spelled(name) for name, _ in entry.masks()}
            found[entry.name] = frozenset(map(spelled, names)) - there
    if table is not None:
        every = (BACKGROUND, *names, *pairing.reference.names, *classes_in(references).values())
        every = tuple({name.casefold(): name for name in every}.values())
        known = Known([entry.name for entry in references], [p.name for p in pairing.problems])
        for case, places in read_unannotated(table, every, known).items():
            found[case] = frozenset(spelled(every[place]) for place in places)
    return {case: classes for case, classes in found.items() if classes}


def _is_map(entry: Entry) -> bool:
    return not entry.classes


def _found(references: Sequence[Entry], progress: Progress) -> list[int]:
    """Every value but 0 in the references' label maps."""
    values: set[int] = set()
    for entry in progress.track(references, "reading references", len(references)):
        files = entry.files if entry.case is None else entry.case.labels
        with suppress(ScanError):  # it is reported when the case is scored
            found = {value for path in files if path for value in values_in(path)}
            values |= {united_value(found)} if found and entry.case else found
    return sorted(values)


def _both(values: Mapping[str, int], theirs: Side, ours: Side, progress: Progress) -> Scored:
    """Predictions may be described too, with values of their own, and of other classes."""
    references = {name: (value,) for name, value in values.items()}
    own = {spelled(name): (value,) for value, name in ours.class_names.items()}
    strange = [name for name in values if spelled(name) not in own]
    if not (theirs.class_names and own):
        return Scored(references, references)
    said = f"the predictions' dataset.json names no {', '.join(strange)}"
    if len(strange) == len(values):
        if values:
            progress.warn(f"{said}: values are taken to mean the same on both sides")
        return Scored(references, references)
    if strange:
        progress.warn(f"{said}: counted as predicted nowhere")
    return Scored({name: own.get(spelled(name), ()) for name in values}, references)


def _tell(
    names: Sequence[str],
    sides: Iterable[Side],
    otherwise: tuple[dict[str, int], str],
    progress: Progress,
) -> dict[str, int]:
    """The values that classes of masks have in label maps."""
    described = [{spelled(name): v for v, name in side.class_names.items()} for side in sides]
    numbers = {name: int(match[1]) for name, match in _numbers(names)}
    for told in (*described, numbers, otherwise[0]):
        if {*map(spelled, names)} <= told.keys():
            values = {name: told[spelled(name)] for name in names}
            if told is otherwise[0]:
                shown = ", ".join(f"{name} = {value}" for name, value in values.items())
                progress.note(f"classes in label maps: {shown}, {otherwise[1]}")
            return values
    example = " ".join(f"{name}={n}" for n, name in enumerate(names[:3], start=1))
    raise MedsegError(
        "classes",
        f"one side has masks of {', '.join(names[:5])}{', ...' * (len(names) > 5)}, and nothing "
        "tells their values in the label maps of the other",
        f"say them, such as --classes {example}",
    )


def _numbers(names: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Names such as class_3 and 3."""
    for name in names:
        match = _NUMBERED.fullmatch(spelled(name))
        if match:
            yield spelled(name), match


def _numbered_by_us(
    names: Sequence[str], predictions: Sequence[Entry]
) -> tuple[dict[str, int], str]:
    """A model that learned masks which do not overlap numbers them in the order of their names."""
    maps = [entry.files[0] for entry in predictions if _is_map(entry)]
    with suppress(OSError):
        if all(path is not None and is_ours(path) for path in maps):
            order = sorted(map(spelled, names), key=natural_key)
            numbers = {name: number for number, name in enumerate(order, start=1)}
            return numbers, "as medseg numbers masks; --classes says otherwise"
    return {}, ""


def _held(predictions: Sequence[Entry], found: Sequence[int]) -> tuple[dict[str, int], str]:
    """Masks that each hold the value of their class, another than the other masks."""
    values: dict[str, set[int]] = {}
    with suppress(ScanError):
        for entry in predictions:
            for name, path in entry.masks():
                values.setdefault(spelled(name), set()).update(values_in(path))
        told = {name: each.pop() for name, each in values.items() if len(each) == 1}
        if len(told) == len(values) == len({*told.values()}) and {*found} <= {*told.values()}:
            return told, "the values that the masks hold"
    return {}, ""
