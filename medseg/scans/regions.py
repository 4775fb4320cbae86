"""Regions: classes that are made of several values of one label map, and so may overlap."""

from collections.abc import Mapping
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

    The largest is written first, with a value that no smaller region has.
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
    return Regions(ordered, tuple(order) if len(order) == len(names) else ())
