"""Which image belongs to which label: all readings of names, and the one that makes sense.

A reading says how a name splits into a case and a part of it, which is a channel or a class. Every
pair of readings, one for images and one for labels, is tried; `plausible.DOUBTS` may veto one.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from medseg.scans.bundles import Bundle, Told, Wish, assemble
from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule, without_channel
from medseg.scans.listing import File
from medseg.scans.names import (
    PART_WORDS,
    bare,
    case_folder,
    class_of,
    is_image_folder,
    is_label_folder,
    loose,
    natural_key,
    role,
)
from medseg.scans.plausible import Doubt, doubts_of, is_contrast, masks_for_images

Reading = Literal[
    "file", "suffix", "class folder", "channel folder", "case folder", "word", "stem", "number"
]
"""How a path under its root splits into a case and a part of it, which is a channel or a class.

`file`: the path is the case. `suffix`: the stem is the other side's name and the part.
`class folder`: part/case. `channel folder`: the same, where folders are called after contrasts.
`case folder`: case/part. `word`: as `file`, without the words for images and labels anywhere in
the stem. `stem`: as `file`, whatever the folders are. `number`: the only number of the stem, where
all stems are alike but for it.
"""

_TRIED: tuple[tuple[Reading, Reading], ...] = (
    *product(("file", "class folder", "case folder"), ("file", "suffix", "case folder")),
    ("suffix", "file"),
    ("suffix", "stem"),
    ("word", "word"),
    ("stem", "stem"),
    ("number", "number"),
    ("file", "channel folder"),
    ("class folder", "channel folder"),
)
"""Readings of labels and of images, the plainest first: it is taken where several do equally."""
_ONE_IMAGE: tuple[tuple[Reading, Reading], ...] = (("case folder", "case folder"),)
_CASE_FOLDERS: tuple[tuple[Reading, Reading], ...] = (
    ("file", "file"),
    ("case folder", "case folder"),
    ("suffix", "file"),
    ("word", "word"),
)
_KINDS: dict[Reading, Told] = {
    "suffix": "suffix",
    "case folder": "folder",
    "channel folder": "outer",
}
"""How channels are told apart by these readings of images."""
_DIGITS = re.compile(r"\d+")
_ENOUGH = 0.5
"""Share of a doubtful reading's cases that one free of doubt must find to be taken instead."""


class Pairs(NamedTuple):
    """What came of pairing.

    Attributes:
        cases: With their files.
        problems: What was left out.
        rule: How channels are told apart.
        classes: Names of the masks, where they are files of their own.
        left: How many files belong to no case.
        doubts: Why this reading makes no sense.
        notes: What a user should know of it.
    """

    cases: tuple[Case, ...] = ()
    problems: tuple[Problem, ...] = ()
    rule: ChannelRule = ChannelRule()
    classes: tuple[str, ...] = ()
    left: int = 0
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...] = ()


def pair(
    images: Sequence[File],
    labels: Sequence[File],
    wish: Wish = Wish(),  # noqa: B008 - it is frozen
    *,
    case_folders: bool = False,
) -> Pairs:
    """Pair images with labels by the reading of their names that makes sense for most.

    Args:
        images: Image files.
        labels: Label files.
        wish: What is known beforehand.
        case_folders: Only read names as folders of cases or of patients.
    """
    images, labels = [_with_part(f) for f in images], [_with_part(f) for f in labels]
    readings = [
        _read(images, labels, how, wish)
        for how in (_in_folders(images) if case_folders else _TRIED)
        if (how != ("number", "number") or (_numbered(images) and _numbered(labels)))
        and ("channel folder" not in how or _by_contrast(images))
    ]
    return best_of([reading for reading in readings if reading is not None]) or _nothing(
        images, labels, wish
    )


def _in_folders(images: Sequence[File]) -> tuple[tuple[Reading, Reading], ...]:
    """Folders of one image each are cases, whatever their labels are called."""
    counts = Counter(file.name.rpartition("/")[0] for file in images)
    single = sum(count == 1 for count in counts.values())
    return _ONE_IMAGE if 2 * single > len(counts) else _CASE_FOLDERS


def best_of(readings: Sequence[Pairs]) -> Pairs | None:
    """The one with most cases, then fewest files left over, then the first.

    One in doubt counts only where those free of doubt find less than half of its cases.
    """

    def worth(reading: Pairs) -> tuple[int, int]:
        return len(reading.cases), -reading.left

    clear = max((r for r in readings if not r.doubts), key=worth, default=None)
    doubtful = max((r for r in readings if r.doubts), key=worth, default=None)
    if clear is None or doubtful is None:
        return clear or doubtful
    enough = len(clear.cases) >= max(1, _ENOUGH * len(doubtful.cases))
    return clear if enough else doubtful


def _with_part(file: File) -> File:
    """Two sides of a split may use the same names."""
    return file._replace(name=f"{file.part}/{file.name}") if file.part else file


