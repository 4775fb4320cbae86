"""What differs between 2D and 3D in the layers that only the classics use."""

from collections.abc import Callable

from torch import nn

POOLS: dict[int, Callable[..., nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
UNPOOLS: dict[int, Callable[..., nn.Module]] = {2: nn.MaxUnpool2d, 3: nn.MaxUnpool3d}
TRANSPOSED: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
