"""Files of weights that are not what they should be, and what is said about those that are."""

import argparse
import io
import pickle
import zipfile
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from networks.fill import fill
from networks.foreign import facebook_convnext, microsoft_swin_mlp, weights_of
from safetensors.torch import save_file

from medseg.errors import MedsegError
from medseg.networks.encoders import convnext, repmlpnet, swin_mlp, swinv2
from medseg.networks.encoders.pyramid import Levels
from medseg.networks.layers.folding import fold
from medseg.networks.pretrained import files
from medseg.networks.pretrained.adapt import adapters
from medseg.networks.pretrained.files import read_weights
from medseg.networks.pretrained.layouts import find_layout, renamed
from medseg.networks.pretrained.load import load_pretrained

LEVELS = Levels(((4, 4), *((2, 2),) * 3), ((7, 7),) * 4, ((8, 8),) * 4, ((8, 8),) * 4)
WEIGHTS = {"stem.0.weight": torch.ones(8, 3, 4, 4), "stem.0.bias": torch.ones(8)}


def tiny(family=convnext, name="convnext_tiny", **size):
    build = getattr(family, family.__name__.rpartition(".")[2])
    return build(3, family.SIZES[name]._replace(**size), LEVELS)


def refused(file: Path, encoder=None) -> str:
    """One line, and nothing is changed."""
    encoder = encoder or tiny(channels=8)
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    with pytest.raises(MedsegError) as error:
        load_pretrained(encoder, file)
    for name, weight in encoder.state_dict().items():
        assert torch.equal(weight, before[name])
    message = str(error.value)
    assert message.isprintable()
    assert file.name in message
    return message


def saved(weights, file: Path) -> Path:
    torch.save(weights, file)
    return file


# --- other networks


def test_weights_of_another_width_are_refused(tmp_path):
    widths = (16, 32, 64, 128)
    file = saved(weights_of(facebook_convnext((3, 3, 9, 3), widths, 5)), tmp_path / "base.pth")
    message = refused(file)
    assert "another size" in message
    assert "stem.0.weight 16x3x4x4, needed 8x3x4x4" in message
    assert "choose the encoder" in message


def test_what_does_not_depend_on_width_is_not_enough(tmp_path):
    """A position bias sees offsets; only its last layer depends on the number of heads."""
    base = tiny(swinv2, "swinv2_tiny", channels=64)
    file = saved(base.state_dict(), tmp_path / "base.pth")
    assert "another size" in refused(file, tiny(swinv2, "swinv2_tiny", channels=32))


def test_a_few_other_names_are_no_other_network(tmp_path):
    weights = {**tiny(channels=8).state_dict(), "stages.0.0.extra": torch.ones(1)}
    del weights["stages.0.0.norm.bias"]
    report = load_pretrained(tiny(channels=8), saved(weights, tmp_path / "file.pth"))
    assert (report.missing, report.left_out) == (("stages.0.0.norm.bias",), ("stages.0.0.extra",))


@pytest.mark.parametrize("depth", [3, 27])
def test_weights_of_another_depth_are_refused(depth, tmp_path):
    widths = (8, 16, 32, 64)
    file = saved(weights_of(facebook_convnext((3, 3, depth, 3), widths, 5)), tmp_path / "a.pth")
    message = refused(file)
    which = "the network has stages.2.3." if depth == 3 else "the file has stages.2.9."
    assert which in message


OTHERS = {
    "convnextv2": lambda: timm.create_model("convnextv2_atto"),
    "resnet18": torchvision.models.resnet18,
    "gmlp": lambda: timm.create_model("gmlp_ti16_224"),
    "swin of the first kind": lambda: torchvision.models.SwinTransformer(
        [4, 4], 8, [2, 2, 6, 2], [1, 2, 4, 8], [7, 7]
    ),
    "the same of timm": lambda: timm.models.SwinTransformer(
        img_size=64, embed_dim=8, depths=(2, 2, 6, 2), num_heads=(1, 2, 4, 8)
    ),
    "classifier": lambda: torch.nn.Linear(3, 4),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    ("family", "name"),
    [(convnext, "convnext_tiny"), (swinv2, "swinv2_tiny"), (swin_mlp, "swin_mlp_base")],
)
def test_other_networks_are_refused(other, family, name, tmp_path):
    width = 40 if other == "convnextv2" else 8
    encoder = tiny(family=family, name=name, channels=width)
    message = refused(saved(OTHERS[other]().state_dict(), tmp_path / "other.pth"), encoder)
    assert "another network: the file has" in message
    assert "the network has " in message


def test_a_folded_model_says_which_file_to_give(tmp_path):
    encoder = tiny(family=repmlpnet, name="repmlpnet_mini", channels=16)
    message = refused(saved(fold(encoder).state_dict(), tmp_path / "model.pth"), encoder)
    assert "last.ckpt" in message
    assert "last.ckpt" not in refused(saved(WEIGHTS, tmp_path / "other.pth"))


