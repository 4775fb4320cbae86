"""Which cases train and which validate."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Split(NamedTuple):
    """Indices of cases in natural order."""

    training: tuple[int, ...]
    validation: tuple[int, ...]


def split(groups: Sequence[str], folds: int, fold: int) -> Split:
    """Deal cases so that those of one group, such as a patient, stand on one side.

    Group j, in the order of their first cases, belongs to fold j mod `folds`; `fold` validates. So
    case i of cases that are groups by themselves belongs to fold i mod `folds`. With fewer groups
    than folds one group is left out at a time. Cases of one and the same group are dealt as if they
    were by themselves; a single case trains and validates.

    Args:
        groups: The group of each case, cases in natural order.
        folds: Parts to deal them into.
        fold: The part to validate.
    """
    if len(groups) < 2:
        return Split((0,) * len(groups), (0,) * len(groups))
    owners = _fold_of_each(groups, folds)
    chosen = fold % (max(owners) + 1)
    cases = range(len(groups))
    return Split(
        tuple(case for case in cases if owners[case] != chosen),
        tuple(case for case in cases if owners[case] == chosen),
    )


def fold_sizes(groups: Sequence[str], folds: int) -> tuple[int, ...]:
    """Cases in each fold."""
    sizes = Counter(_fold_of_each(groups, folds))
    return tuple(sizes[fold] for fold in sorted(sizes))


def _fold_of_each(groups: Sequence[str], folds: int) -> list[int]:
    order = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    if len(order) == 1:
        return [case % min(folds, len(groups)) for case in range(len(groups))]
    folds = min(folds, len(order))
    return [order[group] % folds for group in groups]
