"""Layouts in which images and labels have folders of their own."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.scans.layouts.patients import of_patients
from medseg.scans.layouts.place import Found, Place, aside
from medseg.scans.listing import OWN_NAMES, File, shown
from medseg.scans.names import (
    IMAGE_WORDS,
    LABEL_WORDS,
    bare,
    is_image_folder,
    is_label_folder,
    spoken,
)
from medseg.scans.pairing import Pairs, pair
from medseg.scans.plausible import Doubt, is_contrast

_PLAIN_IMAGES = IMAGE_WORDS | {"imagestr", "input", "inputs"}
_PLAIN_LABELS = LABEL_WORDS | {"labelstr", "1st_manual", "2nd_manual"}
_VIEWS = frozenset(["mask", "masks", "fov"])
"""Beside labels that are said to be drawn by hand, these are fields of view."""
_DRAWN = frozenset(["1st", "2nd", "manual", "manual1", "manual2", "vessel", "vessels"])


class _Sorted(NamedTuple):
    """Files by what their folders say.

    Attributes:
        images: Folder, as its parents and itself -> its files.
        labels: As `images`.
        others: First folder -> files in it that stand in neither.
    """

    images: dict[str, list[File]]
    labels: dict[str, list[File]]
    others: dict[str, list[File]]


def two_folders(place: Place) -> Found | None:
    """Images and labels in folders of these names, at the top or below a site's.

    images/case1.nii.gz labels/case1.nii.gz
    imagesTr/case1_0000.nii.gz imagesTr/case1_0001.nii.gz labelsTr/case1.nii.gz
    images/case1.png masks/liver/case1.png masks/spleen/case1.png
    images/t1/case1.nii.gz images/flair/case1.nii.gz labels/case1.nii.gz
    t1/case1.nii.gz flair/case1.nii.gz labels/case1.nii.gz
    images/21_training.tif 1st_manual/21_manual1.gif mask/21_training_mask.gif
    Original/7.png Ground Truth/7.png
    """
    found = _by_kind(place.tree.files)
    if not found.labels:
        return None
    labels, rivals, notes = _one_kind(found.labels, _PLAIN_LABELS)
    images, others, _ = _one_kind(found.images, _PLAIN_IMAGES)
    if not images and not others:
        images, others = _unnamed_images(
            found.others,
            (found.labels.get(labels[0]) if labels else None) or [],
            place.missing.channel_share,
        )
    doubt = _which(others or images, rivals or labels) if others or rivals else None
    if doubt is not None:
        count = min(_count(found.images or found.others), _count(found.labels))
        return Found("two folders", Pairs(doubts=(doubt,)), at_stake=count)
    if not images:
        return None
    return _paired(place, found, images, labels, notes)


def _paired(
    place: Place, found: _Sorted, images: list[str], labels: list[str], notes: tuple[str, ...]
) -> Found:
    image_files = [
        file._replace(name=f"{name}/{file.name}") if _are_channels(images) else file
        for name in images
        for file in (found.images.get(name) or found.others[name])
    ]
    label_files = [f for name in labels for f in found.labels[name]]
    used = {file.path for file in (*image_files, *label_files)}
    chosen = place.pattern.choose(image_files, label_files, place.tree.root)
    chosen = chosen._replace(
        images=_of_ending(chosen.images, place), labels=_of_ending(chosen.labels, place)
    )
    others = _by_kind(place.tree.others)
    unread = place.wish(
        [file for files in (*others.images.values(), *others.others.values()) for file in files],
        [file for files in others.labels.values() for file in files],
    )
    pairs = pair(chosen.images, chosen.labels, unread)
    pairs = pairs._replace(cases=of_patients(pairs.cases))
    rest = [file for file in place.tree.files if file.path not in used]
    folders = (_shown_folder(image_files, images), _shown_folder(label_files, labels))
    if _are_channels(images):
        folders = (", ".join(images), folders[1])
    kind = "nnU-Net" if folders[0].casefold() == "imagestr" else "two folders"
    layout = f"{kind}: {folders[0]} and {folders[1]}"
    if place.pattern:
        layout += f", {place.pattern.text}"
    notes = (*chosen.notes, *notes, *aside(rest, f"read as {folders[0]} and {folders[1]}"))
    return Found(layout, pairs, aside=notes)


def _of_ending(files: list[File], place: Place) -> list[File]:
    """Those of nnU-Net's file_ending, if it names one that there is."""
    ending = place.described.file_ending.casefold() if place.described else ""
    found = [file for file in files if ending and file.path.name.casefold().endswith(ending)]
    return found or files


