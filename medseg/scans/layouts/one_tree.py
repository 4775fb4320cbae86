"""Layouts in which labels stand beside their images, told by their names."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from pathlib import Path, PurePosixPath

from medseg.errors import ScanError
from medseg.scans.layouts.patients import of_patients
from medseg.scans.layouts.place import Found, Place, aside
from medseg.scans.listing import File, unused
from medseg.scans.names import (
    IMAGE_WORDS,
    LABEL_WORDS,
    is_image_folder,
    is_label_folder,
    is_label_name,
    spoken,
    words,
)
from medseg.scans.pairing import Pairs, pair
from medseg.scans.segments import segment_names

_ASIDE = frozenset(
    [
        "fov",
        "instance",
        "instances",
        "overlay",
        "overlays",
        "preview",
        "previews",
        "screenshot",
        "screenshots",
        "thumbnail",
        "thumbnails",
        "visualisation",
        "visualization",
    ]
)
"""Sub-folders of a case that hold neither its scan nor its label."""


def case_folders(place: Place) -> Found | None:
    """One folder per case, or per patient with several scans and a label of each.

    case1/t1.nii.gz case1/flair.nii.gz case1/seg.nii.gz
    case1/ct.nii.gz case1/segmentations/liver.nii.gz case1/segmentations/spleen.nii.gz
    patient1/left.nii.gz patient1/left_mask.nii.gz patient1/right.nii.gz patient1/right_mask.nii.gz
    patient1/images/day0.nii.gz patient1/masks/day0.nii.gz
    """
    nested = [file for file in place.tree.files if "/" in file.name]
    if any(map(is_image_folder, place.tree.folders)) and any(
        map(is_label_folder, place.tree.folders)
    ):
        return None
    beside = [file for file in nested if _is_beside(file)]
    images, labels = _told_apart([file for file in nested if not _is_beside(file)], inner=True)
    if not images or not labels:
        return None
    chosen = place.pattern.choose(images, labels, place.tree.root)
    images, cine = _without_series(chosen.images, chosen.labels)
    pairs = pair(
        [_plain(f) for f in images],
        [_plain(f) for f in chosen.labels],
        place.wish(*place.unread()),
        case_folders=True,
    )
    pairs = pairs._replace(cases=of_patients(pairs.cases))
    flat = [file for file in place.tree.files if "/" not in file.name]
    layout = "one folder per case" if _is_each_its_own(pairs) else "pairs in folders"
    return Found(
        layout,
        pairs,
        tuple(unused(flat, layout)),
        len(flat),
        (
            *chosen.notes,
            *aside(beside, "neither scans nor labels by their folder's name"),
            *aside(cine, "the series that the labelled frames are from"),
        ),
    )


def one_folder(place: Place) -> Found | None:
    """All files in one folder: scan1.nii.gz scan1_seg.nii.gz scan2.nii.gz scan2_seg.nii.gz."""
    flat = [file for file in place.tree.files if "/" not in file.name]
    images, labels = _told_apart(flat, inner=False)
    if not images or not labels:
        return None
    chosen = place.pattern.choose(images, labels, place.tree.root)
    pairs = pair(chosen.images, chosen.labels, place.wish(*place.unread()))
    nested = [file for file in place.tree.files if "/" in file.name]
    layout = "one folder, labels told by their names"
    return Found(layout, pairs, tuple(unused(nested, layout)), len(nested), chosen.notes)


def _told_apart(files: Sequence[File], *, inner: bool) -> tuple[list[File], list[File]]:
    """Images and labels, by words that not all the names have.

    Args:
        files: To tell apart.
        inner: Whether their first folder is a case's name, which may say anything.
    """
    said = [file.name.partition("/")[2] if inner else file.name for file in files]
    stems = [set(words(name.rpartition("/")[2])) for name in said]
    common = reduce(lambda a, b: a & b, stems[1:], set(stems[0])) if len(stems) > 1 else set[str]()
    images: list[File] = []
    labels: list[File] = []
    for file, name in zip(files, said, strict=True):
        *folders, stem = name.split("/")
        # A word that is in all names, such as that of a study, tells nothing.
        telling = "_".join(w for w in _words(stem) if w.casefold() not in common)
        is_label = is_label_name(telling) or any(map(is_label_folder, folders))
        is_label = is_label or _names_its_segments(file.path)
        (labels if is_label else images).append(file)
    return images, labels


def _names_its_segments(path: Path) -> bool:
    """Whether it is a label by its content, whatever its name says."""
    try:
        return bool(segment_names(path))
    except (ScanError, OSError):  # said where it is read
        return False


def _words(stem: str) -> list[str]:
    return stem.translate(str.maketrans("-. ", "___")).split("_")


def _is_beside(file: File) -> bool:
    return any(not _ASIDE.isdisjoint(words(folder)) for folder in file.name.split("/")[1:-1])


def _plain(file: File) -> File:
    """Without inner folders that say no more than what kind of files they hold."""
    first, *folders = PurePosixPath(file.name).parts[:-1]
    kept = [folder for folder in folders if not _is_kind(folder)]
    return file._replace(name="/".join((first, *kept, file.name.rpartition("/")[2])))


def _is_kind(folder: str) -> bool:
    kinds = is_label_folder(folder) or is_image_folder(folder)
    return kinds and (LABEL_WORDS | IMAGE_WORDS).issuperset(spoken(folder))


def _without_series(
    images: Sequence[File], labels: Sequence[File]
) -> tuple[list[File], list[File]]:
    """Images, and those in 4D beside frames of their own: patient1_4d beside patient1_frame01."""
    labelled = {file.name.rpartition("/")[0] for file in labels}
    told = [
        file
        for file in images
        if words(file.name)[-1] == "4d" and file.name.rpartition("/")[0] in labelled
    ]
    several = Counter(file.name.rpartition("/")[0] for file in images)
    series = [file for file in told if several[file.name.rpartition("/")[0]] > 1]
    known = set(series)
    return [file for file in images if file not in known], series


def _is_each_its_own(pairs: Pairs) -> bool:
    return not any(case.group for case in pairs.cases) and (
        len(pairs.rule.keys) > 0
        or len({c.images[0].parent for c in pairs.cases}) == len(pairs.cases)
    )
