"""dataset.json of the Medical Decathlon and of nnU-Net: made by others, so not trusted."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from medseg.errors import MedsegError

MAX_BYTES = 32 * 2**20

Text = Annotated[str, Field(max_length=1000)]
Names = dict[Text, Text | int | list[int]]


class Entry(BaseModel):
    """One training case of the Decathlon: paths relative to the folder of dataset.json."""

    model_config = ConfigDict(frozen=True)

    image: Text
    label: Text

    @field_validator("image", "label")
    @classmethod
    def _inside(cls, path: str) -> str:
        posix, windows = PurePosixPath(path), PureWindowsPath(path)
        if posix.is_absolute() or windows.anchor or ".." in windows.parts or "\0" in path:
            raise ValueError("must be a path inside the dataset's folder")
        return path


class DatasetJson(BaseModel):
    """What is used of the file; the rest is ignored."""

    model_config = ConfigDict(frozen=True)

    training: tuple[Entry, ...] = Field(default=(), max_length=100_000)
    labels: Names = Field(default={}, max_length=10_000)
    channel_names: Names | None = None
    modality: Names | Text | None = None

    @property
    def num_channels(self) -> int | None:
        """How many channels it names, None if it names none."""
        named = self.channel_names or self.modality
        return len(named) if isinstance(named, dict) and named else None

    @property
    def class_values(self) -> dict[str, int] | None:
        """Class name -> value in the labels, background included.

        The Decathlon writes {"1": "liver"}, nnU-Net {"liver": 1}. None if the file names no
        classes, or names regions of several values: the values themselves are the classes then.
        """
        values: dict[str, int] = {}
        for key, named in self.labels.items():
            name, value = (
                (named, key) if isinstance(named, str) and key.isdecimal() else (key, named)
            )
            if isinstance(value, list) or not str(value).isdecimal():
                return None
            values[str(name)] = int(value)
        return values or None


def read_dataset_json(path: Path) -> DatasetJson:
    """Read and check the file.

    Raises:
        MedsegError: If it is too large, not JSON, or not of either format.
    """
    remedy = "correct it, or rename it to have the folder itself looked at"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MedsegError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; {remedy}")
        return DatasetJson.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise MedsegError(f"{path}: {where}: {first['msg']}; {remedy}") from None
    except OSError as error:
        raise MedsegError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
