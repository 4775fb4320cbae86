"""Layer normalisation over the channels of a feature map."""

from torch import nn

from medseg.types import Images


class ChannelNorm(nn.LayerNorm):
    """LayerNorm of each voxel's channels.

    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, input: Images) -> Images:  # noqa: A002 - torch's name
        """Normalise."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)
