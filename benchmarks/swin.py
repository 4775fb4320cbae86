"""What SwinV2 costs in 3D; prints the rows of a table in docs.

    python benchmarks/swin.py speed     # against MONAI's Swin transformer, the encoder of SwinUNETR
    python benchmarks/swin.py memory    # of a training step, with each way to save it

Both take 96^3 voxels of one channel, embed 2^3 voxels as a token of 48 channels, and have four
stages of two blocks, windows of 7^3 tokens and 3, 6, 12 and 24 heads.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor, nn

from medseg.machine import keep_freed_memory
from medseg.networks.encoders.pyramid import Levels, Savers
from medseg.networks.encoders.swinv2 import SIZES, swinv2

SIDE, STAGES, WINDOW, THREADS, PAIRS = 96, 4, (7, 7, 7), 2, 5
SIZE = SIZES["swinv2_mini"]
SAVERS = {
    "none": Savers(),
    "attention_chunks = 7": Savers(attention_chunks=7),
    "activation_checkpointing": Savers(checkpointing=True),
    "both": Savers(checkpointing=True, attention_chunks=7),
}


def ours(savers: Savers = Savers()) -> nn.Module:
    """SwinV2: returns what each stage ends with."""
    return swinv2(1, SIZE, Levels(((2, 2, 2),) * STAGES, (), (WINDOW,) * STAGES, ()), 0.0, savers)


def monais() -> nn.Module:
    """Swin as SwinUNETR has it, without the merging that follows its last stage.

    It returns the embedded patches and what each stage ends with after merging, normalised once
    more without weights. Its position bias is a table and its attention is not a cosine: it
    computes less per block than SwinV2.
    """
    heads = [SIZE.channels // SIZE.channels_per_head * 2**stage for stage in range(STAGES)]
    encoder = SwinTransformer(1, SIZE.channels, WINDOW, (2, 2, 2), SIZE.depths, heads)
    encoder.layers4[0].downsample = nn.Identity()
    return encoder


def pass_through(encoder: Callable[[Tensor], Sequence[Tensor]], image: Tensor) -> None:
    """Forward and backward; every map counts."""
    torch.stack([encoded.square().mean() for encoded in encoder(image)]).sum().backward()


def seconds(encoder: nn.Module, image: Tensor) -> tuple[float, float]:
    """Core-seconds and seconds of one pass."""
    encoder.zero_grad()
    clocks = time.process_time(), time.perf_counter()
    pass_through(encoder, image)
    return time.process_time() - clocks[0], time.perf_counter() - clocks[1]


def speed() -> None:
    """Both encoders in turn, after one pass of each that is not counted."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()  # as in training; for both
    torch.manual_seed(0)
    image = torch.randn(1, 1, SIDE, SIDE, SIDE)
    encoders = {"medseg, SwinV2": ours(), "MONAI, SwinUNETR's encoder": monais()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
    for _ in range(1 + PAIRS):
        for name, encoder in encoders.items():
            taken[name].append(seconds(encoder, image))
    print("| encoder | parameters (M) | core-seconds | seconds |\n|---|---|---|---|")
    for name, encoder in encoders.items():
        millions = sum(weight.numel() for weight in encoder.parameters()) / 1e6
        core, wall = map(statistics.median, zip(*taken[name][1:], strict=True))
        print(f"| {name} | {millions:.2f} | {core:.2f} | {wall:.2f} |")


def peak_gigabytes(savers: Savers) -> float:
    """Peak memory of this process after one training step."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    encoder = ours(savers)
    optimizer = torch.optim.AdamW(encoder.parameters())
    pass_through(encoder, torch.randn(1, 1, SIDE, SIDE, SIDE))
    optimizer.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def memory() -> None:
    """Each way in a process of its own: a peak never falls again."""
    print("| saver | peak memory (GB) |\n|---|---|")
    for name, savers in SAVERS.items():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            print(f"| {name} | {pool.submit(peak_gigabytes, savers).result():.2f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What SwinV2 costs in 3D.")
    parser.add_argument("what", choices=("speed", "memory"))
    {"speed": speed, "memory": memory}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
