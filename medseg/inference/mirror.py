"""Test-time augmentation by mirroring."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations

from medseg.types import Images, Logits


def mirrored(
    network: Callable[[Images], Logits],
    axes: Sequence[int],
    left_right: int | None = None,
    classes: Sequence[int] = (),
) -> Callable[[Images], Logits]:
    """The network, averaged over every combination of mirrored axes.

    Args:
        network: Any function of images whose logits have the images' spatial axes.
        axes: Spatial axes (0 is the first after the channels) that training mirrored too.
        left_right: The axis along which classes become each other.
        classes: What each class becomes there; nothing if all stay what they are.
    """
    flips = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))

    def average(images: Images) -> Logits:
        total = network(images)
        for flip in flips[1:]:
            at = [axis + 2 for axis in flip]
            logits = network(images.flip(at)).flip(at)
            if classes and left_right in flip:
                logits = logits[:, list(classes)]
            total = total + logits
        return total / len(flips)

    return average
