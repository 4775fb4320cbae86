"""Whether a reading of names makes sense, whatever it finds: each doubt may veto it.

Scans of one patient beside each other are no channels, and two opinions on a scan no classes. What
was read wrong here would be trained on in silence.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.scans.bundles import UNNAMED, Made, named_classes
from medseg.scans.listing import OWN_NAMES, shown
from medseg.scans.names import (
    IMAGE_WORDS,
    LABEL_WORDS,
    RATER_WORDS,
    class_of,
    file_stem,
    is_label_name,
    spoken,
    word_set,
    words,
)

MOST_CHANNELS = 16
"""Files of one case that may be channels, unless the dataset itself says so."""

_DIGITS = re.compile(r"\d+")
_COUNTED_CHANNELS = frozenset(
    ["b", "band", "c", "ch", "chan", "channel", "echo", "ec", "mod", "modality", "q", "t", "w"]
)
"""What numbered channels are called: _0000 and _0001, T1 and T2, b0 and b1000, ch1 and ch2."""
_COUNTED_CLASSES = word_set(
    "c class cls cusp couinaud disc discs fdi finger ivd l layer lobe metacarpal organ phalanx "
    "region rib ribs s segment structure t teeth tissue tooth toe vertebra vertebrae"
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
_ORGANS = word_set(
    "aorta bladder bone brain cancer cyst disc femur gallbladder heart hippocampus infarct kidney "
    "kidneys lesion lesions liver lung lungs myocardium nodule nucleus nuclei organ organs oar "
    "pancreas polyp prostate ribs spine spleen stomach stroke thyroid trachea tumor tumors tumour "
    "tumours uterus ventricle vertebra vertebrae vessel vessels whole_gland"
)
_PREDICTED = word_set(
    "ai auto automatic inference nnunet output outputs pred predicted prediction predictions preds "
    "prob probabilities probability probs result results uncertainty unet"
)
"""What programs make of a scan: as a channel it would tell a network the answer."""
_CONTRASTS = frozenset(
    [
        *("adc", "arterial", "asl", "b", "b#", "blue", "bold", "c#", "cbf", "cbv", "ce"),
        *(
            "ch#",
            "channel#",
            "contrast",
            "ct",
            "ctp",
            "dapi",
            "dce",
            "delayed",
            "dir",
            "dwi",
            "dsc",
        ),
        *("echo#", "fa", "fat", "fdg", "flair", "fluo", "gfp", "gradient", "green", "gre", "he"),
        *("lge", "m#map", "map", "md", "mprage", "mra", "mt", "mtt", "native", "opp", "in"),
        *("out", "pd", "pdw", "perf", "pet", "portal", "post", "pre", "pt", "qsm", "red"),
        *("rfp", "spect", "spgr", "stir", "suv", "swi", "t", "t#", "t#c", "t#ce", "t#f"),
        *(
            "t#gd",
            "t#map",
            "t#n",
            "t#post",
            "t#pre",
            "t#w",
            "t#wi",
            "t#star",
            "tmax",
            "tof",
            "trace",
        ),
        *("ttp", "venous", "water"),
    ]
)
"""How contrasts are called, numbers written as #."""
_VAGUE = word_set("b c# contrast delayed gradient in native opp out post pre t trace")
"""Contrasts that may be visits, classes or anything, where they are called no more than so."""
_VERSIONS = word_set(
    "1st 2nd 3rd auto backup checked copy corrected draft edited final first initial junior manual "
    "new old orig original refined reviewed revised second senior third updated"
)
"""What tells versions of a label, or whose it is, and not what it shows."""
_SPLIT = f"name each scan and its label alike, as a case of its own; or {OWN_NAMES}"


class Doubt(NamedTuple):
    """Why a reading makes no sense, and the way out."""

    what: str
    remedy: str


def is_contrast(folder: str) -> bool:
    """Whether a folder's name is that of a contrast, and of nothing else: `T1`, `flair_images`."""
    said = [word for word in words(folder) if word not in IMAGE_WORDS]
    return bool(said) and all(_letters(word) in _CONTRASTS - _VAGUE for word in said)


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
    if any(_uncounted(keys, _COUNTED_CHANNELS)):
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


def _labels_as_channels(made: Made) -> Doubt | None:
    """A channel whose name says that it is a label."""
    keys = made.rule.keys
    said = [
        key
        for key in keys
        if len(keys) > 1 and (is_label_name(key) or not _PREDICTED.isdisjoint(words(key)))
    ]
    for image, _ in made.matched:
        for key in said:
            if key in image.parts:
                name = image.parts[key][0].name
                what = f"{image.name}: is {name}, which stands among the images, a label?"
                return Doubt(
                    what, f"move it to the labels, or give it another name; or {OWN_NAMES}"
                )
    return None


