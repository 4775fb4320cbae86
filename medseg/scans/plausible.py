"""Whether a reading of names makes sense, whatever it finds: each doubt may veto it.

Scans of one patient beside each other are no channels, and two opinions on a scan no classes. What
was read wrong here would be trained on in silence.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from medseg.scans.bundles import UNNAMED, Made, named_classes
from medseg.scans.listing import OWN_NAMES, shown
from medseg.scans.names import RATER_WORDS, class_of, spoken, words

MOST_CHANNELS = 16
"""Files of one case that may be channels, unless the dataset itself says so."""

_DIGITS = re.compile(r"\d+")
_COUNTED_CHANNELS = frozenset(
    ["b", "band", "c", "ch", "chan", "channel", "echo", "ec", "mod", "modality", "q", "t", "w"]
)
"""What numbered channels are called: _0000 and _0001, T1 and T2, b0 and b1000, ch1 and ch2."""
_COUNTED_CLASSES = frozenset(
    [
        "c",
        "class",
        "cls",
        "cusp",
        "couinaud",
        "disc",
        "discs",
        "fdi",
        "finger",
        "ivd",
        "l",
        "layer",
        "lobe",
        "metacarpal",
        "organ",
        "phalanx",
        "region",
        "rib",
        "ribs",
        "s",
        "segment",
        "structure",
        "t",
        "teeth",
        "tissue",
        "tooth",
        "toe",
        "vertebra",
        "vertebrae",
    ]
)
"""What numbered classes are called: vertebra_L1, rib_3, tooth_18, class1."""
_TIMES = re.compile(
    r"(?:ses|session|visit|day|d|week|wk|month|mo|m|year|y|time|timepoint|tp|scan|study|exam|frame"
    r"|fr|phase|run|slice|sl|tile|patch|crop|view|date)\d+|baseline|follow_?up\d*|fu\d*|(?:19|20)\d\d"
    r"|(?:19|20)\d{2}[-_]?\d{2}[-_]?\d{2}"
)
_SIDES = frozenset(
    ["left", "right", "l", "r", "lt", "rt", "od", "os", "lcc", "rcc", "lmlo", "rmlo"]
)
_ORGANS = frozenset(
    [
        "aorta",
        "bladder",
        "bone",
        "brain",
        "cancer",
        "cyst",
        "disc",
        "femur",
        "gallbladder",
        "heart",
        "hippocampus",
        "infarct",
        "kidney",
        "kidneys",
        "lesion",
        "lesions",
        "liver",
        "lung",
        "lungs",
        "myocardium",
        "nodule",
        "nucleus",
        "nuclei",
        "organ",
        "organs",
        "oar",
        "pancreas",
        "polyp",
        "prostate",
        "ribs",
        "spine",
        "spleen",
        "stomach",
        "stroke",
        "thyroid",
        "trachea",
        "tumor",
        "tumors",
        "tumour",
        "tumours",
        "uterus",
        "ventricle",
        "vertebra",
        "vertebrae",
        "vessel",
        "vessels",
        "whole_gland",
    ]
)
_SPLIT = f"name each scan and its label alike, as a case of its own; or {OWN_NAMES}"


class Doubt(NamedTuple):
    """Why a reading makes no sense, and the way out."""

    what: str
    remedy: str


def doubts_of(made: Made) -> Iterator[Doubt]:
    """What speaks against a reading."""
    for doubt in DOUBTS.values():
        found = doubt(made)
        if found is not None:
            yield found


def _same_parts(made: Made) -> Doubt | None:
    """Channels called like the masks are scans with a mask each."""
    if len(made.rule.keys) < 2 and len(made.classes) < 2:
        return None
    for image, label in made.matched:
        names = {class_of(part): part for part in image.parts}
        shared = [name for name in map(class_of, label.parts) if name and name in names]
        if len(image.parts) > 1 and len(label.parts) > 1 and shared:
            what = f"{image.name} has scans and labels of the same names ({shown(shared)})"
            return Doubt(f"{what}, which are neither channels nor classes", _SPLIT)
    return None


def _numbered_channels(made: Made) -> Doubt | None:
    keys = made.rule.keys
    if made.rule.kind == "suffix" and _is_nnunet(keys):
        return None
    if _differ_by_number(keys, _COUNTED_CHANNELS):
        return _no_channels(made, "differ only by a number")
    return None


def _no_channels_by_name(made: Made) -> Doubt | None:
    keys = [_plain(key) for key in made.rule.keys]
    if len(keys) < 2:
        return None
    if sum(_looks_timed(key) for key in keys) > 1:
        return _no_channels(made, "look like visits, dates or parts of a scan")
    if _two_sides(keys):
        return _no_channels(made, "are two sides")
    return None


def _many_channels(made: Made) -> Doubt | None:
    """A folder of scans is not one case."""
    keys = made.rule.keys
    if len(keys) > MOST_CHANNELS and not _is_nnunet(keys, most=10**4):
        return _no_channels(made, "are many")
    if len(made.matched) == 1 and len(keys) > 4 and len(made.classes) > 2:
        return _no_channels(made, "are those of one case alone, beside as many labels")
    return None


def _no_channels(made: Made, why: str) -> Doubt:
    image, label = made.matched[0]
    several = next((i for i, _ in made.matched if len(i.parts) > 1), image)
    names = [file.name for file in several.files]
    what = f"{several.name}: {len(names)} images ({shown(names)}) that {why}"
    labels = f"{len(label.files)} label(s) ({shown([file.name for file in label.files])})"
    return Doubt(f"{what} are taken for cases, not for channels of one; its {labels}", _SPLIT)


def _organs(made: Made) -> Doubt | None:
    """A channel called like what labels show may be a mask whose name does not say so."""
    if len(made.rule.keys) < 2:
        return None
    said = [key for key in made.rule.keys if not _ORGANS.isdisjoint(words(key))]
    if not said:
        return None
    image = next((i for i, _ in made.matched if said[0] in i.parts), made.matched[0][0])
    name = image.parts[said[0]][0].name if said[0] in image.parts else said[0]
    return Doubt(
        f"{image.name}: is {name} an image or a mask? Its name is that of a structure",
        f"put the masks into a sub-folder masks, or add _mask to their names; or {OWN_NAMES}",
    )


def _raters(made: Made) -> Doubt | None:
    """Several opinions on one scan."""
    for image, label in made.matched:
        told = {part: _rater(part) for part in label.parts}
        rated = [part for part, rater in told.items() if rater]
        if len(rated) > 1 or (rated and len(label.parts) > 1):
            names = shown([f"{file.parent.name}/{file.name}" for file in label.files])
            what = f"{image.name} has labels of several raters ({names}): they are no classes"
            one = told[rated[0]]
            in_name = one in label.parts[rated[0]][0].name.casefold()
            glob = f"*{one}*" if in_name else f"{one}*/*"
            return Doubt(what, f"choose one, as with --pattern '*|{glob}', or {OWN_NAMES}")
    return None


def _numbered_classes(made: Made) -> Doubt | None:
    names = [name for name in made.classes if name != UNNAMED]
    if not _differ_by_number(names, _COUNTED_CLASSES) and not _all_timed(names):
        return None
    _, label = next((i, m) for i, m in made.matched if len(m.parts) > 1 or len(made.matched) > 1)
    files = [file.name for file in label.files]
    what = f"labels {shown(names)} ({shown(files)}) differ only by a number or a date"
    return Doubt(
        f"{what}: they may be raters, visits or pieces, and are not taken for classes",
        f"name them after what they show (liver, spleen), or merge them, or {OWN_NAMES}",
    )


def _whole_and_parts(made: Made) -> Doubt | None:
    """A mask without a class's name beside such with one."""
    if UNNAMED not in made.classes or len(made.classes) < 2:
        return None
    for _, label in made.matched:
        named = named_classes(label)
        if UNNAMED in named and len(named) > 1:
            whole = named[UNNAMED][0].name
            others = [f.name for name, files in named.items() if name != UNNAMED for f in files]
            what = f"{label.name}: {whole} names no class, {shown(others)} do"
            return Doubt(
                f"{what}: the one label, or one of several classes?",
                "remove what is not the label, or name each mask after its class; or " + OWN_NAMES,
            )
    return None


