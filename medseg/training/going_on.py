"""Settings of a run that goes on: its own, but for where the data lies and how long it takes."""

from collections.abc import Collection

from medseg.hparams import HParams
from medseg.progress import Progress

LENGTH = ("steps", "epochs", "time_budget")
SOURCE = ("data", "images", "labels", "pattern")
_OF_THE_DAY = ("output", "device")
"""What no run keeps."""


def settings_to_go_on(kept: HParams, asked: HParams, given: Collection[str]) -> HParams:
    """The settings of a run that has learned something.

    Args:
        kept: As it began.
        asked: As they are asked for now; defaults and the settings file included.
        given: Names that were typed: only these change anything, since the settings file may be
            about another run by now.

    Raises:
        SettingsError: If they do not go together.
    """
    changed: dict[str, object] = {}
    if set(given) & set(LENGTH):
        changed |= {name: getattr(asked, name) for name in LENGTH}
    if {"data", "images"} & set(given):
        changed |= {name: getattr(asked, name) for name in SOURCE}
    return _with(kept, changed)


def settings_to_start_again(kept: HParams, asked: HParams, given: Collection[str]) -> HParams:
    """The settings of a run that has learned nothing yet: whatever is typed now counts.

    Raises:
        SettingsError: If they do not go together.
    """
    length = LENGTH if set(given) & set(LENGTH) else ()
    return _with(kept, {name: getattr(asked, name) for name in (*given, *length)})


def ignored(kept: HParams, asked: HParams) -> list[str]:
    """Settings that are asked for and are others in the run, as NAME = VALUE."""
    default = HParams()
    names = set(HParams.model_fields) - set(_OF_THE_DAY)
    return sorted(
        f"{name} = {value}"
        for name in names
        if (value := getattr(asked, name)) not in (getattr(kept, name), getattr(default, name))
    )


def warn_of_ignored(kept: HParams, asked: HParams, progress: Progress) -> None:
    """Say which settings are asked for in vain."""
    if others := ignored(kept, asked):
        progress.warn(f"ignored, since the run has settings of its own: {', '.join(others)}")


def _with(kept: HParams, changed: dict[str, object]) -> HParams:
    return HParams.build(
        {**{name: getattr(kept, name) for name in kept.model_fields_set}, **changed}
    )
