"""Pascal VOC."""

from pathlib import Path

from medseg.scans.layouts.place import Found, Place, aside
from medseg.scans.listing import File
from medseg.scans.names import Part, file_stem
from medseg.scans.pairing import pair

_MOST_BYTES = 8 * 2**20
_SIDES: tuple[tuple[str, Part], ...] = (("train.txt", "training"), ("val.txt", "validation"))


def voc(place: Place) -> Found | None:
    """Images in JPEGImages, labels in SegmentationClass, their split in ImageSets/Segmentation.

    VOC2012/JPEGImages/2007_000032.jpg VOC2012/SegmentationClass/2007_000032.png
    VOC2012/ImageSets/Segmentation/train.txt
    """
    images = [file for file in place.tree.files if file.path.parent.name == "JPEGImages"]
    labels = [file for file in place.tree.files if file.path.parent.name == "SegmentationClass"]
    if not images or not labels:
        return None
    named = {_key(file) for file in labels}
    labelled = [file for file in images if _key(file) in named]
    sides = _sides(labels[0].path.parent.parent / "ImageSets" / "Segmentation")
    pairs = pair(
        [_as_stem(file, sides) for file in labelled],
        [_as_stem(file, sides) for file in labels],
        place.wish(),
    )
    known = set(labelled)
    rest = [file for file in images if file not in known]
    notes = aside(rest, "images without a segmentation")
    objects = [f for f in place.tree.files if f.path.parent.name == "SegmentationObject"]
    notes += aside(objects, "they tell objects, not classes")
    return Found("Pascal VOC: JPEGImages and SegmentationClass", pairs, aside=notes)


def _key(file: File) -> tuple[Path, str]:
    return file.path.parent.parent, file_stem(file.path)


def _as_stem(file: File, sides: dict[str, Part]) -> File:
    stem = file_stem(file.path)
    return file._replace(name=stem, part=sides.get(stem))


def _sides(folder: Path) -> dict[str, Part]:
    """Stem -> side, from the lists; nothing where there are none."""
    sides: dict[str, Part] = {}
    for name, part in _SIDES:
        path = folder / name
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").split()
            sides.update(dict.fromkeys(lines, part))
    return sides
