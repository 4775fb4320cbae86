"""One calculation of logits for a whole volume: in validation, in prediction, in 2D and in 3D."""

import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from medseg.errors import ScanError
from medseg.geometry import Size
from medseg.inference.blend import blend_weights
from medseg.inference.windows import batched, window_boxes
from medseg.types import Images, Logits


class Sliding(NamedTuple):
    """How windows are cut.

    Attributes:
        window: The patch as a box in the volume: 1 along the slice axis of a 2D network.
        slice_axis: The axis a 2D network does not see; None for a 3D network.
        overlap: Least share of a window that its neighbour covers too, in [0, 1).
        batch_size: Windows given to the network at once.
        num_outputs: Channels of the logits.
        memory_bytes: Logits larger than this are kept in a temporary file; None keeps them in
            memory.
    """

    window: Size
    slice_axis: int | None
    overlap: float
    batch_size: int
    num_outputs: int
    memory_bytes: int | None = None


@contextmanager
def sliding_logits(
    network: Callable[[Images], Logits], image: Tensor, sliding: Sliding, device: torch.device
) -> Generator[Tensor, None, None]:
    """Blend the network's logits over windows that cover the volume.

    A volume smaller than the window is padded as in training: with zero, the mean after
    normalisation. The logits live as long as the context.

    Shape:
        image: (channels, *size) on the CPU -> (num_outputs, *size) on the CPU.

    Raises:
        ScanError: If the disk has no room for the temporary file.
    """
    size = image.shape[1:]
    padded = _pad(image, sliding.window)
    shape = (sliding.num_outputs, *padded.shape[1:])
    with _storage(shape, sliding.memory_bytes) as logits:
        _accumulate(network, padded, logits, sliding, device)
        yield logits[(slice(None), *(slice(length) for length in size))]


def _accumulate(
    network: Callable[[Images], Logits],
    image: Tensor,
    logits: Tensor,
    sliding: Sliding,
    device: torch.device,
) -> None:
    i, j, k = image.shape[1:]
    boxes = window_boxes((i, j, k), sliding.window, sliding.overlap)
    weights = blend_weights(sliding.window)
    total = torch.zeros(image.shape[1:])
    for group in batched(boxes, sliding.batch_size):
        windows = torch.stack([image[(slice(None), *box)] for box in group]).to(device)
        if sliding.slice_axis is None:
            scores = network(windows)
        else:
            scores = network(windows.squeeze(sliding.slice_axis + 2)).unsqueeze(
                sliding.slice_axis + 2
            )
        for box, score in zip(group, scores.float().cpu(), strict=True):
            logits[(slice(None), *box)] += score * weights
            total[box] += weights
    for rows, weight in zip(logits.unbind(1), total, strict=True):
        rows /= weight


def _pad(image: Tensor, window: Size) -> Tensor:
    missing = [max(0, w - length) for w, length in zip(window, image.shape[1:], strict=True)]
    return F.pad(image, [pad for extra in reversed(missing) for pad in (0, extra)])


@contextmanager
def _storage(shape: tuple[int, ...], memory_bytes: int | None) -> Generator[Tensor, None, None]:
    needed = 4 * prod(shape)
    if memory_bytes is None or needed <= memory_bytes:
        yield torch.zeros(shape)
        return
    # Windows cannot delete a file that is still mapped.
    with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as folder:
        free = shutil.disk_usage(folder).free
        if free < needed:  # writing to a mapped file on a full disk kills the process
            raise ScanError(
                tempfile.gettempdir(),
                f"has {free / 1e9:.1f} GB, and {needed / 1e9:.1f} GB are needed beside memory",
                "free some, or raise max_memory",
            )
        file = str(Path(folder) / "logits")
        yield torch.from_file(file, shared=True, size=prod(shape)).view(shape)
