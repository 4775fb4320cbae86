"""PNG, JPEG, GIF and BMP: what the file has, held against what its header announces."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from medseg.errors import ScanError
from medseg.scans.decode import decode, decode_header

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = 6, 8
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, depth: int, colour: int, rows: list[bytes], extra: bytes = b"") -> Path:
    header = struct.pack(">IIBBBBB", COLUMNS, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )
    return path


def pixels(path: Path, *, colours: bool = True) -> np.ndarray:
    values, geometry = decode(path, colours=colours)
    assert decode_header(path).geometry == geometry
    return values[..., 0].T


def refusal(path: Path, *, colours: bool = True) -> str:
    with pytest.raises(ScanError) as caught:
        decode(path, colours=colours)
    return str(caught.value)


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", CHANNELS)
@pytest.mark.parametrize("extra", ["", "sBIT", "tRNS", "gAMA", "bKGD"])
def test_every_kind_of_png_without_its_transparency(tmp_path, colour, depth, extra, colours):
    channels = CHANNELS[colour]
    shown = 1 if channels <= 2 else 3
    said = {
        "": b"",
        "sBIT": chunk(b"sBIT", bytes([depth - 3] * channels)),
        "tRNS": chunk(b"tRNS", bytes(2 * shown)) if channels == shown else b"",
        "gAMA": chunk(b"gAMA", struct.pack(">I", 30000)),
        "bKGD": chunk(b"bKGD", bytes(2 * shown)),
    }[extra]
    stored = RANDOM.integers(0, 2**depth, (ROWS, COLUMNS, channels))
    stored = stored.astype(">u2" if depth == 16 else "u1")
    path = png(tmp_path / "a.png", depth, colour, [row.tobytes() for row in stored], said)
    found = pixels(path, colours=colours)
    assert found.dtype == (np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_array_equal(found, stored[..., :shown])
    assert decode_header(path).channels == shown


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_of_gray_and_of_a_palette(tmp_path, depth):
    indices = RANDOM.integers(0, 2**depth, (ROWS, COLUMNS), dtype=np.uint8)
    bits = np.unpackbits(indices[..., None], axis=-1)[..., -depth:].reshape(ROWS, -1)
    rows = [row.tobytes() for row in np.packbits(bits, axis=1)]
    for extra in (b"", chunk(b"tRNS", b"\0\0")):
        path = png(tmp_path / "a.png", depth, 0, rows, extra)
        np.testing.assert_array_equal(pixels(path)[..., 0], indices * (255 // (2**depth - 1)))
    palette = RANDOM.integers(0, 255, (2**depth, 3), dtype=np.uint8)
    extra = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", b"\0\x80")
    path = png(tmp_path / "b.png", depth, 3, rows, extra)
    np.testing.assert_array_equal(pixels(path), palette[indices])
    np.testing.assert_array_equal(pixels(path, colours=False)[..., 0], indices)
    short = png(tmp_path / "c.png", depth, 3, rows, chunk(b"PLTE", palette[:1].tobytes()))
    assert "in a palette of 1" in refusal(short)


def test_a_palette_means_the_same_whichever_of_its_entries_a_file_uses(tmp_path):
    for name, used in (("few", 2), ("all", 3)):
        image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) % used)
        image.putpalette([0, 0, 0, 255, 255, 255, 200, 0, 0])
        image.save(tmp_path / f"{name}.png")
        found = np.unique(pixels(tmp_path / f"{name}.png", colours=False))
        assert found.tolist() == list(range(used))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_as_viewers_do(tmp_path, suffix, orientation):
    image = Image.fromarray(RANDOM.integers(0, 255, (ROWS, COLUMNS, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[274] = orientation
    image.save(tmp_path / f"a{suffix}", exif=exif.tobytes())
    with Image.open(tmp_path / f"a{suffix}") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(pixels(tmp_path / f"a{suffix}"), expected)


def test_broken_exif_is_none(tmp_path):
    image = Image.fromarray(RANDOM.integers(0, 255, (ROWS, COLUMNS), dtype=np.uint8))
    image.save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png")[..., 0], np.asarray(image))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
def test_jpeg_in_gray_colour_and_inks(tmp_path, mode, channels):
    flat = np.full((16, 16, 3), (200, 90, 30), np.uint8)
    Image.fromarray(flat).convert(mode).save(tmp_path / "a.jpg", quality=100)
    found = pixels(tmp_path / "a.jpg")
    assert found.shape == (16, 16, channels)
    expected = flat[..., :1] * 0 + 116 if mode == "L" else flat
    assert np.abs(found.astype(int) - expected).max() < 6


def test_the_content_decides_among_pictures(tmp_path):
    stored = RANDOM.integers(0, 255, (ROWS, COLUMNS, 3), dtype=np.uint8)
    for suffix in (".jpg", ".tif", ".bmp", ".gif"):
        Image.fromarray(stored).save(tmp_path / f"a{suffix}", format="PNG")
        np.testing.assert_array_equal(pixels(tmp_path / f"a{suffix}"), stored)
    Image.fromarray(stored).save(tmp_path / "a.png", format="TIFF")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), stored)
    Image.fromarray(stored).save(tmp_path / "b.png", format="JPEG")
    assert pixels(tmp_path / "b.png").shape == stored.shape
    assert "b.png: JPEG alters label values, and this is one by its content" in refusal(
        tmp_path / "b.png", colours=False
    )
    Image.fromarray(stored).save(tmp_path / "c.png", format="PPM")
    assert "c.png: damaged, or not a PNG, JPEG, GIF, BMP or TIFF file" in refusal(
        tmp_path / "c.png"
    )


def test_gif_masks_are_gray_values_or_indices(tmp_path):
    mask = RANDOM.integers(0, 2, (ROWS, COLUMNS), dtype=np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "a.gif")
    np.testing.assert_array_equal(pixels(tmp_path / "a.gif", colours=False)[..., 0], mask)
    image = Image.fromarray(mask // 255 * 2)
    image.putpalette([0, 0, 0, 10, 200, 30, 200, 3, 4])
    image.save(tmp_path / "b.gif")
    assert pixels(tmp_path / "b.gif").shape == (ROWS, COLUMNS, 3)
    assert len(np.unique(pixels(tmp_path / "b.gif", colours=False))) == 2


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_animations_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(RANDOM.integers(0, 255, (8, 8), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    line = refusal(tmp_path / f"a{suffix}")
    assert "an animation of 3 frames, which may be slices or points in time; save slices" in line


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bitmaps(tmp_path, mode):
    image = Image.fromarray(RANDOM.integers(0, 255, (ROWS, COLUMNS, 3), dtype=np.uint8))
    image.convert(mode).save(tmp_path / "a.bmp")
    expected = np.asarray(image.convert(mode).convert("RGB"))
    np.testing.assert_array_equal(
        np.broadcast_to(pixels(tmp_path / "a.bmp"), expected.shape), expected
    )


def test_a_picture_that_announces_gigapixels_is_refused_unread(tmp_path):
    path = png(tmp_path / "a.png", 8, 0, [bytes(COLUMNS)] * ROWS)
    raw = path.read_bytes()
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    path.write_bytes(raw[:8] + chunk(b"IHDR", header) + raw[33:])
    assert "a.png: its header announces 60000x60000 values" in refusal(path)


def test_a_picture_that_its_bytes_cannot_fill_is_refused_unread(tmp_path):
    """GIF has no such thing as a short file to Pillow: it lays out what the header announces."""
    Image.new("L", (COLUMNS, ROWS)).save(tmp_path / "a.gif")
    raw = bytearray((tmp_path / "a.gif").read_bytes())
    raw[6:10] = struct.pack("<HH", 32896, 32781)
    (tmp_path / "a.gif").write_bytes(raw)
    assert "cut short: its header announces 32896x32781 pixels" in refusal(tmp_path / "a.gif")


def test_a_bitmap_that_its_bytes_cannot_fill_is_refused_unread(tmp_path):
    Image.new("L", (COLUMNS, ROWS)).save(tmp_path / "a.bmp")
    raw = bytearray((tmp_path / "a.bmp").read_bytes())
    raw[18:26] = struct.pack("<ii", 1000, 1000)
    (tmp_path / "a.bmp").write_bytes(raw)
    assert "cut short: its header announces 1000x1000 pixels" in refusal(tmp_path / "a.bmp")


@pytest.mark.parametrize("suffix", [".gif", ".png", ".bmp", ".jpg"])
def test_an_empty_picture_compresses_well_and_is_whole(tmp_path, suffix):
    Image.new("1" if suffix == ".png" else "L", (4000, 3000)).save(tmp_path / f"a{suffix}")
    assert pixels(tmp_path / f"a{suffix}").shape == (3000, 4000, 1)


def test_pictures_of_two_hundred_million_pixels_are_no_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = png(tmp_path / "a.png", 8, 0, [bytes(COLUMNS)] * ROWS)
    assert pixels(path).shape == (ROWS, COLUMNS, 1)
