"""Layer normalisation over the channels of a feature map."""

from torch import nn

from medseg.types import Images


class ChannelNorm(nn.LayerNorm):
    """LayerNorm of each voxel's channels.

    Args:
        channels: Of the map.
        eps: Added to the variance.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, input: Images) -> Images:  # noqa: A002 - torch's name
        """Normalise."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)
