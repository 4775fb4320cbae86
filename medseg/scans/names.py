"""What file names say: their order, their case, and whether they hold an image or a label."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TypeVar

from medseg.scans.formats import is_scan, suffix_of

AnyPath = TypeVar("AnyPath", bound=PurePath)

LABEL_WORDS = frozenset(
    [
        "annotation",
        "annotations",
        "gt",
        "ground_truth",
        "groundtruth",
        "label",
        "labels",
        "manual",
        "manual1",
        "mask",
        "masks",
        "seg",
        "segmentation",
        "segmentations",
        "segs",
        "truth",
    ]
)
IMAGE_WORDS = frozenset(
    ["image", "images", "imaging", "img", "imgs", "scan", "scans", "vol", "volume", "volumes"]
)

_SEPARATORS = re.compile(r"[\s_.\-]+")
_AFFIXES = "|".join(sorted(LABEL_WORDS | IMAGE_WORDS, key=len, reverse=True))
_PREFIX = re.compile(rf"^(?:{_AFFIXES})(?:[\s_.\-]+|(?=\d)|$)")
_SUFFIX = re.compile(rf"[\s_.\-]+(?:{_AFFIXES})$")
_UNSAFE = re.compile(r"[^\w.+\-]+")


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sorting key in which case2 comes before case10; upper and lower case are alike."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", text.casefold())
    # The text itself breaks ties such as case1 and case01.
    return (*((int(digits), "") if digits else (-1, word) for digits, word in parts), (-2, text))


def is_image_file(path: Path) -> bool:
    """Whether the format is known and the file not hidden (such as macOS's `._` shadows)."""
    return not path.name.startswith(".") and is_scan(path)


def file_stem(path: Path) -> str:
    """The name without its image format: `scan` for `scan.nii.gz`."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def words(stem: str) -> list[str]:
    """The parts of a stem between separators, in lower case."""
    return [word for word in _SEPARATORS.split(stem.casefold()) if word]


def is_label_name(stem: str) -> bool:
    """Whether a stem or a folder's name says that it holds labels."""
    return not LABEL_WORDS.isdisjoint(words(stem))


def class_of(name: str) -> str:
    """The class a mask's name states: `liver` for `liver_mask`, nothing for `seg`."""
    return "_".join(word for word in words(name) if word not in LABEL_WORDS)


def bare(name: str) -> str:
    """What an image and its label have in common: a stem, or a path of stems, without affixes.

    `img12`, `Img12` and `label_12` all become `12`; `case1/image` and `case1/label` become `case1`.
    """
    folder, _, stem = name.casefold().rpartition("/")
    return f"{folder}/{_SUFFIX.sub('', _PREFIX.sub('', stem))}".strip("/")


def case_folder(folder: AnyPath) -> AnyPath:
    """The folder that is a case: `case1` for `case1/images`, whose name says what it holds."""
    for outer in (folder, *folder.parents):
        if outer.name and not (is_label_name(outer.name) or outer.name.casefold() in IMAGE_WORDS):
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
