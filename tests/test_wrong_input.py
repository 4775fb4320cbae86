"""What a user may get wrong: one line each, with a remedy, and the others are still done."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.cli import main
from medseg.geometry import Geometry
from medseg.scans.decode import decode_header
from medseg.scans.phantom import ORGANS
from medseg.scans.write import write_image, write_label_map

CLASSES = [f"{name}={value}" for name, value in ORGANS.items()]
QUICK = ["--encoder", "convnext_micro", "--steps", "2", "--patch-size", "16", "16", "16"]
SIZE = (26, 24, 22)


def spoil(good: Path, folder: Path) -> dict[str, str]:
    """Scans that cannot be used, beside each other; name -> a word of what is said of each."""
    image = np.asarray(nib.load(good).dataobj, dtype=np.float32)
    (folder / "truncated.nii.gz").write_bytes(good.read_bytes()[:2000])
    (folder / "text.nii.gz").write_text("not a scan\n", encoding="utf-8")
    (folder / "empty.nii.gz").write_bytes(b"")
    write_image(np.full((1, *SIZE), np.nan, np.float32), Geometry(SIZE), folder / "nan.nii.gz")
    write_image(np.stack([image, image]), Geometry(SIZE), folder / "double.nii.gz")
    return {
        "truncated": "cut short", "text": "", "empty": "empty", "nan": "NaN", "double": "2 channels"
    }  # fmt: skip


@pytest.fixture(scope="module")
def messy(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A dataset with two good cases less than the phantoms have, and everything that can be odd."""
    folder = tmp_path_factory.mktemp("messy") / "data"
    shutil.copytree(phantom_folder, folder)
    labels = folder / "labels"
    said = spoil(folder / "images" / "case1.nii.gz", folder / "images")
    for name in said:
        shutil.copy(labels / "case1.nii.gz", labels / f"{name}.nii.gz")
    (labels / "case4.nii.gz").unlink()
    (folder / "images" / "case5.nii.gz").unlink()
    grid = decode_header(folder / "images" / "case1.nii.gz").geometry
    shutil.copy(folder / "images" / "case1.nii.gz", folder / "images" / "value.nii.gz")
    write_label_map(np.full(grid.size, 99), grid, labels / "value.nii.gz")
    return folder, said | {"case4": "label", "case5": "image", "value": "99"}


@pytest.fixture(scope="module")
def trained(messy: tuple[Path, dict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the good cases among the odd ones."""
    output = tmp_path_factory.mktemp("runs") / "run"
    command = ["train", "--data", str(messy[0]), "--output", str(output)]
    assert main([*command, *QUICK, "--classes", *CLASSES]) == 0
    return output


def test_training_names_what_it_leaves_out(messy, trained):
    log = (trained / "log.txt").read_text(encoding="utf-8")
    said = [line for line in log.splitlines() if line.startswith("warning: left out:")]
    left_out = set(said)
    assert len(left_out) == len(messy[1])
    assert all(said.count(line) == 2 for line in left_out)  # before the first step, and at the end
    for name, what in messy[1].items():
        (line,) = (line for line in left_out if f" {name}" in line)
        assert what in line
        assert ";" in line  # what is wrong; what to do


def test_prediction_does_the_others(messy, trained, tmp_path, capfd):
    said = spoil(messy[0] / "images" / "case1.nii.gz", tmp_path)
    shutil.copy(messy[0] / "images" / "case1.nii.gz", tmp_path / "good.nii.gz")
    inputs = [str(tmp_path / f"{name}.nii.gz") for name in (*said, "good", "missing")]
    masks = tmp_path / "masks"
    command = ["predict", "--model", str(trained), "--output", str(masks), "--input", *inputs]
    assert main(command) == 1
    assert [path.name for path in masks.iterdir()] == ["good.nii.gz"]
    lines = capfd.readouterr().err.splitlines()
    for name, what in (said | {"missing": "missing"}).items():
        (line,) = (line for line in lines if f"{name}.nii.gz" in line and "->" not in line)
        assert what in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--data", "nowhere"], "does not exist"),
        (["--data", "empty"], "is empty"),
        (["--data", "{data}", "--output", "file/run"], "cannot be written"),
        (["--data", "{data}", "--lerning-rate", "1"], "learning-rate"),
        (["--data", "{data}", "--steps", "0"], "steps"),
        (["--data", ""], "--data: an empty value"),
        (["--data", "{data}", "--output="], "--output: an empty value"),
        (["--data", "{data}", "--classes", "organ=77"], "77"),
    ],
)
def test_what_cannot_start_is_status_2(messy, flags, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("empty").mkdir()
    command = ["train", *(flag.format(data=messy[0]) for flag in flags)]
    assert main(command if "--steps" in flags else [*command, *QUICK]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err
    left = {path.name for path in Path().glob("runs/*")}
    assert left <= {"prepared"}  # what was measured is known to the next start
