import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medseg.errors import MachineError, ScanError
from medseg.scans.dicom.header import SUFFIXES as DICOM_SUFFIXES
from medseg.scans.formats import (
    FORMATS,
    IMAGE_SUFFIXES,
    LOSSY_SUFFIXES,
    WORLD_SUFFIXES,
    files_of,
    format_of,
    is_scan,
    mask_suffix,
)
from tests.grids import grid
from tests.scans.files import image_file

HEAVY = ("nibabel", "SimpleITK", "tifffile", "imagecodecs", "PIL", "torch", "pydicom")


def test_listing_a_folder_imports_no_reader(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    code = (
        "import sys; from pathlib import Path; from medseg.scans.formats import is_scan; "
        f"assert is_scan(Path({str(tmp_path / 'a.nii.gz')!r})); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_suffix_belongs_to_one_format_and_every_format_has_its_functions():
    suffixes = [suffix for entry in FORMATS for suffix in (*entry.suffixes, *entry.named)]
    assert len(set(suffixes)) == len(suffixes)
    for entry in FORMATS:
        module = entry.module()
        assert all(callable(getattr(module, name)) for name in ("files_of", "header", "read"))


@pytest.mark.parametrize("suffix", [s for s in IMAGE_SUFFIXES if s not in DICOM_SUFFIXES])
def test_upper_and_lower_case_are_alike(tmp_path, suffix):
    for spelled in (suffix, suffix.upper(), suffix.title()):
        path = tmp_path / f"a{spelled}"
        path.touch()
        path.with_suffix(".hdr").touch()
        assert is_scan(path)
        assert format_of(path) is format_of(Path(f"a{suffix}"))


def test_half_a_pair_is_no_scan_and_a_pair_is_one(tmp_path):
    (tmp_path / "disk.img").touch()
    assert not is_scan(tmp_path / "disk.img")
    path = image_file(tmp_path / "a.img", grid())
    assert is_scan(path)
    assert not is_scan(path.with_suffix(".hdr"))
    assert set(files_of(path)) == {path, path.with_suffix(".hdr")}


@pytest.mark.parametrize("suffix", WORLD_SUFFIXES)
def test_a_scan_stands_for_all_its_files_itself_first(tmp_path, suffix):
    path = image_file(tmp_path / f"a{suffix}", grid())
    files = files_of(path)
    assert files[0] == path
    assert set(files) == set(tmp_path.iterdir())


def test_masks_keep_the_scan_s_suffix_but_where_it_would_harm_them():
    for suffix in IMAGE_SUFFIXES:
        harmful = suffix in (*LOSSY_SUFFIXES, ".gif")
        expected = ".png" if harmful else ".nii.gz" if suffix in DICOM_SUFFIXES else suffix
        assert mask_suffix(Path(f"a{suffix}")) == expected
    assert mask_suffix(Path("a.Nii.GZ")) == ".Nii.GZ"


@pytest.mark.parametrize("named", ["/etc/passwd", "../v.raw", "C:\\scans\\v.raw", "a/../../v.raw"])
def test_headers_name_no_files_outside_their_folder(tmp_path, named):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "v.raw").write_bytes(bytes(60))
    (folder / "a.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\n"
        f"ElementDataFile = {named}\n"
    )
    (folder / "a.nhdr").write_text(
        f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 4 3\nencoding: raw\ndata file: {named}\n\n"
    )
    for name in ("a.mhd", "a.nhdr"):
        with pytest.raises(ScanError, match="lies outside its folder; put it beside"):
            files_of(folder / name)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_the_data_file_is_found_in_another_case(tmp_path, suffix):
    path = image_file(tmp_path / f"a{suffix}", grid())
    (data,) = set(tmp_path.iterdir()) - {path}
    shouted = data.rename(data.with_name(data.name.upper()))
    assert files_of(path) == (path, shouted)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
def test_a_file_that_the_machine_cannot_open_is_not_passed_over(tmp_path, monkeypatch, number):
    """Without a suffix only its content says whether it is a scan."""
    path = tmp_path / "IM0001"
    path.write_bytes(b"\0" * 128 + b"DICM")

    def fail(self: Path, *_how, **_more):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(MachineError):
        is_scan(path)
