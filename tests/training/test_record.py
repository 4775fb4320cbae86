import json

from medseg.training.record import JsonLines, forget_after, read_records
from medseg.training.schedule import Budget


def test_what_was_logged_is_read_again(tmp_path):
    file = tmp_path / "metrics.jsonl"
    now = iter([100.0, 107.125])
    budget = Budget(steps=10, clock=lambda: next(now, 120.0))
    budget.start()
    logger = JsonLines(file, budget)
    logger.log_metrics({"loss": 0.5, "epoch": 3}, 1)
    logger.log_metrics({"dice": 0.9, "dice_liver (left)": 0.8}, 2)
    assert read_records(file) == [
        {"step": 1, "elapsed_s": 7.12, "loss": 0.5},
        {"step": 2, "elapsed_s": 20.0, "dice": 0.9, "dice_liver (left)": 0.8},
    ]


def test_each_line_is_there_at_once(tmp_path):
    logger = JsonLines(tmp_path / "metrics.jsonl", Budget(steps=10))
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step)
        lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(step + 1))


def test_a_line_that_a_kill_cut_is_left_out(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step": 2, "lo', encoding="utf-8")
    assert read_records(file) == [{"step": 1}]
    assert read_records(tmp_path / "absent") == []


def test_a_resumed_run_goes_on_after_a_cut_line(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step": 2, "lo', encoding="utf-8")
    forget_after(file, 1)
    logger = JsonLines(file, Budget(steps=10))
    for step in (2, 3):
        logger.log_metrics({"loss": 1.0}, step)
    assert [record["step"] for record in read_records(file)] == [1, 2, 3]
