import json

import numpy as np
import pytest

from medseg.evaluation.scores import ClassScore
from medseg.evaluation.summary import Summary, summarise, summary_table


def score(case, name, dice, volume_ml=1.0):
    return ClassScore(
        case=case,
        class_name=name,
        value=1,
        dice=dice,
        iou=dice,
        hd95_mm=dice,
        surface_dice=dice,
        volume_ml=volume_ml,
        reference_volume_ml=volume_ml,
        volume_error_ml=volume_ml and 0.0,
        volume_error_percent=None,
    )


def many(cases=12):
    values = np.random.default_rng(1).uniform(0.3, 0.95, (cases, 2))
    return [
        score(f"case{i}", name, float(values[i, k]))
        for i in range(cases)
        for k, name in enumerate("ab")
    ]


def test_overall_is_the_mean_of_class_means_and_left_out_cases_are_counted():
    summary = summarise(
        [score("1", "a", 0.5), score("2", "a", 0.7), score("1", "b", 0.9), score("2", "b", None)]
    )
    first, second = summary.classes

    assert first.dice.mean == pytest.approx(0.6)
    assert (first.dice.cases, first.dice.left_out) == (2, 0)
    assert second.dice.mean == pytest.approx(0.9)
    assert (second.dice.cases, second.dice.left_out) == (1, 1)
    assert second.dice.low is None
    assert summary.overall.dice.mean == pytest.approx(0.75)
    assert (summary.overall.dice.cases, summary.overall.dice.left_out) == (2, 0)


def test_interval_equals_a_plain_bootstrap():
    scores = many()
    dice = np.array([s.dice for s in scores]).reshape(-1, 2)
    random = np.random.default_rng(5)
    drawn = np.array(
        [dice[random.integers(0, len(dice), len(dice))].mean(0) for _ in range(20_000)]
    )
    summary = summarise(scores)

    for row, draws in zip(
        (*summary.classes, summary.overall), (*drawn.T, drawn.mean(1)), strict=True
    ):
        assert (row.dice.low, row.dice.high) == pytest.approx(
            tuple(np.percentile(draws, (2.5, 97.5))), abs=0.01
        )


def test_the_same_scores_give_the_same_summary():
    assert summarise(many()) == summarise(many())
    assert summarise(many()) != summarise(many(), seed=1)


def test_a_class_in_few_cases_has_an_interval_from_the_draws_that_hold_it():
    scores = [score(str(i), "rare", 0.5 if i < 2 else None) for i in range(30)]
    statistic = summarise(scores).classes[0].dice
    assert (statistic.mean, statistic.low, statistic.high) == pytest.approx((0.5, 0.5, 0.5))


def test_nothing_scored_is_a_summary_too():
    summary = summarise([])
    assert summary.classes == ()
    assert summary.overall.dice.mean is None
    assert summary_table(summary)[2][0][1] == "-"
    assert summarise([score("1", "a", None)]).overall.dice.left_out == 1


def test_what_is_saved_is_all_of_it(tmp_path):
    summary = summarise(many(), tolerance_mm=2.0)
    summary.save(tmp_path / "validation.json")
    written = (tmp_path / "validation.json").read_text(encoding="utf-8")
    assert Summary.model_validate_json(written) == summary
    assert [path.name for path in tmp_path.iterdir()] == ["validation.json"]


def test_a_file_name_that_is_no_text_is_kept(tmp_path):
    summarise([score("a\udcff", "ä", 0.5)]).save(tmp_path / "scores.json")
    (saved,) = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["scores"]
    assert (saved["case"], saved["class_name"]) == ("a\udcff", "ä")


def test_table_has_the_unit_and_a_cell_for_every_column():
    title, header, rows = summary_table(summarise(many()))
    assert title
    assert "HD95 (mm)" in header
    assert [row[0] for row in rows] == ["a (1)", "b (1)", "mean of classes"]
    assert {len(row) for row in rows} == {len(header)}

    _, header, rows = summary_table(summarise([score("1", "a", 0.5, volume_ml=None)]))
    assert "HD95 (px)" in header
    assert len(rows) == 1
