"""The peak learning rate by network, size and pretraining; always with a reason."""

from itertools import product
from pathlib import Path

import pytest

from medseg.hparams import HParams
from medseg.networks.build import ENCODERS
from medseg.networks.reference.monai import PLANNED
from medseg.networks.reference.names import ALIASES, CLASSICS
from medseg.plan.learning_rate import choose_layer_decay, choose_learning_rate

WEIGHTS = Path("weights.pth")


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"encoder": "convnext_mini"}, 4e-3),
        ({"encoder": "swinv2_mini", "pretrained": WEIGHTS}, 4e-3),
        ({"encoder": "convnext_tiny"}, 1e-3),
        ({"encoder": "convnext_xlarge"}, 5e-4),
        ({"encoder": "convnext_tiny", "pretrained": WEIGHTS}, 1e-4),
        ({"encoder": "swinv2_tiny", "pretrained": WEIGHTS}, 6e-5),
        ({"encoder": "swinv2_giant"}, 4e-4),
        ({"encoder": "gmlp_base"}, 8e-4),
        ({"network": "monai:SwinUNETR"}, 8e-4),
        ({"network": "unetr"}, 1e-4),
        ({"network": "monai:MedNeXt"}, 1e-3),
        ({"network": "smp:Unet:resnet34"}, 1e-3),
        ({"encoder": "swinv2_giant", "learning_rate": 0.5}, 0.5),
    ],
)
def test_the_rate_is_that_of_the_network(settings, rate):
    found, reason = choose_learning_rate(HParams.build(settings))
    assert found == rate
    assert reason


def test_every_network_has_a_rate_below_ours():
    others = [*CLASSICS, *ALIASES, *(f"monai:{name}" for name in PLANNED)]
    for name, pretrained in product(ENCODERS, (None, WEIGHTS)):
        rate, _ = choose_learning_rate(HParams(encoder=name, pretrained=pretrained))
        assert 0 < rate <= 4e-3
    for name in others:
        assert 0 < choose_learning_rate(HParams(network=name))[0] <= 1e-3


@pytest.mark.parametrize(
    ("settings", "decay"),
    [
        ({"encoder": "convnext_tiny"}, 1),
        ({"encoder": "convnext_mini", "pretrained": WEIGHTS}, 1),
        ({"encoder": "convnext_tiny", "pretrained": WEIGHTS}, 0.9),
        ({"encoder": "convnext_mini", "layer_decay": 0.7}, 0.7),
    ],
)
def test_layers_decay_only_where_a_large_encoder_was_pretrained(settings, decay):
    found, reason = choose_layer_decay(HParams.build(settings))
    assert found == decay
    assert reason
