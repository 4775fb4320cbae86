"""Whatever stands in a file: read, or refused in one line."""

import errno
import os
import resource
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import data
from pydicom.uid import JPEG2000Lossless, RLELossless

from medseg.errors import MachineError, ScanError
from medseg.scans.decode import decode
from medseg.scans.dicom.folder import series_in
from medseg.scans.formats import is_scan
from tests.scans.dicom.objects import (
    CT,
    ENHANCED_MR,
    SC,
    affine,
    dataset,
    groups,
    ramp,
    save,
    save_series,
    slices,
)

PUBLIC = Path(data.DATA_ROOT) / "test_files"
ROUNDS = 40


def outcome(path: Path) -> str:
    """`read`, or the line of the refusal."""
    try:
        voxels = decode(path, colours=True)
    except ScanError as error:
        refusal = error
    else:
        assert voxels.values.shape[1:] == voxels.geometry.size
        return "read"
    assert "\n" not in str(refusal)
    assert all([refusal.subject, refusal.what, refusal.remedy])
    return str(refusal)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("sound")
    enhanced = dataset(
        ENHANCED_MR,
        np.ascontiguousarray(ramp(8, 9, 3).transpose(2, 1, 0)),
        **groups(affine(), range(3)),
    )
    made = [
        *slices(ramp(8, 9, 1), affine(), CT),
        enhanced,
        dataset(SC, ramp(9, 8, 3, kind=np.uint8)),
    ]
    for syntax in (RLELossless, JPEG2000Lossless):
        packed = dataset(CT, ramp(64, 64))
        packed.compress(syntax, generate_instance_uid=False)
        made.append(packed)
    return [save(one, folder / f"{place}.dcm").read_bytes() for place, one in enumerate(made)]


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_refused_in_one_line(tmp_path: Path, sound: list[bytes], seed: int) -> None:
    random = np.random.default_rng(seed)
    outcomes: set[str] = set()
    for place in range(ROUNDS):
        content = bytearray(sound[place % len(sound)])
        for _ in range(random.integers(1, 6)):
            at = int(random.integers(132, len(content)))
            if random.random() < 0.1:
                del content[at:]
                break
            content[at : at + random.integers(1, 5)] = random.bytes(random.integers(0, 5))
        path = tmp_path / f"{place}.dcm"
        path.write_bytes(content)
        outcomes.add(outcome(path))
        path.unlink()
    assert len(outcomes) > 1


def test_numbers_that_nobody_means(tmp_path: Path) -> None:
    wrong = {
        "ImagePositionPatient": [["1e300", "0", "0"], ["nan", "0", "0"], ["1", "2"]],
        "ImageOrientationPatient": [[0] * 6, [1, 0, 0, 1, 0, 0], [5, 0, 0, 0, 5, 0]],
        "PixelSpacing": [[0, 0], [-1, 1], ["1e300", 1]],
        "RescaleSlope": ["1e300", "inf"],
        "RescaleIntercept": ["-1e300"],
        "BitsStored": [0, 400],
        "SamplesPerPixel": [0, 2, 9],
        "NumberOfFrames": [-3, 0, 10**9],
        "Rows": [0, 60000],
    }
    case = 0
    for keyword, values in wrong.items():
        for value in values:
            (one,) = slices(ramp(4, 5, 1), affine())
            case += 1
            with warnings.catch_warnings():  # the one who writes it
                warnings.simplefilter("ignore")
                setattr(one, keyword, value)
                path = save(one, tmp_path / str(case) / "a.dcm")
            outcome(path)


def test_announced_lengths_take_no_memory(tmp_path: Path) -> None:
    """An element of 4 GB in a file of 2 kB."""
    (one,) = slices(ramp(20, 20, 1), affine())
    path = save(one, tmp_path / "a.dcm")
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00OW\0\0")
    path.write_bytes(content[: at + 8] + b"\xfe\xff\xff\xff" + content[at + 12 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_damaged_file_does_not_take_whole_ones_along(tmp_path: Path) -> None:
    """A file that is a scan by itself lacks nothing; a series may (`test_series`)."""
    (one,) = slices(ramp(4, 5, 1), affine())
    whole = save(one, tmp_path / "a.dcm")
    broken = tmp_path / "zz.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)) * 3)
    np.testing.assert_array_equal(decode(whole).values[0], ramp(4, 5, 1))
    assert is_scan(broken)
    with pytest.raises(ScanError, match=r"zz.dcm: "):
        decode(broken)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
def test_a_slice_that_the_machine_cannot_open_is_not_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    first = save_series(tmp_path, ramp(4, 5, 9))[0]
    opens, calls = Path.open, []

    def fails(self: Path, *args, **kwargs):
        calls.append(self)
        if len(calls) > 4:
            raise OSError(number, os.strerror(number))
        return opens(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(MachineError):
        decode(first)
    monkeypatch.setattr(Path, "open", opens)
    assert decode(first).values.shape == (1, 4, 5, 9)


def test_public_files_are_read_or_refused_for_a_reason(tmp_path: Path) -> None:
    """Those that pydicom's package brings: every transfer syntax, many kinds of object."""
    files = [path for path in sorted(PUBLIC.rglob("*")) if path.is_file()]
    assert len(files) > 150
    outcomes: dict[str, str] = {}
    for number, file in enumerate(files):
        path = tmp_path / str(number) / file.name
        path.parent.mkdir()
        path.write_bytes(file.read_bytes())
        outcomes[str(file.relative_to(PUBLIC))] = outcome(path)
    read = [name for name, said in outcomes.items() if said == "read"]
    assert len(read) >= 78
    assert {"CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "693_J2KI.dcm"} <= set(read)
    for name, what in {
        "rtstruct.dcm": "contours, no voxels",
        "rtdose.dcm": "a radiotherapy dose",
        "rtplan_truncated.dcm": "a radiotherapy plan",
        "test-SR.dcm": "a report",
        "waveform_ecg.dcm": "a recorded signal",
        "dicomdirtests/DICOMDIR": "a directory of other files",
        "examples_ybr_color.dcm": "its 30 frames do not say where they lie",
        "README.txt": "unsupported suffix '.txt'",
    }.items():
        assert what in outcomes[name]


@pytest.mark.parametrize("folder", ["dicomdirtests/98892001/CT5N", "dicomdirtests/98892003/MR700"])
def test_public_folders_fall_into_series(folder: str) -> None:
    found = series_in(PUBLIC / folder)
    assert sorted(len(one.files) for one in found) == ([5] if "CT5N" in folder else [1] * 7)
