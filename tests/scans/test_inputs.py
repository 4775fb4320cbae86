import errno
import os
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import MachineError, SettingsError
from medseg.geometry import Geometry
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.marks import mark
from medseg.scans.write import write_label_map
from tests.scans.dicom.objects import SECRETS, ramp, save_series, uid
from tests.scans.folders import fill

GRID = Geometry((4, 4, 4))


def look(*paths, rule=None):
    return group_inputs([str(path) for path in paths], rule or ChannelRule(), 1)


def files_of(found):
    return [path.name for case in found.cases for path in case.images]


def test_two_names_are_two_inputs_even_of_one_file(tmp_path):
    fill(tmp_path, "store/x.nii.gz", "in/c.nii.gz")
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.nii.gz").symlink_to("../store/x.nii.gz")
    os.link(tmp_path / "in" / "c.nii.gz", tmp_path / "in" / "d.nii.gz")
    found = look(tmp_path / "in", tmp_path / "in" / "a.nii.gz")
    assert [case.name for case in found.cases] == ["a", "b", "c", "d"]
    assert found.problems == []


def test_a_path_spelled_in_two_ways_is_one_input(tmp_path, monkeypatch):
    fill(tmp_path, "in/a.nii.gz")
    monkeypatch.chdir(tmp_path)
    found = look("in/a.nii.gz", "./in/../in/a.nii.gz", tmp_path / "in" / "a.nii.gz", "in")
    assert [case.name for case in found.cases] == ["a"]


def test_a_link_to_a_folder_keeps_its_own_path(tmp_path):
    """`link/..` is not where `link` lies: cut as text, one of two scans would be lost."""
    fill(tmp_path, "far/in/a.nii.gz", "a.nii.gz", "far/a.nii.gz")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "in")
    found = look(tmp_path / "a.nii.gz", f"{tmp_path}/link/../a.nii.gz")
    assert len(found.cases) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "link whose target is absent"),
        (b"/annex/objects/MD5E-s12--abc.nii.gz\n", "pointer"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "pointer"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_data_that_is_elsewhere_is_said_to_be(tmp_path, content, said, named):
    file = fill(tmp_path, "good.nii.gz") / "lost.nii.gz"
    if content is None:
        file.symlink_to(".git/annex/objects/gone")
    else:
        file.write_bytes(content)
    found = look(*((file, tmp_path / "good.nii.gz") if named else (tmp_path,)))
    assert files_of(found) == ["good.nii.gz"]
    (problem,) = found.problems
    assert Path(problem.name) == file
    assert said in problem.what
    assert "get the data" in problem.remedy


@pytest.mark.parametrize("pattern", ["**/*.png", "*", "**"])
def test_a_pattern_finds_nothing_hidden(tmp_path, pattern):
    fill(tmp_path, "a.png", "p1/b.png", ".git/c.png", "p1/.old/d.png", "__MACOSX/e.png", "._a.png")
    assert set(files_of(look(tmp_path / pattern))) == {"a.png", "b.png"}


def test_sub_folders_are_searched_and_loops_end(tmp_path):
    fill(tmp_path, "1/2/3/4/5/deep.nii.gz", "top.nii.gz", ".hidden/a.nii.gz", "__MACOSX/b.nii.gz")
    (tmp_path / "1" / "again").symlink_to(tmp_path)
    found = look(tmp_path)
    assert files_of(found) == ["top.nii.gz", "deep.nii.gz"]
    assert [place.as_posix() for place in found.places] == ["top", "1/2/3/4/5/deep"]


LEFT_OUT = [
    "a_seg.nii.gz",
    "labels/a.nii.gz",
    "labelsTr/a.nii.gz",
    "gt/deep/a.nii.gz",
    "a.seg.nrrd",
    "a_probabilities.nii.gz",
    "a_seg_uncertainty.nii.gz",
    "a_overlay.png",
    "a_seg/liver.nii.gz",
]


@pytest.mark.parametrize("name", LEFT_OUT)
@pytest.mark.parametrize("pattern", ["", "**/*.*"])
def test_labels_and_earlier_masks_of_a_folder_are_left_out_and_counted(tmp_path, name, pattern):
    fill(tmp_path, "a.nii.gz", "b.nii.gz", name)
    found = look(tmp_path / pattern)
    assert files_of(found) == ["a.nii.gz", "b.nii.gz"]
    assert found.problems == []
    (note,) = found.notes
    assert "left out 1 file(s)" in note
    assert "name the file itself" in note


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_named_is_taken(tmp_path, name):
    fill(tmp_path, "a.nii.gz", name)
    found = look(tmp_path, tmp_path / name)
    assert set(files_of(found)) == {"a.nii.gz", Path(name).name}
    assert found.notes == []


def test_masks_of_medseg_are_known_under_any_name(tmp_path):
    scan, earlier = (
        write_label_map(np.ones(GRID.size, np.int32), GRID, tmp_path / name)
        for name in ("a.nii.gz", "results/a.nii.gz")
    )
    assert len(look(tmp_path).cases) == 2
    mark(earlier)
    found = look(tmp_path)
    assert [case.images for case in found.cases] == [(scan,)]
    assert "left out 1 file(s)" in found.notes[0]


def test_of_a_dataset_only_the_images_are_taken(tmp_path):
    fill(
        tmp_path,
        *("imagesTr/a.nii.gz", "imagesTs/b.nii.gz", "labelsTr/a.nii.gz", "preview.png"),
        *("fov/a.nii.gz", "dataset.json"),
    )
    found = look(tmp_path)
    assert files_of(found) == ["a.nii.gz", "b.nii.gz"]
    assert [note.split(":")[0].split("(")[0] for note in found.notes] == [
        "left out 1 file",
        "left out 2 file",
    ]


def test_a_folder_of_nothing_but_labels_says_so(tmp_path):
    fill(tmp_path, "a_seg.nii.gz", "b_seg.nii.gz")
    found = look(tmp_path)
    assert found.cases == []
    (problem,) = found.problems
    assert "nothing but labels" in problem.what
    assert "a_seg.nii.gz, b_seg.nii.gz" in problem.what
    assert "name" in problem.remedy


def test_what_may_be_a_scan_in_another_format_is_named(tmp_path):
    fill(tmp_path, "a.nii.gz", "b.npy", "c.svs", "notes.txt", "table.xlsx", ".DS_Store")
    found = look(tmp_path)
    (note,) = found.notes
    assert "left out 2 file(s) of formats that are not read: b.npy, c.svs" in note


def test_a_channel_may_be_named_like_a_label(tmp_path):
    """Where training took `_mask` for a channel, prediction does."""
    fill(tmp_path, "p1_mask.png", "p1_gray.png", "p2_seg.png")
    found = look(tmp_path, rule=ChannelRule(kind="suffix", keys=("_gray", "_mask")))
    assert files_of(found) == ["p1_gray.png", "p1_mask.png"]


def test_files_that_are_no_channel_are_counted(tmp_path):
    fill(tmp_path, "p1/t1.nii.gz", "p1/flair.nii.gz", "p1/scout.nii.gz")
    found = look(tmp_path, rule=ChannelRule(kind="folder", keys=("t1", "flair")))
    assert [case.name for case in found.cases] == ["p1"]
    assert "scout.nii.gz" in found.notes[0]


def test_cases_of_one_name_are_named_by_their_place(tmp_path):
    fill(tmp_path, "p1/ct.nii.gz", "p2/ct.nii.gz", "e.mha", "e.mhd", "e.nrrd")
    found = look(tmp_path)
    names = {case.name for case in found.cases}
    assert names == {"p1_ct", "p2_ct", "e_mha", "e_mhd", "e_nrrd"}


def test_a_folder_that_may_not_be_read_costs_one_line(tmp_path, monkeypatch):
    fill(tmp_path, "shut/a.nii.gz", "open/b.nii.gz")
    whole = Path.iterdir

    def refuses(path):
        if path.name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", refuses)
    found = look(tmp_path)
    assert files_of(found) == ["b.nii.gz"]
    assert [(Path(p.name).name, "Permission denied" in p.what) for p in found.problems] == [
        ("shut", True)
    ]


def test_a_share_that_is_gone_is_no_empty_folder(tmp_path, monkeypatch):
    fill(tmp_path, "a.nii.gz")

    def fails(path):
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "iterdir", fails)
    with pytest.raises(MachineError, match="network share went away"):
        look(tmp_path)


