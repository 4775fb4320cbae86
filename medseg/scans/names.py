"""What file names say: their order, their case, and whether they hold an image or a label."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Literal, NamedTuple, TypeVar
from unicodedata import normalize

from medseg.scans.formats import is_scan, suffix_of

AnyPath = TypeVar("AnyPath", bound=PurePath)
Part = Literal["training", "validation", "testing"]
"""A side of a split, as folders name it."""

LABEL_WORDS = frozenset(
    [
        "anno",
        "annos",
        "annot",
        "annotation",
        "annotations",
        "dseg",
        "gt",
        "gts",
        "ground_truth",
        "groundtruth",
        "groundtruths",
        "label",
        "labelmap",
        "labelmaps",
        "labels",
        "lbl",
        "lbls",
        "manual",
        "manual1",
        "mask",
        "masks",
        "msk",
        "msks",
        "seg",
        "segm",
        "segmentation",
        "segmentations",
        "segs",
        "truth",
        "truths",
    ]
)
IMAGE_WORDS = frozenset(
    [
        "image",
        "images",
        "imaging",
        "img",
        "imgs",
        "photo",
        "photos",
        "scan",
        "scans",
        "vol",
        "volume",
        "volumes",
    ]
)
RATER_WORDS = frozenset(
    [
        "annotator",
        "annotators",
        "consensus",
        "expert",
        "experts",
        "observer",
        "observers",
        "rater",
        "raters",
        "reader",
        "readers",
        "1stho",
        "2ndho",
        "3rdho",
        "staple",
    ]
)
"""Whose judgement a label is: labels of one scan that differ in these are not classes."""
PART_WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "va"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "ts"), "testing"),
}
_LABEL_FOLDERS = frozenset(["ann", "anns", "labelstr", "labelsts", "labelsval"])
_IMAGE_FOLDERS = frozenset(["imagestr", "imagests", "imagesval"])
_SHORT_PARTS = frozenset(["tr", "va", "ts"])
"""Say so only beside a word for images or labels, as in imagesTr."""

_SEPARATORS = re.compile(r"[\s_.\-]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_AFFIXES = "|".join(sorted(LABEL_WORDS | IMAGE_WORDS, key=len, reverse=True))
_PREFIX = re.compile(rf"^(?:{_AFFIXES})(?:[\s_.\-]+|(?=\d)|$)")
_SUFFIX = re.compile(rf"(?:[\s_.\-]+(?:{_AFFIXES}))+$")
_UNSAFE = re.compile(r"[^\w.+\-]+")
_YEAR = re.compile(r"(?<=[a-z])(?:19|20)\d\d$|^\d{1,2}(?=[a-z])")
"""What may stand at a word for a side of a split: `test2017`, `01training`."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sorting key in which case2 comes before case10; upper and lower case are alike."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", text.casefold())
    # The text itself breaks ties such as case1 and case01.
    return (*((int(digits), "") if digits else (-1, word) for digits, word in parts), (-2, text))


def is_image_file(path: Path) -> bool:
    """Whether the format is known and the file not hidden (such as macOS's `._` shadows)."""
    return not path.name.startswith(".") and is_scan(path)


def composed(name: str) -> str:
    """Each letter with its accents as one, however a file system spells it: ü, never u and dots."""
    return normalize("NFC", name)


def file_stem(path: Path) -> str:
    """The name without its image format: `scan` for `scan.nii.gz`."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def words(stem: str) -> list[str]:
    """The parts of a stem between separators, in lower case."""
    return [word for word in _SEPARATORS.split(stem.casefold()) if word]


def spoken(name: str) -> list[str]:
    """The words of a name, also where capitals part them: `manual`, `mask` for `ManualMask`."""
    return words(_HUMP.sub("_", name))


@lru_cache(1 << 16)
def is_label_name(stem: str) -> bool:
    """Whether a stem or a folder's name says that it holds labels."""
    found = {word.rstrip("0123456789") for word in (*words(stem), *spoken(stem))}
    return not (LABEL_WORDS.isdisjoint(found) and RATER_WORDS.isdisjoint((*found, *words(stem))))


