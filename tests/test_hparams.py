from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from medseg.errors import SettingsError
from medseg.flags import parse_flags
from medseg.hparams import ExtraTransform, HParams
from medseg.quantities import format_duration, format_size, parse_duration, parse_size
from medseg.settings_file import read_settings_file, resolve, settings_file, settings_page

ROOT = Path(__file__).parent.parent

# Field -> the words of its flag, the same in hparam.py, the value both mean; never the default.
SAMPLES: dict[str, tuple[list[str], str, Any]] = {
    "dim": (["2"], "2", 2),
    "data": (["a b/c"], "'a b/c'", Path("a b/c")),
    "images": (["a"], "'a'", Path("a")),
    "labels": (["b"], "'b'", Path("b")),
    "pattern": (["*/x.mhd"], "'*/x.mhd'", "*/x.mhd"),
    "output": (["runs/x"], "'runs/x'", Path("runs/x")),
    "classes": (["left=1", "right=40"], "{'left': 1, 'right': 40}", {"left": 1, "right": 40}),
    "class_weights": (["a=2", "b=0.5"], "{'a': 2.0, 'b': 0.5}", {"a": 2.0, "b": 0.5}),
    "annotated": (["a.csv"], "'a.csv'", Path("a.csv")),
    "ignore_label": (["255"], "255", 255),
    "channels": (["4"], "4", 4),
    "task": (["multilabel"], "'multilabel'", "multilabel"),
    "missing_masks": (["empty"], "'empty'", "empty"),
    "missing_channels": (["absent"], "'absent'", "absent"),
    "groups": ([r"(p\d+)_"], r"r'(p\d+)_'", r"(p\d+)_"),
    "split": (["split.json"], "'split.json'", Path("split.json")),
    "encoder": (["convnext_tiny"], "'convnext_tiny'", "convnext_tiny"),
    "head": (["dense"], "'dense'", "dense"),
    "drop_path": (["0.1"], "0.1", 0.1),
    "pretrained": (["weights.pth"], "'weights.pth'", Path("weights.pth")),
    "network": (["monai:DynUNet"], "'monai:DynUNet'", "monai:DynUNet"),
    "network_arguments": (
        ["filters=[8,16]", "norm_name=batch", "res_block=true"],
        "{'filters': (8, 16), 'norm_name': 'batch', 'res_block': True}",
        {"filters": [8, 16], "norm_name": "batch", "res_block": True},
    ),
    "pretrain": (["masked"], "'masked'", "masked"),
    "activation_checkpointing": ([], "True", True),
    "patch_size": (["40", "56", "40"], "(40, 56, 40)", (40, 56, 40)),
    "spacing_mm": (["1", "1.5", "3"], "(1, 1.5, 3)", (1.0, 1.5, 3.0)),
    "batch_size": (["2"], "2", 2),
    "steps": (["4"], "4", 4),
    "epochs": (["7"], "7", 7),
    "time_budget": (["1h30m"], "'1h30m'", timedelta(minutes=90)),
    "patience": (["0.25"], "0.25", 0.25),
    "layer_decay": (["0.8"], "0.8", 0.8),
    "learning_rate": (["1e-3"], "1e-3", 1e-3),
    "weight_decay": (["0"], "0", 0.0),
    "warmup": (["0.1"], "0.1", 0.1),
    "gradient_clip": (["12"], "12", 12.0),
    "ema_decay": (["0.999"], "0.999", 0.999),
    "loss": (["dice_focal"], "'dice_focal'", "dice_focal"),
    "augmentation": (["none"], "'none'", "none"),
    "flips": (["x", "z"], "('x', 'z')", ("x", "z")),
    "extra_transforms": (
        ['{"name": "RandomBlur", "arguments": {"std": [0, 1.5]}}'],
        "({'name': 'RandomBlur', 'arguments': {'std': (0, 1.5)}},)",
        (ExtraTransform(name="RandomBlur", arguments={"std": [0, 1.5]}),),
    ),
    "folds": (["3"], "3", 3),
    "fold": (["2"], "2", 2),
    "seed": (["17"], "17", 17),
    "deterministic": ([], "True", True),
    "precision": (["32"], "'32'", "32"),
    "device": (["cuda:1"], "'cuda:1'", "cuda:1"),
    "attention_chunks": (["2"], "2", 2),
    "max_memory": (["4GiB"], "'4GiB'", 4 * 2**30),
    "cleanup": (["none"], "'none'", "none"),
    "tta": (["mirror"], "'mirror'", "mirror"),
    "overlap": (["0.25"], "0.25", 0.25),
}
PARTNERS = {"images": ("labels", "b"), "labels": ("images", "a")}
"""Fields that need another one."""


