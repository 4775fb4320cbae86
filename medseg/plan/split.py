"""Which cases train and which validate."""

from typing import NamedTuple


class Split(NamedTuple):
    """Indices of cases in natural order."""

    training: tuple[int, ...]
    validation: tuple[int, ...]


def split(num_cases: int, folds: int, fold: int) -> Split:
    """Case i belongs to fold i mod `folds`; `fold` validates.

    With fewer cases than folds one case is left out at a time; a single case trains and validates.
    """
    if num_cases < 2:
        return Split((0,) * num_cases, (0,) * num_cases)
    folds = min(folds, num_cases)
    validation = tuple(range(fold % folds, num_cases, folds))
    return Split(tuple(i for i in range(num_cases) if i % folds != fold % folds), validation)