@pytest.fixture
def patients(tmp_path):
    """Two patients of one DICOM series each, and a third of two."""
    for who, number in (("anna", 4), ("ben", 4), ("carl", 4), ("carl", 7)):
        (tmp_path / who).mkdir(exist_ok=True)
        own = {"SeriesNumber": number, "SeriesInstanceUID": uid(f"{who}{number}")}
        for path in save_series(tmp_path / ".new", ramp(3, 5, 4), **own):
            path.rename(tmp_path / who / f"s{number}_{path.name}")
    return tmp_path


def test_a_dicom_series_is_one_input_called_like_its_folder(patients):
    found = look(patients)
    assert found.problems == []
    assert [place.as_posix() for place in found.places][:2] == ["anna", "ben"]
    assert len(found.cases) == 4
    assert len({case.name for case in found.cases}) == 4
    assert not any(secret in repr(found) for secret in SECRETS)


@pytest.mark.parametrize("pattern", ["anna", "anna/*", "anna/*.dcm"])
def test_slices_stand_for_their_series(patients, pattern):
    whole = look(patients / "anna")
    slices = [str(path) for path in (patients / "anna").iterdir()]
    assert look(patients / pattern).cases == whole.cases
    assert look(*slices).cases == whole.cases
    assert look(slices[-1]).cases == whole.cases


def test_series_are_chosen_by_number(patients):
    found = group_inputs([str(patients)], ChannelRule(), 1, series="7")
    (case,) = found.cases
    assert case.images[0].parent.name == "carl"
    with pytest.raises(SettingsError, match="series = 9: fits none of the inputs"):
        group_inputs([str(patients)], ChannelRule(), 1, series="9")