def _by_kind(files: Iterable[File]) -> _Sorted:
    """What the folders say; names are told from the first that does, a parent going before."""
    found = _Sorted({}, {}, {})
    files = list(files)
    tops = {file.name.partition("/")[0] for file in files if "/" in file.name}
    at_top = any(map(is_label_folder, tops)) and any(map(is_image_folder, tops))
    for file in files:
        *folders, stem = file.name.split("/")
        kinds = [is_label_folder(f) or (is_image_folder(f) and "image") for f in folders]
        at = next((i for i, kind in enumerate(kinds) if kind), None)
        if at is None or (at_top and at > 0):
            if folders:
                rest = "/".join((*folders[1:], stem))
                found.others.setdefault(folders[0], []).append(file._replace(name=rest))
            continue
        inner = [
            f for f, kind in zip(folders[at + 1 :], kinds[at + 1 :], strict=True) if _says(f, kind)
        ]
        # A site's folder above stays part of the name, so that sites may use the same numbers.
        named = file._replace(name="/".join((*folders[:at], *inner, stem)))
        side = found.labels if True in kinds else found.images
        side.setdefault(folders[at], []).append(named)
    return found


def _says(folder: str, kind: object) -> bool:
    """Whether an inner folder says more than what kind of files it holds."""
    return not kind or not (LABEL_WORDS | IMAGE_WORDS).issuperset(spoken(folder))


def _one_kind(
    folders: dict[str, list[File]], plain: frozenset[str]
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The folder of this kind; or several, of which nobody knows; and what was left aside."""
    names = [n for n in folders if n.casefold() in plain or set(spoken(n)) <= plain] or list(
        folders
    )
    if len({name.casefold() for name in names}) <= 1:
        return names, [], ()
    if _are_channels(names):
        return names, [], ()
    drawn = [name for name in names if not _DRAWN.isdisjoint(name.casefold().split("_"))]
    views = [name for name in names if _VIEWS.issuperset(spoken(name))]
    if drawn and len(drawn) + len(views) == len(names):
        first = drawn[:1]
        second = [file for name in drawn[1:] for file in folders[name]]
        seen = [file for name in views for file in folders[name]]
        why = f"a second rater beside {first[0]}; --labels chooses it"
        notes = _aside(drawn[1:], second, why) + _aside(
            views, seen, "a field of view, not the label"
        )
        return first, [], notes
    return [], names, ()


def _are_channels(folders: Sequence[str]) -> bool:
    """Whether folders are called after contrasts: t1 and flair, each with a file of every case."""
    return len(folders) > 1 and all(map(is_contrast, folders))


def _aside(folders: Sequence[str], files: Sequence[File], why: str) -> tuple[str, ...]:
    return (f"{shown(list(folders))}: {len(files)} file(s) left aside, {why}",) if files else ()


def _unnamed_images(
    others: dict[str, list[File]], labels: Sequence[File], channel_share: float
) -> tuple[list[str], list[str]]:
    """Where no folder is called images: the one whose names are those of the labels, or all.

    Folders of contrasts are channels together, as long as each has its share of the fullest.
    """
    keys = {bare(file.name.rpartition("/")[2]) for file in labels}
    hits = {
        name: sum(bare(file.name.rpartition("/")[2]) in keys for file in files)
        for name, files in others.items()
    }
    if len(others) <= 1:
        return list(others), []
    best = max(hits.values(), default=0)
    many = [name for name, count in hits.items() if count > channel_share * best]
    full = many if _are_channels(many) else [n for n, count in hits.items() if count == best]
    if 2 * best > len(keys) and (len(full) == 1 or _are_channels(full)):
        return full, []
    if 2 * best > len(keys):
        return [], full
    contrasts = [name for name in others if is_contrast(name)]  # p1_t1 in t1
    return [name for name, count in hits.items() if count] or contrasts, []


def _which(images: Sequence[str], labels: Sequence[str]) -> Doubt:
    several = ", ".join((*images, *labels))
    example = f"--images {images[0] if images else 'DIR'} --labels {labels[0] if labels else 'DIR'}"
    what = f"which of {several} are the images and the labels?"
    return Doubt(what, f"{OWN_NAMES}, such as {example}")


def _count(folders: dict[str, list[File]]) -> int:
    return max((len(files) for files in folders.values()), default=0)


def _shown_folder(files: Sequence[File], names: Sequence[str]) -> str:
    """The folder as it is called on the disk, a side of a split being out of its name."""
    for file in files[:1]:
        parts = Path(file.path).parts
        spelled = [part for part in parts[:-1] if _is_called(part, names[0])]
        if spelled:
            return spelled[-1]
    return names[0]


def _is_called(part: str, name: str) -> bool:
    return part == name or "_".join(spoken(part)).startswith(name)