# --- wrapped files


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_ema", "model_state_dict"])
def test_what_training_programs_wrap_around_is_taken_off(wrapper, tmp_path):
    stored = {wrapper: WEIGHTS, "optimizer": {"state": {}, "lr": 0.1}, "epoch": 3, "model_path": ""}
    found = read_weights(saved(stored, tmp_path / "file.pth"))
    assert found.keys() == WEIGHTS.keys()
    assert torch.equal(found["stem.0.weight"], WEIGHTS["stem.0.weight"])


def test_averaged_weights_are_preferred(tmp_path):
    stored = {"model": {"a": torch.zeros(1)}, "model_ema": {"a": torch.ones(1)}}
    assert read_weights(saved(stored, tmp_path / "file.pth"))["a"] == 1
    none = {"model": {"a": torch.zeros(1)}, "model_ema": None}
    assert read_weights(saved(none, tmp_path / "file.pth"))["a"] == 0


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.bin", "weights"])
def test_a_files_kind_is_known_by_its_content(name, tmp_path):
    save_file(WEIGHTS, tmp_path / name)
    assert read_weights(tmp_path / name).keys() == WEIGHTS.keys()
    torch.save(WEIGHTS, tmp_path / name)
    assert read_weights(tmp_path / name).keys() == WEIGHTS.keys()
    torch.save(WEIGHTS, tmp_path / name, _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / name).keys() == WEIGHTS.keys()


# --- hostile and broken files


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_executed(zipped, tmp_path):
    stored = {"model": WEIGHTS, "args": Malicious(tmp_path / "executed")}
    torch.save(stored, tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
    assert "other Python objects" in refused(tmp_path / "file.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Malicious(tmp_path / "executed")))
    refused(tmp_path / "plain.pkl")
    assert not (tmp_path / "executed").exists()


def test_settings_of_a_training_program_are_not_loaded(tmp_path):
    stored = {"model": WEIGHTS, "args": argparse.Namespace(lr=0.1)}
    message = refused(saved(stored, tmp_path / "checkpoint.pth"))
    assert "other Python objects" in message
    assert "docs/pretrained.md" in message


@pytest.mark.parametrize("content", [b"", b"text\n", b"PK\x03\x04", b"\x80\x02}q\x00.", b"{" * 99])
def test_files_of_something_else_are_refused(content, tmp_path):
    for name in ("file.pth", "file.safetensors"):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name)


def test_there_must_be_a_file(tmp_path):
    assert "no such file" in refused(tmp_path / "absent.pth")
    (tmp_path / "folder.pth").mkdir()
    assert "no such file" in refused(tmp_path / "folder.pth")


@pytest.mark.parametrize("stored", [[1, 2], torch.ones(3), {"epoch": 3}, {}, {"model": 3}])
def test_a_file_without_named_weights_is_refused(stored, tmp_path):
    assert "holds no named weights" in refused(saved(stored, tmp_path / "file.pth"))


def test_a_file_that_contains_itself_ends(tmp_path):
    stored = {}
    stored["model"] = stored
    assert "holds no named weights" in refused(saved(stored, tmp_path / "file.pth"))


def test_broken_files_are_one_line(tmp_path):
    """Cut off, and with bytes changed."""
    encoder = tiny(channels=8, depths=(1, 1, 1, 1))
    random = torch.Generator().manual_seed(0)
    torch.save(WEIGHTS, buffer := io.BytesIO())
    torch.save(WEIGHTS, legacy := io.BytesIO(), _use_new_zipfile_serialization=False)
    save_file(WEIGHTS, tmp_path / "whole")
    for whole in (buffer.getvalue(), legacy.getvalue(), (tmp_path / "whole").read_bytes()):
        for _ in range(60):
            cut, at, value = torch.randint(0, 2**31, (3,), generator=random).tolist()
            broken = bytearray(whole[: 1 + cut % len(whole)] if cut % 3 == 0 else whole)
            broken[at % len(broken)] = value % 256
            (tmp_path / "file").write_bytes(broken)
            refused(tmp_path / "file", encoder)


def test_sizes_are_known_before_anything_is_read(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10**7))
    assert (tmp_path / "bomb.pth").stat().st_size < 10**5
    save_file({"a": torch.zeros(10**5)}, tmp_path / "large.safetensors")
    monkeypatch.setattr(files, "available_memory_bytes", lambda: 10**5)
    for name in ("bomb.pth", "large.safetensors"):
        assert "more than the memory" in refused(tmp_path / name)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_weights_larger_than_what_is_stored_are_not_read(tmp_path):
    stored = {"stem.0.weight": torch.ones(1).expand(10**6, 10**6), **WEIGHTS}
    stored |= {"empty": torch.ones(0), "sparse": torch.ones(2, 2).to_sparse()}
    stored |= {"meta": torch.ones(2, device="meta"), "complex": torch.ones(2).to(torch.complex64)}
    stored |= {"long" * 99: torch.ones(1), "\x1b[31mred\n": torch.ones(1)}
    stored["huge"] = torch.ones(1).expand(10**6, 10**6)
    assert read_weights(saved(stored, tmp_path / "file.pth")).keys() == WEIGHTS.keys()


