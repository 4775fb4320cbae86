"""Left and right in class names: which classes are each other's mirror image by their names."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

_WORDS = (
    "left/right links/rechts linke/rechte linkes/rechtes "
    "gauche/droite,droit gauches/droites,droits "
    "izquierdo/derecho izquierda/derecha izquierdos/derechos izquierdas/derechas "
    "esquerdo/direito esquerda/direita sinistro/destro sinistra/destra,dextra sinister/dexter "
    "sinistrum/dextrum vänster/höger venstre/højre,høyre vasen/oikea lewy/prawy lewa/prawa "
    "lewe/prawe levý/pravý levá/pravá levé/pravé левый/правый левая/правая левое/правое 左/右"
)
"""They mean a side whatever stands beside them."""
_SHORT = "l/r lt/rt lh/rh li/re sin,sx,sn/dx,dex,dxt izq/der linker/rechter os/od sol/sağ,sag"
"""They mean a side where the other one is there too; alone they may be anything."""


class Sided(NamedTuple):
    """What names say of sides.

    Attributes:
        pairs: Indices of names that differ in their side alone, the smaller one first.
        alone: Indices of names that say a side, and the other one is not there.
    """

    pairs: tuple[tuple[int, int], ...]
    alone: tuple[int, ...]


def sided(names: Sequence[str]) -> Sided:
    """Find left and right in whole words: kidney_left, Left-Hippocampus, ctx-lh-cuneus.

    A name that says both sides is of neither.
    """
    words = [_words(name) for name in names]
    places = {name: index for index, name in enumerate(words)}
    partner: dict[int, int] = {}
    for index, name in enumerate(words):
        found = (places[other] for other in _mirrored(name) if other in places)
        other = next((place for place in found if place not in partner), None)
        if other is not None and index not in partner:
            partner |= {index: other, other: index}
    pairs = tuple((index, other) for index, other in sorted(partner.items()) if index < other)
    alone = tuple(
        index
        for index, name in enumerate(words)
        if index not in partner and _one_sided(name) and not _SURE.isdisjoint(name)
    )
    return Sided(pairs, alone)


def _opposites(text: str) -> dict[str, tuple[str, ...]]:
    """Word -> those that may stand in its place on the other side."""
    found: dict[str, tuple[str, ...]] = {}
    for group in text.split():
        left, right = (tuple(side.split(",")) for side in group.split("/"))
        found |= dict.fromkeys(left, right) | dict.fromkeys(right, left)
    return found


_SURE = frozenset(_opposites(_WORDS))
_OPPOSITES = _opposites(_WORDS) | _opposites(_SHORT)
_LEFT = frozenset(
    word for group in f"{_WORDS} {_SHORT}".split() for word in group.partition("/")[0].split(",")
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_JOINED = re.compile(r"(?<=...)(left|right)$|^(left|right)(?=...)")
"""Such as leftlung; they mean a side where the other one is there too."""
_WORD = re.compile(r"[左右]|[^\W\d_左右]{4,}|[^\W_左右]+")
"""Numbers are words beside a long one (left1), and part of a short one: L1 is a vertebra."""


def _words(name: str) -> tuple[str, ...]:
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFC", name))
    return tuple(word.casefold() for word in _WORD.findall(spaced))


def _one_sided(words: Sequence[str]) -> bool:
    return len({word in _LEFT for word in words if word in _OPPOSITES}) == 1


def _mirrored(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The names that the other side may have; leftlung has rightlung, if that is there."""
    if _one_sided(words):
        yield from product(*(_OPPOSITES.get(word, (word,)) for word in words))
    elif _OPPOSITES.keys().isdisjoint(words):
        other = tuple(_JOINED.sub(lambda side: _OPPOSITES[side[0]][0], word) for word in words)
        if other != words:
            yield other
