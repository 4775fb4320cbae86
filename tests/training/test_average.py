from types import SimpleNamespace

import lightning
import pytest
import torch
from torch import nn

from medseg.training.average import Average, decay_at


class Tied(lightning.LightningModule):
    """Two names for one weight, statistics of batches, and a constant that counts."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first
        self.norm = nn.BatchNorm1d(3)


def trained(decay, weights):
    """An average after one step to each of `weights`."""
    task = Tied()
    average = Average(task, decay)
    fill(task, 0.0)
    average.on_train_start(trainer_at(0))
    for step, weight in enumerate(weights, 1):
        fill(task, weight)
        average.on_train_batch_end(trainer_at(step))
    return task, average


def trainer_at(step):
    return SimpleNamespace(global_step=step)


def fill(module, value):
    for weight in module.parameters():
        weight.data.fill_(value)


def values(module):
    return {round(float(weight.detach().mean()), 4) for weight in module.parameters()}


def test_the_average_of_a_long_run_is_an_exponential_one():
    weights = torch.sin(torch.arange(3000)).tolist()
    task, average = trained(0.9, weights)
    expected = 0.0
    for step, weight in enumerate(weights, 1):
        past = min(0.9, (1 + step) / (10 + step))
        expected = past * expected + (1 - past) * weight
    with average.swapped():
        assert max(values(task)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("steps", [1, 4, 20, 60, 200, 2000])
def test_nothing_is_left_of_the_start(steps):
    """A constant decay of 0.99 would keep 55 % of it after 60 steps."""
    task, average = trained(0.99, [1.0] * steps)
    with average.swapped():
        assert min(values(task)) > (0.8 if steps == 1 else 0.99)


def test_the_weight_of_the_past_rises_to_what_was_asked_for():
    found = [decay_at(step, 0.99) for step in range(1, 2000)]
    assert found == sorted(found)
    assert max(found) == 0.99
    assert decay_at(1, 0.99) < 0.2
    assert decay_at(10**6, 0.0) == 0


def test_swapping_changes_weights_and_back_and_no_buffer():
    task, average = trained(0.5, [1.0, 2.0])
    task.norm.running_mean.fill_(7.0)
    counted = task.norm.num_batches_tracked
    counted.fill_(3)
    first = task.first.weight
    with average.swapped():
        assert len(values(task)) == 1
        assert values(task) != {2.0}
        assert task.first.weight is first
        assert task.second.weight is first
        assert task.norm.running_mean.mean() == 7
        assert task.norm.num_batches_tracked is counted
    assert values(task) == {2.0}
    assert int(counted) == 3


def test_weights_come_back_when_scoring_fails():
    task, average = trained(0.5, [1.0, 2.0])
    with pytest.raises(OSError, match="gone"), average.swapped():
        raise OSError("gone")
    assert values(task) == {2.0}


def test_afterwards_the_network_is_the_average():
    task, average = trained(0.5, [1.0, 2.0])
    with average.swapped():
        expected = values(task)
    average.on_train_end()
    assert values(task) == expected


def test_a_checkpoint_has_both_and_shows_the_average():
    task, average = trained(0.5, [1.0, 2.0])
    task.norm.running_mean.fill_(7.0)
    with average.swapped():
        averaged = {name: weight.clone() for name, weight in task.state_dict().items()}
    checkpoint = {"state_dict": task.state_dict()}
    average.on_save_checkpoint(trainer_at(2), task, checkpoint)
    torch.testing.assert_close(dict(checkpoint["state_dict"]), averaged, rtol=0, atol=0)

    other = Tied()
    other.load_state_dict(checkpoint["state_dict"])
    resumed = Average(other, 0.5)
    resumed.on_load_checkpoint(trainer_at(2), other, checkpoint)
    resumed.on_train_start(trainer_at(2))
    for step, weight in enumerate((3.0, 4.0), 3):
        for module, each in ((task, average), (other, resumed)):
            fill(module, weight)
            each.on_train_batch_end(trainer_at(step))
    assert other.norm.running_mean.mean() == 7
    with average.swapped(), resumed.swapped():
        torch.testing.assert_close(other.state_dict(), task.state_dict(), rtol=0, atol=0)
        assert values(other) != {4.0}


def test_what_a_checkpoint_holds_is_not_changed_by_going_on():
    task, average = trained(0.5, [1.0, 2.0])
    checkpoint = {"state_dict": task.state_dict()}
    average.on_save_checkpoint(trainer_at(2), task, checkpoint)
    before = checkpoint["state_dict"]["first.weight"].clone()
    resumed = Average(task, 0.5)
    resumed.on_load_checkpoint(trainer_at(2), task, checkpoint)
    resumed.on_train_start(trainer_at(2))
    fill(task, 9.0)
    resumed.on_train_batch_end(trainer_at(3))
    assert torch.equal(checkpoint["state_dict"]["first.weight"], before)


def test_the_average_lives_where_the_weights_are():
    task = Tied()
    average = Average(task, 0.5)
    task.to("meta")  # as Lightning moves a module to its device after the callbacks are made
    average.on_train_start(trainer_at(0))
    average.on_train_batch_end(trainer_at(1))
    assert {weight.device.type for weight in average._average} == {"meta"}
