"""What a device bears."""

import pytest
import torch

from medseg.errors import SettingsError
from medseg.plan.patch import GPU_VOXELS, Limits
from medseg.training import device
from medseg.training.device import check_repeats, for_lightning, limits


def test_a_step_on_a_cpu_takes_part_of_what_is_free_and_what_will_be(monkeypatch):
    monkeypatch.setattr(device, "available_memory_bytes", lambda: 8_000)
    assert limits("cpu", 3, held=2_000) == Limits(memory=7_000)
    assert limits("mps", 2, held=0) == Limits(memory=5_600)


def test_a_step_on_a_gpu_takes_part_of_the_gpus_own(monkeypatch):
    asked = []
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", lambda name: asked.append(name) or (1_000, 9_000)
    )
    assert limits("cuda:1", 2, held=5_000) == Limits(GPU_VOXELS[2], 700)
    assert asked == ["cuda:1"]


def test_a_gpu_repeats_nothing():
    check_repeats("cpu", deterministic=True)
    check_repeats("cuda", deterministic=False)
    with pytest.raises(SettingsError, match="deterministic = True, device = cuda:0"):
        check_repeats("cuda:0", deterministic=True)


@pytest.mark.parametrize(
    ("where", "precision", "bf16", "expected"),
    [
        ("cpu", "auto", True, ("cpu", 1, "32-true")),
        ("mps", "auto", True, ("mps", 1, "32-true")),
        ("cuda", "auto", True, ("gpu", 1, "bf16-mixed")),
        ("cuda:2", "auto", False, ("gpu", [2], "16-mixed")),
        ("cuda:0", "32", True, ("gpu", [0], "32-true")),
        ("cpu", "bf16", False, ("cpu", 1, "bf16-mixed")),
    ],
)
def test_lightning_is_told_where_and_in_which_numbers(
    where, precision, bf16, expected, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    told = for_lightning(torch.device(where), precision)
    assert tuple(told.values()) == expected
