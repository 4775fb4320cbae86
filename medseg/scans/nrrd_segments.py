"""The segments that 3D Slicer names in the header of a .seg.nrrd."""

from pathlib import Path

from medseg.errors import ScanError
from medseg.scans.nrrd_header import NrrdHeader, parse
from medseg.scans.voxels import Segment

MAX_SEGMENTS = 10_000


def segments(path: Path) -> tuple[Segment, ...]:
    """What the header names; nothing for a file that names none.

    A segment without a name goes by its ID.
    """
    header = parse(path)
    keys = header.keys
    numbers = [
        int(key[7:-3])
        for key in keys
        if key.startswith("Segment") and key.endswith("_ID") and key[7:-3].isdecimal()
    ]
    if len(numbers) > MAX_SEGMENTS:
        raise ScanError(header.name, f"{len(numbers)} segments", f"at most {MAX_SEGMENTS} are read")
    # Before Slicer 4.11 each segment was a layer of 0 and 1, and had no value.
    found: list[Segment] = []
    for place, number in enumerate(sorted(numbers)):
        start = f"Segment{number}_"
        name = keys.get(start + "Name", "").strip() or keys[start + "ID"].strip()
        old = start + "LabelValue" not in keys
        value = _whole(header, start + "LabelValue", 1)
        layer = _whole(header, start + "Layer", place if old else 0)
        found.append(Segment(" ".join(name.split()) or f"segment {number}", value, layer))
    return tuple(found)


def _whole(header: NrrdHeader, key: str, default: int) -> int:
    text = header.keys.get(key, str(default)).strip()
    if not text.lstrip("-").isdecimal():
        raise ScanError(header.name, f"its header has {key}:={text[:40]}", "save it again")
    return int(text)