def masks_for_images(made: Made, left: Sequence[Path]) -> Iterator[Doubt]:
    """Files that go for the images of cases and are called labels, where there are better ones.

    Args:
        made: Cases.
        left: Images that belong to none.
    """
    better = next((path for path in left if not is_label_name(file_stem(path))), None)
    called = (path for case in made.cases for path in case.images if is_label_name(file_stem(path)))
    mask = next(called, None) if better is not None else None
    if mask is not None and better is not None:
        what = f"is {mask.name} an image or a label? It stands beside {better.name}"
        yield Doubt(what, f"move it out of the images, or rename it; or {OWN_NAMES}")


def _one_case_of_many(made: Made) -> Doubt | None:
    """Several images with one label: only contrasts known as such are channels of a single case."""
    keys = made.rule.keys
    if len(made.matched) != 1 or len(keys) < 2 or _is_nnunet(keys):
        return None
    if all(_CONTRASTS & {_letters(word) for word in words(key)} for key in keys):
        return None
    return _no_channels(made, "have one label and no names of contrasts")


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
            glob = _glob_of(one, label.parts[rated[0]][0])
            return Doubt(what, f"choose one, as with --pattern '*|{glob}', or {OWN_NAMES}")
    return None


def _numbered_classes(made: Made) -> Doubt | None:
    names = [name for name in made.classes if name != UNNAMED]
    numbered = list(_uncounted(names, _COUNTED_CLASSES, anywhere=True))
    if not (numbered and all(numbered)) and not _all_timed(names):
        return None
    _, label = next((i, m) for i, m in made.matched if len(m.parts) > 1 or len(made.matched) > 1)
    files = [file.name for file in label.files]
    what = f"labels {shown(names)} ({shown(files)}) differ only by a number or a date"
    return Doubt(
        f"{what}: they may be raters, visits or pieces, and are not taken for classes",
        f"name them after what they show (liver, spleen), or merge them, or {OWN_NAMES}",
    )


def _versions(made: Made) -> Doubt | None:
    """Labels before and after a correction, or of a first and a second reader."""
    names = [name for name in made.classes if name != UNNAMED]
    if len(names) < 2 or not all(_VERSIONS.issuperset(words(name)) for name in names):
        return None
    one, file = next((part, files[0]) for part, files in made.matched[0][1].parts.items())
    return Doubt(
        f"labels {shown(names)} may be versions or raters, and are not taken for classes",
        f"choose one, as with --pattern '*|{_glob_of(class_of(one), file)}', or {OWN_NAMES}",
    )


def _glob_of(word: str, file: Path) -> str:
    """What chooses the labels of a word: in their names, or in that of their folder."""
    return f"*{word}*" if word in file.name.casefold() else f"{word}*/*"


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
    "labels as channels": _labels_as_channels,
    "one case of many images": _one_case_of_many,
    "masks without the word as channels": _organs,
    "raters": _raters,
    "numbered classes": _numbered_classes,
    "versions of a label": _versions,
    "a mask of everything beside masks of classes": _whole_and_parts,
}


def _letters(word: str) -> str:
    return _DIGITS.sub("#", word)


def _plain(key: str) -> str:
    return "_".join(words(key.rpartition("/")[2]))


def _is_nnunet(keys: Sequence[str], most: int = 8) -> bool:
    """Whether keys are _0000, _0001, ... without a gap."""
    return len(keys) <= most and list(keys) == [f"_{index:04d}" for index in range(len(keys))]


def _uncounted(
    keys: Iterable[str], counted: frozenset[str], *, anywhere: bool = False
) -> Iterator[bool]:
    """Of each set of keys that are alike but for numbers, whether nothing says what these count.

    Args:
        keys: Channels or classes.
        counted: What may be counted.
        anywhere: Whether any word of a key may say so, as in rib_left_1.
    """
    frames: dict[str, list[list[str]]] = {}
    for key in keys:
        parts = [_unlabelled(word) for word in words(_plain(key))]
        frames.setdefault(_letters(" ".join(parts)), []).append(parts)
    for alike in frames.values():
        called = {
            _called(alike[0], place)
            for place, told in enumerate(zip(*alike, strict=True))
            if len(set(told)) > 1
        }
        if anywhere:
            called |= {re.split(r"\d", word)[0] for word in alike[0]}
        yield len(alike) > 1 and called.isdisjoint(counted)


def _called(parts: Sequence[str], place: int) -> str:
    """What a number counts, by the word at it or before it: `t` of T1, `echo` of echo_1."""
    word = re.split(r"\d", parts[place])[0]
    before = parts[place - 1] if place and not word else ""
    return word or ("" if _DIGITS.search(before) else before)


def _unlabelled(word: str) -> str:
    """`1` of `label1`, since the word for a label tells nothing of a class."""
    letters = word.rstrip("0123456789")
    return word[len(letters) :] if letters in LABEL_WORDS and letters != word else word


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
