"""The network that a training starts from."""

from pathlib import Path

import lightning

from medseg.families import family_of
from medseg.hparams import HParams
from medseg.networks.build import Architecture, NetworkChoice, build_network
from medseg.networks.encoders.pyramid import Pyramid, Savers
from medseg.networks.masked import MaskedAutoencoder, mask_unit
from medseg.networks.pretrained.segmenter import start_from
from medseg.networks.segmenter import Segmenter
from medseg.plan.plan import Plan
from medseg.progress import Progress
from medseg.runs import Run, load_model
from medseg.training.task import Learner


def initial_learner(hparams: HParams, plan: Plan, progress: Progress) -> Learner:
    """What is trained: a segmenter, or with `pretrain` an encoder that restores masked scans.

    Raises:
        MedsegError: If the file of pretrained weights cannot be read or fits nothing.
    """
    network = initial_network(hparams, plan, progress)
    return autoencoder(network, plan) if hparams.pretrain else network


def autoencoder(network: Segmenter, plan: Architecture) -> MaskedAutoencoder:
    """The detail stem and encoder of a segmenter, made to restore what is masked."""
    encoder = network.encoder
    assert isinstance(encoder, Pyramid)
    unit = mask_unit(plan.patch_size, plan.stem_strides, encoder.strides[-1])
    detail = network.detail if network.reads_detail else None
    return MaskedAutoencoder(detail, encoder, plan.channels, unit)


def initial_network(hparams: HParams, plan: Plan, progress: Progress) -> Segmenter:
    """Random weights from the seed, and an encoder from `pretrained` where that is set.

    Raises:
        MedsegError: If the file of pretrained weights cannot be read or fits nothing.
    """
    _warn_of_ignored(hparams, progress)
    lightning.seed_everything(hparams.seed, verbose=False)
    network = build_network(
        plan,
        network_choice(hparams),
        multilabel=plan.task == "multilabel",
        drop_path=hparams.drop_path,
        savers=savers(hparams),
    )
    if hparams.pretrained is not None:
        report = start_from(network, _weights(hparams.pretrained), new_axis=_coarsest(plan))
        progress.table(*report.table())
    return network


def _warn_of_ignored(hparams: HParams, progress: Progress) -> None:
    """Say which settings the network that is built has no use for."""
    if hparams.network is not None:
        ignored = {"encoder": hparams.encoder}
        default = HParams()
        for name in ("drop_path", "activation_checkpointing", "attention_chunks"):
            value = getattr(hparams, name)
            if value != getattr(default, name):
                ignored[name] = value
        which = ", ".join(f"{name} = {value}" for name, value in ignored.items())
        verb = "is" if len(ignored) == 1 else "are"
        progress.warn(f"{which} {verb} ignored: network = {hparams.network} is built")
    elif hparams.attention_chunks > 1 and not family_of(hparams.encoder).chunked:
        progress.warn(f"attention_chunks is ignored: {hparams.encoder} has no attention in windows")


def network_choice(hparams: HParams) -> NetworkChoice:
    """The settings that name the network."""
    return NetworkChoice(
        encoder=hparams.encoder,
        head=hparams.head,
        network=hparams.network,
        arguments=hparams.network_arguments,
    )


def _weights(path: Path) -> Path:
    """The file of a run to start from; of folded models, the form that can be trained."""
    if not path.is_dir():
        return path
    run = Run(path)
    if run.encoder.is_file():
        return run.encoder
    card = load_model(run.model)[1] if run.model.is_file() else None
    folded = card is not None and family_of(card.network.encoder).foldable
    return run.checkpoint if folded or card is None else run.model


def savers(hparams: HParams) -> Savers:
    """The settings that save memory."""
    return Savers(hparams.activation_checkpointing, hparams.attention_chunks)


def _coarsest(plan: Plan) -> int | None:
    """The axis that flat weights know nothing of: through the slices."""
    if plan.dim == 2:
        return None
    return max(range(3), key=lambda axis: (plan.spacing_mm[axis], axis))
