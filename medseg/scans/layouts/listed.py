"""Layouts in which a JSON file lists the cases."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from medseg.errors import MedsegError
from medseg.scans.bundles import Bundle, assemble
from medseg.scans.case import Problem
from medseg.scans.dataset_json import MAX_BYTES, DatasetJson, Entry, checked, read_json
from medseg.scans.layouts.place import Found, Place
from medseg.scans.listing import OWN_NAMES, named_below, shown
from medseg.scans.names import Part, composed, file_stem, is_image_file, safe_names
from medseg.scans.pairing import Pairs
from medseg.scans.plausible import Doubt

_LISTS = ("training", "train")
_MOST_LISTS = 20
Tell = Callable[[Sequence[Path]], dict[str, list[Path]]]
"""Images of one case -> what tells each from the others, and the image."""


def decathlon(place: Place) -> Found | None:
    """The cases that dataset.json lists; pairs are stated, so names need not agree.

    dataset.json imagesTr/heart_003.nii.gz labelsTr/heart_003.nii.gz
    """
    described = place.described
    if described is None or not _has_files(place.tree.root, described):
        return None
    return _listed(place, described, "Medical Decathlon dataset.json")


def datalist(place: Place) -> Found | None:
    """A JSON file of {"training": [{"image": ..., "label": ...}], "validation": [...]}.

    dataset_0.json img/img0001.nii.gz label/label0001.nii.gz
    """
    root = place.tree.root
    found: list[DatasetJson] = []
    for path in sorted(root.glob("*.json"))[:_MOST_LISTS]:
        if path.name != "dataset.json" and path.is_file() and path.stat().st_size <= MAX_BYTES:
            listed = _list_in(path)
            found += [listed] if listed is not None and _has_files(root, listed) else []
    if not found:
        return None
    if len(found) > 1:
        names = shown([described.source for described in found])
        doubt = Doubt(f"which of {names} lists the cases?", f"keep one of them; or {OWN_NAMES}")
        count = max(len(described.training) for described in found)
        return Found("JSON list", Pairs(doubts=(doubt,)), stated=True, at_stake=count)
    return _listed(place, found[0], f"JSON list {found[0].source}")


def _list_in(path: Path) -> DatasetJson | None:
    """What a JSON file lists; None if it is about something else."""
    value: object = None
    with suppress(MedsegError):  # it need not be a list of cases
        value = read_json(path)
    if isinstance(value, list):
        value = {"training": cast("list[Any]", value)}
    if not isinstance(value, dict):
        return None
    listing = cast("dict[str, Any]", value)
    entries = next((listing[key] for key in _LISTS if key in listing), None)
    is_list = isinstance(entries, list) and entries and _is_entry(cast("Any", entries[0]))
    return checked(path, listing) if is_list else None


def _is_entry(value: object) -> bool:
    return isinstance(value, dict) and {"image", "label"} <= set(cast("dict[str, Any]", value))


def _has_files(root: Path, described: DatasetJson) -> bool:
    entries = (*described.training, *described.validation)
    return any((root / path).exists() for entry in entries if entry.label for path in entry.images)


def _listed(place: Place, described: DatasetJson, layout: str) -> Found:
    problems: list[Problem] = []
    images: list[Bundle] = []
    labels: list[Bundle] = []
    sides: tuple[tuple[Part | None, Sequence[Entry]], ...] = (
        ("training" if described.validation else None, described.training),
        ("validation", described.validation),
    )
    unlabelled = 0
    entries_of_all = [*described.training, *described.validation]
    tell = _by_folder if _one_name(entries_of_all) else _channels
    channels = _Channels.of(place.tree.root, entries_of_all, tell)
    for side, entries in sides:
        for entry in entries:
            if entry.label is None:
                unlabelled += 1
                continue
            bundles = _bundles(place.tree.root, entry, side, described.source, problems, channels)
            if bundles is not None:
                images.append(bundles[0])
                labels.append(bundles[1])
    kind = "outer" if tell is _by_folder else "suffix"
    made = assemble(*_apart(images, labels), kind if _several(images) else "single", place.wish())
    pairs = Pairs(made.cases, (*problems, *made.problems), made.rule, notes=made.notes)
    counted = len(described.training) - (unlabelled if not described.validation else 0)
    notes = tuple(described.notes(counted))
    if unlabelled:
        notes += (f"{described.source}: {unlabelled} entries have no label and are left aside",)
    return Found(
        layout,
        pairs,
        aside=notes,
        stated=True,
        class_values=described.class_values,
        regions=described.regions,
        ignore_label=described.ignore_label,
    )


def _bundles(
    root: Path,
    entry: Entry,
    side: Part | None,
    source: str,
    problems: list[Problem],
    channels: "_Channels",
) -> tuple[Bundle, Bundle] | None:
    """The files of an entry, if they are there."""
    label = root / str(entry.label)
    images = [root / path for path in entry.images]
    for path in (*images, label):
        if not (path.is_file() and is_image_file(path)):
            there = "is in a format that is not read" if path.is_file() else "no such image file"
            what = f"named in {source}, but {there}"
            remedy = "add the file, or remove the entry"
            if path != label and len(images) > 1:
                remedy += "; or write null for it, with --missing-channels absent"
            problems.append(Problem(str(path), what, remedy))
            return None
    name = named_below(images[0].parent, images[:1])[0].name
    parts = channels.tell(images)
    if sum(map(len, parts.values())) < len({*images}):
        what = f"named in {source}, with channels that neither names nor folders tell apart"
        problems.append(Problem(str(images[0]), what, "give them different names"))
        return None
    if channels.keys:
        name = _common_name(name, parts)
    key = "/".join((side or "", label.as_posix()))
    return Bundle(name, key, None, parts), Bundle(name, key, side, {"": [label]})


class _Channels(NamedTuple):
    """How the images of an entry are told apart, and by what in the entries that have most.

    Attributes:
        of_full: Tells those of an entry that has all.
        most: Images of such an entry.
        keys: What tells them there; none where entries have one image each.
    """

    of_full: Tell
    most: int
    keys: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, entries: Sequence[Entry], tell: Tell) -> "_Channels":
        most = max((len(entry.images) for entry in entries), default=1)
        full = (entry.images for entry in entries if len(entry.images) == most > 1)
        keys = dict.fromkeys(key for paths in full for key in tell([root / p for p in paths]))
        return cls(tell, most, tuple(keys))

    def tell(self, images: Sequence[Path]) -> dict[str, list[Path]]:
        """Key -> image; of an entry that lacks some, the keys that the others have."""
        if not self.keys:
            return {"": [*images]}
        if len(images) == self.most:
            return self.of_full(images)
        if self.of_full is _by_folder:
            return {key: paths for key, paths in _by_folder(images).items() if key in self.keys}
        found: dict[str, list[Path]] = {}
        for path in images:
            stem = named_below(path.parent, [path])[0].name.casefold()
            key = max((key for key in self.keys if stem.endswith(key)), key=len, default=None)
            if key is not None:
                found[key] = [path]
        return found


def _channels(images: Sequence[Path]) -> dict[str, list[Path]]:
    """By how their names end: what follows the part that all have in common."""
    stems = [file.name for file in named_below(images[0].parent, images)]
    common = 0
    while all(len(stem) > common and stem[common] == stems[0][common] for stem in stems):
        common += 1
    cut = max((stems[0].rfind(sign, 0, common) for sign in "_-. "), default=-1)
    start = cut if cut > 0 else common
    return {stem[start:].casefold(): [path] for stem, path in zip(stems, images, strict=True)}


def _by_folder(images: Sequence[Path]) -> dict[str, list[Path]]:
    """By the folders that they are in: t1/p1 and t2/p1."""
    return {composed(path.parent.name).casefold(): [path] for path in images}


def _one_name(entries: Sequence[Entry]) -> bool:
    """Whether the channels of cases have one name, in folders of their own."""
    several = [entry.images for entry in entries if len(entry.images) > 1]
    return bool(several) and all(len({Path(p).name for p in images}) == 1 for images in several)


def _common_name(name: str, parts: dict[str, list[Path]]) -> str:
    """`p1` for `p1_t1` with `p1_t2`."""
    end = next((part for part in parts if part and name.casefold().endswith(part)), "")
    return name[: len(name) - len(end)].rstrip("_-. ") or name


def _several(images: Sequence[Bundle]) -> bool:
    return any(len(bundle.parts) > 1 for bundle in images)


def _apart(images: list[Bundle], labels: list[Bundle]) -> tuple[list[Bundle], list[Bundle]]:
    """The side of a split with the images, where `assemble` looks for it."""
    sided = [i._replace(part=label.part) for i, label in zip(images, labels, strict=True)]
    return sided, labels


def missing_entries(root: Path, described: DatasetJson, names: Sequence[str]) -> Iterator[Problem]:
    """Cases that nnU-Net's dataset.json lists by name, of which there is no file."""
    known = {name.casefold() for name in names}
    for entry in described.training:
        stem = file_stem(root / entry.images[0]).removesuffix("_0000")
        if safe_names([stem])[0].casefold() not in known:
            what = f"named in {described.source}, but no such image file"
            yield Problem(entry.images[0], what, "add the file, or remove the entry")
