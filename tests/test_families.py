"""What the records of families say holds for what is built."""

from typing import get_args

import pytest
import torch
from plans import plan_for_tests

from medseg.errors import SettingsError
from medseg.families import FAMILIES, EncoderName, family_of, is_small
from medseg.hparams import HParams
from medseg.networks.build import ENCODERS, build_segmenter
from medseg.networks.encoders.pyramid import Savers
from medseg.networks.layers.folding import fold


def test_each_encoder_is_of_one_family():
    sizes = [size for family in FAMILIES for size in family.sizes]
    assert len(set(sizes)) == len(sizes)
    assert set(sizes) == set(ENCODERS) == set(get_args(EncoderName))
    for family in FAMILIES:
        assert {*family.small, *family.large} <= set(family.sizes)
        assert not {*family.small} & {*family.large}
        assert [is_small(size) for size in family.small] == [True] * len(family.small)
    builders = {family: {ENCODERS[size].func for size in family.sizes} for family in FAMILIES}
    assert all(len(built) == 1 for built in builders.values())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_can_do_what_its_record_says(family, dim):
    plan = plan_for_tests(dim=dim)
    with torch.device("meta"):
        network = build_segmenter(
            plan, family.small[-1], "dense", multilabel=False, savers=Savers(attention_chunks=2)
        )
    assert bool(network.encoder.recomputed_blocks) == family.chunked
    assert (list(fold(network).state_dict()) != list(network.state_dict())) == family.foldable


@pytest.mark.parametrize("encoder", ENCODERS)
def test_masked_scans_train_the_families_that_say_so(encoder):
    settings = {"pretrain": "masked", "encoder": encoder}
    if family_of(encoder).maskable:
        HParams.build(settings)
    else:
        with pytest.raises(SettingsError, match="only ConvNeXt and SwinV2"):
            HParams.build(settings)
