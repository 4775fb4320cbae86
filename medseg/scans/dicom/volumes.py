"""Slices -> volumes: sorted by where they lie, never by number or name; each one even grid."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.geometry import Geometry
from medseg.scans.dicom.facts import MARK_NAMES, Frame

_SAME_DIRECTION = 1e-3
"""Cosines that differ by less belong to one volume: 0.06 degrees."""
_SILENT, _SPOKEN = 0.01, 0.05
"""Shares of a slice distance by which slices may be off an even grid: without, and with a word."""
_ROUNDED_MM = 0.051
"""Positions are often written to a tenth of a millimetre."""
_UPRIGHT = 0.01
"""Slices that drift by less than this share of their distance are not called tilted."""


@dataclass(frozen=True)
class Volume:
    """Slices that belong together, in order.

    Attributes:
        frames: From first to last along the slices' normal.
        affine: 4x4 voxel (column, row, slice) -> LPS mm; None for a picture, and where `problem`.
        mark: What it is among the volumes of its series, such as "echo 2".
        notes: What was made of them, and the detail that differs from one to the next.
        problem: Why they are no volume, and what to do.
    """

    frames: tuple[Frame, ...]
    affine: npt.NDArray[np.float64] | None = None
    mark: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    problem: tuple[str, str] | None = None


def volumes(frames: Sequence[Frame], picture: bool) -> list[Volume]:
    """The volumes that slices of one series and one size make.

    Args:
        frames: In any order.
        picture: Whether slices without a position are complete in themselves.
    """
    placed = [frame for frame in frames if frame.position and frame.orientation]
    found = [volume for group in _parallel(placed) for volume in _separated(group)]
    flat = [frame for frame in frames if not (frame.position and frame.orientation)]
    if not flat:
        return found
    if placed and not picture:
        what = f"{len(flat)} of its {len(frames)} slices do not say where they lie"
        return [Volume(tuple(frames), problem=(what, "export it again, or move those elsewhere"))]
    if len({frame.path for frame in flat}) == len(flat) and (picture or len(flat) == 1):
        return found + [Volume((frame,)) for frame in flat]
    what = f"its {len(flat)} frames do not say where they lie"
    remedy = "export it with positions, or save each frame as an image of its own"
    flat.sort(key=lambda frame: (frame.order, str(frame.path), frame.number))
    return [*found, Volume(tuple(flat), problem=(what, remedy))]


def as_geometry(volume: Volume, size: tuple[int, int, int]) -> Geometry:
    """The grid of a volume without a problem; a picture has spacing at most.

    Raises:
        ValueError: If it puts voxels nowhere.
    """
    if volume.affine is not None:
        return Geometry.from_lps(size, volume.affine)
    between_rows, between_columns = volume.frames[0].spacing_mm or (1.0, 1.0)
    return Geometry(size, (between_columns, between_rows, 1.0), world=False)


class Lattice(NamedTuple):
    """Where frames lie that need not be all there are.

    Attributes:
        affine: As `Volume.affine`.
        places: The slice of each frame.
        problem: Why there is no such grid, and what to do.
    """

    affine: npt.NDArray[np.float64] | None
    places: list[int]
    problem: tuple[str, str] = ("", "")


def sparse_grid(frames: Sequence[Frame], spacing_mm: float) -> Lattice:
    """The even grid that frames of a segmentation lie on; it may have slices without a frame.

    Args:
        frames: In the file's order; several may lie at one place.
        spacing_mm: Between slices as the header says; 0 where it does not.
    """
    remedy = "export it again, or save it as .nii.gz"
    if any(not (f.position and f.orientation and f.spacing_mm) for f in frames) or not frames:
        return Lattice(None, [], ("its frames do not say where they lie", remedy))
    if len(_parallel(frames)) > 1:
        return Lattice(None, [], ("its frames are not parallel", remedy))
    positions = np.array([frame.position for frame in frames])
    distances = _distances(frames)
    first, last = int(distances.argmin()), int(distances.argmax())
    steps = np.diff(np.unique(distances))
    steps = steps[steps > _tolerance(frames)]
    step = spacing_mm or frames[0].thickness_mm or 1.0
    if len(steps):
        shares = steps / step
        fits = spacing_mm > 0 and np.abs(shares - np.maximum(np.round(shares), 1)).max() < 0.1
        step = step if fits else float(steps.min())
    places = np.round((distances - distances[first]) / step).astype(int)
    count = max(int(places[last]), 1)
    along = (positions[last] - positions[first]) / count if places[last] else None
    if along is None:
        along = _axes(frames[0])[:, 2] * step
    off = np.linalg.norm(positions - positions[first] - places[:, None] * along, axis=1)
    if off.max() > max(_SPOKEN * step, _ROUNDED_MM):
        what = f"its frames are off an even grid of {step:.4g} mm by up to {off.max():.3g} mm"
        return Lattice(None, [], (what, remedy))
    return Lattice(_affine(frames[first], along), [int(place) for place in places])


def _affine(frame: Frame, step: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """4x4 voxel (column, row, slice) -> LPS mm; 1 mm where pixels have no size."""
    affine, axes = np.eye(4), _axes(frame)
    between_rows, between_columns = frame.spacing_mm or (1.0, 1.0)
    affine[:3, 0], affine[:3, 1] = axes[:, 0] * between_columns, axes[:, 1] * between_rows
    affine[:3, 2], affine[:3, 3] = step, np.array(frame.position)
    return affine


def _parallel(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames in groups of one orientation and one pixel spacing."""
    groups: list[tuple[npt.NDArray[np.float64], list[Frame]]] = []
    for frame in frames:
        own = np.array([*(frame.orientation or ()), *np.log(frame.spacing_mm or (1.0, 1.0))])
        for key, group in groups:
            if np.abs(key - own).max() < _SAME_DIRECTION:
                group.append(frame)
                break
        else:
            groups.append((own, [frame]))
    return [group for _, group in groups]


