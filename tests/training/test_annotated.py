"""Cases in which not every class was annotated: what is said of them, and how they are learned."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from patches.cases import stored_case
from plans import plan_for_tests

from medseg.errors import SettingsError
from medseg.hparams import HParams
from medseg.networks.point_rend import HeadOutput
from medseg.patches.augment import Augment
from medseg.patches.sampler import PatchSampler
from medseg.prepare.prepared import unannotated_sets
from medseg.scans.case import Case
from medseg.training import terms
from medseg.training.annotated import unannotated
from medseg.training.losses import LOSSES, build_loss
from medseg.types import IGNORED, hidden_in

PLAN = plan_for_tests()  # background, organ, lesion


def case(name, *labels):
    return Case(name, (Path(f"{name}.nii"),), labels or (Path(f"{name}_seg.nii"),))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "case,annotated\nc1,organ\nc2,organ|lesion\n"),
        ("a.csv", "case,group,classes\nc1,x,Organ\nc2,y,lesion + organ\n"),
        ("a.csv", "c1,organ\nc2,organ lesion\n"),
        ("a.csv", "c1,organ\nc2,organ\nc2,lesion\n"),
        ("a.json", json.dumps({"c1": ["organ"], "c2": ["organ", "lesion"]})),
        ("a.json", json.dumps({"c1": "organ"})),
    ],
)
def test_a_table_names_what_is_annotated(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    hparams = HParams(annotated=tmp_path / name)
    cases = [case("c1"), case("c2"), case("c3")]
    assert unannotated(cases, [], PLAN, hparams) == {"c1": (2,)}


@pytest.mark.parametrize("text", ["c1,organ\nc2,kidney\n", "c9,organ\n", "c1,organ,1\n"])
def test_a_table_that_fits_nothing_is_refused(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SettingsError, match="annotated"):
        unannotated([case("c1"), case("c2")], [], PLAN, HParams(annotated=tmp_path / "a.csv"))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_mask_that_is_missing_by_declaration_is_not_annotated(task):
    cases = [case("c1", Path("a"), None), case("c2", Path("a"), Path("b"))]
    plan = plan_for_tests(task=task)
    place = 2 if task == "multiclass" else 1
    declared = HParams(missing_masks="unannotated")
    assert unannotated(cases, [], plan, declared) == {"c1": (place,)}
    assert unannotated(cases, [], plan, HParams(missing_masks="empty")) == {}


def test_without_a_background_nothing_can_be_hidden_in_it():
    plan = plan_for_tests(class_names=("left", "right", "lesion"))
    cases = [case("c1", Path("a"), None)]
    with pytest.raises(SettingsError, match="no background"):
        unannotated(cases, [], plan, HParams(missing_masks="unannotated"))


def partly(*classes, **changes):
    stored = stored_case((18, 18, 18), **changes)
    object.__setattr__(stored, "unannotated", classes)
    return stored


def test_patches_say_what_background_may_be():
    whole, without_2, without_1 = partly(number=1), partly(2, number=2), partly(1, number=3)
    patches = PatchSampler([whole, without_2, without_1], plan_for_tests(batch_size=6), 0, margin=0)
    image, label, _ = patches.batch(0)
    for one, values in zip(image, label, strict=True):
        number = int(one.max())
        background = {1: 0, 2: hidden_in(1), 3: hidden_in(0)}[number]
        assert background in values
        assert {*values.unique().tolist()} <= {background, 1, 2}


def test_layers_of_overlapping_classes_are_ignored_one_by_one():
    plan = plan_for_tests(task="multilabel", batch_size=2)
    stored = partly(1)
    label = np.repeat(np.array(stored.prepared.label == 2, dtype=np.uint8), 2, axis=0)
    object.__setattr__(stored.prepared, "label", label)
    batch = PatchSampler([stored], plan, 0, margin=0).batch(0)
    assert {*batch.label[:, 0].unique().tolist()} == {0, 1}
    assert (batch.label[:, 1] == IGNORED).all()


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "tversky"])
def test_hidden_classes_are_merged_with_the_background(name):
    """Each term is that of a network which has one class for background and class 2 together."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 5, 4, generator=random)
    labels = torch.randint(0, 2, (2, 1, 6, 5, 4), generator=random).to(torch.uint8)
    hidden = labels.masked_fill(labels == 0, hidden_in(0))
    term = getattr(terms, name)
    pair = terms.merge_hidden(logits, hidden, [(2,)])
    background = float(name in ("cross_entropy", "focal"))  # overlap does not count it
    weights = torch.tensor([background, 2.0, 0.0])
    found = term(terms.compared(*pair, exclusive=True), weights)
    two = torch.stack([logits[:, [0, 2]].logsumexp(1), logits[:, 1]], 1)
    expected = term(terms.compared(two, labels, exclusive=True), weights[:2])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"boundary"}))
def test_a_class_that_may_be_there_is_not_learned_to_be_absent(name):
    """Background that may hide class 2 pulls it up or not at all; plain background pushes it down.

    Other items, of whole cases, are learned as ever.
    """
    labels = torch.tensor([hidden_in(0), 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    logits = torch.zeros(2, 3, 4, 4, requires_grad=True)
    build_loss(name, "multiclass", hidden=((2,),))(HeadOutput(logits), labels).backward()
    assert (logits.grad[0, 2] <= 0).all()
    assert (logits.grad[0, 1] > 0).all()
    assert (logits.grad[1, 2] > 0).all()


def test_more_combinations_than_a_byte_can_number_are_refused():
    names = ("background", *(f"c{n}" for n in range(1, 200)))
    plan = plan_for_tests(class_names=names, label_values=tuple(range(200)))
    files = [Path("a")] * 199
    cases = [case(f"p{n}", *files[:n], None, *files[n + 1 :]) for n in range(100)]
    with pytest.raises(SettingsError, match="--task multilabel"):
        unannotated(cases, [], plan, HParams(missing_masks="unannotated"))


def test_where_twins_are_exchanged_their_sets_are_too():
    """A case in which no one looked for the organ is, mirrored, one without the lesion's marks."""
    plan = plan_for_tests(batch_size=2, flip_axes=(0,), exchanged=((1, 2),))
    cases = [partly(1, number=1), partly(1, number=2)]
    assert unannotated_sets(cases, plan) == ((1,), (2,))
    assert unannotated_sets(cases, plan_for_tests()) == ((1,),)
    batch = PatchSampler(cases, plan, 0, margin=0).batch(0)
    augment = Augment.for_plan(plan, "none", 0, hidden=unannotated_sets(cases, plan))
    drawn = augment.sample(batch.image.shape, 0, 0)
    drawn.flips[0, 0] = True
    label = augment.apply(batch, drawn).label
    assert hidden_in(0) in label[1].unique()
    assert {*label[0].unique().tolist()} <= {hidden_in(1), 1, 2}
    assert hidden_in(1) in label[0].unique()
    # The loss of a mirrored case is that of the case, with a network that is exchanged as well.
    logits = torch.randn(2, 3, 16, 16, 16)
    loss = build_loss("dice_ce", "multiclass", hidden=unannotated_sets(cases, plan))
    both = drawn._replace(flips=np.ones_like(drawn.flips) & [True, False, False])
    mirrored = augment.apply(batch, both).label
    turned = logits.flip(2)[:, [0, 2, 1]]
    torch.testing.assert_close(
        loss(HeadOutput(turned), mirrored), loss(HeadOutput(logits), batch.label)
    )
