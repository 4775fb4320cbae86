import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans import decode as decoding
from medseg.scans.case import Case
from medseg.scans.formats import IMAGE_SUFFIXES, WORLD_SUFFIXES
from medseg.scans.read import read_label_map, read_subject
from medseg.scans.write import write_image, write_label_map
from tests.grids import ORIENTATIONS, SOME_ORIENTATIONS, grid, random_label

RANDOM = np.random.default_rng(0)


def image_file(path: Path, geometry: Geometry | None = None, channels: int = 1) -> Path:
    geometry = geometry or grid()
    image = RANDOM.normal(size=(channels, *geometry.size)).astype(np.float32)
    return write_image(image, geometry, path)


def photo(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def refusal(case: Case | Path) -> str:
    """The one line that refuses a case or an image file."""
    with pytest.raises(ScanError) as caught:
        read_subject(case if isinstance(case, Case) else Case("case", (case,)))
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- several files, one grid


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_channels_from_files_and_from_the_fourth_axis(tmp_path, suffix):
    one = image_file(tmp_path / f"one{suffix}")
    two = image_file(tmp_path / f"two{suffix}", channels=2)
    subject = read_subject(Case("case", (one, two)))
    assert subject.image.shape == (3, 5, 4, 3)
    assert subject.image.dtype == np.float32
    assert subject.warnings == ()
    assert subject.label is None
    np.testing.assert_array_equal(subject.image[:1], read_subject(Case("one", (one,))).image)
    np.testing.assert_array_equal(subject.image[1:], read_subject(Case("two", (two,))).image)


def test_one_layer_per_label_file(tmp_path):
    labels = [random_label((5, 4, 3), seed=seed, low=-3, high=70000) for seed in range(2)]
    files = tuple(
        write_label_map(label, grid(), tmp_path / f"mask{index}.nii.gz")
        for index, label in enumerate(labels)
    )
    subject = read_subject(Case("case", (image_file(tmp_path / "image.nrrd"),), files))
    assert subject.label is not None
    assert subject.label.dtype == np.int32
    np.testing.assert_array_equal(subject.label, labels)


def test_labels_stay_closed_unless_asked_for(tmp_path):
    case = Case("case", (image_file(tmp_path / "a.nii"),), (tmp_path / "absent.nii",))
    assert read_subject(case, with_label=False).label is None
    assert "absent.nii: no such file" in refusal(case)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_a_label_in_another_orientation_comes_exactly_onto_the_image(tmp_path, orientation):
    geometry = grid(tilt="oblique")
    label = random_label(geometry.size)
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (
            write_label_map(
                orientation.apply(label), geometry.reoriented(orientation), tmp_path / "label.nrrd"
            ),
        ),
    )
    subject = read_subject(case)
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], label)
    assert len(subject.warnings) == (orientation != ORIENTATIONS[0])


def test_a_label_of_twice_the_resolution_is_resampled_by_place(tmp_path):
    geometry = grid(SOME_ORIENTATIONS[1], "oblique")
    fine = geometry.resized((geometry.size[0] * 3, geometry.size[1] * 3, geometry.size[2] * 3))
    label = random_label(fine.size)
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (write_label_map(label, fine, tmp_path / "label.nii"),),
    )
    subject = read_subject(case)
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], label[1::3, 1::3, 1::3])
    (warning,) = subject.warnings
    assert "label.nii: on another grid" in warning
    assert "nearest neighbour" in warning
    assert "covers 100%" in warning


def test_ties_all_fall_to_the_same_side(tmp_path):
    coarse = grid(SOME_ORIENTATIONS[2], "oblique", size=(4, 4, 4))
    fine = coarse.resized((8, 8, 8))
    label = random_label(fine.size)
    case = Case(
        "case",
        (image_file(tmp_path / "image.nrrd", coarse),),
        (write_label_map(label, fine, tmp_path / "label.nrrd"),),
    )
    subject = read_subject(case)
    assert subject.label is not None
    np.testing.assert_array_equal(subject.label[0], label[1::2, 1::2, 1::2])


def test_the_part_of_an_image_that_a_label_leaves_out_is_zero(tmp_path):
    geometry = grid()
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (
            write_label_map(
                np.full((3, 4, 3), 7), geometry.cropped((2, 0, 0), (3, 4, 3)), tmp_path / "l.nii"
            ),
        ),
    )
    subject = read_subject(case)
    assert subject.label is not None
    assert (subject.label[0, :2] == 0).all()
    assert (subject.label[0, 2:] == 7).all()
    assert "covers 60%" in subject.warnings[0]


def test_another_channel_is_brought_onto_the_grid_of_the_first(tmp_path):
    geometry = grid(tilt="oblique", size=(6, 5, 4))
    places = geometry.to_world(np.moveaxis(np.indices(geometry.size), 0, -1))
    linear = (places @ (0.3, -0.2, 0.5)).astype(np.float32)
    inner = geometry.cropped((1, 1, 1), (4, 3, 2)).resized((8, 3, 2))
    image = image_file(tmp_path / "image.nii", inner)
    second = write_image(linear[None], geometry, tmp_path / "second.nii")
    subject = read_subject(Case("case", (image, second)))
    expected = inner.to_world(np.moveaxis(np.indices(inner.size), 0, -1)) @ (0.3, -0.2, 0.5)
    np.testing.assert_allclose(subject.image[1], expected, atol=1e-3)
    assert "second.nii: on another grid" in subject.warnings[0]


def test_grids_that_do_not_overlap_are_refused(tmp_path):
    geometry = grid()
    far = Geometry(geometry.size, geometry.spacing_mm, (500.0, 0.0, 0.0))
    case = Case(
        "case",
        (image_file(tmp_path / "image.nii", geometry),),
        (write_label_map(random_label(far.size), far, tmp_path / "label.nii"),),
    )
    assert "label.nii: does not overlap the first image" in refusal(case)


