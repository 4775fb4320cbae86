"""What a run learns: a segmenter, scored on its way by the code that predicts new scans."""

from dataclasses import dataclass

from medseg.inference.predictor import Predictor
from medseg.networks.segmenter import Segmenter
from medseg.prepare.cleanup import Rules
from medseg.progress import Progress
from medseg.runs import ModelCard, load_model, save_model
from medseg.training.average import Average
from medseg.training.callbacks import Display
from medseg.training.costs import Costs, CountedCosts
from medseg.training.data import TrainingData
from medseg.training.loop import Loop, optimise
from medseg.training.monitor import Monitor
from medseg.training.plateau import Patience
from medseg.training.validation import Validator


@dataclass
class Segmentation:
    """A segmenter's training.

    Attributes:
        loop: With the segmenter as its network.
        network: The segmenter.
        card: What goes into the model file beside the weights.
        data: Prepared cases.
    """

    loop: Loop
    network: Segmenter
    card: ModelCard
    data: TrainingData

    def __post_init__(self) -> None:
        """Score the network as it is at any time."""
        self.validator = self._validator(self.network)
        counted = self.loop.hparams.deterministic
        self.costs = CountedCosts(self.card.plan.batch_size) if counted else Costs()

    def train(self, progress: Progress) -> None:
        """Train, and save the model; after an early end the best so far stays.

        Raises:
            Stopped: If a queue asked for an end, once all is saved.
        """
        loop = self.loop
        with loop.stop.patient(progress):
            optimise(
                loop,
                self._monitors,
                progress,
            )
            if not (loop.stop.asked and loop.run.model.exists()):
                self._save()
        loop.stop.end()
        # What is scored from now on is the model file: what a user will predict with.
        saved, _ = load_model(loop.run.model)
        self.validator = self._validator(saved.to(loop.device))

    def _monitors(self, average: Average, display: Display) -> list[Monitor]:
        """One, or none where every case trains."""
        if not self.validator.cases:
            return []
        loop = self.loop
        return [
            Monitor(
                self.validator,
                average,
                self.costs,
                loop.budget,
                loop.stop,
                self._save,
                display,
                Patience(loop.hparams.patience, loop.hparams.warmup),
            )
        ]

    def adopt(self, rules: Rules) -> None:
        """From now on the model's masks are mended so."""
        network, card = load_model(self.loop.run.model)
        self.card = card.model_copy(update={"cleanup": dict(rules)})
        save_model(self.loop.run.model, network, self.card)

    def _save(self) -> None:
        save_model(self.loop.run.model, self.network, self.card)

    def _validator(self, network: Segmenter) -> Validator:
        hparams = self.loop.hparams
        predictor = Predictor(
            network,
            self.card.plan,
            self.loop.device,
            overlap=hparams.overlap,
            tta=hparams.tta,
            max_memory=hparams.max_memory,
        )
        return Validator(predictor, self.data.validation)
