"""The table names what was found and what was left out."""

from medseg.plan.classes import Declared
from medseg.plan.overview import case_table, plan_table
from medseg.plan.plan import Normalisation
from medseg.scans.case import Problem
from medseg.scans.regions import regions_of
from tests.plan.facts import case, many
from tests.plans import plan_for_tests


def test_the_table():
    cases = many(
        case("a", (30, 40, 50), label_values=({0: 90, 1: 10},)),
        case("b", (50, 40, 30), label_values=({0: 100},), spacing_mm=(1.0, 1.0, 2.5)),
    )
    problem = Problem("c", "has no label", "add it")
    table = case_table(
        cases, (problem,), layout="images + labels", declared=Declared({"tumour": 1})
    )
    rows = dict(table.rows)
    assert all(len(row) == len(table.header) for row in table.rows)
    assert rows["layout"] == "images + labels"
    assert rows["cases"] == "2, 1 left out"
    assert rows["size"] == "30x40x30 to 50x40x50, median 40x40x40 voxels"
    assert rows["spacing"] == "1x1x1 (1), 1x1x2.5 (1) mm"
    assert rows["orientation"] == "RAS"
    assert rows["class 1 (tumour)"] == "5.000% of the voxels, in 1 of 2 cases"
    assert rows["c"] == "has no label; add it"


def test_masks_are_numbered_by_file():
    masks = case(label_values=({0: 60, 255: 40}, {0: 100}))
    rows = dict(case_table(many(masks), ()).rows)
    assert rows["class 1"] == "40.000% of the voxels, in 1 of 1 cases"
    assert rows["class 2"] == "0.000% of the voxels, in 0 of 1 cases"


def test_no_case_is_a_table_too():
    assert dict(case_table(many(), ()).rows) == {"cases": "0"}


def test_the_plan_is_in_a_persons_words():
    choices = (
        "slice_axis", "classes", "normalisation", "spacing_mm", "patch_size", "batch_size",
        "kernels", "flip_axes", "exchanged", "steps",
    )  # fmt: skip
    plan = plan_for_tests(
        dim=2,
        slice_axis=1,
        spacing_mm=(0.97512, 3, 0.97512),
        normalisation=(Normalisation(kind="body"), Normalisation(kind="image")),
        channels=2,
        flip_axes=(0, 1),
        exchanged=((1, 2),),
        steps=None,
        reasons=dict.fromkeys(choices, "because"),
    )
    table = plan_table(plan)
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert {choice: value for choice, value, _ in table.rows} == {
        "slice_axis": "y",
        "classes": "background (0), organ (1), lesion (2)",
        "normalisation": "body, image",
        "spacing_mm": "0.975x3x0.975",
        "patch_size": "16x16",
        "batch_size": "2",
        "kernels": "5x5, 5x5",
        "flip_axes": "x, z",
        "exchanged": "organ and lesion",
        "steps": "-",
    }
    assert {reason for *_, reason in table.rows} == {"because"}


def test_ignored_voxels_and_regions_have_rows():
    voxels = 20 * 20 * 20
    case_ = case("a", (20,) * 3, label_values=({0: 4000, 1: 2000, 2: 1000},), ignored=voxels - 7000)
    declared = Declared(None, regions_of({"whole": (1, 2), "core": 2}), 255)
    rows = dict(case_table(many(case_), (), declared=declared).rows)
    assert rows["region whole"] == "37.500% of the voxels, in 1 of 1 cases"
    assert rows["region core"] == "12.500% of the voxels, in 1 of 1 cases"
    assert rows["ignored (255)"] == "12.500% of the voxels, in 1 of 1 cases"
