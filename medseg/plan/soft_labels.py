"""Labels whose values are no classes: masks with soft edges, and images given as labels.

Told by how values lie beside each other (`measure.texture`). An object, however small, lies in one
place and mostly has an inside; the values of a soft edge have none, are strewn along all edges and
lie between a smaller and a greater neighbour. Measured on masks saved as JPEG (quality 50 to 95),
blurred or resampled linearly, and on honest maps of tiny organs, touching cells, points and
superpixels: the kinds are at least a factor of two apart in one of the figures below.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from medseg.measure.facts import CaseFacts
from medseg.measure.texture import Texture
from medseg.scans.case import Problem

_THIN = 0.05
"""A value with a smaller share of its voxels inside has no inside."""
_FEWEST = 4
"""Values without an inside that make a soft edge; fewer may be thin classes."""
_STREWN = 0.12
"""Such values fill at most so much of the boxes around them; cells and points fill twice that."""
_BETWEEN, _MOSTLY_BETWEEN, _A_LITTLE_BETWEEN = 0.3, 0.8, 0.12
"""Share of their voxels that must lie between others: the more values without an inside there are
beside those with one, the less it takes. JPEG rings beside an edge, where nothing lies between."""
_MANY, _PER_SOLID, _FEW_SOLIDS = 10, 3, 3
_DRAWN = 0.1
"""Share of the voxels without an inside that the largest value has where it was drawn."""
_IMAGE_VALUES, _IMAGE_SHARE, _IMAGE_BETWEEN = 16, 0.5, 0.4
_SHOWN = 4


class _Sorted(NamedTuple):
    """The values of a label: `solid` ones, which have an inside, and the `fringe`, by value."""

    solid: dict[int, Texture]
    fringe: dict[int, Texture]

    def share_between(self) -> float:
        """Of the fringe's voxels."""
        return _ratio(
            sum(texture.between for texture in self.fringe.values()), _voxels(self.fringe)
        )


def no_classes(cases: Sequence[CaseFacts]) -> dict[str, Problem]:
    """The cases whose label values are no classes, by themselves or as all cases together show.

    Together: a soft edge may have two values in each case, and other ones in each.
    """
    together = _sorted(_pooled(cases))
    problems: dict[str, Problem] = {}
    for case in cases:
        found = next(filter(None, (_problem(case.name, layer) for layer in case.textures)), None)
        if found is None and _is_soft(together):
            found = _as_the_others(case, together)
        if found is not None:
            problems[case.name] = found
    return problems


def thin_classes(cases: Sequence[CaseFacts]) -> tuple[int, ...]:
    """Values, too few to be sure, that have no inside and lie between others in every case."""
    found = _sorted(_pooled(cases))
    return tuple(
        value
        for value, texture in found.fringe.items()
        if len(found.solid) > 1
        and _strewn({value: texture})
        and _ratio(texture.between, texture.voxels) > _MOSTLY_BETWEEN
    )


def _problem(name: str, textures: Mapping[int, Texture]) -> Problem | None:
    values = _sorted(textures)
    if _is_image(values):
        what = (
            f"the label looks like an image, not a label map: {len(textures)} values, "
            f"{_share(values):.0%} of the voxels are of values that have no area of their own"
        )
        return Problem(name, what, "give the label file of this case")
    if _is_soft(values):
        return _soft(name, values, values.solid)
    return None


def _as_the_others(case: CaseFacts, together: _Sorted) -> Problem | None:
    """A case that has some of the soft values of all cases, and little else that is thin."""
    for layer in case.textures:
        values = _sorted(layer)
        soft = {value: texture for value, texture in values.fringe.items()
                if value in together.fringe}  # fmt: skip
        if soft and values.share_between() >= _BETWEEN and _strewn(soft):
            return _soft(case.name, values, together.solid)
    return None


def _soft(name: str, values: _Sorted, solid: Mapping[int, Texture]) -> Problem:
    """What to say of soft edges, with the mapping that mends them."""
    levels = sorted(solid)
    if len(levels) == 1:
        levels = sorted({*levels, max(values.fringe)})
    few = len(levels) <= _SHOWN
    named = f"of {_listed(levels)} " if few else ""
    count = len(values.fringe)
    what = (
        f"the label looks like a mask {named}with soft edges, as JPEG, blurring or linear "
        f"resampling leave them: {count} value{'s' * (count != 1)} "
        f"({', '.join(map(str, sorted(values.fringe)[:_SHOWN]))}{', ...' * (count > _SHOWN)}) "
        f"hold {_share(values):.2%} of the voxels and lie between the others"
    )
    if not few:
        remedy = "make it again from the original with nearest neighbour, and save no JPEG"
        return Problem(name, what, remedy)
    steps = [f"below {(low + high + 1) // 2} -> {low}" for low, high in pairwise(levels)]
    mapping = f"{', '.join(steps)}, else {levels[-1]}"
    return Problem(name, what, f"threshold it ({mapping}) and save it as PNG or NIfTI, not JPEG")


def _is_soft(values: _Sorted) -> bool:
    solid, fringe = values
    if not solid or len(fringe) < _FEWEST or not _strewn(fringe):
        return False
    needed = _MOSTLY_BETWEEN
    if len(fringe) >= _PER_SOLID * len(solid):
        needed = _BETWEEN
        if len(solid) <= _FEW_SOLIDS and len(fringe) >= _MANY:
            needed = _A_LITTLE_BETWEEN
    return values.share_between() >= needed


def _is_image(values: _Sorted) -> bool:
    return (
        len(values.fringe) >= _IMAGE_VALUES
        and _share(values) > _IMAGE_SHARE
        and _strewn(values.fringe)
        and values.share_between() >= _IMAGE_BETWEEN
    )


def _sorted(textures: Mapping[int, Texture]) -> _Sorted:
    values = _Sorted({}, {})
    for value, texture in sorted(textures.items()):
        part = values.solid if texture.inside > _THIN * texture.voxels else values.fringe
        part[value] = texture
    if len(values.solid) == 1 and values.fringe:
        top = max(values.fringe)  # lines of two pixels have no inside, and yet are drawn
        if values.fringe[top].voxels > _DRAWN * _voxels(values.fringe):
            values.solid[top] = values.fringe.pop(top)
    return values


def _pooled(cases: Iterable[CaseFacts]) -> dict[int, Texture]:
    """Each value's figures, summed over cases and layers."""
    sums: dict[int, Texture] = {}
    for case in cases:
        for layer in case.textures:
            for value, texture in layer.items():
                before = sums.get(value, Texture(0, 0, 0, 0))
                sums[value] = Texture(*map(sum, zip(before, texture, strict=True)))
    return sums


def _strewn(fringe: Mapping[int, Texture]) -> bool:
    """Whether values lie along edges rather than in one place each; unknown boxes say no."""
    return 0 < _voxels(fringe) <= _STREWN * sum(texture.box for texture in fringe.values())


def _share(values: _Sorted) -> float:
    fringe = _voxels(values.fringe)
    return _ratio(fringe, fringe + _voxels(values.solid))


def _voxels(textures: Mapping[int, Texture]) -> int:
    return sum(texture.voxels for texture in textures.values())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _listed(values: Sequence[int]) -> str:
    if len(values) < 2:
        return ", ".join(map(str, values))
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"
