"""A step's memory, as foretold and as it is."""

import pytest
import torch
from plans import plan_for_tests
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medseg.networks.build import build_segmenter
from medseg.networks.cost import training_bytes
from medseg.networks.encoders.pyramid import Savers
from medseg.training.losses import LOSSES, build_loss


class Peak(TorchDispatchMode):
    """The most bytes that live tensors take at once."""

    def __init__(self):
        super().__init__()
        self.live = {}
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        del types
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                self.live[storage.data_ptr()] = (StorageWeakRef(storage), storage.nbytes())
        self.live = {at: item for at, item in self.live.items() if not item[0].expired()}
        self.bytes = max(self.bytes, sum(count for _, count in self.live.values()))
        return out


def builder(dim, head, encoder="convnext_micro", savers=Savers(), classes=2):
    plan = plan_for_tests(
        dim=dim, stage_strides=((2,) * dim,) * 2, kernels=((5,) * dim,) * 3, channels=2,
        patch_size=(32,) * dim, class_names=tuple(map(str, range(classes))),
        label_values=tuple(range(classes)),
    )  # fmt: skip
    return lambda: build_segmenter(plan, encoder, head, multilabel=False, savers=savers)


def dense_and_points(output, _):
    """A loss that takes next to nothing."""
    points = 0 if output.point_logits is None else output.point_logits.sum()
    return output.logits.softmax(1).square().sum() + points


def measured(build, shape, loss=dense_and_points, *, half=False):
    """Peak of one training step, the average of the weights included."""
    with Peak() as peak:
        network = build()
        average = [weight.detach().clone() for weight in network.parameters()]
        optimizer = torch.optim.AdamW(network.parameters())
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = network.training_output(torch.randn(shape))
        labels = torch.randint(2, (shape[0], 1, *shape[2:]), dtype=torch.uint8)
        loss(output, labels).backward()
        optimizer.step()
    assert len(average) == len(optimizer.state)
    return peak.bytes


@pytest.mark.parametrize("head", ["pointrend", "dense"])
@pytest.mark.parametrize(("batch", "edge"), [(1, 16), (2, 32)])
def test_it_is_foretold_and_never_by_much_too_little(batch, edge, head, dim):
    shape = (batch, 2, *(edge,) * dim)
    build = builder(dim, head)
    assert 0.9 < training_bytes(build, shape) / measured(build, shape) < 2


@pytest.mark.parametrize("classes", [2, 30])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_foretold_too(name, classes, dim):
    """With many classes it takes more than a small network."""
    shape = (2, 2, *(64 if dim == 2 else 32,) * dim)
    build, loss = builder(dim, "pointrend", classes=classes), build_loss(name, "multiclass")
    assert 0.9 < training_bytes(build, shape, loss) / measured(build, shape, loss) < 2


def test_half_the_precision_takes_less(dim):
    shape = (2, 2, *(64 if dim == 2 else 32,) * dim)
    build, loss = builder(dim, "pointrend"), build_loss("dice_ce", "multiclass")
    foretold = training_bytes(build, shape, loss, half=True)
    assert 0.9 < foretold / measured(build, shape, loss, half=True) < 2
    assert foretold < training_bytes(build, shape, loss)


@pytest.mark.parametrize("savers", [Savers(), Savers(True), Savers(False, 4), Savers(True, 4)])
def test_what_saves_memory_is_foretold_too(savers, dim):
    shape = (2, 2, *(64 if dim == 2 else 32,) * dim)
    build = builder(dim, "dense", "swinv2_mini", savers)
    foretold = training_bytes(build, shape)
    # Too much is foretold where a block holds attention that is computed again itself.
    assert 0.9 < foretold / measured(build, shape) < 2.5
    if savers != Savers():
        assert foretold < training_bytes(builder(dim, "dense", "swinv2_mini"), shape)


def test_it_grows_with_the_batch_and_the_patch(dim):
    build = builder(dim, "pointrend")
    weights = training_bytes(build, (1, 2, *(8,) * dim))
    one, two = (training_bytes(build, (batch, 2, *(64,) * dim)) for batch in (1, 2))
    assert weights < one < two
    assert training_bytes(build, (1, 2, *(64,) * (dim - 1), 128)) == pytest.approx(two, rel=0.05)


def test_nothing_is_computed():
    """A patch that no machine could hold costs nothing to look at."""
    assert training_bytes(builder(3, "pointrend"), (16, 2, 2048, 2048, 2048)) > 1e13