def _separated(frames: list[Frame]) -> list[Volume]:
    """One volume if they make one, else those that a mark of theirs tells apart."""
    whole = _stacked(frames)
    if whole.problem is None:
        return [whole]
    for part in _partitions(frames):
        sizes = {len(group) for _, group in part}
        if len(sizes) > 1 and min(sizes) < 3:
            continue
        stacks = [_stacked(group, mark) for mark, group in part]
        if all(stack.problem is None for stack in stacks) and _side_by_side(stacks):
            return stacks
    return [whole]


def _side_by_side(stacks: Sequence[Volume]) -> bool:
    """Whether volumes show one region. Pieces of a region, one after another, miss a slice."""
    ranges = [
        np.array([frame.position for frame in stack.frames]) @ _axes(stacks[0].frames[0])[:, 2]
        for stack in stacks
    ]
    shared = min(r.max() for r in ranges) - max(r.min() for r in ranges)
    return bool(shared >= 0.5 * max(np.ptp(r) for r in ranges) - _tolerance(stacks[0].frames))


def _partitions(frames: list[Frame]) -> Iterator[list[tuple[str, list[Frame]]]]:
    """Ways to tell volumes apart, the surest first: by one mark, by two, by order in time."""
    told: list[Callable[[Frame], tuple[str, ...]]] = []
    names: list[str] = []
    for place, name in enumerate(MARK_NAMES):
        if 1 < len({frame.marks[place] for frame in frames}) < len(frames):
            told.append(lambda frame, place=place: (frame.marks[place],))
            names.append(name)
    for one, name in zip(told, names, strict=True):
        yield _grouped(frames, one, [name])
    for first, (one, name) in enumerate(zip(told, names, strict=True)):
        for other, second in zip(told[first + 1 :], names[first + 1 :], strict=True):
            both = lambda frame, one=one, other=other: one(frame) + other(frame)  # noqa: E731
            yield _grouped(frames, both, [name, second])
    turns = _turns(frames)
    if turns:
        yield [(f"time {number} of {len(turns)}", turn) for number, turn in enumerate(turns, 1)]


def _grouped(
    frames: list[Frame], told: Callable[[Frame], tuple[str, ...]], names: list[str]
) -> list[tuple[str, list[Frame]]]:
    groups: dict[tuple[str, ...], list[Frame]] = {}
    for frame in frames:
        groups.setdefault(told(frame), []).append(frame)

    def words(values: tuple[str, ...]) -> str:
        return ", ".join(f"{n} {v[:24] or 'none'}" for n, v in zip(names, values, strict=True))

    return [(words(values), group) for values, group in sorted(groups.items(), key=_natural)]


def _natural(item: tuple[tuple[str, ...], Any]) -> tuple[Hashable, ...]:
    def key(text: str) -> tuple[float, str]:
        try:
            return (float(text), "")
        except ValueError:
            return (float("inf"), text)

    return tuple(key(value) for value in item[0])


def _turns(frames: list[Frame]) -> list[list[Frame]]:
    """Where every place was imaged equally often: its first images, its second ones, ..."""
    distances = _distances(frames)
    order = np.argsort(distances, kind="stable")
    tolerance = _tolerance(frames)
    places: list[list[Frame]] = []
    last = -np.inf
    for index in order:
        if distances[index] - last > tolerance:
            places.append([])
        places[-1].append(frames[index])
        last = distances[index]
    counts = {len(place) for place in places}
    if len(counts) != 1 or counts == {1}:
        return []
    for place in places:
        place.sort(key=lambda frame: (frame.order, frame.number, str(frame.path)))
    return [list(turn) for turn in zip(*places, strict=True)]


