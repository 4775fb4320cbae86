"""A training whose steps and windows take what they are told, and what its monitor did."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from torch import nn

from medseg.progress import Silent
from medseg.training.callbacks import Display
from medseg.training.closing import _score
from medseg.training.costs import Costs
from medseg.training.monitor import REPORT_S, Monitor
from medseg.training.plateau import Patience
from medseg.training.schedule import Budget, learning_rate_factor
from medseg.training.stop import Stop
from medseg.training.task import Optimisation, Task


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Cases:
    """A validator whose windows take `window_s` seconds each; cases score what they are told."""

    classes = ("organ",)
    plan = SimpleNamespace(batch_size=2)

    def __init__(self, clock, windows, window_s=0.5):
        self.cases = [(SimpleNamespace(name=str(n)), n) for n in range(len(windows))]
        self.asked, self.scored, self.patches, self.share = [], [], 0, 0.5
        self._clock, self._windows, self._window_s = clock, windows, window_s

    def windows(self, case):
        return self._windows[case[1]]

    def try_window(self, case):
        del case
        self._clock.now += self._window_s

    def dice(self, case):
        self.asked.append(case[0].name)
        self._clock.now += self.windows(case) * self._window_s
        return {} if self.share is None else {"organ": self.share}

    def score(self, case):
        self.scored.append(case[0].name)
        self._clock.now += 1.1 * self.windows(case) * self._window_s
        return (case[0].name,)

    def patch_dice(self, batches):
        self.patches += len(batches)
        self._clock.now += sum(len(batch.image) for batch in batches) * self._window_s
        return {"organ": self.share}


class Averaging:
    """Exchanges 1 (the weights that learn) for 2 (their average) and back."""

    def __init__(self, network):
        self._network = network

    @contextmanager
    def swapped(self):
        self._network.weight.data.fill_(2.0)
        yield
        self._network.weight.data.fill_(1.0)


class Warned(Silent):
    def __init__(self):
        self.lines = []

    def warn(self, message):
        self.lines.append(message)

    note = warn


class Monitored:
    """A training with steps of one second, and what its monitor did."""

    def __init__(self, clock, windows=(1,) * 40, budget=None, window_s=0.5, **more):
        self.clock, self.best, self.records = clock, [], []
        self.validator = Cases(clock, windows, window_s)
        self.budget = budget or Budget(steps=1000, clock=clock)
        network = nn.Linear(1, 1)
        network.weight.data.fill_(1.0)
        optimisation = Optimisation(1e-3, 0.0, 0.0)
        self.task = Task(network, None, None, optimisation, self.budget, 0)
        self.said = Warned()
        self.display = Display(self.said, self.budget)
        self.stop, self.costs = Stop("here"), more.get("costs") or Costs()
        self.monitor = Monitor(
            self.validator,
            Averaging(network),
            self.costs,
            self.budget,
            self.stop,
            self._keep,
            self.display,
            Patience(more.get("patience"), 0.0),
        )
        self.trainer = SimpleNamespace(global_step=0, should_stop=False, loggers=[self])
        self.metrics = Path("absent.jsonl")
        self.budget.start()

    def log_metrics(self, metrics, step):
        self.records.append((step, metrics))

    def _keep(self):
        self.best.append((self.task.network.weight.item(), self.task.network.training))

    def run(self, first, last):
        for step in range(first, last + 1):
            self.clock.now += 1
            self.trainer.global_step = step
            self.monitor.on_train_batch_end(self.trainer, self.task)
            assert self.task.network.weight.item() == 1.0
            assert self.task.network.training

    def run_out(self):
        """All steps that the budget holds; the last learning rate, as a share of its peak."""
        step = factor = 0
        while self.budget.position(step) < 1:
            factor = learning_rate_factor(self.budget.position(step), 0.0)
            step += 1
            self.run(step, step)
        return factor

    @property
    def validated(self):
        return [metrics["dice"] for _, metrics in self.records]


def closed(training):
    """The end of a run: what is scored, and what is said of it."""
    loop = SimpleNamespace(
        budget=training.budget,
        hparams=SimpleNamespace(seed=0),
        run=SimpleNamespace(metrics=training.metrics),
    )
    said = Warned()
    done = SimpleNamespace(validator=training.validator, costs=training.costs, loop=loop)
    _, remark = _score(done, said)
    assert said.lines == ([remark] if remark else [])
    training.clock.now += REPORT_S
    return said.lines
