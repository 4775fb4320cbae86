"""Settings: what a person can set, checked when it is built, with everything wrong said at once."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from medseg.errors import SettingsError


class Rule(NamedTuple):
    """A combination of settings that makes no sense."""

    fields: tuple[str, ...]
    broken: Callable[[Any], bool]
    rule: str
    remedy: str


class Settings(BaseModel):
    """Frozen settings, each documented under its field; unknown names are refused.

    Raises (when built):
        ValidationError: Holding one SettingsError for all that is wrong: `name = value`, the rule,
            the remedy of each; `build` raises the SettingsError itself.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, values: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Collect what is wrong with single fields and with combinations of the sound ones."""
        if not isinstance(values, dict):
            return handler(values)
        wrong: list[SettingsError] = []
        failed: set[object] = set()
        try:
            settings = handler(values)
        except ValidationError as error:
            details = error.errors(include_url=False)
            places = [detail["loc"] for detail in details]
            wrong = [
                cls._error(place, detail["input"], detail["msg"])
                for place, detail in zip(places, details, strict=True)
                if not any(place == other[: len(place)] != other for other in places)
            ]
            failed = {place[0] for place in places}
            sound = {name: value for name, value in values.items() if name not in failed}
            settings = handler(sound) if cls._required() <= sound.keys() else None
        for rule in cls.rules:
            if settings and not failed.intersection(rule.fields) and rule.broken(settings):
                written = settings.model_dump(mode="json")
                shown = ", ".join(f"{name} = {written[name]}" for name in rule.fields)
                wrong.append(SettingsError(shown, rule.rule, rule.remedy))
        if wrong:
            raise SettingsError.all_of(wrong)
        return cast(Self, settings)

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        """Refuse what is left of an unset variable: as a path it would be the working folder."""
        if isinstance(value, str) and not value.strip():
            raise ValueError("must not be empty")
        return value

    @classmethod
    def _required(cls) -> set[str]:
        return {name for name, field in cls.model_fields.items() if field.is_required()}

    @classmethod
    def _error(cls, location: tuple[int | str, ...], value: object, message: str) -> SettingsError:
        """One wrong value: `name = value`, rule, remedy."""
        name, inner = str(location[0]), location[1:]
        field = cls.model_fields.get(name)
        if field is None:
            near = difflib.get_close_matches(name, cls.model_fields, n=1, cutoff=0.5)
            remedy = (
                f"did you mean {near[0]}?" if near else "the known ones are in docs/settings.md"
            )
            return SettingsError(f"{name} = {value!r}", "no setting has this name", remedy)
        if message == "Field required":
            return SettingsError(name, "is required", "give it")
        where = name + "".join(f"[{part!r}]" for part in inner)
        rule = re.sub("^Input should|^(Tuple|List|String|Dictionary) should", "must", message)
        rule = re.sub("^Value error, | after validation|, unable to parse .*", "", rule)
        near = difflib.get_close_matches(str(value), _choices(field.annotation), n=1)
        if near:
            remedy = f"did you mean {near[0]!r}?"
        elif field.is_required() or field.default is None:
            remedy = "correct it" if field.is_required() else "correct it or leave it out"
        else:
            remedy = f"the default is {field.default}"
        return SettingsError(f"{where} = {value!r}", rule, remedy)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        """From raw values: typed ones, or text as on the command line.

        Raises:
            SettingsError: With one of `each` per wrong value.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise as_settings_error(error) from None


def as_settings_error(error: ValidationError) -> SettingsError:
    """What Settings collected, out of pydantic's wrapping."""
    wrong: list[SettingsError] = []
    for detail in error.errors():
        cause = detail.get("ctx", {}).get("error")
        if not isinstance(cause, SettingsError):
            cause = SettingsError(f"{detail['input']!r}", detail["msg"], "see docs/settings.md")
        wrong += [one for one in cause.each if isinstance(one, SettingsError)]
    return SettingsError.all_of(wrong)


def _choices(annotation: object) -> list[str]:
    """The words a field's type allows, at any depth."""
    if isinstance(annotation, str):
        return [annotation]
    return [word for part in get_args(annotation) for word in _choices(part)]