STRANGE = [
    torch.tensor(1.0),
    torch.ones(1),
    torch.ones(2, 3),
    torch.ones(1, 1, 1, 2),
    torch.full((1, 3, 3, 2), torch.inf),
    torch.full((1, 3, 3, 2), torch.nan),
    torch.full((1, 3, 3, 2), -1.0),
    torch.ones(3, 3, 3, 3, 3, 3, 3),
    torch.arange(6).reshape(2, 3),
]


@pytest.mark.parametrize("new_axis", [None, 0])
@pytest.mark.parametrize("family", ["swinv2", "swin_mlp", "repmlpnet", "convnext"])
def test_any_tensor_may_have_a_wrong_shape(family, new_axis, monkeypatch):
    """Whatever does not fit is told; the rest is loaded."""
    dim = 2 if new_axis is None else 3
    windows = ((4,) * dim,) * 2
    levels = Levels(((2,) * dim,) * 2, ((3,) * dim,) * 2, windows, windows)
    flat = Levels(((2, 2),) * 2, ((3, 3),) * 2, ((4, 4),) * 2, ((4, 4),) * 2)
    build, size = {
        "swinv2": (swinv2.swinv2, swinv2.SwinV2Size((1, 1), 8, 8)),
        "swin_mlp": (swin_mlp.swin_mlp, swin_mlp.SwinMLPSize((1, 1), 8, 8)),
        "repmlpnet": (repmlpnet.repmlpnet, repmlpnet.RepMLPNetSize((1, 1), 8, (1, 2))),
        "convnext": (convnext.convnext, convnext.ConvNeXtSize((1, 1), 8)),
    }[family]
    source, encoder = build(3, size, flat).state_dict(), build(3, size, levels)

    def complaints(weights) -> tuple[str, ...]:
        monkeypatch.setattr("medseg.networks.pretrained.load.read_weights", lambda _: weights)
        try:
            return load_pretrained(encoder, Path("file.pth"), new_axis=new_axis).misfits
        except MedsegError as error:
            return (str(error),)

    names = [name for name in adapters(encoder, new_axis) if name in source]
    assert len(names) > 2
    for strange in STRANGE:
        for name in names:
            found = complaints(source | {name: strange})
            assert len(found) <= 1
            assert all(map(str.isprintable, found))


@pytest.mark.parametrize("strange", STRANGE)
def test_a_bias_that_would_be_cut_up_may_have_a_wrong_shape(strange):
    weights = {"features.1.0.attn.cpb_mlp.0.bias": strange, "features.1.0.attn.qkv.bias": strange}
    layout, prefix = find_layout(weights)
    assert layout.name == "torchvision SwinV2"
    assert renamed(weights, layout, prefix)


# --- the report


def test_the_report_says_what_became_of_each_weight(tmp_path):
    shapes = microsoft_swin_mlp((2, 2), (8, 16), (1, 2), 7, 5)
    file = saved({"model": weights_of(shapes) | {"extra": torch.ones(1)}}, tmp_path / "mlp.pth")
    levels = Levels(((4, 4),) + ((2, 2),) * 2, (), (), ((8, 8),) * 3)
    size = swin_mlp.SwinMLPSize((2, 2, 1), 8, 8)
    encoder = fill(swin_mlp.swin_mlp(1, size, levels))
    report = load_pretrained(encoder, file)
    assert [w[:2] for w in report.adapted] == [("stem.0.weight", "8x3x4x4 to 8x1x4x4")]
    assert report.left_out == ("norm.weight", "norm.bias", "head.weight", "head.bias", "extra")
    assert report.misfits[0] == "stages.0.0.mixing.weight 49x49x1, needed 1x64x64"
    assert len(report.misfits) == 8
    assert all(name.startswith(("merges.1.", "stages.2.")) for name in report.missing)
    names = {*report.loaded, *(weight.name for weight in report.adapted), *report.missing}
    names |= {misfit.partition(" ")[0] for misfit in report.misfits}
    assert names == encoder.state_dict().keys()
    counts = [len(part) for part in report[2:7]]
    words = f"{counts[0]} loaded, 1 adapted, 5 left out, 8 do not fit, {counts[4]} of the encoder"
    assert words in report.summary
    title, header, rows = report.table()
    assert title == "Pretrained weights"
    assert all(len(row) == len(header) for row in rows)
    table = dict(rows)
    assert table["file"].endswith("(Microsoft Swin MLP)")
    assert table["adapted: summed or shared out"].startswith("1: stem.0")
    assert table["loaded"].startswith(f"{counts[0]}: ")
    assert table["loaded"].endswith(", ...")
    assert table["left out: no place for it"].startswith("5: norm.weight")
    assert table["left out: does not fit"].startswith("8: stages.0.0.mixing.weight")
    assert table["random: not in the file"].startswith(f"{counts[4]}: merges.1")
