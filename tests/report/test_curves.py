from xml.etree import ElementTree as ET

import numpy as np

from medseg.report.curves import Curve, chart_svg


def curve(length):
    return Curve("<&$x_{", "loss", range(length), np.linspace(2, 0.1, length))


def test_chart_is_svg_in_the_colour_of_the_pages_text():
    svg = chart_svg([curve(100), curve(5)])
    assert ET.fromstring(svg).tag.endswith("svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "$x_" not in svg


def test_long_trainings_do_not_grow_the_page():
    assert len(chart_svg([curve(100_000)])) < 1.5 * len(chart_svg([curve(400)]))


def test_two_charts_share_no_ids_but_those_of_equal_parts():
    first, second = (ET.fromstring(chart_svg([curve(n)])) for n in (50, 60))

    def parts(root):
        return {e.get("id"): ET.tostring(e) for e in root.iter() if e.get("id")}

    shared = parts(first).keys() & parts(second).keys()
    assert all(parts(first)[name] == parts(second)[name] for name in shared)
