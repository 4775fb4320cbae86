"""Which cases train and which validate."""

from collections.abc import Sequence
from typing import NamedTuple


class Split(NamedTuple):
    """Indices of cases in natural order."""

    training: tuple[int, ...]
    validation: tuple[int, ...]


def split(groups: Sequence[str], folds: int, fold: int) -> Split:
    """Group i, in order of its first case, belongs to fold i mod `folds`; `fold` validates.

    Cases of one group, such as scans of one patient, are always on one side. With fewer groups than
    folds one group is left out at a time. Where all cases are of one group, they are dealt case by
    case; a single case trains and validates.

    Args:
        groups: Who each case is of.
        folds: Number of parts.
        fold: The part that validates.
    """
    order = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    places = [order[group] for group in groups]
    if len(order) < 2:
        places = list(range(len(groups)))
    if len(groups) < 2:
        return Split((0,) * len(groups), (0,) * len(groups))
    folds = min(folds, max(places) + 1)
    validation = tuple(i for i, place in enumerate(places) if place % folds == fold % folds)
    return Split(tuple(i for i in range(len(groups)) if i not in set(validation)), validation)