def _read(
    images: Sequence[File], labels: Sequence[File], how: tuple[Reading, Reading], wish: Wish
) -> Pairs | None:
    label_reading, image_reading = how
    if label_reading == "suffix":
        image_bundles = _bundles(images, image_reading, frozenset())
        keys = frozenset(bundle.key for bundle in image_bundles)
        label_bundles = _bundles(labels, label_reading, keys)
    else:
        label_bundles = _bundles(labels, label_reading, frozenset())
        keys = frozenset(bundle.key for bundle in label_bundles)
        image_bundles = _bundles(images, image_reading, keys)
    found = {bundle.key for bundle in image_bundles} & {bundle.key for bundle in label_bundles}
    if not found:
        return None
    kind = _KINDS.get(image_reading, "single")
    made = assemble(image_bundles, label_bundles, kind, wish)
    notes = made.notes
    if image_reading == "number":
        notes = (*notes, f"paired by the numbers in their names, as {_example(made.cases)}")
    known = {path for case in made.cases for path in case.images}
    left = [file.path for file in images if file.path not in known]
    used = sum(len(case.images) + sum(p is not None for p in case.labels) for case in made.cases)
    return Pairs(
        made.cases,
        made.problems,
        made.rule,
        made.classes,
        len(images) + len(labels) - used,
        (*doubts_of(made), *masks_for_images(made, left)),
        notes,
    )


def _nothing(images: Sequence[File], labels: Sequence[File], wish: Wish) -> Pairs:
    """No name of an image is one of a label: each is a problem."""
    made = assemble(
        _bundles(images, "file", frozenset()), _bundles(labels, "file", frozenset()), "single", wish
    )
    return Pairs(problems=made.problems, left=len(images) + len(labels))


def _example(cases: Sequence[Case]) -> str:
    label = next((path for case in cases[:1] for path in case.labels if path), None)
    return f"{cases[0].images[0].name} with {label.name}" if label else ""


def _bundles(files: Sequence[File], reading: Reading, keys: frozenset[str]) -> list[Bundle]:
    bundles: dict[str, Bundle] = {}
    for file in files:
        name, key, part = _split(file.name, reading, keys)
        bundle = bundles.get(name.casefold())
        if bundle is None:
            bundle = bundles[name.casefold()] = Bundle(name, key, file.part, {})
        bundle.parts.setdefault(part, []).append(file.path)
    return sorted(bundles.values(), key=lambda bundle: natural_key(bundle.name))


def _split(name: str, reading: Reading, keys: frozenset[str]) -> tuple[str, str, str]:
    """The case's name, what it is compared by, and the part."""
    if reading == "suffix":
        return _cut(name, keys)
    if reading in _WHOLE or "/" not in name:
        return name, _WHOLE.get(reading, bare)(name), ""
    return _case_folder(name) if reading == "case folder" else _part_folder(name, reading)


def _part_folder(name: str, reading: Reading) -> tuple[str, str, str]:
    """As `_split`: t1/p1 and liver/p1 are of p1, and so is t1/p1_t1."""
    *outer, inner, stem = name.split("/")
    part = class_of(inner)
    if reading == "channel folder":
        part = inner.casefold()
        stem = without_channel(stem, part)
    case = "/".join((*outer, stem))
    return case, bare(case), part


def _case_folder(name: str) -> tuple[str, str, str]:
    """As `_split`: case1/t1 is of case1."""
    folder, _, stem = name.rpartition("/")
    # case1/masks/liver: `masks` says what kind of files these are, not which case they are of.
    parents = [p for p in folder.split("/") if not (is_label_folder(p) or is_image_folder(p))]
    case = "/".join(parents) or folder
    return case, bare(case), role(stem, case_folder(PurePosixPath(folder)).name)


def _cut(name: str, keys: frozenset[str]) -> tuple[str, str, str]:
    """The longest start of a name that is one of the other side, and what follows."""
    for cut in (len(name), *(i for i in range(len(name) - 1, 0, -1) if name[i] in " _.-(")):
        if (key := bare(name[:cut])) in keys:
            return name[:cut], key, name[cut:].casefold()
        if name[cut : cut + 1] == "/":
            break
    return name, bare(name), ""


def _by_stem(name: str) -> str:
    """Without folders, the side of a split apart."""
    first, slash, _ = name.partition("/")
    side = f"{first}/" if slash and first in PART_WORDS.values() else ""
    return side + bare(name.rpartition("/")[2])


def _by_number(name: str) -> str:
    folder, _, stem = name.rpartition("/")
    return f"{folder.casefold()}/{_number(stem)}"


def _number(stem: str) -> str:
    """Its digits in groups, without leading zeros."""
    return " ".join(group.lstrip("0") or "0" for group in _DIGITS.findall(stem))


_WHOLE: dict[Reading, Callable[[str], str]] = {
    "file": bare,
    "word": loose,
    "stem": _by_stem,
    "number": _by_number,
}
"""Readings in which a file is a case, and what it is compared by."""


def _by_contrast(images: Sequence[File]) -> bool:
    """Whether images lie in folders that are called after contrasts, each case in several."""
    folders = {file.name.split("/")[-2] for file in images if "/" in file.name}
    inside = all("/" in file.name for file in images)
    return inside and len(folders) > 1 and all(map(is_contrast, folders))


def _numbered(files: Sequence[File]) -> bool:
    """Whether all stems are alike but for one number, which each has for itself."""
    stems = [file.name.rpartition("/")[2].casefold() for file in files]
    frames = {_DIGITS.sub("#", stem) for stem in stems}
    places = {_split(file.name, "number", frozenset())[1] for file in files}
    return len(frames) == 1 and frames.pop().count("#") == 1 and len(places) == len(files) > 1
