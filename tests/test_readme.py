"""Docs are true: their commands run, their flags exist, their links lead somewhere."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from medseg.cli import EvaluateOptions, PredictOptions, TrainOptions
from medseg.hparams import HParams
from medseg.settings_file import settings_file

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LENGTHS = ("--steps", "--epochs", "--time-budget")
ELSEWHERE = {"--datasets", "--example", "--output", "--size", "--organs"}
"""Flags of the benchmarks."""


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def steps_of(document: Path) -> list[str]:
    """What a reader would type: commands of medseg line by line, Python as a whole."""
    steps: list[str] = []
    for language, text in BLOCK.findall(document.read_text(encoding="utf-8")):
        lines = text.splitlines() if language == "bash" else [text]
        steps += [x for x in lines if language == "python" or re.match(r"(python|medseg) ", x)]
    return steps


def run_command(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status, from within this process; a training takes four steps."""
    words = shlex.split(command)
    script = words[1] if words[0] == "python" and words[1] != "-m" else None
    arguments = words[2:] if script else words[words.index("medseg") + 1 :]
    if script == "train.py" or (script is None and arguments[0] == "train"):
        arguments = four_steps(arguments)
    source = ROOT / (script or "medseg/__main__.py")
    monkeypatch.setattr(sys, "argv", [str(source), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(source), run_name="__main__")
    return int(ended.value.code or 0)


def four_steps(arguments: list[str]) -> list[str]:
    """Another length is a right one, but takes too long here."""
    kept = list(arguments)
    for flag in LENGTHS:
        if flag in kept:
            place = kept.index(flag)
            HParams.build({flag.removeprefix("--").replace("-", "_"): kept[place + 1]})
            del kept[place : place + 2]
    return [*kept, "--steps", "4"]


@pytest.fixture(scope="module")
def workshop(
    tmp_path_factory: pytest.TempPathFactory, phantom_folder: Path, photo_folder: Path
) -> Path:
    """Everything the docs take for granted, small, and a trained model."""
    folder = tmp_path_factory.mktemp("workshop")
    images, labels = phantom_folder / "images", phantom_folder / "labels"
    scan = "scan.nii.gz"
    for source, targets in {
        images / "case1.nii.gz": [f"data/demo/new/{scan}", f"new_scans/{scan}"],
        labels / "case1.nii.gz": [f"data/demo/new_labels/{scan}", f"true_masks/{scan}"],
        images / "case2.nii.gz": ["more_scans/other.nii.gz"],
        labels / "case2.nii.gz": ["true_masks/other.nii.gz"],
    }.items():
        for target in targets:
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / target)
    for name in ("data/demo", "my_data"):
        shutil.copytree(phantom_folder, folder / name, dirs_exist_ok=True)
    shutil.copytree(photo_folder, folder / "my_photos")
    shutil.copytree(images, folder / "scans" / "2024" / "clinic")
    shutil.copytree(labels, folder / "checked" / "2024" / "clinic")
    (folder / "docs").mkdir()
    settings = settings_file()
    assert "convnext_mini" in settings
    # The file itself is what a user has; the smallest network is enough to see it work.
    small = settings.replace('encoder="convnext_mini"', 'encoder="convnext_micro"')
    (folder / "hparam.py").write_text(small, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_command("python train.py", patch) == 0
    return folder


@pytest.mark.parametrize("document", [path for path in DOCS if steps_of(path)], ids=name_of)
def test_what_the_docs_tell_to_type_works(
    document: Path, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(workshop, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for step in steps_of(document):
        if step.startswith(("python ", "medseg ")):
            assert run_command(step, monkeypatch) == 0, step
        else:
            short = re.sub(r'time_budget="[^"]+"', 'steps=4, encoder="convnext_micro"', step)
            exec(compile(short, name_of(document), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("document", DOCS, ids=name_of)
def test_flags_and_links_exist(document: Path):
    text = document.read_text(encoding="utf-8")
    models = (HParams, TrainOptions, PredictOptions, EvaluateOptions)
    flags = {"--" + name.replace("_", "-") for model in models for name in model.model_fields}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= flags | ELSEWHERE
    links = re.findall(r"\]\((?!https:)([^)#]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
