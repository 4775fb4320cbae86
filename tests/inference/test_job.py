import errno
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from plans import plan_for_tests

from medseg.errors import MachineError, MedsegError, ScanError, SettingsError
from medseg.geometry import Geometry
from medseg.inference.job import Outcome, predict_inputs
from medseg.inference.predictor import Prediction
from medseg.plan.plan import Plan
from medseg.progress import Silent
from medseg.scans.case import Case
from medseg.scans.channels import ChannelRule
from medseg.scans.marks import is_ours
from medseg.scans.read import read_label_map, read_subject
from medseg.scans.write import write_image, write_label_map

VALUES = (0, 7, 9)
VOLUME = Geometry((6, 5, 4), (1.0, 2.0, 2.5), (3.0, -4.0, 5.0))
PHOTO = Geometry((6, 5, 1), world=False)


class Thresholds:
    """Class 7 above 10, class 9 above 20: a predictor that can be checked by eye."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def predict(self, case: Case, *, with_probabilities: bool = False) -> Prediction:
        subject = read_subject(case, with_label=False)
        if case.name.startswith("bad"):
            raise ScanError(case.name, "has 2 channel(s)", "give one")
        image = subject.image[0]
        layers = np.stack([image > 10, image > 20]).astype(np.int32)
        label = np.where(layers[1], 9, 7 * layers[0]).astype(np.int32)
        if self.plan.task == "multilabel":
            label = layers
        probabilities = layers.astype(np.float32) if with_probabilities else None
        return Prediction(
            case.name, label, probabilities, subject.geometry, (f"{case.images[0].name}: mended",)
        )


class Recorder(Silent):
    def __init__(self):
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.tables: list[tuple[str, list[tuple[str, ...]]]] = []

    def table(self, title, header, rows):
        assert all(len(row) == len(header) for row in rows)
        self.tables.append((title, [tuple(row) for row in rows]))

    def note(self, message):
        self.notes.append(message)

    def warn(self, message):
        self.warnings.append(message)


def scan(path: Path, geometry: Geometry = VOLUME) -> Path:
    ramp = np.arange(np.prod(geometry.size)).reshape(geometry.size) % 30
    return write_image(ramp[None].astype(np.float32), geometry, path)


def plan_of_values(task: str = "multiclass") -> Plan:
    names = ("background", "organ", "lesion")[int(task == "multilabel") :]
    return plan_for_tests(task=task, class_names=names, label_values=VALUES[-len(names) :])


def run(*inputs: Path | str, output: Path | None = None, task: str = "multiclass", **options):
    plan = plan_of_values(task)
    recorder = Recorder()
    outcomes = predict_inputs(
        [str(path) for path in inputs],
        Thresholds(plan),
        ChannelRule(),
        output,
        recorder,
        **options,
    )
    return outcomes, recorder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"])
def test_without_output_the_mask_is_named_after_the_scan(here: Path, suffix: str):
    source = scan(here.parent / f"scan{suffix}")
    (outcome,), recorder = run(source)
    assert outcome == Outcome("scan", (Path(f"scan_seg{suffix}"),), None)
    label, geometry = read_label_map(here / f"scan_seg{suffix}")
    assert geometry.same_grid(VOLUME)
    assert set(np.unique(label)) == set(VALUES)
    voxels = [int((label == value).sum()) for value in VALUES[1:]]
    ((_, rows),) = recorder.tables
    assert rows == [
        ("organ", str(voxels[0]), f"{voxels[0] * 5 / 1000:.4g}"),
        ("lesion", str(voxels[1]), f"{voxels[1] * 5 / 1000:.4g}"),
    ]
    assert recorder.warnings == [f"scan{suffix}: mended"]


def test_with_a_folder_each_scan_keeps_its_name(here: Path):
    first, second = scan(here / "in" / "a.nii.gz"), scan(here / "in" / "b.mha")
    outcomes, _ = run(here / "in", output=here / "out" / "deep")
    assert [outcome.written[0].name for outcome in outcomes] == [first.name, second.name]
    assert sorted(path.name for path in (here / "out" / "deep").iterdir()) == ["a.nii.gz", "b.mha"]


def test_scans_of_one_name_do_not_overwrite_each_other(here: Path):
    sources = [scan(here / name / "ct.nii.gz") for name in ("anna", "ben")]
    outcomes, _ = run(*sources, output=here / "out")
    assert len({outcome.written for outcome in outcomes}) == 2
    assert not any(outcome.failure for outcome in outcomes)


def test_with_a_file_for_one_scan(here: Path):
    (outcome,), _ = run(scan(here / "a.nii.gz"), output=here / "mask.nrrd")
    assert outcome.written == (here / "mask.nrrd",)


def test_one_file_for_two_scans_is_refused(here: Path):
    with pytest.raises(SettingsError, match="name a folder"):
        run(scan(here / "a.nii.gz"), scan(here / "b.nii.gz"), output=here / "mask.nii.gz")
    assert not (here / "mask.nii.gz").exists()


def test_jpeg_becomes_png_and_says_so(here: Path):
    source = scan(here / "photo.jpg", PHOTO)
    (outcome,), recorder = run(source)
    assert outcome.written == (Path("photo_seg.png"),)
    assert any("JPEG" in note for note in recorder.notes)
    ((_, rows),) = recorder.tables
    assert all(row[2].endswith("%") for row in rows)


@pytest.mark.parametrize("output", [None, "out"])
def test_multilabel_writes_a_folder_of_masks(here: Path, output: str | None):
    folder = None if output is None else here / output
    (outcome,), recorder = run(scan(here.parent / "a.nii.gz"), output=folder, task="multilabel")
    stem = Path("a_seg") if folder is None else folder / "a"
    assert outcome.written == (stem / "organ.nii.gz", stem / "lesion.nii.gz")
    masks = [read_label_map(path)[0] for path in outcome.written]
    assert [set(np.unique(mask)) for mask in masks] == [{0, value} for value in VALUES[-2:]]
    voxels = [str(np.count_nonzero(mask)) for mask in masks]
    assert [row[1] for row in recorder.tables[0][1]] == voxels


def test_multilabel_into_one_file_is_refused(here: Path):
    with pytest.raises(SettingsError, match="one mask file per class"):
        run(scan(here / "a.nii.gz"), output=here / "mask.nii.gz", task="multilabel")


def test_an_input_is_never_overwritten(here: Path):
    source, other = scan(here / "a.nii.gz"), scan(here / "a_seg.nii.gz")
    before = [source.read_bytes(), other.read_bytes()]
    with pytest.raises(SettingsError, match="would overwrite an input"):
        run(source, output=here)
    outcomes, recorder = run(source, other)
    assert [bool(outcome.failure) for outcome in outcomes] == [True, False]
    assert before == [source.read_bytes(), other.read_bytes()]
    assert all("\n" not in line for line in recorder.warnings)


def test_a_jpeg_asked_for_does_not_overwrite_a_png(here: Path):
    source = scan(here / "photo.png", PHOTO)
    before = source.read_bytes()
    with pytest.raises(SettingsError, match=r"photo\.png would overwrite an input"):
        run(source, output=here / "photo.jpg")
    assert before == source.read_bytes()
    (outcome,), _ = run(source, output=here / "mask.jpg")
    assert outcome.written == (here / "mask.png",)


def test_nor_do_extras(here: Path):
    source, other = scan(here / "a.nii.gz"), scan(here / "a_seg_probabilities.nii.gz")
    before = other.read_bytes()
    outcomes, _ = run(source, other, save=["probabilities"])
    failures = {outcome.name: outcome.failure for outcome in outcomes}
    assert "a_seg_probabilities.nii.gz would" in failures["a.nii.gz"].what
    assert failures["a_seg_probabilities"] is None
    assert before == other.read_bytes()
    outcomes, _ = run(source, other)
    assert not any(outcome.failure for outcome in outcomes)


def test_upper_and_lower_case_are_alike(here: Path):
    source = scan(here / "A.nii.gz")
    with pytest.raises(SettingsError, match="would overwrite an input"):
        run(source, output=here / "a.NII.gz")
    outcomes, _ = run(source, scan(here / "other" / "a.nii.gz"), output=here / "out")
    assert len({str(outcome.written).casefold() for outcome in outcomes}) == 2
    assert not any(outcome.failure for outcome in outcomes)


def test_one_failure_does_not_stop_the_others(here: Path):
    (here / "torn.nii.gz").write_text("no scan", encoding="utf-8")
    bad, good = scan(here / "bad.nii.gz"), scan(here / "good.nii.gz")
    outcomes, recorder = run(here / "torn.nii.gz", bad, here / "absent.nii.gz", good)
    written = {outcome.name: outcome.written for outcome in outcomes}
    assert written["good"] == (Path("good_seg.nii.gz"),)
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    assert len(failures) == 3
    assert sorted(failure.name for failure in failures) == [
        str(here / "absent.nii.gz"),
        "bad.nii.gz",
        "torn.nii.gz",
    ]
    for failure in failures:
        (line,) = (line for line in recorder.warnings if line.startswith(f"{failure.name}: "))
        assert line.endswith(failure.remedy)


def test_unwritable_output_is_refused_before_work(here: Path):
    (here / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        run(scan(here / "a.nii.gz"), output=here / "file" / "out")


@pytest.mark.parametrize(("suffix", "written"), [(".nrrd", ".nrrd"), (".png", ".nii.gz")])
def test_probabilities_and_callbacks(here: Path, suffix: str, written: str):
    source = scan(here / f"a{suffix}", VOLUME if suffix == ".nrrd" else PHOTO)
    seen: list[Path] = []

    def overlay(_case: Case, _prediction: Prediction, path: Path) -> None:
        seen.append(write_label_map(np.zeros(PHOTO.size, np.uint8), PHOTO, path))

    run(source, save=["probabilities", "uncertainty"], after={"overlay": overlay})
    path = here / f"a_seg_probabilities{written}"
    assert read_subject(Case("p", (path,))).image.shape[0] == 2
    doubt = read_subject(Case("u", (here / f"a_seg_uncertainty{written}",))).image
    assert doubt.shape[0] == 1
    assert seen == [Path("a_seg_overlay.png")]
    made = [*seen, *(here / f"a_seg_{what}{written}" for what in ("probabilities", "uncertainty"))]
    assert all(map(is_ours, made))


def test_extras_lie_where_the_scan_lies(here: Path):
    """A scan whose qform and sform disagree hands both down, to extras too."""
    source = here / "a.nii.gz"
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.diag([1, 2, 3, 1]))
    moved = np.diag([1.0, 2, 3, 1])
    moved[:3, 3] = (5, 0, -4)
    image.set_sform(np.diag([1, 2, 3, 1]), 2)
    image.set_qform(moved, 1)
    nib.save(image, source)
    run(source, save=["probabilities", "uncertainty"])
    for name in ("a_seg", "a_seg_probabilities", "a_seg_uncertainty"):
        header = nib.load(here / f"{name}.nii.gz").header
        assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 2), name
        np.testing.assert_allclose(header.get_qform(), moved, atol=1e-5)
        np.testing.assert_allclose(header.get_sform(), np.diag([1, 2, 3, 1]), atol=1e-5)


def test_running_again_does_the_same_again(here: Path):
    scans = [scan(here / name) for name in ("a.nii.gz", "p1/b.nii.gz", "p2/b.nii.gz", "c.mha")]
    before = [path.read_bytes() for path in scans]

    def tree() -> dict[str, int]:
        return {str(p.relative_to(here)): p.stat().st_size for p in here.rglob("*") if p.is_file()}

    first, _ = run(".", save=["uncertainty"])
    files = tree()
    assert len(files) == 12
    second, recorder = run(".", save=["uncertainty"])
    assert first == second
    assert all(outcome.failure is None for outcome in second)
    assert tree() == files
    assert [path.read_bytes() for path in scans] == before
    (note,) = recorder.notes
    assert "left out 8 file(s)" in note


def test_masks_of_another_folder_are_no_scans(here: Path):
    scan(here / "a.nii.gz")
    run(".", output=Path("first"))
    outcomes, recorder = run(".", output=Path("second"))
    assert [outcome.written for outcome in outcomes] == [(Path("second/a.nii.gz"),)]
    assert "left out 1 file(s)" in recorder.notes[0]


def test_a_label_of_the_masks_name_is_kept(here: Path):
    scan(here / "a.nii.gz")
    scan(here / "b.nii.gz")
    drawn = write_label_map(np.ones(VOLUME.size, np.int32), VOLUME, here / "a_seg.nii.gz")
    before = drawn.read_bytes()
    outcomes, _ = run(".")
    assert [bool(outcome.failure) for outcome in outcomes] == [True, False]
    assert drawn.read_bytes() == before


def test_patients_of_one_file_name_are_told_apart_in_every_line(here: Path):
    for name in ("anna", "ben"):
        scan(here / name / "ct.nii.gz")
    (here / "carl").mkdir()
    (here / "carl" / "ct.nii.gz").write_text("no scan", encoding="utf-8")
    outcomes, recorder = run(".", output=Path("out"))
    assert [outcome.written[:1] for outcome in outcomes[:2]] == [
        (Path("out/anna/ct.nii.gz"),),
        (Path("out/ben/ct.nii.gz"),),
    ]
    assert outcomes[2].failure.name == "carl/ct.nii.gz"
    assert [title for title, _ in recorder.tables] == [
        "anna/ct.nii.gz -> out/anna/ct.nii.gz",
        "ben/ct.nii.gz -> out/ben/ct.nii.gz",
    ]
    assert "anna/ct.nii.gz: ct.nii.gz: mended" in recorder.warnings


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "no space left"), (errno.EMFILE, "too many open files")]
)
def test_a_machine_that_fails_ends_the_job_under_its_own_name(
    here: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
):
    for name in "abc":
        scan(here / f"{name}.nii.gz")

    def fails(label, geometry, target, like):
        if target.name == "a_seg.nii.gz":
            return write_label_map(label, geometry, target, like)
        try:
            raise OSError(number, "low-level words", str(target))
        except OSError as error:
            raise MedsegError(target.name, "cannot be written", "check it") from error

    monkeypatch.setattr("medseg.inference.job.write_label_map", fails)
    recorder = Recorder()
    with pytest.raises(MachineError, match=said):
        predict_inputs(["."], Thresholds(plan_of_values()), ChannelRule(), None, recorder)
    assert recorder.warnings[-1] == "not done: b.nii.gz, c.nii.gz"
    assert (here / "a_seg.nii.gz").exists()


def test_memory_that_one_scan_lacks_costs_that_scan(here: Path, monkeypatch: pytest.MonkeyPatch):
    for name in "ab":
        scan(here / f"{name}.nii.gz")
    plan = plan_of_values()
    segments = Thresholds(plan)
    whole = segments.predict

    def hungry(case: Case, *, with_probabilities: bool = False) -> Prediction:
        if case.name == "a":
            raise MemoryError
        return whole(case, with_probabilities=with_probabilities)

    monkeypatch.setattr(segments, "predict", hungry)
    outcomes = predict_inputs(["."], segments, ChannelRule(), None, Silent())
    assert outcomes[0].failure[:2] == ("a.nii.gz", "out of memory")
    assert outcomes[1].failure is None


def test_masks_follow_the_umask(here: Path):
    old = os.umask(0o027)
    try:
        run(scan(here / "a.nii.gz"), save=["uncertainty"])
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in here.glob("a_seg*")}
    assert modes == {"a_seg.nii.gz": 0o640, "a_seg_uncertainty.nii.gz": 0o640}
