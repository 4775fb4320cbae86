"""What a compressed picture says of its own size, before a decoder believes it."""

_SOI, _SOC = b"\xff\xd8", b"\xff\x4f\xff\x51"
_BOX = b"\0\0\0\x0cjP  "
_STANDALONE = frozenset([0x01, *range(0xD0, 0xD8)])
_FRAME_MARKERS = frozenset([*range(0xC0, 0xD0), 0xF7]) - {0xC4, 0xC8, 0xCC}


def stated_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 picture; None where it is none of them.

    Raises:
        ValueError: If it is in boxes that lead nowhere, over which pydicom would walk for ever.
    """
    if stream.startswith(_SOI):
        return _jpeg(stream)
    start = _unboxed(stream) if stream.startswith(_BOX) else 0
    if stream[start : start + 4] == _SOC and len(stream) >= start + 24:
        right, bottom, left, top = (
            int.from_bytes(stream[start + at : start + at + 4], "big") for at in (8, 12, 16, 20)
        )
        return bottom - top, right - left
    return None


def _unboxed(stream: bytes) -> int:
    """Where the picture of a JP2 file begins: each box states its length, and then its kind."""
    at = 12
    while at < len(stream):
        length = int.from_bytes(stream[at : at + 4], "big")
        if stream[at + 4 : at + 8] == b"jp2c":
            return at + 8
        if length < 8:
            break
        at += length
    raise ValueError("boxes without a picture")


def _jpeg(stream: bytes) -> tuple[int, int] | None:
    """From the first frame header: segment by segment, as far as there are any."""
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _FRAME_MARKERS:
            return (
                int.from_bytes(stream[at + 5 : at + 7], "big"),
                int.from_bytes(stream[at + 7 : at + 9], "big"),
            )
        if marker == 0xFF:  # fill bytes
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + max(int.from_bytes(stream[at + 2 : at + 4], "big"), 2)
    return None
