"""All layouts, and the one that a folder is read as."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from medseg.errors import MedsegError
from medseg.scans.layouts.beside import without_pictures
from medseg.scans.layouts.bids import bids
from medseg.scans.layouts.by_pattern import by_pattern
from medseg.scans.layouts.listed import datalist, decathlon
from medseg.scans.layouts.one_tree import case_folders, one_folder
from medseg.scans.layouts.place import Found, Place
from medseg.scans.layouts.sides import by_folders, by_names
from medseg.scans.layouts.two_folders import two_folders
from medseg.scans.layouts.voc import voc
from medseg.scans.listing import File, Tree

LAYOUTS: dict[str, Callable[[Place], Found | None]] = {
    "Medical Decathlon dataset.json": decathlon,
    "JSON list": datalist,
    "Pascal VOC": voc,
    "BIDS": bids,
    "one folder per case": case_folders,
    "two folders": two_folders,
    "one folder": one_folder,
    "by a pattern": by_pattern,
}
"""Name -> function. Of readings that do equally well, the first here is taken."""

_ENOUGH = 0.5
"""Share of the cases of a reading in doubt that one free of doubt must find to be taken instead."""


def read(place: Place) -> Found | None:
    """How a folder is read: without pictures made of its scans, unless that loses cases.

    Raises:
        MedsegError: If what makes most of the folder makes no sense.
    """
    lean = without_pictures(place)
    if lean is None:
        return _read(place)
    found = None
    with suppress(MedsegError):  # told of the whole folder below
        found = _read(lean)
    if found is None or not found.pairs.cases:
        return _read(place)
    full = None
    with suppress(MedsegError):  # what the pictures are taken for may make no sense
        full = _read(place)
    more = full is not None and len(full.pairs.cases) > len(found.pairs.cases)
    return full if more else found


def _read(place: Place) -> Found | None:
    """The reading of a folder that makes sense and finds most.

    Each layout is tried on the folder as it is, and with the sides of a split taken out of its
    names. First comes what the dataset itself states, then the number of cases, then how few files
    are left over. A reading with a doubt is never taken: where it would find more than twice what
    the others do, the folder is refused with that doubt.

    Raises:
        MedsegError: If what makes most of the folder makes no sense.
    """
    found = [reading for view in _views(place) for reading in _tried(view)]
    clear = max((one for one in found if not one.pairs.doubts), key=_worth, default=None)
    doubtful = max((one for one in found if one.pairs.doubts), key=_worth, default=None)
    if doubtful is None or (clear is not None and _is_enough(clear, doubtful)):
        return clear
    doubt = doubtful.pairs.doubts[0]
    raise MedsegError(f"{place.tree.root}, read as {doubtful.layout}", doubt.what, doubt.remedy)


def _views(place: Place) -> Iterator[Place]:
    """The folder with sides of a split read; as it is; as seen from the one folder in it."""
    for view in (_inside(place.tree), place.tree):
        if view is None:
            continue
        for deal in (by_folders, by_names):
            dealt = deal(view)
            if dealt is not None:
                yield replace(
                    place, tree=dealt.tree, notes=(*place.notes, *dealt.notes), held=dealt.held
                )
        yield replace(place, tree=view)


def _tried(place: Place) -> Iterator[Found]:
    for layout in LAYOUTS.values():
        reading = layout(place)
        if reading is not None:
            aside = (*place.notes, *reading.aside)
            yield reading._replace(aside=aside, held=place.held)


def _worth(found: Found) -> tuple[bool, int, int]:
    cases = max(len(found.pairs.cases), found.at_stake)
    # What was left aside for testing counts: sides of a split are not to be read as cases.
    count = cases + found.held if cases else 0
    return found.stated and cases > 0, count, -(found.pairs.left + found.left_files)


def _is_enough(clear: Found, doubtful: Found) -> bool:
    if not clear.pairs.cases or doubtful.stated > clear.stated:
        return False
    return _worth(clear)[1] >= _ENOUGH * _worth(doubtful)[1]


def _inside(tree: Tree) -> Tree | None:
    """What a folder holds that has nothing beside it; None if there is none such."""
    files, others = tree.files, tree.others
    moved = False
    while files and all("/" in file.name for file in files):
        if len({file.name.partition("/")[0] for file in files}) > 1:
            break
        files, others, moved = _below(files), _below(others), True
    return Tree(tree.root, files, others) if moved else None


def _below(files: tuple[File, ...]) -> tuple[File, ...]:
    return tuple(file._replace(name=file.name.partition("/")[2] or file.name) for file in files)
