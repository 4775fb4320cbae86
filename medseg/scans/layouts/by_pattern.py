"""Images and labels that a pattern of two sides tells apart, whatever they are called."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from medseg.scans.layouts.place import Found, Place
from medseg.scans.listing import File
from medseg.scans.pairing import Pairs, best_of, pair


def by_pattern(place: Place) -> Found | None:
    """By their folders, or by their names without what the pattern itself spells.

    1/pre/FLAIR.nii.gz 1/wmh.nii.gz            --pattern '*FLAIR*|*wmh*'
    case1_raw.nii.gz case1_zones.nii.gz        --pattern '*_raw*|*_zones*'
    """
    files, pattern = place.tree.files, place.pattern
    if not pattern.tells:
        return None
    chosen = pattern.choose(files, files, place.tree.root)
    images, labels = chosen.images, chosen.labels
    if not images or not labels or not {*images}.isdisjoint(labels):
        return None
    wish = place.wish()
    readings = [
        pair(images, labels, wish),
        pair(pattern.without(images, 0), pattern.without(labels, 1), wish),
    ]
    if all("/" in file.name for file in (*images, *labels)):
        near = pair(_near(images, labels), _near(labels, images), wish, case_folders=True)
        readings.append(near)
    return Found(f"by the pattern {pattern.text}", best_of(readings) or Pairs())


def _near(files: Sequence[File], others: Sequence[File]) -> list[File]:
    """Named by the folder that holds files of the other side, where their own holds none."""
    beside = {PurePosixPath(file.name).parent for file in others}
    named: list[File] = []
    for file in files:
        path = PurePosixPath(file.name)
        folder = next((outer for outer in path.parents if outer in beside), path.parent)
        named.append(file._replace(name=(folder / path.name).as_posix()))
    return named
