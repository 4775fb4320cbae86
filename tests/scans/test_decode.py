import errno
import gzip
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.errors import MachineError, ScanError
from medseg.geometry import Geometry
from medseg.scans import decode as decoding
from medseg.scans import nifti
from medseg.scans.case import Case
from medseg.scans.dicom.header import SUFFIXES as DICOM_SUFFIXES
from medseg.scans.formats import IMAGE_SUFFIXES, WORLD_SUFFIXES
from medseg.scans.read import read_label_map, read_subject
from tests.grids import grid
from tests.scans.files import RANDOM, image_file, photo, refusal

# --- pictures


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_gray_and_colour_keep_pixel_order(tmp_path, suffix, mode, channels):
    picture = np.full((4, 5, 3), 20, np.uint8)
    picture[:, 3:] = 220  # flat blocks survive JPEG
    subject = read_subject(Case("case", (photo(tmp_path / f"a{suffix}", picture, mode),)))
    assert subject.image.shape == (channels, 5, 4, 1)
    assert subject.geometry == Geometry((5, 4, 1), world=False)
    np.testing.assert_allclose(subject.image[0, :, :, 0].T, picture[..., 0], atol=25)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_alpha_is_dropped(tmp_path, suffix, mode, channels):
    picture = RANDOM.integers(0, 255, (4, 5, len(mode)), dtype=np.uint8)
    subject = read_subject(Case("case", (photo(tmp_path / f"a{suffix}", picture),)))
    expected = picture[..., :channels].transpose(2, 1, 0)[..., None]
    np.testing.assert_array_equal(subject.image, expected)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_kept(tmp_path, suffix, channels):
    picture = RANDOM.integers(0, 65535, (4, 5, channels), dtype=np.uint16)
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(picture.squeeze(), isVector=channels > 1), str(path))
    subject = read_subject(Case("case", (path,)))
    np.testing.assert_array_equal(subject.image, picture.transpose(2, 1, 0)[..., None])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_palette_is_indices_to_a_label_and_colours_to_an_image(tmp_path, suffix):
    indices = RANDOM.integers(0, 3, (4, 5), dtype=np.uint8)
    palette = np.array([[0, 0, 0], [200, 10, 30], [128, 128, 128]], np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette(palette.ravel().tolist())
    picture.save(tmp_path / f"a{suffix}")
    case = Case("case", (tmp_path / f"a{suffix}",), (tmp_path / f"a{suffix}",))
    subject = read_subject(case)
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0, :, :, 0].T, indices)
    np.testing.assert_array_equal(subject.image[..., 0].T, palette[indices])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_palettes_and_single_bits_are_gray_values(tmp_path, suffix):
    bits = RANDOM.integers(0, 2, (4, 5)).astype(bool)
    one_bit = photo(tmp_path / f"bits{suffix}", bits)
    picture = Image.fromarray(bits.astype(np.uint8))
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.save(tmp_path / f"palette{suffix}")
    for path in (one_bit, tmp_path / f"palette{suffix}"):
        np.testing.assert_array_equal(read_label_map(path)[0][:, :, 0].T, bits * 255)


def test_a_label_in_colour_is_one_layer_only_if_its_channels_agree(tmp_path):
    gray = np.arange(20, dtype=np.uint8).reshape(4, 5, 1)
    same = photo(tmp_path / "same.png", gray.repeat(3, axis=2))
    np.testing.assert_array_equal(read_label_map(same)[0][:, :, 0].T, gray[..., 0])
    colours = photo(tmp_path / "colours.png", np.concatenate([gray, gray, 255 - gray], axis=2))
    with pytest.raises(ScanError, match=r"3 channels that differ: .* of 20 colours .*; save one"):
        read_label_map(colours)


def test_jpeg_labels_are_refused(tmp_path):
    path = photo(tmp_path / "label.jpg", np.zeros((4, 5), np.uint8))
    with pytest.raises(ScanError, match=r"label\.jpg: JPEG alters label values; save .* \.png"):
        read_label_map(path)


def test_tiff_pages_are_slices(tmp_path):
    stack = RANDOM.integers(0, 255, (3, 4, 5), dtype=np.uint8)
    pages = [Image.fromarray(page) for page in stack]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    subject = read_subject(Case("case", (tmp_path / "a.tif",)))
    np.testing.assert_array_equal(subject.image[0], stack.transpose(2, 1, 0))


def test_colour_nifti_has_three_channels(tmp_path):
    values = RANDOM.integers(0, 255, (5, 4, 3, 3), dtype=np.uint8)
    records = values.view([(name, np.uint8) for name in "RGB"])[..., 0]
    nib.save(nib.Nifti1Image(records, np.eye(4)), tmp_path / "a.nii")
    subject = read_subject(Case("case", (tmp_path / "a.nii",)))
    np.testing.assert_array_equal(subject.image, np.moveaxis(values, -1, 0))


# --- files that are not what they say


WRITTEN = [suffix for suffix in IMAGE_SUFFIXES if suffix not in DICOM_SUFFIXES]


