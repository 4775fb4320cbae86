"""What is odd about a dataset is named before it is trained on; what is honest is not."""

import pytest

from medseg.plan.doubts import doubts, misfits, same_scans
from tests.plan.facts import case, channel, photo


def ct(name, minimum=-1024.0, maximum=1500.0, shift=0.0, **changes):
    percentiles = tuple(value + shift for value in (-1000.0, -950.0, 30.0, 180.0, 700.0))
    facts = channel(minimum=minimum, maximum=maximum, percentiles=percentiles, mean=-100.0 + shift)
    return case(name, channels=(facts,), **changes)


def line(cases, words):
    (found,) = (text for text in doubts(cases) if words in text)
    return found


def test_an_ordinary_dataset_raises_no_doubt():
    cases = [
        case(name, spacing_mm=(1.0, 1.0, step))
        for name, step in zip("abcd", (1, 2, 3, 5), strict=True)
    ]
    assert doubts(cases) == ()
    assert misfits(cases) == {}
    assert doubts([photo("a"), photo("b", size=(40, 30, 1))]) == ()


# --- units of CT


def test_ct_with_and_without_the_offset():
    cases = [ct(n) for n in "abc"] + [ct(n, 0.0, 2500.0, 1024.0) for n in "de"]
    said = line(cases, "no value below -500")
    assert said.startswith("2 of 5 cases (d, e)")
    assert "Hounsfield units + 1024" in said
    many = [ct("a")] + [ct(n, 0.0, 2500.0, 1024.0) for n in "bcdef"]
    assert "5 of 6 cases" in line(many, "no value below -500")


def test_ct_cut_to_the_body_is_asked_about_and_not_called_shifted():
    body = ct("d", -150.0, 400.0)
    said = line([*(ct(n) for n in "abc"), body], "no value below -500")
    assert "+ 1024" not in said
    assert "cut to the body?" in said


def test_ct_scaled_to_one():
    scaled = channel(minimum=0.0, maximum=1.0, percentiles=(0.0, 0.1, 0.4, 0.6, 0.9))
    said = line([*(ct(n) for n in "abc"), case("d", channels=(scaled,))], "no value below -500")
    assert "(d)" in said
    assert "their values are scaled" in said


@pytest.mark.parametrize("shift", [0.0, 1024.0])
def test_one_unit_for_all_is_no_doubt(shift):
    assert doubts([ct(n, -1024.0 + shift, 1500.0 + shift, shift) for n in "abc"]) == ()


# --- spacing and extent


@pytest.mark.parametrize("times", [1000.0, 0.001, 10.0])
def test_a_unit_apart_is_left_out_by_name(times):
    cases = [case(n) for n in "abcd"] + [case("odd", spacing_mm=(times,) * 3)]
    (name, what, remedy) = misfits(cases)["odd"]
    assert {*misfits(cases)} == {"odd"}
    assert name == "odd"
    assert "a wrong unit" in what
    assert "mend the spacing" in remedy


def test_a_fine_scan_of_the_same_body_is_kept_and_said():
    """Micrometre voxels and as many more of them: nothing is wrong with its unit."""
    fine = case("fine", (350, 500, 360), spacing_mm=(0.1, 0.1, 0.1))
    cases = [*(case(n) for n in "abcd"), fine]
    assert misfits(cases) == {}
    assert "1 of 5 cases (fine) have a spacing far from the median" in line(cases, "spacing")


def test_a_whole_body_among_crops_is_kept_and_said():
    body = case("body", (400, 500, 400))
    cases = [*(case(n) for n in "abcd"), body]
    assert misfits(cases) == {}
    assert "1 of 5 cases (body)" in line(cases, "extent")


def test_of_two_cases_neither_is_the_odd_one():
    cases = [case("a"), case("b", spacing_mm=(1000.0,) * 3)]
    assert misfits(cases) == {}
    assert "2 of 2 cases (a, b)" in line(cases, "spacing")


def test_slices_of_another_thickness_are_no_doubt():
    cases = [case(n) for n in "abc"] + [case("thick", (35, 50, 6), spacing_mm=(1.0, 1.0, 6.0))]
    assert doubts(cases) == ()


# --- nothing there, nothing that belongs there


def test_a_constant_scan_and_one_of_air_teach_nothing():
    constant = case("b", channels=(channel(minimum=7.0, maximum=7.0, mean=7.0),))
    air = ct("c", -1024.0, -980.0)
    found = misfits([case("a"), constant, air])
    assert "every voxel is 7" in found["b"].what
    assert "nothing but air" in found["c"].what
    assert {*found} == {"b", "c"}
    assert {*misfits([case("a"), constant], labelled=False)} == {"b"}


def test_one_constant_channel_of_two_is_said():
    two = (channel(), channel(minimum=0.0, maximum=0.0))
    cases = [case("a", channels=(channel(), channel())), case("b", channels=two)]
    assert misfits(cases) == {}
    assert line(cases, "channel of one value").startswith("1 of 2 cases (b)")


def test_a_label_in_the_empty_border_is_counted_or_left_out():
    cases = [case("a", outside_box=10), case("b", outside_box=16), case("c")]
    assert {*misfits(cases)} == {"b"}
    assert "16 of 30 marked voxels lie where the scan is empty" in misfits(cases)["b"].what
    assert "1 of 2 cases (a)" in line([cases[0], cases[2]], "border of one value (a: 10)")


def test_a_label_given_as_image():
    values = {0: 900, 1: 60, 4: 40}
    own = channel(minimum=0.0, maximum=4.0, mean=(60 + 160) / 1000)
    found = misfits([case("a"), case("b", channels=(own,), label_values=(values,))])
    assert {*found} == {"b"}
    other = channel(minimum=0.0, maximum=4.0, mean=0.25)
    assert misfits([case("b", channels=(other,), label_values=(values,))]) == {}


def test_empty_labels_are_counted():
    cases = [case("a"), case("b", label_values=({0: 99},)), case("c", label_values=({0: 9},))]
    assert line(cases, "nothing marked").startswith("2 of 3 cases (b, c)")


# --- objects, and the same scan twice


def objects(name, count):
    return case(name, label_values=(dict.fromkeys(range(count + 1), 5),))


def test_numbers_of_objects_are_doubted():
    said = line(
        [objects(n, c) for n, c in zip("abcd", (12, 45, 80, 33), strict=True)], "number objects"
    )
    assert "from 1 to 12 up to 80" in said


def test_classes_that_some_cases_lack_are_no_objects():
    assert doubts([objects(n, 24) for n in "abcd"]) == ()
    assert doubts([objects(n, c) for n, c in zip("abcde", (24, 24, 24, 24, 23), strict=True)]) == ()
    gaps = case("a", label_values=({0: 9, 1: 4, 3: 4, 30: 5},))
    assert doubts([gaps, objects("b", 25), objects("c", 21)]) == ()


def test_the_same_scan_twice_is_named_and_worse_on_both_sides():
    digests = {"a": "1", "b": "2", "c": "1", "d": "3"}
    (said,) = same_scans(digests)
    assert said.startswith("a, c are the same scan")
    assert "validated on" not in said
    assert "validated on" in same_scans(digests, validation={"c"})[0]
    assert same_scans({name: name for name in "abc"}) == ()


def test_many_cases_are_named_in_one_short_line():
    cases = [ct(f"c{n}") for n in range(400)] + [
        ct(f"d{n}", 0.0, 2500.0, 1024.0) for n in range(90)
    ]
    (said,) = doubts(cases)
    assert "90 of 490 cases (d0, d1, d2, d3, d4 and 85 more)" in said
    assert len(said) < 300
