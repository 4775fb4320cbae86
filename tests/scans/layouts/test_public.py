"""Folders as public datasets and tools have them, names only: the reading that each must get."""

import pytest
from scans.layouts.pictures import PICTURES
from scans.layouts.volumes import VOLUMES

from medseg.scans.discover import Dataset, discover
from tests.scans.folders import fill

READ = VOLUMES | PICTURES


@pytest.mark.parametrize("name", READ)
def test_read(tmp_path, name):
    names, right = READ[name]
    dataset = discover(fill(tmp_path, *names))
    assert problems(dataset)[: 1 if right.problems == 0 else 0] == []
    assert len(dataset.problems) == right.problems
    assert len(dataset.cases) == right.cases
    assert {len(case.images) for case in dataset.cases} == {right.channels}
    if right.classes:
        assert dataset.class_values == {c: i for i, c in enumerate(right.classes, start=1)}
        assert {len(case.labels) for case in dataset.cases} == {len(right.classes)}
    assert dataset.masks_per_class == bool(right.classes)
    assert len({case.group for case in dataset.cases} - {""}) == right.groups
    assert sum(case.part == "validation" for case in dataset.cases) == right.validation
    if right.validation:
        assert (
            sum(case.part == "training" for case in dataset.cases) == right.cases - right.validation
        )
    said = "\n".join(dataset.notes)
    assert [word for word in right.notes if word not in said] == []
    if right.first:
        assert dataset.cases[0].labels[0].name == right.first
    check_apart(dataset)


def problems(dataset: Dataset) -> list[str]:
    return [f"{p.name}: {p.what}; {p.remedy}" for p in dataset.problems]


def check_apart(dataset: Dataset) -> None:
    """No file has two places, no two cases one name."""
    files = [path for case in dataset.cases for path in (*case.images, *case.labels)]
    assert len(files) == len(set(files))
    assert len({case.name.casefold() for case in dataset.cases}) == len(dataset.cases)
