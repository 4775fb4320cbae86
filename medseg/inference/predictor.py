"""Trained networks, ready to segment one case after another."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from medseg.geometry import Geometry, Size
from medseg.inference.doubts import check_resampled, scan_doubts, size_at_model, too_large
from medseg.inference.mirror import mirrored
from medseg.inference.sliding import Sliding, sliding_logits
from medseg.inference.windows import window_starts
from medseg.machine import available_memory_bytes, is_out_of_memory
from medseg.plan.plan import Plan
from medseg.prepare.cleanup import Rules, agreed, mend
from medseg.prepare.pipeline import prepare
from medseg.prepare.prepared import Placement, Prepared
from medseg.prepare.restore import mean_logits, native_logits, restore, restore_probabilities
from medseg.scans.case import Case, Subject
from medseg.scans.read import read_subject
from medseg.types import Images, Logits

_LOGITS_SHARE = 0.5


@dataclass(frozen=True)
class Prediction:
    """The masks of one case in its own grid.

    Attributes:
        name: The case's name.
        label: Multiclass: (*size) of the values in the user's files. Multilabel: (classes, *size)
            of 0 and 1.
        probabilities: (classes, *size), if asked for.
        geometry: The scan's grid.
        warnings: What had to be mended while reading, and what is odd about the scan; each begins
            with the file's name.
    """

    name: str
    label: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32] | None
    geometry: Geometry
    warnings: tuple[str, ...]


class Predictor:
    """Segments cases with one network.

    Args:
        network: Images to logits; moved to `device` by the caller.
        plan: The plan it was trained by.
        device: Where it runs.
        overlap: Least share of a window that its neighbour covers too.
        tta: "mirror" averages over the axes that training mirrored, left and right exchanged as
            there.
        max_memory: Bytes of memory; logits that would take over half of them go to a temporary
            file. None: what is free.
        cleanup: What is mended in its masks.
    """

    def __init__(
        self,
        network: nn.Module,
        plan: Plan,
        device: torch.device,
        *,
        overlap: float = 0.5,
        tta: str = "none",
        max_memory: int | None = None,
        cleanup: Rules = MappingProxyType({}),
    ) -> None:
        self.plan = plan
        self.cleanup = cleanup
        self._device = device
        self._network: Callable[[Images], Logits] = network
        if tta == "mirror":
            exchanged = plan.mirrored_classes if plan.exchanged else ()
            self._network = mirrored(network, plan.flip_axes, plan.left_right, exchanged)
        self._sliding = Sliding(
            window=plan.volume_patch,
            slice_axis=plan.slice_axis,
            overlap=overlap,
            batch_size=plan.batch_size,
            num_outputs=plan.num_outputs,
            memory_bytes=int(_LOGITS_SHARE * (max_memory or available_memory_bytes())),
        )

    def predict(self, case: Case, *, with_probabilities: bool = False) -> Prediction:
        """Read, prepare, segment, restore.

        Raises:
            ScanError: If the scan cannot be read, is not what the network was trained on, or takes
                more memory than there is.
        """
        return predict_together([self], case, with_probabilities=with_probabilities)

    def segment(self, prepared: Prepared) -> npt.NDArray[np.int32]:
        """The label map of a case that was prepared before, in its native grid."""
        with self.logits(prepared) as logits:
            slabs = native_logits(logits, prepared.placement)
            return restore(slabs, prepared.placement, self.plan)

    def windows(self, size: Size) -> int:
        """How many windows a case of this prepared size takes."""
        axes = zip(size, self._sliding.window, strict=True)
        return prod(len(window_starts(*axis, self._sliding.overlap)) for axis in axes)

    def try_window(self, prepared: Prepared) -> None:
        """Segment one window of a case, for whoever wants to know how long that takes."""
        corner = tuple(slice(length) for length in self._sliding.window)
        with self.logits(replace(prepared, image=prepared.image[(slice(None), *corner)])):
            pass

    def patch_logits(self, images: Images) -> Logits:
        """Logits of patches as training cuts them, on the device."""
        return self._run(images.to(self._device))

    def logits(self, prepared: Prepared) -> AbstractContextManager[Tensor]:
        """Logits on the prepared grid, (classes, *size); they live as long as the context."""
        image = torch.from_numpy(np.array(prepared.image, dtype=np.float32))
        return sliding_logits(self._run, image, self._sliding, self._device)

    @torch.inference_mode()
    def _run(self, images: Images) -> Logits:
        cuda = self._device.type == "cuda"
        dtype = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float16
        with torch.autocast(self._device.type, dtype if cuda else None, enabled=cuda):
            return self._network(images)


def predict_together(
    members: Sequence[Predictor], case: Case, *, with_probabilities: bool = False
) -> Prediction:
    """What several networks of the same classes say of one case, by their mean probabilities.

    Raises:
        ScanError: As `Predictor.predict`.
    """
    subject = read_subject(case, with_label=False)
    return segment_together(members, case, subject, with_probabilities=with_probabilities)


def segment_together(
    members: Sequence[Predictor], case: Case, subject: Subject, *, with_probabilities: bool = False
) -> Prediction:
    """`predict_together` of a scan that was read before; the case gives names for what is said.

    Raises:
        ScanError: As `Predictor.predict`.
    """
    doubts: list[str] = []
    for member in members:
        if subject.geometry.world == member.plan.world:
            check_resampled(subject, member.plan)
            doubts += scan_doubts(case, subject, member.plan)
    try:
        label, probabilities = _masks(members, subject, with_probabilities)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        rules = agreed([member.cleanup for member in members])
        mend(label, members[0].plan, rules, subject.geometry)
        warnings = (*map(str, subject.warnings), *dict.fromkeys(doubts))
        return Prediction(case.name, label, probabilities, subject.geometry, warnings)
    # Outside of the handler: with that error behind it, it would look like the machine's own.
    plan = max((member.plan for member in members), key=lambda p: prod(size_at_model(subject, p)))
    raise too_large(subject, plan, size_at_model(subject, plan))


def _masks(
    members: Sequence[Predictor], subject: Subject, with_probabilities: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32] | None]:
    plan = members[0].plan
    with ExitStack() as stack:
        logits: list[Tensor] = []
        placements: list[Placement] = []
        for member in members:
            prepared = prepare(subject, member.plan)
            placements.append(prepared.placement)
            logits.append(stack.enter_context(member.logits(prepared)))
        placement = placements[0]  # the others differ in nothing but the prepared size
        label = restore(mean_logits(logits, placement, plan.task), placement, plan)
        probabilities = None
        if with_probabilities:
            slabs = mean_logits(logits, placement, plan.task)
            probabilities = restore_probabilities(slabs, placement, plan)
    return label, probabilities
