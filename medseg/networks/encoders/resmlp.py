"""ResMLP over any number of spatial axes. Touvron et al. 2021, arXiv:2105.03404.

Differs: a pyramid of four stages instead of one resolution, and tokens are mixed within windows,
alternately of neighbours and dilated, so that maps may have any size. The paper's N blocks of d
channels become 2, 2, N - 6 and 2 of d/4, d/2, d and 2d. The mini size is ours.
"""

from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
from medseg.networks.encoders.steps import convolutional_steps
from medseg.networks.layers.resmlp_block import ResMLPBlock


class ResMLPSize(NamedTuple):
    """What tells one ResMLP from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        scale: Start of the layer scales: smaller the deeper, as in the paper.
    """

    depths: tuple[int, ...]
    channels: int
    scale: float


SIZES = {
    "resmlp_mini": ResMLPSize((2, 2, 2, 2), 48, 1.0),
    "resmlp_12": ResMLPSize((2, 2, 6, 2), 96, 0.1),
    "resmlp_24": ResMLPSize((2, 2, 18, 2), 96, 1e-5),
    "resmlp_36": ResMLPSize((2, 2, 30, 2), 96, 1e-6),
    "resmlp_big24": ResMLPSize((2, 2, 18, 2), 192, 1e-6),
}


def _blocks(size: ResMLPSize, stage: Stage) -> list[nn.Module]:
    return [
        ResMLPBlock(
            stage.channels, stage.mixer, dilated=index % 2 == 1, scale=size.scale, drop_path=rate
        )
        for index, rate in enumerate(stage.drop_paths)
    ]


resmlp = Builder(convolutional_steps, _blocks)