def _tolerance(frames: Sequence[Frame]) -> float:
    return 0.02 * min(min(frame.spacing_mm or (1.0, 1.0)) for frame in frames)


def _axes(frame: Frame) -> npt.NDArray[np.float64]:
    """Columns: unit directions of column, row and normal."""
    row, column = np.array(frame.orientation).reshape(2, 3)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _distances(frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    """Along the normal of the first."""
    return np.array([frame.position for frame in frames]) @ _axes(frames[0])[:, 2]


def _stacked(frames: Sequence[Frame], mark: str = "") -> Volume:
    """The volume that frames of one orientation make, or why they make none."""
    order = np.argsort(_distances(frames), kind="stable")
    ordered = tuple(frames[index] for index in order)
    axes = _axes(ordered[0])
    lengths = np.linalg.norm(axes, axis=0)
    if np.abs(lengths - 1).max() > 0.01 or abs(axes[:, 0] @ axes[:, 1]) > 0.01:
        what = "its header's directions are no right angles"
        return Volume(ordered, None, mark, problem=(what, "export it again"))
    first = ordered[0]
    positions = np.array([frame.position for frame in ordered])
    notes: list[tuple[str, str]] = []
    if first.spacing_mm is None:
        what = "its header does not say how large a pixel is"
        return Volume(ordered, None, mark, problem=(what, "export it again"))
    if len(ordered) == 1:
        step = axes[:, 2] * (first.thickness_mm or 1.0)
    else:
        step = (positions[-1] - positions[0]) / (len(ordered) - 1)
        problem = _unevenness(positions @ axes[:, 2], _tolerance(ordered), notes)
        problem = problem or _drift(positions, step, axes, notes)
        if problem is not None:
            return Volume(ordered, None, mark, problem=problem)
    return Volume(ordered, _affine(first, step), mark, tuple(notes))


def _unevenness(
    distances: npt.NDArray[np.float64], tolerance: float, notes: list[tuple[str, str]]
) -> tuple[str, str] | None:
    """What is wrong with the distances of sorted slices; a note where it is next to nothing."""
    steps = np.diff(distances)
    usual = float(np.median(steps))
    twice = int((steps <= min(tolerance, max(0.5 * usual, 1e-6))).sum())
    if twice:
        what = f"{twice} of its {len(distances)} slices lie where another one does"
        return what, "export one volume per series, and each slice once"
    off = np.abs(steps - usual) / usual
    line = np.linspace(distances[0], distances[-1], len(distances))
    rounded = usual >= 0.3 and float(np.abs(distances - line).max()) <= _ROUNDED_MM
    worst = int(off.argmax())
    if off[worst] <= _SILENT:
        return None
    if off[worst] <= _SPOKEN or rounded:
        detail = f"{usual:.4g} mm apart, by up to {float(np.ptp(steps)):.2g} mm unevenly"
        notes.append(("slices read as evenly spaced", detail))
        return None
    missing = round(float(steps[worst]) / usual) - 1
    gaps = int((off > _SPOKEN).sum())
    what = f"slices are uneven: {steps[worst]:.4g} mm after slice {worst + 1}, usually {usual:.4g}"
    if gaps > 1:
        what += f", {gaps} such places in {len(distances)} slices"
    if missing >= 1 and abs(steps[worst] / usual - missing - 1) < 0.1:
        what += f"; {missing} slice{'s' * (missing > 1)} missing there"
    return what, "add what is missing, or resample it to even slices and save it as .nii.gz"


def _drift(
    positions: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
    axes: npt.NDArray[np.float64],
    notes: list[tuple[str, str]],
) -> tuple[str, str] | None:
    """Slices may be shifted against each other, but evenly: the grid is then a sheared one."""
    along = float(step @ axes[:, 2])
    aside = step - along * axes[:, 2]
    line = positions[0] + np.arange(len(positions))[:, None] * step
    off = positions - line
    off -= np.outer(off @ axes[:, 2], axes[:, 2])
    worst = float(np.linalg.norm(off, axis=1).max())
    if worst > max(_SPOKEN * along, _ROUNDED_MM):
        what = f"its slices are shifted sideways by up to {worst:.3g} mm, and not evenly"
        return what, "resample it to one straight grid and save it as .nii.gz"
    drift = float(np.linalg.norm(aside))
    if drift > _UPRIGHT * along:
        degrees = np.degrees(np.arctan2(drift, along))
        notes.append(("tilted gantry, kept as it is on a sheared grid", f"{degrees:.1f} degrees"))
    return None
