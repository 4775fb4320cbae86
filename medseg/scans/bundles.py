"""Files of one side of a case, by what they are within it; bundles of both sides made cases."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from medseg.scans.case import Case, Channel, Problem
from medseg.scans.channels import ChannelRule
from medseg.scans.formats import FLAT_SUFFIXES, suffix_of
from medseg.scans.listing import shown
from medseg.scans.names import Part, bare, class_of, natural_key, safe_names

UNNAMED = "unnamed"
"""The class of a mask whose name states none."""
Told = Literal["single", "suffix", "folder", "outer"]
"""How channels are told apart, as in `ChannelRule`."""
_PATTERN = "or choose with --pattern"
_WITHOUT = "learn from cases that lack it: --missing-channels absent"


class Bundle(NamedTuple):
    """Images, or labels, of one case.

    Attributes:
        name: The case, as a path.
        key: What it is compared by.
        part: The side of a split it is on.
        parts: Channel or class -> the files that claim it.
    """

    name: str
    key: str
    part: Part | None
    parts: dict[str, list[Path]]

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [file for files in self.parts.values() for file in files]


class Made(NamedTuple):
    """Cases made of bundles, and what they were made of."""

    matched: list[tuple[Bundle, Bundle]]
    rule: ChannelRule
    classes: tuple[str, ...]
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


class Missing(NamedTuple):
    """What it means that a case lacks a file which others have.

    Attributes:
        masks: Of a mask: that it is left out, or that the class is absent there.
        channels: Of a channel: that it is left out, or that the channel is absent there.
    """

    masks: Literal["refuse", "empty"] = "refuse"
    channels: Literal["refuse", "absent"] = "refuse"

    @property
    def channel_share(self) -> float:
        """Share of the cases above which what they have is a channel of all."""
        return 1 / 2 if self.channels == "refuse" else 1 / 4


class _Images(NamedTuple):
    """The files of a case in channel order, and the channels that have none."""

    files: tuple[Path, ...]
    absent: tuple[Channel, ...]


class Wish(NamedTuple):
    """What is known beforehand.

    Attributes:
        channels: How many files ending in _0000, _0001, ... an image has; None: not known.
        missing: What a file that a case lacks means.
        unread: File names in formats that are not read, by bare name: of images, of labels.
    """

    channels: int | None = None
    missing: Missing = Missing()
    unread: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})


def assemble(
    images: Sequence[Bundle],
    labels: Sequence[Bundle],
    kind: Told,
    wish: Wish,
) -> Made:
    """Make cases of images and labels whose keys agree.

    Args:
        images: With channels as their parts.
        labels: With classes as their parts.
        kind: How channels are told apart.
        wish: Channels, and what a missing file means.
    """
    problems: list[Problem] = []
    matched = list(_matches(images, labels, problems, wish))
    counts = Counter(name for _, label in matched for name in named_classes(label))
    rule = _channel_rule([image for image, _ in matched], kind, wish)
    unlike = _unlike([label for _, label in matched], counts)
    classes = () if unlike else _classes([label for _, label in matched], counts)
    found: list[tuple[Bundle, _Images, tuple[Path | None, ...]]] = []
    for image, label in matched:
        images_of_case = _channels(image, label, rule, problems, wish)
        if classes:
            masks = _per_class(label, classes, problems, wish)
        else:
            masks = _one_mask(label, unlike, problems)
        if images_of_case is not None and masks:
            found.append((image, images_of_case, masks))
    names = safe_names(_short_names([image for image, _, _ in found]))
    cases = tuple(
        Case(
            name,
            files.files,
            masks,
            part=_side(image),
            pieces=not classes and len(masks) > 1,
            absent=files.absent,
        )
        for name, (image, files, masks) in zip(names, found, strict=True)
    )
    return Made(matched, rule, classes, cases, tuple(problems), tuple(_notes(cases)))


def _notes(cases: Sequence[Case]) -> Iterator[str]:
    united = [case for case in cases if case.pieces]
    if united:
        first = ", ".join(path.name for path in united[0].labels if path)
        yield (
            f"{len(united)} case(s) have several masks of one class, which are united (first "
            f"{first}); to have one of them alone, remove the others"
        )


def named_classes(label: Bundle) -> dict[str, list[Path]]:
    """Class -> its files, by what the masks' names state."""
    named: dict[str, list[Path]] = {}
    for part, files in label.parts.items():
        named.setdefault(class_of(part) or UNNAMED, []).extend(files)
    return named