DOUBTS: dict[str, Callable[[Made], Doubt | None]] = {
    "scans with a mask each": _same_parts,
    "numbered channels": _numbered_channels,
    "visits, frames or sides as channels": _no_channels_by_name,
    "too many channels": _many_channels,
    "masks without the word as channels": _organs,
    "raters": _raters,
    "numbered classes": _numbered_classes,
    "a mask of everything beside masks of classes": _whole_and_parts,
}


def _plain(key: str) -> str:
    return "_".join(words(key.rpartition("/")[2]))


def _is_nnunet(keys: Sequence[str], most: int = 8) -> bool:
    """Whether keys are _0000, _0001, ... without a gap."""
    return len(keys) <= most and list(keys) == [f"_{index:04d}" for index in range(len(keys))]


def _differ_by_number(keys: Iterable[str], counted: frozenset[str]) -> bool:
    """Whether each key has others that differ from it by a number, and is called as no counted."""
    frames = Counter(_DIGITS.sub("#", _plain(key)) for key in keys)
    called = {word for frame in frames for word in re.split(r"[#_]+", frame) if word}
    numbered = all("#" in frame for frame in frames)
    return bool(frames) and numbered and min(frames.values()) > 1 and called.isdisjoint(counted)


def _looks_timed(key: str) -> bool:
    parts = key.split("_")
    return bool(_TIMES.fullmatch(key)) or any(_TIMES.fullmatch(part) for part in parts)


def _all_timed(names: Sequence[str]) -> bool:
    return len(names) > 1 and all(map(_looks_timed, names))


def _two_sides(keys: Sequence[str]) -> bool:
    """Whether each key has another that differs from it by a side."""
    frames = Counter("_".join("#" if w in _SIDES else w for w in key.split("_")) for key in keys)
    return min(frames.values()) > 1


def _rater(part: str) -> str:
    """The word that names whose label it is."""
    for word in (*words(part), *spoken(part)):
        if word in RATER_WORDS or word.rstrip("0123456789") in RATER_WORDS:
            return word
    return ""
