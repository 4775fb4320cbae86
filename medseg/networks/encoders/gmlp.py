"""gMLP and aMLP over any number of spatial axes. Liu et al. 2021, arXiv:2105.08050.

Differs: a pyramid of four stages instead of one resolution, and tokens are mixed within windows,
alternately of neighbours and dilated, so that maps may have any size. The paper's 30 blocks of d
channels become 2, 2, 24 and 2 of d/4, d/2, d and 2d. The mini sizes are ours.
"""

from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
from medseg.networks.encoders.steps import convolutional_steps
from medseg.networks.layers.gmlp_block import GMLPBlock


class GMLPSize(NamedTuple):
    """What tells one gMLP from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        attention: Whether gates see a little attention: aMLP.
    """

    depths: tuple[int, ...]
    channels: int
    attention: bool = False


_GMLP = {
    "mini": GMLPSize((2, 2, 2, 2), 40),
    "tiny": GMLPSize((2, 2, 24, 2), 32),
    "small": GMLPSize((2, 2, 24, 2), 64),
    "base": GMLPSize((2, 2, 24, 2), 128),
}
SIZES = {
    **{f"gmlp_{name}": size for name, size in _GMLP.items()},
    **{f"amlp_{name}": size._replace(attention=True) for name, size in _GMLP.items()},
}


def _blocks(size: GMLPSize, stage: Stage) -> list[nn.Module]:
    return [
        GMLPBlock(
            stage.channels,
            stage.mixer,
            dilated=index % 2 == 1,
            attention=size.attention,
            drop_path=rate,
        )
        for index, rate in enumerate(stage.drop_paths)
    ]


gmlp = Builder(convolutional_steps, _blocks)