def display(name: str) -> str:
    """The case's name: `case1` for `case1/image`, `volume-3` as it is."""
    folder, _, _ = name.rpartition("/")
    return folder if folder and bare(name) == folder.casefold() else name


def _short_names(images: Sequence[Bundle]) -> Iterator[str]:
    """Names without the side of a split, where that leaves them apart."""
    short = [
        display(image.name.removeprefix(f"{image.part}/") if image.part else image.name)
        for image in images
    ]
    counts = Counter(name.casefold() for name in short)
    for name, image in zip(short, images, strict=True):
        yield name if counts[name.casefold()] == 1 else display(image.name)


def _side(image: Bundle) -> Literal["training", "validation"] | None:
    return None if image.part == "testing" else image.part


def _matches(
    images: Sequence[Bundle],
    labels: Sequence[Bundle],
    problems: list[Problem],
    wish: Wish,
) -> Iterator[tuple[Bundle, Bundle]]:
    """Images and labels whose keys agree; any other than one of each becomes a problem."""
    groups: dict[str, tuple[list[Bundle], list[Bundle]]] = {}
    for image in images:
        groups.setdefault(image.key, ([], []))[0].append(image)
    for label in labels:
        groups.setdefault(label.key, ([], []))[1].append(label)
    unread_images, unread_labels = wish.unread
    for key, (some_images, some_labels) in groups.items():
        exact = {label.name.casefold(): label for label in some_labels}
        if not some_labels:
            problems += _alone(some_images, "image without label", "label", unread_labels.get(key))
        elif not some_images:
            problems += _alone(some_labels, "label without image", "image", unread_images.get(key))
        elif len(some_images) == len(some_labels) == 1:
            yield some_images[0], some_labels[0]
        elif exact.keys() == {image.name.casefold() for image in some_images}:
            yield from ((image, exact[image.name.casefold()]) for image in some_images)
        else:
            several = shown([_where(bundle) for bundle in (*some_images, *some_labels)], 4)
            what = f"two candidates for one case: {several}"
            remedy = f"keep one image and one label of that name, {_PATTERN}"
            problems.append(Problem(display(some_images[0].name), what, remedy))


def _alone(bundles: Sequence[Bundle], what: str, other: str, file: str | None) -> Iterator[Problem]:
    mine = "image" if other == "label" else "label"
    remedy = (
        f"add {'a' if other == 'label' else 'an'} {other} of the same name, or remove the {mine}"
    )
    if file is not None:
        what = f"its {other} {file} is in a format that is not read"
        remedy = f"convert it to .nii.gz or .png, or remove the {mine}"
    for bundle in bundles:
        yield Problem(display(bundle.name), what, remedy)


def _channel_rule(images: Sequence[Bundle], kind: Told, wish: Wish) -> ChannelRule:
    """What most cases have is a channel; a quarter of them, where the others may lack it."""
    if wish.channels is not None and kind == "suffix":
        keys = tuple(f"_{index:04d}" for index in range(wish.channels))
        return ChannelRule(kind="suffix", keys=keys)
    counts = Counter(part for image in images for part in image.parts)
    least = wish.missing.channel_share * len(images)
    common = sorted((part for part, n in counts.items() if n > least), key=natural_key)
    if kind == "single" or not common:
        return ChannelRule()
    return ChannelRule(kind=kind, keys=tuple(common))


def _classes(labels: Sequence[Bundle], counts: Counter[str]) -> tuple[str, ...]:
    """All classes that any case has a mask of, if cases have masks of several; else none."""
    several = sum(len(label.parts) > 1 for label in labels)
    repeated = [name for name, count in counts.items() if count > 1]
    by_case = labels and 2 * several >= len(labels)
    if by_case or (UNNAMED not in counts and len(repeated) > 1):
        return tuple(sorted(counts, key=natural_key))
    return ()


