"""HParams: every setting of a run in one frozen object."""

import contextlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
)
from typing_extensions import Self

from medseg.errors import SettingsError
from medseg.families import FAMILIES, EncoderName, family_of
from medseg.files import machine_error, write_text
from medseg.quantities import Bytes, Duration
from medseg.settings import Rule, Settings

PositiveInt = Annotated[int, Field(ge=1)]
_MOST_VALUE = 2**31
LabelValue = Annotated[int, Field(ge=0, lt=_MOST_VALUE)]
Millimetres = Annotated[float, Field(gt=1e-9, lt=1e9)]


def _known_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError("must be auto, cpu, mps, cuda or cuda:N with N the number of the GPU")
    return device


def _known_fold(fold: object) -> object:
    number = isinstance(fold, int) or (isinstance(fold, str) and fold.isdecimal())
    if not number and fold not in ("all", "none"):
        raise ValueError("must be the number of a fold, from 0, or all or none")
    return int(fold) if isinstance(fold, str) and number else fold


def _label_values(values: object) -> object:
    """One value, or several: a list, or a text such as 1,2,4."""
    words = values.strip("[] ").split(",") if isinstance(values, str) else values
    each: list[object] = list(words) if isinstance(words, list | tuple) else [words]
    try:
        numbers = tuple(int(str(value)) for value in each)
    except ValueError:
        numbers = (-1,)
    if not all(0 <= number < _MOST_VALUE for number in numbers):
        raise ValueError(f"must be an integer from 0 to {_MOST_VALUE - 1}, or a list of them")
    single = not isinstance(values, list | tuple) and len(numbers) == 1
    return numbers[0] if single else numbers


LabelValues = Annotated[int | tuple[int, ...], BeforeValidator(_label_values)]
Device = Annotated[str, AfterValidator(_known_device)]
Fold = Annotated[Annotated[int, Field(ge=0)] | Literal["all", "none"], BeforeValidator(_known_fold)]
Tta = Literal["none", "mirror"]
MissingMasks = Literal["refuse", "empty", "unannotated"]
Overlap = Annotated[float, Field(ge=0, le=0.9)]
_MASKABLE = " and ".join(family.name for family in FAMILIES if family.maskable)


def _read_json(value: object) -> object:
    """What JSON will give back; a word as the number or list that it means, if it means one."""
    with contextlib.suppress(TypeError, ValueError):
        return json.loads(value if isinstance(value, str) else json.dumps(value, allow_nan=False))
    return value


NetworkArgument = Annotated[JsonValue, BeforeValidator(_read_json)]


