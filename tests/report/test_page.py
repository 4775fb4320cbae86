from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from medseg.evaluation.evaluate import summarise
from medseg.report.page import write_report
from tests.report.content import report

VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Collects elements and text, and insists that tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def written(tmp_path, content):
    path = tmp_path / "report.html"
    write_report(path, content)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    return Page(path.read_text(encoding="utf-8")), path


def test_one_file_with_everything_inside(tmp_path, dim):
    page, _ = written(tmp_path, report(dim))
    tags = [tag for tag, _ in page.elements]
    images = [attributes["src"] for tag, attributes in page.elements if tag == "img"]

    assert "script" not in tags
    assert "link" not in tags
    assert len(images) == 3 * 3
    assert all(source.startswith("data:image/") for source in images)
    assert tags.count("svg") == 2 + 2  # two charts, two strips
    for text in ("liver", "spleen", "case2", "15 min", "patch size", "truncated"):
        assert text in page.text


def test_hostile_names_stay_text(tmp_path):
    name = "<script>alert('1')</script>\"'&$x_{"
    content = report(3, name)
    scores = [one.model_copy(update={"class_name": name}) for one in content.summary.scores]
    content = replace(
        content,
        summary=summarise(scores),
        facts=((name, name),),
        reasons=((name, name),),
        curves=tuple(curve._replace(name=name) for curve in content.curves),
    )
    page, _ = written(tmp_path, content)
    tags = [tag for tag, _ in page.elements]

    assert "script" not in tags
    assert name in page.text
    assert any(attributes.get("alt") == name + "0" for _, attributes in page.elements)
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)


def test_a_report_of_nothing_is_a_page(tmp_path):
    content = replace(
        report(2), summary=summarise([]), curves=(), examples=(), problems=(), facts=(), reasons=()
    )
    why = "none fits into the time"
    page, _ = written(tmp_path, replace(content, remark=why))
    assert "No case was scored" in page.text
    assert why in page.text
    assert "section" not in [tag for tag, _ in page.elements]


def test_large_noisy_images_keep_the_file_small(tmp_path):
    content = report(2)
    image = np.random.default_rng(0).uniform(0, 255, (3, 600, 600, 1)).astype(np.float32)
    # Dots of 3 x 3 pixels, 2,500 of them: more outline than any organ has.
    label = np.pad(np.full((3, 3), 3), (0, 9))
    label = np.tile(label, (50, 50))[..., None]
    noisy = replace(content.examples[0], image=image, reference=label, prediction=label)
    noisy = replace(noisy, geometry=replace(noisy.geometry, size=(600, 600, 1)))
    _, path = written(tmp_path, replace(content, examples=(noisy,)))
    assert path.stat().st_size < 3e6 / 4
