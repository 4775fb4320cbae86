"""DICOM as inputs of a prediction: one per series, named after folders, answered in NIfTI."""

from pathlib import Path

import numpy as np
import pytest
from plans import plan_for_tests

from medseg.errors import SettingsError
from medseg.inference.job import predict_inputs
from medseg.inference.predictor import Prediction
from medseg.plan.plan import Plan
from medseg.progress import Silent
from medseg.scans.case import Case
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.decode import decode
from medseg.scans.read import read_subject
from tests.scans.dicom.objects import SECRETS, affine, dataset, ramp, save, save_series, uid


class AboveHalf:
    """A predictor that can be checked by eye."""

    plan: Plan = plan_for_tests(class_names=("background", "bright"), label_values=(0, 1))

    def predict(self, case: Case, *, with_probabilities: bool = False) -> Prediction:
        assert not with_probabilities
        subject = read_subject(case, with_label=False)
        label = (subject.image[0] > 2000).astype(np.int32)
        return Prediction(
            case.name, label, None, subject.geometry, tuple(map(str, subject.warnings))
        )


class Recorder(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.said.append(message)

    def table(self, title: str, header, rows) -> None:
        del header, rows
        self.said.append(title)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two series in one folder, one in another, and contours that are no scan."""
    for number, words in ((3, "T1 axial"), (12, "T2 tra")):
        save_series(
            tmp_path / str(number), ramp(5, 6, 4, seed=number),
            SeriesNumber=number, SeriesDescription=words, SeriesInstanceUID=uid(words),
        )  # fmt: skip
        (tmp_path / "study" / "mr").mkdir(parents=True, exist_ok=True)
        for path in (tmp_path / str(number)).iterdir():
            path.rename(tmp_path / "study" / "mr" / f"{number}-{path.name}")
    save_series(tmp_path / "study" / "tilted", ramp(4, 4, 5), affine(step=(0.0, 1.0, 3.0)))
    save(dataset("1.2.840.10008.5.1.4.1.1.481.3"), tmp_path / "study" / "mr" / "rs.dcm")
    return tmp_path / "study"


def run(*inputs: Path, output: Path, series: str | None = None) -> Recorder:
    recorder = Recorder()
    outcomes = predict_inputs(
        [str(path) for path in inputs], AboveHalf(), ChannelRule(), output, recorder, series=series
    )
    assert all(outcome.failure is None for outcome in outcomes)
    return recorder


def test_each_series_of_a_tree_is_an_input(study: Path, tmp_path: Path) -> None:
    recorder = run(study, output=tmp_path / "masks")
    written = sorted(
        path.relative_to(tmp_path).as_posix() for path in (tmp_path / "masks").rglob("*.gz")
    )
    assert written == ["masks/series12.nii.gz", "masks/series3.nii.gz", "masks/tilted.nii.gz"]
    text = "\n".join(recorder.said)
    assert "series3: series 3, MR, T1 axial, 5x6x4, 0.8 x 1.1 x 2.5 mm; series12" in text
    assert "tilted: tilted gantry, kept as it is on a sheared grid (18.4 degrees)" in text
    assert not any(secret in text for secret in SECRETS)
    for name, scan in {"tilted": study / "tilted", "series3": study / "mr"}.items():
        mask = decode(tmp_path / "masks" / f"{name}.nii.gz")
        first = next(p for p in sorted(scan.iterdir()) if p.name in ("0005.dcm", "3-0004.dcm"))
        source = decode(first)
        assert mask.geometry.same_grid(source.geometry, 1e-3)
        np.testing.assert_array_equal(mask.values, source.values > 2000)


def test_one_series_is_picked(study: Path, tmp_path: Path) -> None:
    recorder = run(study, output=tmp_path / "masks", series="t2")
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["series12.nii.gz"]
    assert "left out 2 scan(s) that are not of series t2" in recorder.said
    with pytest.raises(SettingsError, match=r"series = 99: fits none of the inputs: series 3, MR"):
        run(study, output=tmp_path / "masks", series="99")


def test_a_slice_a_pattern_and_its_folder_are_one_input(study: Path, tmp_path: Path) -> None:
    del tmp_path
    folder = study / "tilted"
    named = [*(str(path) for path in folder.iterdir()), str(folder), f"{folder}/*.dcm"]
    found = group_inputs(named, ChannelRule(), 1)
    assert [case.name for case in found.cases] == ["tilted"]
    assert found.problems == []


def test_what_is_no_image_says_so_when_named(study: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    named = [str(study / "mr" / "rs.dcm")]
    (outcome,) = predict_inputs(named, AboveHalf(), ChannelRule(), tmp_path, recorder)
    assert "contours, no voxels" in str(outcome.failure)


def test_masks_are_not_asked_for_as_dicom(study: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"masks are not written as \.dcm"):
        run(study / "tilted", output=tmp_path / "mask.dcm")


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        (ChannelRule(kind="folder", keys=("flair", "t1")), "{case}/{channel}"),
        (ChannelRule(kind="suffix", keys=("_flair", "_t1")), "{case}_{channel}"),
        (ChannelRule(kind="outer", keys=("flair", "t1")), "{channel}/{case}"),
    ],
)
def test_a_series_is_a_channel_as_training_tells_it(
    tmp_path: Path, rule: ChannelRule, place: str
) -> None:
    for case, channels in {"p1": ("flair", "t1"), "p2": ("t1",)}.items():
        for channel in channels:
            save_series(tmp_path / place.format(case=case, channel=channel), ramp(5, 6, 4))
    found = group_inputs([str(tmp_path)], rule, 2, lacking=True)
    assert found.problems == []
    assert {case.name: (len(case.images), len(case.absent)) for case in found.cases} == {
        "p1": (2, 0),
        "p2": (1, 1),
    }


def test_cases_whose_files_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    for case in ("p1", "p2"):
        for channel in ("flair", "t1"):
            save_series(tmp_path / "scans" / case / channel, ramp(5, 6, 4))
    rule, recorder = ChannelRule(kind="folder", keys=("flair", "t1")), Recorder()
    folder = str(tmp_path / "scans")
    predict_inputs([folder], AboveHalf(), rule, tmp_path / "masks", recorder)
    titles = [line.split(" -> ")[0] for line in recorder.said if " -> " in line]
    assert titles == ["p1/flair", "p2/flair"]