class ExtraTransform(BaseModel):
    """A torchio transform of the user's own, for training patches."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z]\w*$")
    """Name of the class in torchio, such as RandomGhosting."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """Its keyword arguments."""

    @field_validator("arguments", mode="before")
    @classmethod
    def _as_json(cls, arguments: object) -> object:
        """What JSON will give back: tuples become lists."""
        try:
            return json.loads(json.dumps(arguments, allow_nan=False))
        except (TypeError, ValueError):
            raise ValueError("must hold only texts, finite numbers, lists and dicts") from None


class HParams(Settings):
    """The settings of one run. `None` means: decided by medseg, from the data where it matters."""

    # --- data
    dim: Literal[2, 3] = 3
    """Spatial axes of the network: 3, or 2 (images, and volumes slice by slice)."""
    data: Path = Path("data/demo")
    """Folder of the training data, in any layout of docs/data.md. The demo is made when missing."""
    images: Path | None = None
    """Folder of the images, when images and labels do not share `data`; goes with `labels`."""
    labels: Path | None = None
    """Folder of the labels; goes with `images`."""
    pattern: str | None = Field(default=None, min_length=1)
    """Glob of the files inside `images` and `labels`, such as `*/*.mhd`. None: every scan file."""
    output: Path | None = None
    """Folder of the run. None: a new folder in `runs`."""
    classes: dict[Annotated[str, Field(min_length=1)], LabelValues] | None = Field(
        default=None, min_length=1
    )
    """Class name -> its value in the label files, or several values of a region that may overlap
    others: {"whole": [1, 2, 4], "core": [1, 4], "enhancing": 4}. None: every value is a class."""
    ignore_label: LabelValue | None = None
    """Value in the label files of voxels that nobody annotated: neither trained nor scored. None:
    as the dataset's own description says, else no value."""
    channels: PositiveInt | None = None
    """Channels of each image; a case with another number is left out. None: as most cases have."""
    task: Literal["multiclass", "multilabel"] | None = None
    """multiclass: one class per voxel. multilabel: classes may overlap (one mask file per class).
    None: found out."""
    missing_masks: MissingMasks = "refuse"
    """Where each class has a mask file and a case has none of it. refuse: leave the case out.
    empty: the class is absent there. unannotated: nobody looked for it, so it may be there."""
    missing_channels: Literal["refuse", "absent"] = "refuse"
    """Where a case lacks files of some channels. refuse: leave it out. absent: learn without them,
    so that scans that lack some can be predicted too; a channel of one value counts as absent."""
    annotated: Path | None = None
    """CSV or JSON table of case and the classes annotated in it, such as liver|spleen; other
    classes may be there unmarked. Cases that it does not name have all. None: all cases have."""
    groups: str | None = Field(default=None, min_length=1)
    """Who belongs together on one side of a split, such as scans of one patient: a regular
    expression whose match in a case's name (or first group in it) says who it is of, or a CSV or
    JSON table of case and group. None: found from the names."""
    split: Path | None = None
    """Which cases train and which validate: JSON with "training" and "validation", nnU-Net's
    splits_final.json, or a CSV of case and part. None: the dataset's own, else dealt by `folds`."""

    # --- network
    encoder: EncoderName = "convnext_mini"
    """The network's encoder. micro and mini are made for CPU, the others have the papers' sizes."""
    pretrained: Path | None = None
    """What to start from: a file of weights that docs/pretrained.md lists, best with a paper's
    size, or the folder of another run. None: random weights."""
    network: str | None = Field(default=None, min_length=1)
    """A network of others in place of encoder and decoder, such as monai:DynUNet, smp:Unet:resnet34
    or unet; docs/networks.md lists them. None: ours, with the encoder above."""
    network_arguments: dict[str, NetworkArgument] = Field(default_factory=dict)
    """Arguments of `network`'s class, which go before what is planned."""
    head: Literal["pointrend", "dense"] = "pointrend"
    """pointrend sharpens boundaries by re-deciding uncertain points; dense only upsamples."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Chance that a residual branch is skipped in training, in [0, 1). Raise it for large
    encoders on little data."""

    pretrain: Literal["masked"] | None = None
    """masked: train the encoder alone, on scans whose labels are not looked at, to restore what is
    masked; the result is a file for `pretrained`. None: train a segmentation model."""

    # --- what the network sees
    patch_size: tuple[PositiveInt, ...] | None = Field(default=None, min_length=2, max_length=3)
    """Patch in voxels, one number per spatial axis (`dim` of them). None: planned."""
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] | None = None
    """Voxel spacing that scans are resampled to, in mm: left-right, back-front, down-up.
    None: planned."""
    batch_size: PositiveInt | None = None
    """Patches per step. None: planned under the memory limit."""

    # --- training
    steps: PositiveInt | None = None
    """Training steps. At most one of steps, epochs and time_budget; without any: planned."""
    epochs: PositiveInt | None = None
    """Training length in passes over the training cases."""
    time_budget: Duration | None = None
    """Training length as a duration such as 90s, 15m or 1h30m, validation and report included."""
    patience: float | None = Field(default=None, gt=0, lt=1)
    """Share of the length, in (0, 1), such as 0.25: when validation has not become better for so
    long, the learning rate falls to 0 within a fifth of the steps done, and training ends. None:
    the whole length is used."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate of AdamW, above 0. None: planned, by network and pretraining."""
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    """What the learning rate is multiplied by from each stage of the encoder to the one before, in
    (0, 1]. None: 1, but 0.9 for a pretrained encoder of a paper's size."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Weight decay of AdamW, at least 0."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the schedule in which the learning rate rises, in [0, 1)."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient, above 0."""
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    """Weight of the past in the running average of the weights, per step, in [0, 1); it is reached
    after some steps, so that a short run is averaged over its end. The average is the model."""
    loss: Literal["dice_ce", "dice_focal", "tversky_ce", "boundary"] = "dice_ce"
    """dice_ce: Dice plus cross-entropy. dice_focal: Dice plus focal loss, for voxels that are hard.
    tversky_ce: misses count more than false finds, for small classes. boundary: dice_ce plus the
    overlap of edges."""
    class_weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] | None = None
    """Class name -> its weight in the loss, such as 5 for a class that must not be missed; classes
    that are not named have 1. None: all have."""
    augmentation: Literal["none", "light", "default"] = "default"
    """Strength of the random changes to training patches."""
    flips: tuple[Literal["x", "y", "z"], ...] | None = None
    """Axes mirrored in training: x left-right, y back-front, z down-up (of images: x across, y
    down). Along x, classes called left and right become each other. None: of volumes x, if names
    and places of the classes show that a mirror image is as likely; of images every axis."""
    extra_transforms: tuple[ExtraTransform, ...] = ()
    """Your own torchio transforms, each {"name": ..., "arguments": {...}}: a dict in hparam.py,
    JSON on the command line."""
    folds: int = Field(default=5, ge=2)
    """Number of parts the cases are dealt into, in natural order; at least 2."""
    fold: Fold = 0
    """The part that is validated on instead of trained on; counts from 0, below `folds`. all: a
    training for each, one after another, each of the whole length; predict averages them. none:
    every case trains, and nothing is validated."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Start of all random numbers, in [0, 2^32)."""
    deterministic: bool = False
    """Equal runs give equal models, at some cost in speed. Not with a time budget."""

    # --- machine
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    """Number format of training. auto: bf16 or 16 where the device gains by it, else 32."""
    activation_checkpointing: bool = False
    """Compute the encoder's activations twice instead of keeping them: less memory, more time."""
    attention_chunks: PositiveInt = 1
    """Parts in which swinv2's attention is computed, one after the other; more take less memory."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda, cuda:N or mps."""
    max_memory: Bytes | None = None
    """Memory to stay under, such as 4GB or 4GiB. None: what is free."""

    # --- prediction
    cleanup: Literal["learned", "none"] = "learned"
    """learned: stray pieces and holes of masks are mended, class by class, where that makes the
    validated cases better; predict does the same. none: masks stay as the network has them."""
    tta: Tta = "none"
    """mirror averages predictions over the axes that were mirrored in training."""
    overlap: Overlap = 0.5
    """Overlap of neighbouring windows as a share of the patch, in [0, 0.9]."""

    rules = (
        Rule(
            ("steps", "epochs", "time_budget"),
            lambda h: sum(length is not None for length in (h.steps, h.epochs, h.time_budget)) > 1,
            "at most one of them decides how long to train",
            "keep one",
        ),
        Rule(
            ("deterministic", "time_budget"),
            lambda h: h.deterministic and h.time_budget is not None,
            "how many steps fit into a time differs from run to run",
            "set steps instead of time_budget",
        ),
        Rule(
            ("fold", "folds"),
            lambda h: isinstance(h.fold, int) and h.fold >= h.folds,
            "fold counts from 0 and must be below folds",
            "lower fold",
        ),
        Rule(
            ("fold", "split"),
            lambda h: h.fold == "none" and h.split is not None,
            "without a fold every case trains, whatever a split says",
            "leave out one of them",
        ),
        Rule(
            ("fold", "pretrain"),
            lambda h: h.pretrain is not None and not isinstance(h.fold, int),
            "pretraining is once, on one fold",
            "give the number of a fold, or leave it out",
        ),
        Rule(
            ("patience",),
            lambda h: h.patience is not None and (h.pretrain is not None or h.fold == "none"),
            "without validation nothing tells whether training still makes it better",
            "leave out patience, or pretrain and fold = none",
        ),
        Rule(
            ("images", "labels"),
            lambda h: h.pretrain is None and (h.images is None) != (h.labels is None),
            "images and labels go together",
            "set both, or put everything under data",
        ),
        Rule(
            ("missing_channels", "pretrain"),
            lambda h: h.pretrain is not None and h.missing_channels == "absent",
            "an absent channel is nothing that could be restored",
            "leave out one of them",
        ),
        Rule(
            ("pretrain", "encoder", "network"),
            lambda h: (
                h.pretrain is not None
                and (h.network is not None or not family_of(h.encoder).maskable)
            ),
            f"only {_MASKABLE} learn from masked scans",
            "choose an encoder convnext_* or swinv2_*, without network",
        ),
        Rule(
            ("patch_size", "dim"),
            lambda h: h.patch_size is not None and len(h.patch_size) != h.dim,
            "patch_size needs one number per spatial axis",
            "give dim numbers, or leave patch_size out",
        ),
        Rule(
            ("classes",),
            lambda h: h.classes is not None and len(set(h.classes.values())) < len(h.classes),
            "two classes cannot share a value",
            "give each class its own value, or leave out the second name",
        ),
        Rule(
            ("classes",),
            lambda h: () in (h.classes or {}).values(),
            "a class needs a value",
            "give it one, or leave it out",
        ),
        Rule(
            ("classes", "ignore_label"),
            lambda h: any(
                h.ignore_label == value or (isinstance(value, tuple) and h.ignore_label in value)
                for value in (h.classes or {}).values()
            ),
            "a class cannot be ignored",
            "take its value out of one of them",
        ),
        Rule(
            ("flips",),
            lambda h: h.flips is not None and len(set(h.flips)) < len(h.flips),
            "an axis is mirrored once",
            "name each axis once",
        ),
    )

    @property
    def one_fold(self) -> int:
        """The fold of one training: the first, where all are trained or none is left out."""
        return self.fold if isinstance(self.fold, int) else 0

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            SettingsError: If the file cannot be read or holds wrong values.
            MachineError: If the machine fails to read it.
        """
        try:
            values = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise machine_error(error, str(path)) or SettingsError(
                str(path), f"cannot be read as JSON settings ({error})", "choose another file"
            ) from None
        return cls.build(values)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Raises:
            MachineError, OSError: As `whole_file`.
        """
        write_text(path, self.model_dump_json(indent=2) + "\n")
