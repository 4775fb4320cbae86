"""What is odd about a dataset, told from its facts: before anything is allocated or trained on.

`misfits` cannot be of use whatever was meant, and are left out by name; `doubts` may be meant, and
are said.
"""

from collections.abc import Callable, Sequence

import numpy as np

from medseg.measure.facts import CaseFacts
from medseg.plan.ct_units import ONLY_AIR, unit_doubts
from medseg.plan.raters import rater_doubts
from medseg.plan.soft_labels import thin_classes
from medseg.plan.words import counted, named
from medseg.scans.case import Problem

FAR = 8.0
"""Times the dataset's median spacing or extent, or part of it, from which a case's is doubted."""
_OUTSIDE = 0.5
"""A label with more than this share outside of the content lies in the wrong place."""
_MANY_OBJECTS = 20
_LENGTH = ("a spacing", "an extent")


def misfits(cases: Sequence[CaseFacts], *, labelled: bool = True) -> dict[str, Problem]:
    """The cases that teach nothing, or only what is wrong.

    Args:
        cases: All that fit together otherwise.
        labelled: Whether their labels are used.
    """
    rules: tuple[Callable[[CaseFacts], Problem | None], ...] = (
        _nothing_there, _label_outside, _its_own_label,
    )  # fmt: skip
    found = _lengths_out_of_range(cases)
    for case in cases:
        problems = (rule(case) for rule in (rules if labelled else rules[:1]))
        problem = next(filter(None, problems), None)
        if problem is not None:
            found[case.name] = problem
    return found


def doubts(cases: Sequence[CaseFacts], masks: Sequence[str] = ()) -> tuple[str, ...]:
    """One line for each thing that is odd about the cases that are used.

    Args:
        cases: Their facts.
        masks: Names of the masks, where each class is one.
    """
    return (
        *_odd_lengths(cases),
        *unit_doubts(cases),
        *_constant_channels(cases),
        *_outside_content(cases),
        *_thin(cases),
        *_empty_labels(cases),
        *_objects(cases),
        *_same_scans(cases),
        *rater_doubts(cases, masks),
    )


def _nothing_there(case: CaseFacts) -> Problem | None:
    if all(channel.minimum == channel.maximum for channel in case.channels):
        seen = next(iter(case.present.values()), case.channels[0])
        what = f"nothing in the scan: every voxel is {seen.minimum:g}"
        return Problem(case.name, what, "export it again, or remove it")
    if case.world and len(case.channels) == 1 and case.channels[0].maximum <= ONLY_AIR:
        what = f"nothing but air in the scan: no value above {case.channels[0].maximum:g}"
        return Problem(case.name, what, "export it again, or remove it")
    return None


def _label_outside(case: CaseFacts) -> Problem | None:
    marked = _marked(case)
    if case.outside_box <= _OUTSIDE * marked:
        return None
    what = (
        f"{case.outside_box} of {marked} marked voxels lie where the scan is empty, in its border "
        "of one value: the label is not where the scan is"
    )
    return Problem(case.name, what, "check that both belong together, and how they lie")


def _its_own_label(case: CaseFacts) -> Problem | None:
    """Whether image and label hold the same numbers, as far as facts tell."""
    if len(case.channels) != 1 or len(case.label_values) != 1 or len(case.label_values[0]) < 2:
        return None
    (channel,), (values,) = case.channels, case.label_values
    total = sum(values.values())
    mean = sum(value * voxels for value, voxels in values.items()) / total
    same = (channel.minimum, channel.maximum) == (min(values), max(values))
    if not (channel.whole_numbers and same and np.isclose(channel.mean, mean, rtol=1e-9, atol=0)):
        return None
    what = "the image holds the label's own values: the same file twice?"
    return Problem(case.name, what, "give the scan as image")


def _lengths_out_of_range(cases: Sequence[CaseFacts]) -> dict[str, Problem]:
    """Cases that spacing and extent put beside all others: a wrong unit makes both.

    Resampled to the others' spacing such a case would be hundreds of times their size, or a voxel.
    """
    problems: dict[str, Problem] = {}
    ratios = _ratios(cases)
    for case, (spacing, extent) in zip(cases, ratios, strict=True):
        if len(cases) > 2 and _is_far(spacing) and _is_far(extent):
            what = (
                f"spacing of {_mm(case.spacing_mm)} mm is {_times(spacing)} the median of the "
                "others, and so is its extent: a wrong unit, or none?"
            )
            remedy = "mend the spacing in its header, or set spacing_mm and keep such cases apart"
            problems[case.name] = Problem(case.name, what, remedy)
    return problems


