"""Left and right are mirrored where a mirror image is as likely as a case, and only there."""

import numpy as np
import pytest

from medseg.geometry import Geometry, Orientation
from medseg.measure.facts import case_facts
from medseg.measure.places import Place
from medseg.plan.classes import Classes
from medseg.plan.flips import FEWEST, choose_flips
from medseg.plan.layout import Tally
from medseg.scans.case import Subject
from tests.plan.facts import case, photo

SIZE = (101, 101, 101)
SPREAD = 4.0
SPACE, SLICES = (0, 1, 2), (0, 1)


def place(x, y=50.0, z=50.0, slants=(0.0, 0.0)):
    return Place((x, y, z), (SPREAD**2,) * 3, slants)


def scan(number, places, make=case, **changes):
    """A case with value -> place."""
    values = dict.fromkeys([0, *places], 100)
    facts = {"label_values": (values,), "places": (dict(places),), **changes}
    return make(f"case{number}", SIZE, **facts)


def cases(count, places_of, **changes):
    random = np.random.default_rng(5)
    return [scan(number, places_of(random), **changes) for number in range(count)]


def classes(*names):
    return Classes(("background", *names), tuple(range(len(names) + 1)), "")


def lesions(random):
    return {1: place(*random.uniform(20, 80, 3))}


def organ(x):
    return lambda random: {1: place(x + random.normal(0, SPREAD / 2))}


def kidneys(random, *, low=3.0):
    """The right one a little lower, as the liver has it; an axis that goes up to the right."""
    middle = 50 + random.normal(0, 3)
    return {
        1: place(middle - 25 + random.normal(0, 1), slants=(-8, 0)),
        2: place(middle + 25 + random.normal(0, 1), z=50 - low, slants=(8, 0)),
    }


KIDNEYS = classes("kidney_left", "kidney_right")


def test_lesions_on_both_sides_are_mirrored_left_to_right_alone():
    found = choose_flips(cases(40, lesions), None, classes("lesion"), SPACE)
    assert (found.axes, found.exchanged) == ((0,), ())
    assert found.reason == "x: no class lies to one side; not y, z: a body has a front and a top"


@pytest.mark.parametrize("x", [44.0, 56.0])
@pytest.mark.parametrize("count", [FEWEST, 60])
def test_an_organ_on_one_side_is_not(x, count):
    found = choose_flips(cases(count, organ(x)), None, classes("liver"), SPACE)
    assert found.axes == ()
    side = "left" if x < 50 else "right"
    assert f"not x: liver lies {side} of the scan's middle in " in found.reason
    assert f"of {count} cases; not y, z" in found.reason


def test_one_in_the_middle_is():
    assert choose_flips(cases(30, organ(50.0)), None, classes("prostate"), SPACE).axes == (0,)


def test_neither_is_one_side_of_a_twin_that_was_cut_out_around_its_middle():
    """Its parts tell: which is where, or the way the whole leans."""

    def parts(random):
        x = random.uniform(40, 60)
        return {1: place(x - 1), 2: place(x + 1)}

    def whole(random):
        return {1: place(random.uniform(40, 60), slants=(0.0, -0.5 * SPREAD**2))}

    found = choose_flips(cases(40, parts), None, classes("front", "back"), SPACE)
    assert found.axes == ()
    assert "front lies left of back in 40 of 40 cases" in found.reason
    found = choose_flips(cases(40, whole), None, classes("hippocampus"), SPACE)
    assert found.axes == ()
    assert "hippocampus leans left towards the top in 40 of 40 cases" in found.reason


def test_few_cases_tell_nothing():
    found = choose_flips(cases(FEWEST - 1, lesions), None, classes("lesion"), SPACE)
    assert found.axes == ()
    assert f"lesion is in {FEWEST - 1} of {FEWEST - 1} cases, too few to tell" in found.reason
    rare = [*cases(40, lesions), *(scan(number, {2: place(50)}) for number in range(3))]
    found = choose_flips(rare, None, classes("lesion", "cyst"), SPACE)
    assert found.axes == ()
    assert "cyst is in 3 of 43 cases, too few" in found.reason


def test_classes_that_are_never_seen_decide_nothing():
    assert choose_flips(cases(40, lesions), None, classes("lesion", "cyst"), SPACE).axes == (0,)
    found = choose_flips([case(places=())] * 20, None, classes(), SPACE)
    assert found == ((), (), "not x: nothing is labelled; not y, z: a body has a front and a top")


