"""Regions: classes that are made of several values of one label map, and so may overlap."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Regions(NamedTuple):
    """What a dataset or a user says of them.

    Attributes:
        values: Region -> the values of label maps that belong to it.
        order: What each region is written as where one map is made of all, the later over the
            earlier, in step with `values`; nothing where no map can tell them apart.
    """

    values: Mapping[str, tuple[int, ...]]
    order: tuple[int, ...] = ()


def regions_of(classes: Mapping[str, int | tuple[int, ...]]) -> Regions | None:
    """Regions where any class has several values; None where all are plain. 0 alone is no region.

    The largest is written first, with a value that no smaller region has. Regions that share a part
    only, or hold 0, have no order: a map could not say that one is there and the other is not.
    """
    if not any(isinstance(values, tuple) for values in classes.values()):
        return None
    each = {
        name: tuple(sorted({*values})) if isinstance(values, tuple) else (values,)
        for name, values in classes.items()
        if values not in (0, (0,))
    }
    ordered = dict(sorted(each.items(), key=lambda item: -len(item[1])))
    names, order = list(ordered), []
    for place, name in enumerate(names):
        later = {value for other in names[place + 1 :] for value in ordered[other]}
        own = [value for value in ordered[name] if value not in later]
        order += own[:1]
    written = len(order) == len(names) and misread_in(tuple(ordered.values()), order) is None
    return Regions(ordered, tuple(order) if written else ())


def misread_in(regions: Sequence[tuple[int, ...]], order: Sequence[int]) -> int | None:
    """The first region that a map of all does not tell as it was written; None if it tells all.

    A region is read back as the voxels that have one of its values. So what it is written as must
    be one of these, and of no later region; and what it is written over must be around it.

    Args:
        regions: The values of each.
        order: What each is written as, the later over the earlier.
    """
    for place, (values, written) in enumerate(zip(regions, order, strict=True)):
        before, after = map(set, regions[:place]), regions[place + 1 :]
        own = written in values and not any(written in later for later in after)
        nested = all({*values} <= earlier or earlier.isdisjoint(values) for earlier in before)
        if not own or not nested or 0 in values:
            return place
    return None
