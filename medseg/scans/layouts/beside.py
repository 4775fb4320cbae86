"""Pictures that were made of scans or labels, and stand beside them: neither scans nor labels."""

from dataclasses import replace

from medseg.scans.formats import FLAT_SUFFIXES, suffix_of
from medseg.scans.layouts.place import Place, aside
from medseg.scans.listing import File
from medseg.scans.names import word_set, words

_MADE = word_set(
    "blend blended contour contours heatmap heatmaps overlaid overlay overlays preview previews "
    "screenshot screenshots snapshot snapshots superpixels thumb thumbnail thumbnails thumbs vis "
    "visualisation visualization viz"
)
_PICTURES = frozenset(FLAT_SUFFIXES) - {".tif", ".tiff"}
"""Of volumes these are no more than a view: TIFF may hold one."""


def without_pictures(place: Place) -> Place | None:
    """The folder without previews, overlays and the like; None if there are none, or nothing else.

    Read as channels, an overlay would tell a network the answer.

    p1/ct.nii.gz p1/ct_preview.png p1/seg.nii.gz
    images/c1.png images/c1_overlay.png labels/c1.png
    """
    files = place.tree.files
    volumes = {file.name.casefold() for file in files if suffix_of(file.path) not in FLAT_SUFFIXES}
    named = [file for file in files if _is_made(file)]
    views = [
        file
        for file in files
        if volumes
        and suffix_of(file.path) in _PICTURES
        and not _is_made(file)
        # Of one name with a volume it may be either: that is for the user to say.
        and file.name.casefold() not in volumes
    ]
    left = {*named, *views}
    kept = tuple(file for file in files if file not in left)
    if not left or not kept:
        return None
    notes = (
        *aside(named, "pictures of scans or labels by their names"),
        *aside(views, "pictures beside volumes"),
    )
    return replace(place, tree=place.tree.only(kept), notes=(*place.notes, *notes))


def _is_made(file: File) -> bool:
    return not _MADE.isdisjoint(words(file.name.rpartition("/")[2]))