@pytest.mark.parametrize("count", [1, 5, 40])
def test_twins_are_exchanged_however_few(count):
    found = choose_flips(cases(count, kidneys), None, KIDNEYS, SPACE)
    assert (found.axes, found.exchanged) == ((0,), ((1, 2),))
    assert found.reason.startswith("x: kidney_left and kidney_right exchanged; not y, z: ")


def test_beside_twins_an_organ_of_one_side_forbids_it_and_one_between_them_does_not():
    def with_liver(random):
        return kidneys(random) | {3: place(68 + random.normal(0, 3))}

    def with_spine(random):
        twins = kidneys(random)
        middle = (twins[1].centre[0] + twins[2].centre[0]) / 2
        return twins | {3: place(middle + random.normal(0, 1))}

    names = ("kidney_left", "kidney_right")
    found = choose_flips(cases(30, with_liver), None, classes(*names, "liver"), SPACE)
    assert (found.axes, found.exchanged) == ((), ())
    assert "liver lies right of" in found.reason
    found = choose_flips(cases(30, with_spine), None, classes(*names, "spine"), SPACE)
    assert (found.axes, found.exchanged) == ((0,), ((1, 2),))


def test_ventricles_are_called_left_and_right_and_are_no_twins():
    def heart(random):
        x, y = 50 + random.normal(0, 5, 2)
        return {1: place(x - 8, y - 12), 2: place(x + 8, y + 12)}

    names = classes("left ventricle", "right ventricle")
    found = choose_flips(cases(30, heart), None, names, SPACE)
    assert (found.axes, found.exchanged) == ((), ())
    assert "left ventricle and right ventricle do not lie side by side" in found.reason
    asked = choose_flips(cases(30, heart), ("x",), names, SPACE)
    assert (asked.axes, asked.exchanged) == ((0,), ())


def test_a_side_without_its_twin_forbids_it():
    found = choose_flips(cases(40, lesions), None, classes("left lung lesion"), SPACE)
    assert found.axes == ()
    assert "left lung lesion has no twin on the other side" in found.reason


def test_masks_and_regions_have_places_too():
    def masks(random):
        return tuple({255: one} for one in kidneys(random).values())

    random = np.random.default_rng(0)
    many = [
        case(f"{n}", SIZE, label_values=({0: 9, 255: 1},) * 2, places=masks(random))
        for n in range(20)
    ]
    for first in ((), ("background",)):
        names = (*first, "lung l", "lung r")
        found = choose_flips(many, None, Classes(names, (1,) * len(names), ""), SPACE)
        assert found.exchanged == ((len(first), len(first) + 1),)
    apart = [
        case(
            f"{n}", SIZE, label_values=({0: 9, 1: 1, 2: 1, 3: 1, 4: 1},),
            places=({1: place(30), 2: place(70), 3: place(45), 4: place(65)},),
        )
        for n in range(20)
    ]  # fmt: skip
    regions = Classes(("left", "right"), (1, 2), "", ((1, 3), (2, 4)))
    assert choose_flips(apart, None, regions, SPACE).exchanged == ((0, 1),)
    one = Classes(("both",), (1,), "", ((1, 2),))
    assert choose_flips(apart, None, one, SPACE).axes == (0,)


def test_spacings_and_content_count():
    """Off the middle of the grid, in the middle of what is not empty border."""
    changes = {"box_start": (30, 0, 0), "box_size": (71, 101, 101), "spacing_mm": (0.2, 3.0, 3.0)}
    assert choose_flips(cases(30, organ(65.0), **changes), None, classes("a"), SPACE).axes == (0,)
    assert choose_flips(cases(30, organ(50.0), **changes), None, classes("a"), SPACE).axes == ()


def test_slices_have_left_and_right_where_they_see_them():
    assert choose_flips(cases(40, lesions), None, classes("lesion"), (0, 2)).axes == (0,)
    found = choose_flips(cases(5, kidneys), None, KIDNEYS, (0, 1))
    assert (found.axes, found.exchanged) == ((0,), ((1, 2),))
    assert found.reason.endswith("not y: a body has a front")
    sagittal = choose_flips(cases(5, kidneys), None, KIDNEYS, (1, 2))
    assert sagittal == ((), (), "not y, z: a body has a front and a top")