def _odd_lengths(cases: Sequence[CaseFacts]) -> list[str]:
    lines: list[str] = []
    ratios = _ratios(cases)
    for index, what in enumerate(_LENGTH):
        far = {
            case.name: ratio[index]
            for case, ratio in zip(cases, ratios, strict=True)
            if _is_far(ratio[index])
        }
        if far:
            first = next(iter(far))
            lines.append(
                f"{counted([*far], len(cases))} have {what} far from the median ({first}: "
                f"{_times(far[first])} it); if that is a wrong unit, mend their headers"
            )
    return lines


def _ratios(cases: Sequence[CaseFacts]) -> list[tuple[float, float]]:
    """Each case's spacing and extent over the median case's, as the mean of their axes' ratios."""
    if not cases or not all(case.world for case in cases):
        return [(1.0, 1.0)] * len(cases)
    spacings = np.log([case.spacing_mm for case in cases])
    extents = spacings + np.log([case.box_size for case in cases])
    far = [
        np.exp((lengths - np.median(lengths, axis=0)).mean(axis=1))
        for lengths in (spacings, extents)
    ]
    return [(float(spacing), float(extent)) for spacing, extent in zip(*far, strict=True)]


def _is_far(ratio: float) -> bool:
    # With a median between two cases, each is off by the root of what they differ by.
    return max(ratio, 1 / ratio) > FAR


def _times(ratio: float) -> str:
    return f"{ratio:.4g} times" if ratio >= 1 else f"1/{1 / ratio:.4g} of"


def _constant_channels(cases: Sequence[CaseFacts]) -> list[str]:
    names = [
        case.name
        for case in cases
        if any(channel.minimum == channel.maximum for channel in case.present.values())
    ]
    if not names:
        return []
    return [f"{counted(names, len(cases))} have a channel of one value only; check the files"]


def _outside_content(cases: Sequence[CaseFacts]) -> list[str]:
    lost = {case.name: case.outside_box for case in cases if case.outside_box}
    if not lost:
        return []
    first = next(iter(lost))
    return [
        f"{counted([*lost], len(cases))} have labelled voxels in the scan's border of one value "
        f"({first}: {lost[first]}): nothing can be seen there, and predictions are "
        "background there; check how label and scan lie"
    ]


def _thin(cases: Sequence[CaseFacts]) -> list[str]:
    values = thin_classes(cases)
    if not values:
        return []
    return [
        f"label value {', '.join(map(str, values))} has no voxel away from an edge and always lies "
        "between a smaller and a greater value, as linear resampling makes them; if it is no "
        "class, make the labels again with nearest neighbour"
    ]


def _empty_labels(cases: Sequence[CaseFacts]) -> list[str]:
    names = [case.name for case in cases if case.label_values and _marked(case) == 0]
    if not names or len(names) == len(cases):
        return []
    return [f"{counted(names, len(cases))} have nothing marked; right if there is nothing to mark"]


def _objects(cases: Sequence[CaseFacts]) -> list[str]:
    """Whether values number objects: 1, 2, 3, ... as far as each case has objects."""
    counts: list[int] = []
    for case in cases:
        values = sorted({*case.label_values[0]} - {0}) if len(case.label_values) == 1 else []
        if values != list(range(1, len(values) + 1)):
            return []
        counts.append(len(values))
    if len(set(counts)) < 2 or max(counts) < _MANY_OBJECTS or len(set(counts)) * 2 < len(counts):
        return []
    return [
        f"label values go from 1 to {min(counts)} up to {max(counts)}, another number in most "
        "cases: if they number objects, they are no classes; give every object its class's value"
    ]


def _same_scans(cases: Sequence[CaseFacts]) -> list[str]:
    """Scans that are there several times, with one label or with several."""
    groups: dict[tuple[str, ...], list[CaseFacts]] = {}
    for case in cases:
        groups.setdefault(case.image_digests, []).append(case)
    lines: list[str] = []
    for same in (group for key, group in groups.items() if key and len(group) > 1):
        labels = {str((case.label_values, case.extents)) for case in same}
        why = "with other labels: several opinions?" if len(labels) > 1 else "and counts more"
        names = named([case.name for case in same])
        lines.append(f"{names} are the same scan, {why}; keep one of them, or one patient's group")
    return lines


def _marked(case: CaseFacts) -> int:
    return sum(
        voxels for values in case.label_values for value, voxels in values.items() if value != 0
    )


def _mm(spacing_mm: Sequence[float]) -> str:
    return "x".join(f"{step:.4g}" for step in spacing_mm)
