"""What augmentation costs on one CPU thread, per patch: `python benchmarks/augmentation.py`.

The first row is an `apply` that does nothing, the last is everything; each row between is what one
transform adds to the first, alone, at its default probability. CPU time, so that a busy machine
changes little. For comparison: nnU-Net's default pipeline (batchgeneratorsv2, one core of an Intel
Xeon with AVX-512) took 16.5 ms at 40x56x40 and 482 ms at 128^3.
"""

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from medseg.patches.augment import STRENGTHS, Augment, AugmentParameters
from medseg.patches.sampler import PatchBatch

WARM_UP, BATCHES = 20, 200
CASES = (((40, 56, 40), 4, (0,)), ((128, 128, 128), 2, (0,)), ((512, 512), 4, (0, 1)))
ROWS = {
    "rotation, scale": ("matrices",),
    "elastic": ("displacements",),
    "flips": ("flips",),
    "noise": ("noise_stds", "noise_seed"),
    "blur": ("blur_sigmas",),
    "brightness": ("brightness",),
    "contrast": ("contrasts",),
    "low resolution": ("zooms",),
    "gamma, inverted": ("inverted_gammas",),
    "gamma": ("gammas",),
}


def machine() -> str:
    """CPU, threads and torch, in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{cpu} ({capability}), {torch.get_num_threads()} thread, torch {torch.__version__}"


def mean_ms(run: Callable[[int], object], items: int) -> float:
    """CPU milliseconds per patch: mean of 200 batches after 20."""
    for step in range(WARM_UP):
        run(step)
    start = time.process_time()
    for step in range(WARM_UP, WARM_UP + BATCHES):
        run(step)
    return (time.process_time() - start) / BATCHES / items * 1e3


def measure(size: tuple[int, ...], items: int, flip_axes: tuple[int, ...]) -> dict[str, float]:
    """Milliseconds per patch of each transform, and of everything."""
    random = torch.Generator().manual_seed(0)
    image = torch.randn((items, 1, *size), generator=random)
    label = torch.randint(0, 3, image.shape, generator=random, dtype=torch.uint8)
    batch = PatchBatch(image, label)
    spacing = (1.0,) * len(size)
    degrees = 180.0 if len(size) == 2 else 30.0
    augment = Augment("default", size, flip_axes, spacing, degrees)
    nothing = Augment("none", size, flip_axes, spacing).sample(image.shape, 0, 0)

    def alone(fields: tuple[str, ...]) -> Callable[[int], object]:
        def run(step: int) -> object:
            drawn = augment.sample(image.shape, 0, step)
            chosen = {field: getattr(drawn, field) for field in fields}
            return augment.apply(batch, nothing._replace(**chosen))

        return run

    base = mean_ms(alone(()), items)
    costs = {"drawing and copying": base}
    costs |= {name: mean_ms(alone(fields), items) - base for name, fields in ROWS.items()}
    costs["all"] = mean_ms(lambda step: augment(batch, step), items)
    return costs


def main() -> None:
    """Print the machine and the table."""
    assert {field for fields in ROWS.values() for field in fields} == set(AugmentParameters._fields)
    torch.set_num_threads(1)
    print(machine())
    print(f"probabilities: {STRENGTHS['default']}")
    tables = [measure(*case) for case in CASES]
    titles = ["x".join(map(str, size)) for size, _, _ in CASES]
    print(f"{'ms per patch':22}" + "".join(f"{title:>14}" for title in titles))
    for name in tables[0]:
        cells = "".join(f"{table[name]:14.2f}" for table in tables)
        print(f"{name:22}{cells}")


if __name__ == "__main__":
    main()