def test_images_without_a_frame_have_no_sides_but_those_of_their_names():
    plain = choose_flips(cases(3, organ(80.0), make=photo), None, classes("vessel"), SLICES)
    assert plain == ((0, 1), (), "images without a world frame have no sides")
    lungs = choose_flips(cases(3, kidneys, make=photo), None, KIDNEYS, SLICES)
    assert (lungs.axes, lungs.exchanged) == ((0, 1), ((1, 2),))
    assert "x: kidney_left and kidney_right exchanged" in lungs.reason
    alone = choose_flips(cases(3, kidneys, make=photo), None, classes("left", "x"), SLICES)
    assert (alone.axes, alone.exchanged) == ((1,), ())
    assert "not x: left has no twin" in alone.reason
    stack = choose_flips(cases(3, lesions, world=False, codes=""), None, classes("cell"), SPACE)
    assert stack.axes == (0, 1, 2)


@pytest.mark.parametrize("make", [case, photo])
def test_what_the_user_sets_is_done_and_twins_are_exchanged(make):
    found = choose_flips(cases(2, kidneys, make=make), ("x", "y"), KIDNEYS, SPACE)
    assert (found.axes, found.exchanged) == ((0, 1), ((1, 2),))
    assert found.reason == "x: kidney_left and kidney_right exchanged; set by you"
    none = choose_flips(cases(2, kidneys, make=make), ("y",), KIDNEYS, SPACE)
    assert none == ((1,), (), "set by you")
    plain = choose_flips(cases(2, organ(70), make=make), ("x",), classes("liver"), SPACE)
    assert plain == ((0,), (), "set by you")
    sliced = choose_flips(cases(2, kidneys, make=make), ("x", "z"), KIDNEYS, (1, 2))
    assert sliced == ((1,), (), "set by you; x is the slice axis: left out")


def test_many_pairs_are_counted():
    names = classes(*(f"rib_{side}_{number}" for number in range(12) for side in ("left", "right")))
    found = choose_flips([case()], None, names, SPACE)
    assert len(found.exchanged) == 12
    assert "rib_left_1 and rib_right_1 and 10 more pairs exchanged" in found.reason


@pytest.mark.parametrize(
    ("left", "right", "total", "one_sided"),
    [
        (10, 0, 10, True), (9, 1, 10, True), (8, 2, 10, False), (20, 20, 40, False),
        (26, 14, 40, False), (27, 13, 40, True), (0, 12, 40, False), (1, 14, 40, True),
        (0, 0, 40, False), (600, 400, 1000, False), (667, 333, 1000, True),
    ],
)  # fmt: skip
def test_what_is_one_sided(left, right, total, one_sided):
    """Twice as often, in a third of the cases, and not by chance; the same on either side."""
    assert Tally("", "", left, right, total).one_sided is one_sided
    assert Tally("", "", right, left, total).one_sided is one_sided


def test_names_may_hold_anything():
    found = choose_flips(cases(20, organ(60)), None, classes("a {lobe} {0} %s"), SPACE)
    assert "a {lobe} {0} %s lies right of the scan's middle in 20 of 20" in found.reason


def test_chance_seldom_looks_like_a_side():
    """Of 200 datasets of lesions anywhere, with three things counted in each."""
    random = np.random.default_rng(1)
    for count in (FEWEST, 20, 50):
        on = [
            choose_flips(
                [scan(n, lesions(random)) for n in range(count)], None, classes("a"), SPACE
            )
            for _ in range(200)
        ]
        assert sum(found.axes == (0,) for found in on) > 180


@pytest.mark.parametrize("flips", range(8))
def test_sides_are_the_patients_however_the_file_lies(flips):
    """From voxels to the reason: an organ on the patient's right, in any orientation."""
    label = np.zeros((1, 12, 10, 8), dtype=np.int32)
    label[0, 8:11, 3:6, 2:5] = 5
    image = np.ones((1, 12, 10, 8), dtype=np.float32)
    image[0, 1:-1, 1:-1, 1:-1] += np.random.default_rng(0).random((10, 8, 6))
    turn = Orientation((2, 0, 1), (bool(flips & 1), bool(flips & 2), bool(flips & 4)))
    geometry = Geometry((12, 10, 8), (1.0, 2.0, 3.0))
    subject = Subject("a", turn.apply(image), turn.apply(label), geometry.reoriented(turn))
    found = choose_flips(
        [case_facts(subject)] * FEWEST, None, Classes(("background", "liver"), (0, 5), ""), SPACE
    )
    assert "liver lies right of the scan's middle in 10 of 10 cases" in found.reason