@lru_cache(1 << 12)
def is_label_folder(name: str) -> bool:
    """Whether a folder's name says that it holds labels: `masks`, `1st_manual`, `ann_dir`."""
    said = spoken(name)
    numbered = not said or said[-1].isdecimal()
    return not numbered and (is_label_name(name) or not _LABEL_FOLDERS.isdisjoint(said))


@lru_cache(1 << 12)
def is_image_folder(name: str) -> bool:
    """Whether a folder's name says that it holds images: `images`, `img_dir`, `JPEGImages`.

    Not `scan_7` or `image12`, which are names of cases.
    """
    said = spoken(name)
    found = _IMAGE_FOLDERS | IMAGE_WORDS
    numbered = not said or any(c.isdecimal() for c in said[-1])
    return not numbered and not found.isdisjoint((*said, *words(name))) and not is_label_name(name)


class PartFolder(NamedTuple):
    """What a folder's name says of a split, and what is left of it: `images` of `imagesTr`."""

    part: Part
    rest: str


@lru_cache(1 << 12)
def part_folder(name: str) -> PartFolder | None:
    """Which side of a split a folder is by its name; None for any other folder.

    `train`, `Training Set`, `val_images`, `imagesTs`, `test2017`; not `train_001`, which may be
    one case of many.
    """
    parts = spoken(name)
    said = [word for word in parts if _YEAR.sub("", word) in PART_WORDS]
    rest = [word for word in parts if word not in said]
    long = [word for word in said if word not in _SHORT_PARTS]
    if len(said) != 1 or (rest and (rest[-1].isdecimal() and not long)):
        return None
    if not long and not (is_image_folder("_".join(rest)) or is_label_folder("_".join(rest))):
        return None
    if rest and parts[-1].isdecimal():
        return None
    return PartFolder(PART_WORDS[_YEAR.sub("", said[0])], "_".join(rest))


@lru_cache(1 << 16)
def class_of(name: str) -> str:
    """The class a mask's name states: `liver` for `liver_mask`, nothing for `seg`."""
    found = words(name)
    if LABEL_WORDS.isdisjoint(found):
        humps = spoken(name)
        found = found if LABEL_WORDS.isdisjoint(humps) else humps
    return "_".join(word for word in found if word not in LABEL_WORDS)


@lru_cache(1 << 16)
def bare(name: str) -> str:
    """What an image and its label have in common: a stem, or a path of stems, without affixes.

    `img12`, `Img12` and `label_12` all become `12`; `case1/image` and `case1/label` become `case1`.
    """
    folder, _, stem = name.casefold().rpartition("/")
    return f"{folder}/{_SUFFIX.sub('', _PREFIX.sub('', stem))}".strip("/")


@lru_cache(1 << 16)
def loose(name: str) -> str:
    """As `bare`, also where the word stands within: `p1_3` for `p1_mask_3` and for `p1_img_3`."""
    folder, _, stem = name.casefold().rpartition("/")
    left = [word for word in words(stem) if word not in LABEL_WORDS and word not in IMAGE_WORDS]
    return f"{folder}/{'_'.join(left)}".strip("/")


def case_folder(folder: AnyPath) -> AnyPath:
    """The folder that is a case: `case1` for `case1/images`, whose name says what it holds."""
    for outer in (folder, *folder.parents):
        if outer.name and not (is_label_folder(outer.name) or is_image_folder(outer.name)):
            return outer
    return folder


def role(stem: str, folder: str) -> str:
    """What a file is within its case's folder: `t1` for `case7/case7_t1` and for `case7/T1`."""
    stem, folder = stem.casefold(), folder.casefold()
    rest = stem.removeprefix(folder)
    return rest.strip(" _.-") if rest != stem and (not rest or rest[0] in " _.-") else stem


def safe_names(names: Iterable[str]) -> list[str]:
    """Unique names that every file system takes, also those that ignore upper and lower case."""
    taken: set[str] = set()
    safe: list[str] = []
    for name in names:
        base = _UNSAFE.sub("_", name.replace("/", "_")).strip("._")[:120] or "case"
        unique, number = base, 2
        while unique.casefold() in taken:
            unique, number = f"{base}_{number}", number + 1
        taken.add(unique.casefold())
        safe.append(unique)
    return safe
