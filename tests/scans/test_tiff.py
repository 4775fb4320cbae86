"""TIFF: every way to store a pixel, and what an axis is."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from medseg.errors import ScanError
from medseg.scans.case import Case
from medseg.scans.decode import decode, decode_header
from medseg.scans.read import read_subject

RANDOM = np.random.default_rng(0)
STACK = RANDOM.integers(0, 255, (5, 40, 30), dtype=np.uint8)


def picture(samples: int, dtype: str) -> np.ndarray:
    return (RANDOM.normal(size=(40, 30, samples)) * 40 + 60).astype(dtype)


def saved(path: Path, values: np.ndarray, **how) -> Path:
    tifffile.imwrite(path, values, **how)
    return path


def refusal(path: Path, *, colours: bool = True) -> str:
    with pytest.raises(ScanError) as caught:
        decode(path, colours=colours)
    return str(caught.value)


DTYPES = ["u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_every_depth_order_and_arrangement(tmp_path, dtype, order, tile):
    for samples in (1, 2, 3, 4, 5):
        for planar in ("contig", "separate") if samples > 1 else (None,):
            pixels = picture(samples, dtype)
            stored = np.moveaxis(pixels, -1, 0) if planar == "separate" else pixels
            path = saved(
                tmp_path / "a.tif",
                stored if planar else pixels[..., 0],
                byteorder=order,
                bigtiff=samples == 5,
                tile=tile,
                photometric="rgb" if samples == 3 else "minisblack",
                planarconfig=planar,
                metadata=None,
            )
            values = decode(path, colours=True).values
            assert values.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(values[..., 0], pixels.transpose(2, 1, 0))
            assert decode_header(path).channels == samples


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_every_lossless_compression(tmp_path, compression, dtype):
    pixels = picture(3, dtype)
    predictor = compression in ("zlib", "lzw", "zstd")
    path = saved(
        tmp_path / "a.tif",
        pixels,
        photometric="rgb",
        compression=compression,
        predictor=predictor,
        tile=(16, 16),
    )
    values = decode(path).values
    np.testing.assert_array_equal(values[..., 0], pixels.transpose(2, 1, 0))


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
def test_odd_numbers_of_bits(tmp_path, bits):
    pixels = RANDOM.integers(0, 2**bits, (40, 32)).astype("u2" if bits > 8 else "u1")
    path = saved(tmp_path / "a.tif", pixels, bitspersample=bits)
    np.testing.assert_array_equal(decode(path).values[0, :, :, 0].T, pixels)


@pytest.mark.parametrize(
    ("extra", "samples", "channels"),
    [
        (["unassalpha"], 4, 3),
        (["assocalpha"], 4, 3),
        (["unspecified"], 4, 4),
        (["unassalpha"], 2, 1),
        (["unspecified", "unassalpha"], 5, 4),
    ],
)
def test_alpha_is_what_says_so(tmp_path, extra, samples, channels):
    pixels = picture(samples, "u1")
    photometric = "rgb" if samples > 3 else "minisblack"
    path = saved(
        tmp_path / "a.tif",
        pixels,
        photometric=photometric,
        extrasamples=extra,
        planarconfig="contig",
    )
    values = decode(path).values
    np.testing.assert_array_equal(values[..., 0], pixels.transpose(2, 1, 0)[:channels])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pages_lie_as_viewers_show_them(tmp_path, orientation):
    path = saved(tmp_path / "a.tif", STACK, metadata=None)
    plain = decode(path).values
    turned = Image.fromarray(STACK[2])
    exif = turned.getexif()
    exif[274] = orientation
    turned.save(tmp_path / "a.png", exif=exif.tobytes())
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    tag = [(274, "H", 1, orientation, True)]
    values, geometry = decode(saved(path, STACK, metadata=None, extratags=tag))
    assert plain.shape[1:3] == (30, 40)
    assert geometry.size == (*expected.shape[::-1], 5)
    np.testing.assert_array_equal(values[0, :, :, 2].T, expected)
    assert decode_header(path).geometry == geometry


@pytest.mark.parametrize(
    ("name", "how", "shape"),
    [
        ("a.tif", {"metadata": None}, (1, 30, 40, 5)),
        ("a.tif", {}, (1, 30, 40, 5)),
        ("a.tif", {"metadata": {"axes": "ZYX"}}, (1, 30, 40, 5)),
        ("a.tif", {"metadata": {"axes": "CYX"}}, (5, 30, 40, 1)),
        ("a.tif", {"imagej": True, "metadata": {"axes": "ZYX"}}, (1, 30, 40, 5)),
        ("a.tif", {"imagej": True, "metadata": {"axes": "CYX"}}, (5, 30, 40, 1)),
        ("a.ome.tif", {"metadata": {"axes": "ZYX"}}, (1, 30, 40, 5)),
        ("a.ome.tif", {"metadata": {"axes": "CYX"}}, (5, 30, 40, 1)),
    ],
)
def test_an_axis_is_what_the_file_says(tmp_path, name, how, shape):
    path = saved(tmp_path / name, STACK, **how)
    values = decode(path).values
    assert values.shape == shape
    flat = values.transpose(3, 0, 2, 1).reshape(STACK.shape)
    np.testing.assert_array_equal(flat, STACK)
    assert decode_header(path).channels == shape[0]


@pytest.mark.parametrize(("name", "axes"), [("a.tif", "ZCYX"), ("a.ome.tif", "CZYX")])
def test_slices_and_channels_at_once(tmp_path, name, axes):
    values = RANDOM.integers(0, 255, (4, 3, 40, 30), dtype=np.uint8)
    path = saved(tmp_path / name, values, imagej=axes == "ZCYX", metadata={"axes": axes})
    expected = values.transpose(1, 3, 2, 0) if axes == "ZCYX" else values.transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(decode(path).values, expected)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_points_in_time_are_refused(tmp_path, name):
    how = {"imagej": True} if name == "a.tif" else {}
    line = refusal(saved(tmp_path / name, STACK, metadata={"axes": "TYX"}, **how))
    assert f"{name}: its pages are 5 points in time" in line
    assert "neither slices nor channels" in line


def test_what_may_be_two_things_is_refused_with_both(tmp_path):
    path = tmp_path / "a.tif"
    line = refusal(saved(path, RANDOM.integers(0, 9, (4, 2, 40, 30), dtype=np.uint8)))
    assert "its axes (Q 4, Q 2, Y 40, X 30) may be slices or channels" in line
    line = refusal(saved(path, RANDOM.integers(0, 9, (40, 30, 5), dtype=np.uint8)))
    assert "40 pages of 30 rows of 5 pixels, or else 40 rows of 30 pixels of 5 channels" in line
    planes = RANDOM.integers(0, 9, (4, 40, 30), dtype=np.uint8)
    line = refusal(saved(path, planes, photometric="rgb", planarconfig="separate"))
    assert "may be 4 slices or channels, or else colours with transparency" in line
    colours = RANDOM.integers(0, 9, (4, 40, 30, 3), dtype=np.uint8)
    line = refusal(saved(path, colours, imagej=True, metadata={"axes": "CYXS"}))
    assert "both channels and colours" in line
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[0, :11, :9], metadata=None)
    assert "holds 2 separate images (40x30, 11x9)" in refusal(path)


def test_smaller_copies_and_thumbnails_are_no_images(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(STACK[0], subifds=1, metadata=None)
        writer.write(STACK[0, ::2, ::2], subfiletype=1, metadata=None)
        writer.write(STACK[0, :11, :9], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").values[0, :, :, 0].T, STACK[0])


def test_an_ome_file_whose_pages_are_elsewhere_opens_no_other_file(tmp_path):
    path = saved(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX"})
    whole = path.read_bytes()
    text = tifffile.tiffcomment(path)
    uuid = text.index("<TiffData")
    named = text[:uuid] + (
        '<TiffData FirstZ="0" IFD="0" PlaneCount="1"/><TiffData FirstZ="1" IFD="0" PlaneCount="1">'
        '<UUID FileName="../b.ome.tif">urn:uuid:00000000-0000-0000-0000-000000000001</UUID>'
        "</TiffData></Pixels></Image></OME>"
    )
    saved(path, STACK[:1], description=named.encode(), metadata=None)
    assert whole != path.read_bytes()
    assert "its OME description speaks of pages in other files" in refusal(path)


def test_bits_and_inverted_grays_are_as_viewers_show_them(tmp_path):
    bits = STACK[0] > 100
    by_tifffile = saved(tmp_path / "a.tif", bits)  # True as 1, under a tag by which 1 is black
    np.testing.assert_array_equal(decode(by_tifffile).values[0, :, :, 0].T, bits * 255)
    for compression in (None, "tiff_lzw", "group4"):
        Image.fromarray(bits).save(tmp_path / "b.tif", compression=compression)
        np.testing.assert_array_equal(decode(tmp_path / "b.tif").values[0, :, :, 0].T, bits * 255)
    inverted = saved(tmp_path / "c.tif", STACK[0], photometric="miniswhite", software="other")
    np.testing.assert_array_equal(decode(inverted).values[0, :, :, 0].T, 255 - STACK[0])


def test_a_label_compressed_as_jpeg_is_refused_and_an_image_is_not(tmp_path):
    pixels = Image.fromarray(picture(3, "u1"))
    pixels.save(tmp_path / "a.tif", compression="jpeg")
    assert decode(tmp_path / "a.tif", colours=True).values.shape == (3, 30, 40, 1)
    line = refusal(tmp_path / "a.tif", colours=False)
    assert "compressed as JPEG, which alters label values" in line


def test_inks_are_shown_and_other_colours_named(tmp_path):
    pixels = Image.fromarray(picture(3, "u1"))
    pixels.convert("CMYK").save(tmp_path / "a.tif")
    expected = np.asarray(pixels.convert("CMYK").convert("RGB"))
    np.testing.assert_array_equal(
        decode(tmp_path / "a.tif", colours=True).values[..., 0].T, expected.transpose(0, 1, 2)
    )
    for mode, name in (("LAB", "CIELAB"), ("YCbCr", "YCBCR")):
        pixels.convert(mode).save(tmp_path / "b.tif")
        assert f"its colours are {name}, which are not read" in refusal(tmp_path / "b.tif")
    assert "complex values" in refusal(saved(tmp_path / "c.tif", STACK[0].astype(np.complex64)))


def test_a_list_of_pages_in_circles_ends(tmp_path):
    path = saved(tmp_path / "a.tif", STACK[:2], metadata=None)
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        first, second = (page.offset for page in tiff.pages)
    tags = int.from_bytes(raw[second : second + 2], "little")
    raw[second + 2 + 12 * tags : second + 6 + 12 * tags] = first.to_bytes(4, "little")
    path.write_bytes(raw)
    assert "its list of pages goes in circles" in refusal(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_that_nothing_fills_are_refused_before_they_are_made(tmp_path, compression):
    path = saved(tmp_path / "a.tif", STACK[0], compression=compression, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(20_000_000)
        if compression is None:
            tiff.pages[0].tags["RowsPerStrip"].overwrite(20_000_000)
    assert "a.tif: cut short: its header announces 600000000 bytes a page" in refusal(path)


@pytest.mark.parametrize("how", [{}, {"photometric": "rgb", "planarconfig": "separate"}])
def test_three_planes_that_may_be_slices_are_colours_with_a_word(tmp_path, how):
    """tifffile calls them colours unasked, and writes the same where it is asked to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        path = saved(tmp_path / "a.tif", STACK[:3], **how)
    subject = read_subject(Case("a", (path,)))
    np.testing.assert_array_equal(subject.image[..., 0], STACK[:3].transpose(0, 2, 1))
    (note,) = subject.warnings
    assert "if they are slices, save it with photometric='minisblack'" in note.what


@pytest.mark.parametrize(
    ("values", "how"),
    [
        (STACK[:3], {"photometric": "minisblack"}),
        (STACK[:3].transpose(1, 2, 0), {"photometric": "rgb"}),
        (STACK[0], {}),
    ],
)
def test_what_is_plainly_slices_or_colours_needs_no_word(tmp_path, values, how):
    path = saved(tmp_path / "a.tif", np.ascontiguousarray(values), **how)
    assert not read_subject(Case("a", (path,))).warnings
