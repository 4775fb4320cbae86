"""Laws of the fingerprint: what is measured does not depend on how the file lies in its axes."""

from itertools import permutations, product

import numpy as np
import pytest

from medseg.geometry import Geometry, Orientation
from medseg.measure.facts import Fingerprint, case_facts
from medseg.scans.case import Subject


def subject(name: str = "a", channels: int = 1, **changes) -> Subject:
    rng = np.random.default_rng(3)
    image = np.zeros((channels, 12, 14, 10), dtype=np.float32)
    image[:, 2:11, 3:9, 1:9] = rng.integers(100, 500, (channels, 9, 6, 8))
    label = np.zeros((1, 12, 14, 10), dtype=np.int32)
    label[0, 4:8, 4:8, 4:8] = 7
    geometry = Geometry((12, 14, 10), (0.8, 1.5, 3.0), (-10.0, 5.0, 2.0))
    parts = {"image": image, "label": label, "geometry": geometry}
    return Subject(name, **parts | changes)


def turned(whole: Subject, orientation: Orientation) -> Subject:
    return Subject(
        whole.name,
        orientation.apply(whole.image),
        orientation.apply(whole.label),
        whole.geometry.reoriented(orientation),
    )


def test_all_orientations_have_the_same_facts():
    straight = case_facts(subject())
    assert straight.box_size == (9, 6, 8)
    assert straight.spacing_mm == pytest.approx((0.8, 1.5, 3.0))
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        facts = case_facts(turned(subject(), Orientation(order, flips)))
        assert facts.spacing_mm == pytest.approx(straight.spacing_mm)
        same = {"codes": straight.codes, "spacing_mm": straight.spacing_mm}
        assert facts.model_copy(update=same) == straight


def test_facts_are_equal_to_themselves_after_json():
    found = Fingerprint(cases=(case_facts(subject(channels=2)),))
    assert Fingerprint.model_validate_json(found.model_dump_json()) == found


def test_intensities():
    image = subject().image
    facts = case_facts(subject()).channels[0]
    inside = image[0, 2:11, 3:9, 1:9]
    marked = image[0, 4:8, 4:8, 4:8]
    assert (facts.minimum, facts.maximum) == (image.min(), image.max())
    assert facts.mean == pytest.approx(image.mean())
    assert facts.background_share == np.mean(inside == 0)
    assert facts.whole_numbers
    assert np.mean(facts.foreground) == pytest.approx(marked.mean(), rel=1e-3)
    assert np.median(facts.foreground) == pytest.approx(np.median(marked), abs=5)
    assert not case_facts(subject(image=image + 0.5)).channels[0].whole_numbers


def test_labels_are_counted_layer_by_layer():
    facts = case_facts(subject())
    assert facts.label_values == ({0: 12 * 14 * 10 - 64, 7: 64},)
    assert not facts.overlap
    apart = np.zeros((2, 12, 14, 10), dtype=np.int32)
    apart[0, 4:6], apart[1, 6:8] = 255, 255
    assert not case_facts(subject(label=apart)).overlap
    apart[1, 5:8] = 1
    overlapping = case_facts(subject(label=apart))
    assert overlapping.overlap
    assert overlapping.label_values[1] == {0: 9 * 140, 1: 3 * 140}


def test_an_unlabelled_case_has_no_foreground():
    facts = case_facts(subject(label=None))
    assert facts.label_values == ()
    assert facts.channels[0].foreground == ()


def test_images_without_a_world_frame_keep_their_axes():
    image = np.zeros((3, 20, 30, 1), dtype=np.float32)
    geometry = Geometry((20, 30, 1), direction=((0, 1, 0), (1, 0, 0), (0, 0, 1)), world=False)
    facts = case_facts(subject(image=image, label=None, geometry=geometry))
    assert (facts.size, facts.codes, facts.flat) == ((20, 30, 1), "", True)


@pytest.mark.parametrize("values", [(1, 2), (255, 7), (-3, 70000), (65535, 1_000_000)])
def test_the_extent_of_each_class_is_known(values):
    label = np.zeros((1, 12, 14, 10), dtype=np.int32)
    label[0, 1:4, 2:3, 5:9] = values[0]
    label[0, 11, 13, 9] = label[0, 0, 0, 0] = values[1]
    facts = case_facts(subject(label=label))
    assert facts.extents == (
        {values[0]: ((1, 2, 5), (3, 1, 4)), values[1]: ((0, 0, 0), (12, 14, 10))},
    )
    assert (facts.box_start, facts.box_size) == ((2, 3, 1), (9, 6, 8))
    assert Fingerprint.model_validate_json(
        Fingerprint(cases=(facts,)).model_dump_json()
    ) == Fingerprint(cases=(facts,))


def test_too_many_values_to_be_classes_have_no_extents_and_no_places():
    label = np.arange(12 * 14 * 10, dtype=np.int32).reshape(1, 12, 14, 10)
    facts = case_facts(subject(label=label))
    assert (facts.extents, facts.places) == (({},), ({},))


@pytest.mark.parametrize("values", [(1, 2), (255, 7), (-3, 70000)])
def test_places_are_by_the_values_of_the_file_layer_by_layer(values):
    label = np.zeros((2, 12, 14, 10), dtype=np.int32)
    label[0, 1:4, 2:3, 5:9] = values[0]
    label[1, 11, 13, 9] = values[1]
    facts = case_facts(subject(label=label), ignore_label=values[1])
    ((name, place),) = facts.places[0].items()
    assert (name, place.centre) == (values[0], (2, 2, 6.5))
    assert facts.places[1] == {}
    assert case_facts(subject(label=label)).places[1][values[1]].centre == (11, 13, 9)


def test_marks_outside_the_content_are_counted_once_however_many_layers_they_have():
    label = np.zeros((2, 12, 14, 10), dtype=np.int32)
    label[:, 0, 0, :3] = 1  # outside
    label[0, 5, 5, 5] = label[1, 6, 6, 6] = 1
    facts = case_facts(subject(label=label))
    assert (facts.outside_box, facts.overlap) == (3, True)
    apart = np.array([label[0], np.roll(label[0], 1, axis=1)])
    facts = case_facts(subject(label=apart))
    assert (facts.outside_box, facts.overlap) == (6, False)


def test_ignored_voxels_are_counted_and_in_no_other_fact():
    """As if they had no label at all; only their number is known."""
    whole = subject()
    assert whole.label is not None
    sparse = whole.label.copy()
    sparse[0, 8:] = 255
    ignored = int((sparse == 255).sum())
    facts = case_facts(subject(label=sparse), ignore_label=255)
    plain = case_facts(whole)
    assert facts.ignored == ignored
    assert facts.label_values == ({0: plain.label_values[0][0] - ignored, 7: 64},)
    assert facts.extents == plain.extents
    assert facts.channels == plain.channels
    assert case_facts(subject(label=sparse)).label_values[0][255] == ignored
