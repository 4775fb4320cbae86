"""How fast weights are changed: by what the network is, how large, and where it starts from.

Rates of ours are measured (docs/encoders.md); those of others, and of the papers' sizes, are their
authors' own for dense prediction, at a batch of a few patches.
"""

from medseg.families import family_of, is_small
from medseg.hparams import HParams

_OURS = 4e-3
_USUAL = 1e-3
_OTHERS = {
    "swinunetr": (8e-4, "Swin UNETR's, arXiv:2201.01266"),
    "unetr": (1e-4, "UNETR's, arXiv:2103.10504"),
    "segresnet": (1e-4, "its author's, arXiv:1810.11654"),
    "mednext": (1e-3, "MedNeXt's, arXiv:2303.09975"),
    "miniseg": (1e-3, "MiniSeg's, arXiv:2004.09750"),
}
"""Networks of others: part of the name -> peak rate of Adam or AdamW, and whose it is."""
_STAGE = 0.9


def choose_learning_rate(hparams: HParams) -> tuple[float, str]:
    """The peak rate of AdamW, and why."""
    if hparams.learning_rate is not None:
        return hparams.learning_rate, "set by you"
    if hparams.network is not None:
        return _of_others(hparams.network)
    if is_small(hparams.encoder):
        return _OURS, "measured for encoders of this size"
    family = family_of(hparams.encoder)
    if hparams.pretrained is not None and family.fine_tuned is not None:
        return family.fine_tuned
    rate, source = family.from_scratch
    if hparams.encoder in family.large:
        return rate / 2, f"half of {source}, since the encoder is large"
    return rate, source


def _of_others(network: str) -> tuple[float, str]:
    plain = network.casefold()
    for name, found in _OTHERS.items():
        if name in plain:
            return found
    return _USUAL, "Adam's own, arXiv:1412.6980: none was published for it with Adam"


def choose_layer_decay(hparams: HParams) -> tuple[float, str]:
    """What the rate is multiplied by at each stage of the encoder down to the stem, and why."""
    if hparams.layer_decay is not None:
        return hparams.layer_decay, "set by you"
    if hparams.pretrained is None or hparams.network is not None:
        return 1.0, "nothing was learned before"
    if is_small(hparams.encoder):
        return 1.0, "measured: slower loaded weights gave less (docs/pretrained.md)"
    return _STAGE, "as ConvNeXt's authors fine-tune, arXiv:2201.03545"
