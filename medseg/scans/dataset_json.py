"""dataset.json of the Medical Decathlon and of nnU-Net, and MONAI's lists: made by others."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from medseg.errors import MedsegError
from medseg.files import machine_error
from medseg.scans.regions import Regions, misread_in, regions_of
from medseg.scans.tables import each_once

MAX_BYTES = 32 * 2**20
MOST_VALUE = 2**31
IGNORE = "ignore"
"""What nnU-Net calls the value of voxels that nobody annotated."""
_MENDED = "correct it, or rename it to have the folder itself looked at"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


def _inside(path: str) -> str:
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    if posix.is_absolute() or windows.anchor or ".." in windows.parts or "\0" in path:
        raise ValueError("must be a path inside the dataset's folder")
    return windows.as_posix()


_NOWHERE = "."
"""What an empty path comes to."""

Text = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
FilePath = Annotated[Text, AfterValidator(_inside)]
Value = Text | int | float | list[int]
Names = dict[Text, Value]


class Entry(BaseModel):
    """One case: paths relative to the folder of the file that lists it."""

    model_config = ConfigDict(frozen=True)

    image: FilePath | tuple[FilePath | None, ...]
    label: FilePath | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """One path, or one per channel that is there."""
        if isinstance(self.image, str):
            return (self.image,)
        return tuple(path for path in self.image if path not in (None, _NOWHERE))

    @model_validator(mode="after")
    def _has_an_image(self) -> Self:
        if not self.images:
            raise ValueError("must name an image")
        return self


Entries = tuple[Entry, ...]


class DatasetJson(BaseModel):
    """What is used of the file; `notes` says what is not."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    training: Entries = Field(default=(), max_length=100_000, alias="train")
    validation: Entries = Field(default=(), max_length=100_000, alias="val")
    labels: Names = Field(default={}, max_length=10_000)
    channel_names: Names | None = None
    modality: Names | Text | None = None
    file_ending: Text = ""
    numTraining: int | float | str | None = None  # noqa: N815 - as the file has it
    regions_class_order: list[int] | None = None
    source: str = "dataset.json"

    @field_validator("training", "validation", mode="before")
    @classmethod
    def _entries(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        """Names alone list what has no label."""
        if isinstance(value, list):
            return [{"image": e} if isinstance(e, str) else e for e in value]  # pyright: ignore
        return value

    @field_validator("labels", "channel_names", "modality", mode="before")
    @classmethod
    def _numbered(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        """A list is numbered from 0."""
        if isinstance(value, list):
            return {str(index): name for index, name in enumerate(value)}  # pyright: ignore
        return value

    @property
    def num_channels(self) -> int | None:
        """How many channels it names, None if it names none."""
        named = self.channel_names or self.modality
        return len(named) if isinstance(named, dict) and named else None

    @property
    def regions(self) -> Regions | None:
        """Classes of several values, which may overlap; None if each has one.

        Raises:
            MedsegError: If a region is none, or their order has another number of entries.
        """
        if not any(isinstance(value, list) for value in self.labels.values()):
            return None
        values: dict[str, tuple[int, ...]] = {}
        for name, several in self.labels.items():
            if name.casefold() == IGNORE:
                continue
            each = several if isinstance(several, list) else [self._number(name, several)]
            if not each or min(each) < 0 or max(each) >= MOST_VALUE:
                self._refuse(f"{name}: {each[:5]} are no values of a region")
            if {*each} != {0}:
                values[name] = tuple(sorted({*each}))
        order = self.regions_class_order
        if order is None:
            return regions_of(values)
        if len(order) != len(values):
            self._refuse(f"regions_class_order names {len(order)} of {len(values)} regions")
        told_apart = len({*order}) == len(order)
        misread = misread_in(tuple(values.values()), order) if told_apart else None
        if misread is not None:
            self._refuse(
                f"regions_class_order writes {[*values][misread]} as {order[misread]}: it must be "
                "a value of it, not of later ones, and the region inside of earlier ones or apart"
            )
        return Regions(values, tuple(order))

    @property
    def ignore_label(self) -> int | None:
        """The value of voxels that nobody annotated."""
        plain = {name: v for name, v in self.labels.items() if not isinstance(v, list)}
        return next(
            (value for name, value in self._pairs(plain) if name.casefold() == IGNORE), None
        )

    @property
    def class_values(self) -> dict[str, int] | None:
        """Class name -> value in the labels, background included.

        The Decathlon writes {"1": "liver"}, nnU-Net {"liver": 1}. None if the file names no
        classes, or names regions of several values.

        Raises:
            MedsegError: If two classes share a name or a value, or one is none.
        """
        if self.regions is not None:
            return None
        values: dict[str, int] = {}
        for name, value in self._pairs(self.labels):
            if name in values:
                self._refuse(f"two classes are called {name}")
            if value in values.values():
                other = next(n for n, v in values.items() if v == value)
                self._refuse(f"{other} and {name} have the same value, {value}")
            values[name] = value
        return {name: v for name, v in values.items() if name.casefold() != IGNORE} or None

    def notes(self, found: int) -> Iterator[str]:
        """What it says that does not fit or is not followed, a line each.

        Args:
            found: How many cases there are.
        """
        announced = str(self.numTraining if self.numTraining is not None else found)
        if announced.isdecimal() and int(announced[:18]) != found:
            yield f"{self.source} announces {announced[:18]} training cases, {found} are there"
        schemes = [str(name) for name in (self.channel_names or {}).values()]
        foreign = [name for name in schemes if name.casefold() in _SCHEMES]
        if foreign:
            yield (
                f"{self.source} asks for nnU-Net's normalisation {', '.join(foreign)}, which is "
                "not followed; intensities decide"
            )

    def _pairs(self, labels: Mapping[str, Value]) -> Iterator[tuple[str, int]]:
        for key, named in labels.items():
            turned = isinstance(named, str) and key.isdecimal()
            name, value = (str(named), key) if turned else (key, named)
            yield name, self._number(name, value)

    def _number(self, name: str, value: Value) -> int:
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if not text.isdecimal() or int(text) >= MOST_VALUE:
            self._refuse(f"{name}: {text[:40]} is no value of a label, 0 to {MOST_VALUE - 1}")
        return int(text)

    def _refuse(self, what: str) -> None:
        raise MedsegError(self.source, f"labels: {what}", _MENDED)


_SCHEMES = frozenset(["nonorm", "rescale_to_0_1", "rescaleto01", "rgb_to_0_1", "rgbto01"])


def read_dataset_json(path: Path) -> DatasetJson:
    """Read and check the file.

    Raises:
        MedsegError: If it is too large, not JSON, or not of either format.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise MedsegError(str(path), "file: must hold names and values in {}", _MENDED)
    return checked(path, value)


def checked(path: Path, value: dict[str, Any]) -> DatasetJson:
    """Check what a file holds.

    Raises:
        MedsegError: If it is not of either format.
    """
    try:
        return DatasetJson.model_validate({**value, "source": path.name})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:3]) or "file"
        what = f"{_printed(where)}: {first['msg']}"
        raise MedsegError(str(path), what, _MENDED) from None


def read_json(path: Path) -> object:
    """What the file holds.

    Raises:
        MedsegError: If it is too large, cannot be read, is not JSON, or has a key twice.
        MachineError: If the machine cannot read it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MedsegError(str(path), f"larger than {MAX_BYTES // 2**20} MiB", _MENDED)
        text = path.read_bytes().decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=each_once)
    except UnicodeDecodeError:
        raise MedsegError(str(path), "file: is not text in UTF-8", _MENDED) from None
    except RecursionError:
        raise MedsegError(str(path), "file: is nested too deeply", _MENDED) from None
    except OSError as error:
        raise machine_error(error, path.name) or MedsegError(
            str(path), f"cannot be read ({error.strerror})", _MENDED
        ) from error
    except MedsegError:
        raise
    except ValueError as error:
        raise MedsegError(str(path), f"file: {_printed(str(error))}", _MENDED) from None


def _printed(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]
