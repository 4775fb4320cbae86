"""hparam.py, the one file a user edits, and docs/settings.md: both are written from HParams."""

import runpy
import textwrap
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medseg.errors import SettingsError
from medseg.files import machine_error
from medseg.flags import metavar
from medseg.hparams import HParams
from medseg.settings import as_settings_error

_SECTIONS = {
    "dim": "Data",
    "encoder": "Network",
    "patch_size": "What the network sees",
    "steps": "Training",
    "precision": "Machine",
    "tta": "Prediction",
}
"""First field of each section."""


_DISPLACED = {
    "data": ("images", "labels", "pattern"),
    "steps": ("epochs", "time_budget"),
    "epochs": ("steps", "time_budget"),
    "time_budget": ("steps", "epochs"),
}
"""What a flag leaves of the file: `--steps 4` replaces the file's time budget."""


def resolve(file: Path | None, flags: Mapping[str, Any]) -> HParams:
    """The settings of a run: flags first, then the file, then the defaults.

    Args:
        file: The settings file; None takes hparam.py of the working directory, if there is one.
        flags: Raw values of the flags that were given.

    Raises:
        SettingsError: If the file or a value is wrong.
    """
    read = file is not None or Path("hparam.py").exists()
    base = read_settings_file(file or Path("hparam.py")) if read else HParams()
    values: dict[str, Any] = {name: getattr(base, name) for name in base.model_fields_set}
    for flag, value in flags.items():
        for name in _DISPLACED.get(flag, ()) if value is not None else ():
            values.pop(name, None)
    return HParams.build({**values, **flags})


def read_settings_file(path: Path) -> HParams:
    """Run the file and take its `hparams`.

    Raises:
        SettingsError: If it cannot be run, or holds wrong values.
        MachineError: If the machine fails to read it.
    """
    try:
        found = runpy.run_path(str(path)).get("hparams")
    except FileNotFoundError:
        raise SettingsError(
            str(path),
            "no such file",
            "write one with `python -m medseg init`, or leave out --hparam",
        ) from None
    except ValidationError as error:
        raise as_settings_error(error) from None
    except SyntaxError as error:
        line = f" line {error.lineno}" if error.lineno else ""
        raise SettingsError(f"{path}{line}", error.msg, "mend this line") from None
    except (Exception, SystemExit) as error:  # whatever the user's own file may do
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        place = f" line {lines[-1]}" if lines else ""
        raise machine_error(error, str(path)) or SettingsError(
            f"{path}{place}", f"{error!r}", "mend the file"
        ) from None
    if not isinstance(found, HParams):
        raise SettingsError(
            str(path),
            f"must set `hparams = HParams(...)`, got {found!r}",
            "see what `python -m medseg init` writes",
        )
    return found


def settings_file() -> str:
    """The text of hparam.py: every setting with its default."""
    lines = [
        '"""Settings of a run: edit, save, run train.py. None means: decided from the data."""',
        "",
        "from medseg.hparams import HParams",
        "",
        "hparams = HParams(",
    ]
    defaults = HParams().model_dump()
    for name, field in HParams.model_fields.items():
        if name in _SECTIONS:
            lines += [f"    # ---- {_SECTIONS[name]} ----"]
        value = defaults[name]
        shown = f'"{value}"' if isinstance(value, str | Path) else repr(value)
        text = " ".join((field.description or "").split())
        choices = metavar(field.annotation)
        if choices[:1] + choices[-1:] == "{}":
            text += f" One of: {', '.join(choices[1:-1].split(','))}."
        lines += textwrap.wrap(text, 96, initial_indent="    # ", subsequent_indent="    # ")
        lines += [f"    {name}={shown},"]
    return "\n".join([*lines, ")", ""])


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Each is a value in `hparam.py` and a flag of `train.py`; a flag wins over the file.",
        "`None` (`auto` as a flag) means: decided by medseg, from the data where it matters.",
        "Several values follow a flag with spaces between: `--patch-size 64 64 32`,",
        "`--classes liver=1 kidney=2`.",
    ]
    defaults = HParams().model_dump(mode="json")
    for name, field in HParams.model_fields.items():
        if name in _SECTIONS:
            lines += ["", f"## {_SECTIONS[name]}", ""]
            lines += ["| setting | flag | default | meaning |", "|---|---|---|---|"]
        flag = f"`--{name.replace('_', '-')} {metavar(field.annotation)}".rstrip() + "`"
        text = " ".join((field.description or "").split())
        lines += [f"| `{name}` | {flag} | `{defaults[name]}` | {text} |"]
    return "\n".join([*lines, ""])