def stored(folder: Path, suffix: str) -> Path:
    if suffix in WORLD_SUFFIXES:
        return image_file(folder / f"a{suffix}", grid(size=(40, 40, 40)))
    return photo(folder / f"a{suffix}", RANDOM.integers(0, 255, (64, 64), dtype=np.uint8))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_truncated_file_is_one_line_and_nothing_on_screen(tmp_path, suffix, capfd):
    path = stored(tmp_path, suffix)
    data = {".mhd": path.with_suffix(".zraw"), ".nhdr": path.with_suffix(".raw.gz")}.get(
        suffix, path
    )
    data.write_bytes(data.read_bytes()[: data.stat().st_size * 2 // 3])
    line = refusal(path)
    assert line.startswith(f"a{suffix}: ")
    assert re.search("cut short|truncated|broken data stream", line), line
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"a few words\n" * 100, bytes(500)])
def test_a_file_of_something_else_is_one_line(tmp_path, suffix, content, capfd):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    path.with_suffix(".hdr").write_bytes(content)  # .img has one
    reason = "damaged, or not|not a|neither a" if content else "empty file"
    assert re.match(rf"a{suffix}: ({reason})", refusal(path))
    assert capfd.readouterr() == ("", "")


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    path = image_file(tmp_path / "a.nii.gz")
    monkeypatch.setattr(nifti, "read_numbers", fails)
    with pytest.raises(MachineError, match=r"a\.nii\.gz: out of memory"):
        decoding.decode(path)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_machine_that_fails_is_no_damaged_file(tmp_path, monkeypatch, suffix, number):
    path = stored(tmp_path, suffix)
    opens = Path.open
    calls = []

    def fails(self: Path, *args, **kwargs):
        calls.append(self)
        if len(calls) > 2:
            raise OSError(number, os.strerror(number))
        return opens(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(MachineError) as caught:
        decoding.decode(path, colours=True)
    assert caught.value.subject == f"a{suffix}"


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = image_file(tmp_path / "a.nii.gz")

    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    assert refusal(path) == "a.nii.gz: cannot be read (Permission denied); check its permissions"


def test_several_threads_read_at_once_and_stderr_comes_back(tmp_path, capfd):
    paths = [image_file(tmp_path / f"{number}.nii.gz") for number in range(4)]
    within = Barrier(4)
    read = nifti.read_numbers

    def together(*args, **kwargs):
        within.wait(timeout=20)  # none could pass if one read at a time
        return read(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(nifti, "read_numbers", together)
        assert len(list(pool.map(decoding.decode, paths))) == 4
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_missing_files_folders_and_unknown_suffixes(tmp_path):
    assert "absent.nii.gz: no such file in" in refusal(tmp_path / "absent.nii.gz")
    (tmp_path / "folder.png").mkdir()
    assert "folder.png: no such file in" in refusal(tmp_path / "folder.png")
    (tmp_path / "a.docx").write_text("words")
    assert "a.docx: unsupported suffix '.docx'; convert it to one of .nii" in refusal(
        tmp_path / "a.docx"
    )


def test_a_header_without_its_data_is_one_line(tmp_path):
    path = image_file(tmp_path / "a.mhd")
    path.with_suffix(".zraw").unlink()
    assert "a.mhd: its data file a.zraw is missing; copy a.zraw beside it too" in refusal(path)


@pytest.mark.parametrize("shape", [(30000, 30000, 30000), (32767, 32767, 32767, 1, 32767)])
def test_a_nifti_header_that_announces_terabytes_is_refused_unread(tmp_path, shape):
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(1000)))
    message = refusal(tmp_path / "a.nii.gz")
    assert f"announces {'x'.join(map(str, shape))} values" in message
    assert str(decoding.MAX_VALUES) in message


def test_other_headers_that_announce_terabytes_are_refused_unread(tmp_path):
    (tmp_path / "a.mha").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 30000 30000 30000\n"
        "ElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.nrrd").write_text(
        "NRRD0004\ntype: float\ndimension: 3\nsizes: 30000 30000 30000\nencoding: raw\n"
        "endian: little\n\n"
    )
    for suffix in ("mha", "nrrd"):
        assert "announces 30000x30000x30000" in refusal(tmp_path / f"a.{suffix}")


def test_an_impossible_affine_is_refused(tmp_path):
    image = nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), np.eye(4))
    image.header["sform_code"] = 1
    image.header["srow_x"] = 0
    nib.save(nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), None, image.header), tmp_path / "a.nii")
    message = refusal(tmp_path / "a.nii")
    assert "a.nii: its header does not say where it lies" in message
    assert "[0.0, 0.0, 0.0, 0.0]" in message


def test_what_nibabel_logs_about_a_header_stays_unsaid(tmp_path, caplog):
    image = nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), np.eye(4))
    raw = bytearray(image.to_bytes())
    raw[80:84] = np.float32(-1).tobytes()  # pixdim[1]
    (tmp_path / "a.nii").write_bytes(raw)
    read_subject(Case("case", (tmp_path / "a.nii",)))
    assert caplog.text == ""
    nib.load(tmp_path / "a.nii")
    assert "pixdim" in caplog.text


def test_two_axes_besides_space_are_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((5, 4, 3, 2, 2), np.int16), np.eye(4)), tmp_path / "a.nii")
    assert "a.nii: 5 axes (5, 4, 3, 2, 2)" in refusal(tmp_path / "a.nii")


def test_shear_is_read(tmp_path):
    geometry = grid(tilt="oblique", shear=0.4)
    nib.save(nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), geometry.affine), tmp_path / "a.nii")
    found = read_subject(Case("case", (tmp_path / "a.nii",))).geometry
    np.testing.assert_allclose(found.affine, geometry.affine, atol=5e-5)


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (b"/annex/objects/MD5E-s1--0.nii.gz\n", "git annex get"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    ],
)
def test_data_that_is_not_there_is_no_damaged_file(tmp_path, content, command):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(ScanError, match=f"is a pointer to data that is absent.*{command}"):
        decoding.decode(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ScanError, match=r"is a link whose target is absent.*git annex get"):
        decoding.decode_header(tmp_path / "b.nii.gz")