def error_lines(**values: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        HParams.build(values)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("name", HParams.model_fields)
def test_flag_file_and_json_mean_the_same(name: str, tmp_path: Path):
    words, source, value = SAMPLES[name]
    partner, partner_value = PARTNERS.get(name, (None, None))
    extra = {} if partner is None else {partner: partner_value}

    flags = parse_flags("train", "", [f"--{name.replace('_', '-')}", *words], [HParams])
    from_flag = HParams.build({**flags, **extra})
    file = tmp_path / "hparam.py"
    more = "".join(f", {key}={item!r}" for key, item in extra.items())
    file.write_text(
        f"from medseg.hparams import HParams\nhparams = HParams({name}={source}{more})\n",
        encoding="utf-8",
    )
    from_file = read_settings_file(file)
    from_flag.save(tmp_path / "hparams.json")
    from_json = HParams.load(tmp_path / "hparams.json")

    assert from_flag == from_file == from_json
    assert getattr(from_flag, name) == value != getattr(HParams(), name)


@pytest.mark.parametrize("name", [n for n, f in HParams.model_fields.items() if f.default is None])
def test_auto_as_a_flag_is_none(name: str):
    assert parse_flags("train", "", [f"--{name.replace('_', '-')}", "auto"], [HParams]) == {
        name: None
    }


@pytest.mark.parametrize("name", HParams.model_fields)
def test_every_field_is_documented(name: str):
    assert len(HParams.model_fields[name].description or "") > 20


def test_generated_files_are_in_step():
    assert (ROOT / "hparam.py").read_text(encoding="utf-8") == settings_file()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()
    assert read_settings_file(ROOT / "hparam.py") == HParams()


@pytest.mark.parametrize("name", HParams.model_fields)
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_is_no_value(name: str, text: str):
    assert error_lines(**{name: text})[0].startswith(f"{name} = {text!r}: must not be empty")


def test_everything_wrong_is_said_at_once():
    lines = error_lines(encodr="x", dim=4, overlap=float("nan"), fold=7, head="pointrnd", steps="a")
    assert [line.split(" = ")[0] for line in lines] == [
        "dim",
        "head",
        "steps",
        "overlap",
        "encodr",
        "fold",
    ]
    assert all("; " in line and ": " in line for line in lines)
    assert "did you mean encoder?" in lines[4]
    assert "did you mean 'pointrend'?" in lines[1]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"steps": 1, "epochs": 1}, "at most one"),
        ({"steps": 1, "time_budget": "1h"}, "at most one"),
        ({"deterministic": True, "time_budget": "1h"}, "set steps"),
        ({"fold": 5}, "below folds"),
        ({"images": "a"}, "go together"),
        ({"labels": "a"}, "go together"),
        ({"patch_size": (8, 8)}, "one number per spatial axis"),
        ({"classes": {"a": 1, "b": 1}}, "share a value"),
        ({"classes": {}}, "at least 1 item"),
        ({"classes": {"a": ()}}, "needs a value"),
        ({"flips": ("x", "x")}, "once"),
        ({"learning_rate": float("inf")}, "finite"),
        ({"device": "gpu"}, "cuda:N"),
        ({"time_budget": "15"}, "with its unit"),
        ({"time_budget": timedelta(0)}, "above zero"),
        ({"max_memory": "0GB"}, "above zero"),
        ({"max_memory": "4"}, "with its unit"),
        ({"spacing_mm": (1, 0, 1)}, "greater than 0"),
        ({"patch_size": [8, "x"]}, "valid integer"),
        ({"extra_transforms": [{"name": "A", "arguments": {"p": float("nan")}}]}, "finite"),
        ({"extra_transforms": [{"name": "os.system"}]}, "must match"),
        ({"extra_transforms": ["{not json"]}, "extra_transforms[0]"),
    ],
)
def test_refused_in_one_line(values: dict[str, Any], named: str):
    (line,) = error_lines(**values)
    assert named in line
    assert all(name in line.split(": ")[0] for name in values)


