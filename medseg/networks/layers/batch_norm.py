"""Batch normalisation that can be folded into the layer before it, or after it."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.layers.affine import Affine


class BatchNorm(nn.BatchNorm1d):
    """Normalises over the batch. In evaluation it is a scale and a shift.

    A single value per channel has no variance: then it uses the running statistics in training too.

    Shape:
        x: (batch, channels) or (batch, channels, length) -> the same.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise."""
        if self.training and input.numel() == self.num_features:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What it does in evaluation, per channel: x * scale + shift."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale


@contextmanager
def still_statistics(module: nn.Module) -> Generator[None, None, None]:
    """Within, running statistics do not move: a batch computed again must not count twice."""
    norms = [part for part in module.modules() if isinstance(part, BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


class TokenBatchNorm(nn.Module):
    """`BatchNorm` of the channels of tokens.

    Shape:
        x: (..., channels) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return self.norm(x.flatten(0, -2)).view(x.shape)

    def folded(self) -> nn.Module:
        """As it is in evaluation."""
        scale, shift = self.norm.scale_and_shift()
        affine = Affine(len(scale))
        affine.weight, affine.bias = nn.Parameter(scale), nn.Parameter(shift)
        return affine


class LinearNorm(nn.Module):
    """A linear layer without bias, and batch normalisation.

    Shape:
        x: (..., in_channels) -> (..., out_channels).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = TokenBatchNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform."""
        return self.norm(self.linear(x))

    def folded(self) -> nn.Module:
        """One linear layer."""
        scale, shift = self.norm.norm.scale_and_shift()
        linear = nn.Linear(self.linear.in_features, self.linear.out_features)
        linear.weight = nn.Parameter(self.linear.weight * scale[:, None])
        linear.bias = nn.Parameter(shift)
        return linear


class NormLinear(nn.Module):
    """Batch normalisation, and a linear layer over several tokens at once.

    Args:
        channels: Of a token.
        tokens: That the layer sees.
    Shape:
        x: (batch, tokens * channels) -> the same.
    """

    def __init__(self, channels: int, tokens: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)
        self.linear = nn.Linear(tokens * channels, tokens * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform."""
        return self.linear(self.norm(x.reshape(-1, self.norm.num_features)).view(x.shape))

    def folded(self) -> nn.Module:
        """One linear layer."""
        scale, shift = self.norm.scale_and_shift()
        weight, width = self.linear.weight, self.linear.in_features
        tokens = width // len(scale)
        linear = nn.Linear(width, width)
        linear.weight = nn.Parameter(weight * scale.repeat(tokens))
        linear.bias = nn.Parameter(self.linear.bias + weight @ shift.repeat(tokens))
        return linear


class ConvNorm(nn.Module):
    """A convolution without bias, and batch normalisation.

    Args:
        convolution: Without bias.
    Shape:
        x: (batch, in_channels, *spatial) -> (batch, out_channels, *smaller).
    """

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = TokenBatchNorm(convolution.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform."""
        return self.norm(self.convolution(x).movedim(1, -1).contiguous()).movedim(-1, 1)

    def folded(self) -> nn.Module:
        """One convolution."""
        scale, shift = self.norm.norm.scale_and_shift()
        plain = self.convolution
        weight = plain.weight * scale.view(-1, *([1] * (plain.weight.ndim - 1)))
        folded = type(plain)(
            plain.in_channels,
            plain.out_channels,
            plain.kernel_size,  # pyright: ignore[reportArgumentType] - as many as the class has
            plain.stride,  # pyright: ignore[reportArgumentType]
            plain.padding,  # pyright: ignore[reportArgumentType]
            groups=plain.groups,
        )
        folded.weight, folded.bias = nn.Parameter(weight), nn.Parameter(shift)
        return folded
