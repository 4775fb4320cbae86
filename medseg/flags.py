"""Command-line flags out of Settings' fields: tyro finds and documents them, Settings check them.

Values stay text here, so that they mean the same from the command line, from hparam.py and from
JSON, and everything that is wrong is reported at once.
"""

import contextlib
import difflib
import json
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from medseg.errors import SettingsError
from medseg.quantities import Bytes, Duration
from medseg.settings import Settings

UNSET = "auto"
"""As a flag's value: what `None` is in Python."""

_METAVARS: Mapping[object, str] = {
    bool: "",
    Duration: "DURATION",
    Bytes: "SIZE",
    int: "INT",
    float: "FLOAT",
    str: "TEXT",
    Path: "PATH",
}


def parse_flags(
    command: str, description: str, argv: Sequence[str], models: Sequence[type[Settings]]
) -> dict[str, Any]:
    """The flags that were given, as raw values by field name. `--help` prints and exits.

    Args:
        command: What the user typed, such as `python train.py`.
        description: What it does.
        argv: What follows the command.
        models: Whose fields are flags.

    Raises:
        SettingsError: For a flag that does not exist, or a value that is empty.
    """
    _check_filled(argv)
    import tyro  # with rich, a third of a second: only a command needs it

    fields = {name: field for model in models for name, field in model.model_fields.items()}
    flags = {name: _flag(field) for name, field in fields.items()}
    given, unknown = tyro.cli(
        TypedDict("Flags", flags, total=False),  # pyright: ignore[reportArgumentType]
        prog=command,
        description=description,
        args=argv,
        return_unknown_args=True,
    )
    if unknown:
        names = ["--" + name.replace("_", "-") for name in fields]
        near = difflib.get_close_matches(unknown[0], names, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]}?" if near else f"see `{command} --help`"
        raise SettingsError(unknown[0], f"{command} has no such option", remedy)
    return dict(given)


def metavar(annotation: object) -> str:
    """How a flag's value is shown: `{2,3}`, `INT ...`, `NAME=VALUE ...`."""
    if annotation in _METAVARS:
        return _METAVARS[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "{" + ",".join(str(part) for part in parts) + "}"
    if origin is tuple:
        return f"{metavar(parts[0])} ..." if Ellipsis in parts else " ".join(map(metavar, parts))
    if origin is dict:
        return "NAME=VALUE ..."
    if origin is Annotated or origin in (Union, types.UnionType):
        return metavar(parts[0])
    return "JSON"


def _flag(field: FieldInfo) -> Any:  # noqa: ANN401 - a type made at run time
    from tyro.conf import arg
    from tyro.constructors import PrimitiveConstructorSpec

    help_text = " ".join((field.description or "").split()).replace("None", UNSET)
    default = UNSET if field.default is None else "none" if field.default == () else field.default
    hint = "(required)" if field.is_required() else f"(default: {default})"
    shown = arg(help=help_text, help_behavior_hint=hint)
    if field.annotation is bool:
        return Annotated[bool, shown]
    # Any number of words: how many are right is for the field to say.
    text = PrimitiveConstructorSpec(
        nargs="*",
        metavar=metavar(field.annotation),
        instance_from_str=partial(_raw, field.annotation),
        is_instance=lambda _: True,
        str_from_instance=lambda value: [str(value)],
    )
    return Annotated[Any, text, shown]


def _raw(annotation: object, words: Sequence[str]) -> object:
    """The words after a flag, in the structure that the field has."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return None if list(words) == [UNSET] else _raw(parts[0], words)
    if origin is tuple:
        return [_raw(parts[0], [word]) for word in words]
    if origin is dict and len(words) == 1 and words[0].lstrip().startswith("{"):
        with suppress(ValueError):  # what is no JSON either is refused as a value
            return json.loads(words[0])
    if origin is dict:
        return {name: value for name, _, value in (word.partition("=") for word in words)}
    return _scalar(annotation, words[0]) if len(words) == 1 else list(words)


def _scalar(annotation: object, word: str) -> object:
    """One word; only what pydantic does not read from text is converted."""
    if get_origin(annotation) is Literal and isinstance(get_args(annotation)[0], int):
        return int(word) if word.isdigit() else word
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        with contextlib.suppress(ValueError):
            return json.loads(word)
    return word


def _check_filled(argv: Sequence[str]) -> None:
    """Refuse what a shell leaves of an unset variable: as a path it would be this folder."""
    flag = "argument"
    for word in argv:
        flag = word.partition("=")[0] if word.startswith("--") else flag
        if not word.strip() or (word.startswith("--") and word.endswith("=")):
            remedy = "give a value, or leave it out; a dot is this folder"
            raise SettingsError(flag, "an empty value, as of a variable that is not set", remedy)
