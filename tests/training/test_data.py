"""Everything before the first step: who is dealt where, and what is said of it in time."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.hparams import HParams
from medseg.progress import Silent
from medseg.training.data import plan_training, prepare_data, survey
from medseg.training.parts import Parts


class Told(Silent):
    def __init__(self):
        self.rows: dict[str, str] = {}
        self.lines: list[str] = []

    def table(self, title, header, rows):
        del title, header
        self.rows |= dict(rows)

    def note(self, message):
        self.lines.append(message)

    def warn(self, message):
        self.lines.append(message)


def write(folder: Path, name: str, label, spacing_mm=1.0, seed=0):
    image = np.random.default_rng([seed, *name.encode()]).normal(0, 10, label.shape) + 60 * label
    for kind, array in (("images", image.astype(np.float32)), ("labels", label)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        affine = np.diag([spacing_mm] * 3 + [1.0])
        nib.save(nib.Nifti1Image(array, affine), folder / kind / f"{name}.nii.gz")


def cube(size=16, *values):
    label = np.zeros((size,) * 3, np.uint8)
    label[2:9, 2:9, 2:9] = 1
    for value in values:
        label[12, 12, value * 3 : value * 3 + 2] = value
    return label


def begun(data, tmp_path, told=None, parts=None, **settings):
    fields = {"encoder": "convnext_micro", "patch_size": (16,) * 3, "batch_size": 1, "steps": 1}
    hparams = HParams(data=data, device="cpu", **{**fields, **settings})
    told = told or Told()
    found = survey(hparams, tmp_path / "kept", told, parts)
    plan = plan_training(found, hparams, "cpu")
    return prepare_data(
        found, plan, hparams, tmp_path / "kept", told, resumed=parts is not None
    ), told


@pytest.fixture
def visits(tmp_path):
    for patient in range(5):
        for visit in (1, 2):
            write(tmp_path / "d", f"patient{patient}_visit{visit}", cube())
    return tmp_path / "d"


def test_visits_of_a_patient_are_on_one_side_and_the_table_says_so(visits, tmp_path):
    data, told = begun(visits, tmp_path, fold=3)
    assert data.parts.validation == ("patient3_visit1", "patient3_visit2")
    assert told.rows["groups"].startswith("5 patients of 10 cases, from the names (patient0: 2,")
    assert told.rows["split"] == "fold 3 of 5: 8 train, 2 validate"


def test_a_given_split_is_used_and_the_rest_is_neither_read_nor_planned_for(visits, tmp_path):
    (visits / "images" / "patient4_visit1.nii.gz").write_bytes(b"broken")
    split = tmp_path / "split.json"
    train = [f"patient{p}_visit{v}" for p in (1, 2) for v in (1, 2)]
    split.write_text(json.dumps({"train": train, "val": ["patient0_visit1.nii.gz"]}))
    data, told = begun(visits, tmp_path, split=split, epochs=3, steps=None)
    assert data.parts == Parts(training=tuple(train), validation=("patient0_visit1",))
    assert told.rows["cases"] == "5"
    assert any("split.json does not name 5 of 10 cases" in line for line in told.lines)
    assert not any("patient4_visit1" in line for line in told.lines)


def test_steps_are_counted_for_the_cases_that_train(visits, tmp_path):
    split = tmp_path / "split.csv"
    split.write_text("patient1_visit1,train\npatient1_visit2,train\npatient0_visit1,val\n")
    hparams = HParams(data=visits, split=split, epochs=3, batch_size=1, patch_size=(16,) * 3)
    found = survey(hparams, tmp_path / "kept", Silent())
    assert plan_training(found, hparams, "cpu").steps == 6


def test_groups_that_do_not_fit_are_refused_before_anything_is_read(visits, tmp_path):
    table = tmp_path / "groups.json"
    table.write_text('{"patient9": "x"}')
    told = Told()
    with pytest.raises(MedsegError, match=r"not in the dataset, .*: patient9"):
        begun(visits, tmp_path, told, groups=str(table))
    assert told.rows == {}
    assert not (tmp_path / "kept").exists()


def test_a_run_that_goes_on_reads_and_trains_its_own_cases_alone(visits, tmp_path):
    parts = Parts(training=("patient2_visit1", "patient1_visit1"), validation=("patient1_visit2",))
    data, told = begun(visits, tmp_path, parts=parts)
    assert data.parts == parts
    assert told.rows["cases"] == "3"
    for path in (visits / "images").glob("patient1_visit2*"):
        path.unlink()
    with pytest.raises(MedsegError, match="1 of the run's cases are gone, first patient1_visit2"):
        begun(visits, tmp_path, parts=parts)


def test_a_table_may_name_cases_that_are_on_no_side(visits, tmp_path):
    table, split = tmp_path / "annotated.csv", tmp_path / "split.csv"
    cases = [f"patient{p}_visit{v}" for p in range(5) for v in (1, 2)]
    table.write_text("case,annotated\n" + "".join(f"{name},class_1\n" for name in cases))
    split.write_text("patient1_visit1,train\npatient1_visit2,train\npatient0_visit1,val\n")
    data, _ = begun(visits, tmp_path, split=split, annotated=table)
    again, _ = begun(visits, tmp_path, parts=data.parts, annotated=table)
    assert again.parts == data.parts


def test_a_class_cannot_be_what_the_dataset_ignores(visits, tmp_path):
    for name, new in (("images", "imagesTr"), ("labels", "labelsTr")):
        (visits / name).rename(visits / new)
    for path in (visits / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    labels = {"background": 0, "a": 1, "ignore": 2}
    (visits / "dataset.json").write_text(json.dumps({"labels": labels}))
    with pytest.raises(MedsegError, match=r"classes: b = 2: .* nobody annotated"):
        begun(visits, tmp_path, classes={"a": 1, "b": 2})
    data, _ = begun(visits, tmp_path, classes={"organ": 1})
    assert len(data.training) == 8


def test_lost_cases_are_listed_before_the_first_step(visits, tmp_path):
    (visits / "images" / "patient4_visit1.nii.gz").write_bytes(b"broken")
    data, told = begun(visits, tmp_path)
    assert any(line.startswith("left out: patient4_visit1: ") for line in told.lines)
    assert len(data.training) + len(data.validation) == 9


def test_a_class_in_validation_alone_is_named_and_the_recommended_fold_trains_it(tmp_path):
    for number in range(6):
        write(tmp_path / "d", f"c{number}", cube(16, *([2] if number == 0 else [])))
    _, told = begun(tmp_path / "d", tmp_path)
    (line,) = (line for line in told.lines if line.startswith("class_2"))
    assert "--fold 1 trains on it" in line
    _, told = begun(tmp_path / "d", tmp_path, fold=1)
    assert not any(line.startswith("class_2") for line in told.lines)


def test_a_class_that_resampling_removes_is_named_and_the_spacing_keeps_it(tmp_path):
    for number in range(6):
        fine = number < 2
        label = cube(32, 2) if fine else cube(16)
        write(tmp_path / "d", f"c{number}", label, 1.0 if fine else 2.0)
    data, told = begun(tmp_path / "d", tmp_path)
    (line,) = (line for line in told.lines if line.startswith("class_2"))
    assert "in none of them after resampling to 2x2x2 mm; set --spacing-mm 1 1 1" in line
    assert all(case.class_voxels[2] == 0 for case in data.training)
    data, told = begun(tmp_path / "d", tmp_path, spacing_mm=(1, 1, 1))
    assert not any(line.startswith("class_2") for line in told.lines)
    assert any(case.class_voxels[2] for case in data.training)


def test_a_copy_under_another_name_on_the_other_side_is_named(tmp_path):
    for number in range(5):
        write(tmp_path / "d", f"c{number}", cube())
    for kind in ("images", "labels"):  # the same voxels, in a file that is packed otherwise
        image = nib.load(tmp_path / "d" / kind / "c0.nii.gz")
        nib.save(image, tmp_path / "d" / kind / "c9.nii")
    _, told = begun(tmp_path / "d", tmp_path, folds=4)
    assert any("1 of 2 validation scans are trained on too" in line for line in told.lines)
    assert any("(c0 is c9)" in line for line in told.lines)