def test_frozen():
    with pytest.raises(ValidationError):
        HParams().dim = 2


@pytest.mark.parametrize("text", ["90s", "15m", "2h", "1h30m", "0.25s", "36h", "1h1m1s"])
def test_duration_round_trip(text: str):
    duration = parse_duration(text)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1H30M", 5400), ("1.5m", 90)]
)
def test_duration(text: str, seconds: float):
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "15", "h", "1m1h", "-5s", "1.2.3s", "nan", "1e9h", None, 5])
def test_not_a_duration(text: object):
    with pytest.raises(ValueError, match="duration above zero"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("4GiB", 4 * 2**30), ("1.5 gib", 3 * 2**29), ("7B", 7), (9, 9)],
)
def test_size(text: object, size: int):
    assert parse_size(text) == size
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["", "4", "GB", "-4GB", "4 G B", "nanGB", 0, None])
def test_not_a_size(text: object):
    with pytest.raises(ValueError, match="size above zero"):
        parse_size(text)


def write_settings(folder: Path, source: str) -> Path:
    path = folder / "settings.py"
    path.write_text("from medseg.hparams import HParams\n" + source, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("hparams = HParams(stepz=4)", "did you mean steps?"),
        ("hparams = HParams(steps=4", "line 2"),
        ("\nhparams = HParams(steps=1 / 0)", "line 3: ZeroDivisionError"),
        ("hparams = 3", "must set `hparams = HParams(...)`"),
        ("", "must set `hparams = HParams(...)`"),
    ],
)
def test_broken_settings_file_is_one_line(source: str, named: str, tmp_path: Path):
    with pytest.raises(SettingsError) as caught:
        read_settings_file(write_settings(tmp_path, source))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flags_win_over_the_file(tmp_path: Path):
    file = write_settings(tmp_path, "hparams = HParams(dim=2, seed=3, time_budget='1h')")
    hparams = resolve(file, {"steps": "4", "seed": "5"})
    assert (hparams.dim, hparams.seed, hparams.steps, hparams.time_budget) == (2, 5, 4, None)


def test_data_flag_replaces_folders_of_the_file(tmp_path: Path):
    file = write_settings(tmp_path, "hparams = HParams(images='a', labels='b', pattern='*')")
    hparams = resolve(file, {"data": "c"})
    assert (hparams.data, hparams.images, hparams.labels) == (Path("c"), None, None)
    assert resolve(file, {}).images == Path("a")


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(None, {}) == HParams()
    (tmp_path / "hparam.py").write_text(
        "from medseg.hparams import HParams\nhparams = HParams(dim=2)\n", encoding="utf-8"
    )
    assert resolve(None, {}) == HParams(dim=2)


def test_missing_run_settings(tmp_path: Path):
    with pytest.raises(SettingsError, match="choose another"):
        HParams.load(tmp_path / "hparams.json")


def test_choices_are_the_names_of_what_can_be_built():
    from medseg.networks.build import ENCODERS, HEADS
    from medseg.patches.augment import STRENGTHS
    from medseg.training.losses import LOSSES

    built = {"encoder": ENCODERS, "head": HEADS, "augmentation": STRENGTHS, "loss": LOSSES}
    for name, names in built.items():
        assert set(get_args(HParams.model_fields[name].annotation)) == set(names)


@pytest.mark.parametrize("words", [['{"a": [1, 2], "b": 2}'], ["a=1,2", "b=2"]])
def test_regions_are_lists_of_values(words):
    wanted = {"a": (1, 2), "b": 2}
    assert (
        resolve(None, parse_flags("train", "", ["--classes", *words], [HParams])).classes == wanted
    )
    assert HParams(classes={"a": [1, 2], "b": 2}).classes == wanted


def test_a_class_is_not_ignored():
    with pytest.raises(SettingsError, match="cannot be ignored"):
        HParams.build({"classes": {"a": (1, 2), "b": 2}, "ignore_label": 2})
    with pytest.raises(SettingsError, match="cannot be ignored"):
        HParams.build({"classes": {"a": 1}, "ignore_label": 1})