def test_sizes_must_agree_without_a_world_frame(tmp_path):
    label = photo(tmp_path / "label.png", np.zeros((4, 6), np.uint8))
    image = photo(tmp_path / "image.png", np.zeros((4, 5), np.uint8))
    message = refusal(Case("case", (image,), (label,)))
    assert "label.png: size 6x4x1 is not the first image's 5x4x1" in message


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
    gray = RANDOM.integers(0, 255, (4, 5, 1), dtype=np.uint8)
    same = photo(tmp_path / "same.png", gray.repeat(3, axis=2))
    np.testing.assert_array_equal(read_label_map(same)[0][:, :, 0].T, gray[..., 0])
    colours = photo(tmp_path / "colours.png", np.concatenate([gray, gray, 255 - gray], axis=2))
    with pytest.raises(ScanError, match=r"colours\.png: .* 3 channels that differ; save one"):
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


# --- values


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_voxels_become_the_minimum_of_their_channel(tmp_path, suffix, bad):
    image = RANDOM.normal(size=(2, 5, 4, 3)).astype(np.float32)
    whole = image.copy()
    image[1, :2, :, 0] = bad
    path = write_image(image, grid(), tmp_path / f"a{suffix}")
    subject = read_subject(Case("case", (path,)))
    whole[1, :2, :, 0] = image[1][np.isfinite(image[1])].min()
    np.testing.assert_array_equal(subject.image, whole)
    assert len(subject.warnings) == 1
    assert f"a{suffix} channel 1: 13.3% of voxels were NaN or infinite" in subject.warnings[0]


def test_half_may_be_broken_and_no_more(tmp_path):
    image = RANDOM.normal(size=(1, 4, 4, 4)).astype(np.float32)
    image[0, :2] = np.nan
    geometry = Geometry((4, 4, 4))
    half = write_image(image, geometry, tmp_path / "half.nii.gz")
    assert "50% of voxels" in read_subject(Case("case", (half,))).warnings[0]
    image[0, 2, 0, 0] = np.nan
    more = write_image(image, geometry, tmp_path / "more.nii.gz")
    assert "more.nii.gz: 51.6% of the voxels are NaN or infinite" in refusal(more)
    image[:] = np.nan
    everything = write_image(image, geometry, tmp_path / "all.nii.gz")
    assert "all.nii.gz: 100.0% of the voxels" in refusal(everything)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "NaN or infinite"), (0.5, "0.5 is not a whole number"), (1e12, "do not fit 32 bits")],
)
def test_labels_hold_whole_finite_numbers(tmp_path, value, words):
    values = np.zeros((5, 4, 3), np.float32)
    values[2, 2, 2] = value
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "label.nii.gz")
    with pytest.raises(ScanError, match=rf"label\.nii\.gz: .*{words}.*; "):
        read_label_map(tmp_path / "label.nii.gz")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, np.float64])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_label_values_are_exact_in_any_type(tmp_path, suffix, dtype):
    high = 200 if dtype == np.uint8 else 2**31 - 1  # float32 would round the latter
    label = random_label((5, 4, 3), high=high)
    path = tmp_path / f"a{suffix}"
    if suffix == ".nrrd":
        sitk.WriteImage(sitk.GetImageFromArray(label.T.astype(dtype)), str(path))
    else:
        header = nib.Nifti1Header()
        header.set_data_dtype(dtype)
        nib.save(nib.Nifti1Image(label.astype(dtype), np.eye(4), header), path)
    np.testing.assert_array_equal(read_label_map(path)[0], label)


def test_scaled_nifti_is_in_its_own_unit(tmp_path):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.eye(4))
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "a.nii.gz")
    stored = nib.load(tmp_path / "a.nii.gz").get_fdata()
    subject = read_subject(Case("case", (tmp_path / "a.nii.gz",)))
    np.testing.assert_array_equal(subject.image[0], stored)


# --- files that are not what they say


def stored(folder: Path, suffix: str) -> Path:
    if suffix in WORLD_SUFFIXES:
        return image_file(folder / f"a{suffix}", grid(size=(40, 40, 40)))
    return photo(folder / f"a{suffix}", RANDOM.integers(0, 255, (64, 64), dtype=np.uint8))


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_a_truncated_file_is_one_line_and_nothing_on_screen(tmp_path, suffix, capfd):
    path = stored(tmp_path, suffix)
    data = path.with_suffix(".zraw") if suffix == ".mhd" else path
    data.write_bytes(data.read_bytes()[: data.stat().st_size * 2 // 3])
    assert f"a{suffix}: damaged, cut short or not really a {suffix} file" in refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"a few words\n" * 100, bytes(500)])
def test_a_file_of_something_else_is_one_line(tmp_path, suffix, content, capfd):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert refusal(path).startswith(f"a{suffix}: {'damaged' if content else 'empty file'}")
    assert capfd.readouterr() == ("", "")


def test_missing_files_folders_and_unknown_suffixes(tmp_path):
    assert "absent.nii.gz: no such file in" in refusal(tmp_path / "absent.nii.gz")
    (tmp_path / "folder.png").mkdir()
    assert "folder.png: no such file in" in refusal(tmp_path / "folder.png")
    (tmp_path / "a.docx").write_text("words")
    assert "a.docx: unsupported suffix '.docx', convert it to one of .nii" in refusal(
        tmp_path / "a.docx"
    )


def test_a_header_without_its_data_is_one_line(tmp_path):
    path = image_file(tmp_path / "a.mhd")
    path.with_suffix(".zraw").unlink()
    assert "or its data file is missing" in refusal(path)


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