def _unlike(labels: Sequence[Bundle], counts: Counter[str]) -> bool:
    """Whether the names of flat masks tell objects and not classes: most of them come once."""
    flat = all(suffix_of(file) in FLAT_SUFFIXES for label in labels for file in label.files)
    once = sum(count == 1 for count in counts.values())
    return flat and len(labels) > 2 and 2 * once > len(counts) > len(labels)


def _are_numbered(label: Bundle) -> bool:
    """Whether flat masks are of objects of one class: `_mask`, `_mask_1`, `_mask_2`."""
    names = {class_of(part) for part in label.parts}
    flat = all(suffix_of(file) in FLAT_SUFFIXES for file in label.files)
    numbered = "" in names and all(not name or name.isdecimal() for name in names)
    return flat and numbered and len(names) == len(label.files)


def _channels(
    image: Bundle, label: Bundle, rule: ChannelRule, problems: list[Problem], wish: Wish
) -> _Images | None:
    """One file per key, or the only file if there are no keys; else None, and a problem.

    Where channels may be absent, those of some keys.
    """
    name, keys = display(image.name), rule.keys
    chosen = [image.parts.get(key, []) for key in keys] if keys else [image.files]
    absent = [channel for channel in rule.channels if channel.key not in image.parts]
    if absent and (wish.missing.channels == "refuse" or len(absent) == len(keys)):
        some = len(absent) < len(keys)
        remedy = "add the file, " + (f"remove the case, or {_WITHOUT}" if some else "or remove it")
        what = f"no file for channel {', '.join(channel.key for channel in absent)}"
        problems.append(Problem(name, what, remedy))
        return None
    several = [file.name for files in chosen if len(files) > 1 for file in files]
    if several:
        problems.append(_too_many(name, several, [file.name for file in label.files]))
        return None
    extra = [
        f.name for key, files in image.parts.items() if keys and key not in keys for f in files
    ]
    if extra:
        said = f"{', '.join(extra)} is not used: most cases have no such channel"
        remedy = "remove it, add it to " + (
            f"the other cases, or {_WITHOUT}"
            if wish.missing.channels == "refuse"
            else "more cases: a channel is what over a quarter of them have"
        )
        problems.append(Problem(name, said, remedy))
    return _Images(tuple(files[0] for files in chosen if files), tuple(absent))


def _too_many(name: str, images: Sequence[str], labels: Sequence[str]) -> Problem:
    if len(labels) > 1:
        what = f"{len(images)} images ({shown(images)}) and {len(labels)} labels ({shown(labels)})"
        return Problem(
            name, f"{what} whose names do not agree", f"name each label after its image, {_PATTERN}"
        )
    return _two(name, images)


def _per_class(
    label: Bundle, classes: Sequence[str], problems: list[Problem], wish: Wish
) -> tuple[Path | None, ...]:
    """One file per class; None where a class may be absent."""
    name, named = display(label.name), named_classes(label)
    several = [file.name for files in named.values() if len(files) > 1 for file in files]
    if several:
        problems.append(_two(name, several))
        return ()
    missing = [key for key in classes if key not in named]
    if missing and wish.missing.masks == "refuse":
        what = f"no file for mask of class {shown(missing, 5)}"
        remedy = "add the file; or, if a class without a file is absent, --missing-masks empty"
        problems.append(Problem(name, what, remedy))
        return ()
    return tuple(named[key][0] if key in named else None for key in classes)


def _one_mask(label: Bundle, unlike: bool, problems: list[Problem]) -> tuple[Path | None, ...]:
    """The only file, or the pieces of one mask."""
    files = label.files
    if len(files) == 1 or unlike or _are_numbered(label):
        return tuple(files)
    problems.append(_two(display(label.name), [file.name for file in files]))
    return ()


def _two(name: str, files: Sequence[str]) -> Problem:
    return Problem(name, f"two candidates: {', '.join(files)}", f"keep one of them, {_PATTERN}")


def _where(bundle: Bundle) -> str:
    """Such as images/case1.nii.gz: names alone do not tell an image from its label."""
    files = bundle.files
    return f"{files[0].parent.name}/{files[0].name}" if len(files) == 1 else display(bundle.name)
