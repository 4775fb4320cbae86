"""Which image belongs to which label: the reading of the file names that pairs most of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule
from medseg.scans.formats import named_path
from medseg.scans.names import (
    IMAGE_WORDS,
    bare,
    case_folder,
    class_of,
    is_label_name,
    natural_key,
    role,
    safe_names,
)

Reading = Literal["file", "suffix", "class folder", "case folder"]
"""How a path under its root splits into a case and a part of it, which is a channel or a class.

`file`: the path is the case. `suffix`: the stem is a label's name and the part. `class folder`:
part/case. `case folder`: case/part.
"""


class File(NamedTuple):
    """A file, and its path below its root without the format, such as `case1/t1`."""

    path: Path
    name: str


class Bundle(NamedTuple):
    """Images, or labels, of one case; `parts`: channel or class -> the files that claim it."""

    name: str
    parts: dict[str, list[Path]]


class Pairs(NamedTuple):
    """What came of pairing; `classes` are the names of masks when they are files of their own."""

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    rule: ChannelRule
    classes: tuple[str, ...]


def named_below(root: Path, paths: Sequence[Path]) -> list[File]:
    """Name files by where they are below `root`."""
    named = [(path, named_path(path)) for path in paths]
    return [
        File(path, name.relative_to(root).as_posix() if name != root else root.name)
        for path, name in named
    ]


def pair(
    images: Sequence[File],
    labels: Sequence[File],
    *,
    case_folders: bool = False,
    channels: int | None = None,
) -> Pairs:
    """Pair images with labels by the reading of their names under which most cases find a partner.

    Args:
        images: Image files.
        labels: Label files.
        case_folders: Only read names as one folder per case.
        channels: How many files ending in _0000, _0001, ... an image has, when something says so.
    """
    image_readings: tuple[Reading, ...] = ("file", "suffix", "case folder")
    label_readings: tuple[Reading, ...] = ("file", "class folder", "case folder")
    if case_folders:
        image_readings = label_readings = ("case folder",)
    best: tuple[int, Reading, list[Bundle], list[Bundle]] | None = None
    for label_reading, image_reading in product(label_readings, image_readings):
        label_bundles = _bundles(labels, label_reading, frozenset())
        keys = frozenset(bare(bundle.name) for bundle in label_bundles)
        image_bundles = _bundles(images, image_reading, keys)
        score = len(keys & {bare(bundle.name) for bundle in image_bundles})
        if best is None or score > best[0]:
            best = score, image_reading, image_bundles, label_bundles
    assert best is not None
    _, reading, image_bundles, label_bundles = best
    return _assemble(image_bundles, label_bundles, reading, channels)


def _bundles(files: Sequence[File], reading: Reading, label_keys: frozenset[str]) -> list[Bundle]:
    bundles: dict[str, Bundle] = {}
    for file in files:
        name, part = _split(file.name, reading, label_keys)
        bundle = bundles.setdefault(name.casefold(), Bundle(name, {}))
        bundle.parts.setdefault(part, []).append(file.path)
    return sorted(bundles.values(), key=lambda bundle: natural_key(bundle.name))


def _split(name: str, reading: Reading, label_keys: frozenset[str]) -> tuple[str, str]:
    folder, _, stem = name.rpartition("/")
    if reading == "suffix":
        cuts = [len(name), *(i for i in range(len(name) - 1, 0, -1) if name[i] in " _.-")]
        cut = next((i for i in cuts if bare(name[:i]) in label_keys), len(name))
        return name[:cut], name[cut:].casefold()
    if not folder or reading == "file":
        return name, ""
    if reading == "class folder":
        return stem, class_of(folder)
    # case1/masks/liver: `masks` says what kind of files these are, not which case they are of.
    parents = [
        p for p in folder.split("/") if not (is_label_name(p) or p.casefold() in IMAGE_WORDS)
    ]
    case = "/".join(parents) or folder
    return case, role(stem, case_folder(PurePosixPath(folder)).name)


def _assemble(
    images: list[Bundle], labels: list[Bundle], reading: Reading, channels: int | None
) -> Pairs:
    problems: list[Problem] = []
    matched = list(_matches(images, labels, problems))
    rule = _channel_rule([image for image, _ in matched], reading, channels)
    classes = _classes([label for _, label in matched])
    found: list[tuple[str, tuple[Path, ...], tuple[Path, ...]]] = []
    for image, label in matched:
        named = Bundle(image.name, _by_class(label))
        image_files = _files_of(image, rule.keys, "channel", problems)
        label_files = _files_of(named, classes, "mask of class", problems)
        if image_files and label_files:
            found.append((image.name, image_files, label_files))
    names = safe_names(_display(name) for name, _, _ in found)
    cases = tuple(Case(safe, i, m) for safe, (_, i, m) in zip(names, found, strict=True))
    return Pairs(cases, tuple(problems), rule, classes)


def _matches(
    images: list[Bundle], labels: list[Bundle], problems: list[Problem]
) -> Iterator[tuple[Bundle, Bundle]]:
    """Images and labels whose names agree; any other than one of each becomes a problem."""
    groups: dict[str, tuple[list[Bundle], list[Bundle]]] = {}
    for image in images:
        groups.setdefault(bare(image.name), ([], []))[0].append(image)
    for label in labels:
        groups.setdefault(bare(label.name), ([], []))[1].append(label)
    for some_images, some_labels in groups.values():
        exact = {label.name.casefold(): label for label in some_labels}
        if not some_labels:
            remedy = "add a label of the same name, or remove the image"
            problems += [
                Problem(_display(i.name), "image without label", remedy) for i in some_images
            ]
        elif not some_images:
            remedy = "add an image of the same name, or remove the label"
            problems += [
                Problem(_display(m.name), "label without image", remedy) for m in some_labels
            ]
        elif len(some_images) == len(some_labels) == 1:
            yield some_images[0], some_labels[0]
        elif exact.keys() == {image.name.casefold() for image in some_images}:
            yield from ((image, exact[image.name.casefold()]) for image in some_images)
        else:
            several = ", ".join(_where(bundle) for bundle in (*some_images, *some_labels))
            what = f"two candidates for one case: {several}"
            remedy = "keep one image and one label of that name"
            problems.append(Problem(_display(some_images[0].name), what, remedy))


def _channel_rule(images: list[Bundle], reading: Reading, channels: int | None) -> ChannelRule:
    if channels is not None and reading == "suffix":
        return ChannelRule(kind="suffix", keys=tuple(f"_{index:04d}" for index in range(channels)))
    counts = Counter(part for image in images for part in image.parts)
    common = sorted((p for p, n in counts.items() if 2 * n > len(images)), key=natural_key)
    if reading == "file" or not common:
        return ChannelRule()
    return ChannelRule(kind="folder" if reading == "case folder" else "suffix", keys=tuple(common))


def _classes(labels: list[Bundle]) -> tuple[str, ...]:
    """All classes that any case has a mask of, if most cases have several masks; else none."""
    if 2 * sum(len(label.parts) > 1 for label in labels) < max(len(labels), 1):
        return ()
    return tuple(sorted({name for label in labels for name in _by_class(label)}, key=natural_key))


def _by_class(label: Bundle) -> dict[str, list[Path]]:
    named: dict[str, list[Path]] = {}
    for part, files in label.parts.items():
        named.setdefault(class_of(part) or "unnamed", []).extend(files)
    return named


def _files_of(
    bundle: Bundle, keys: tuple[str, ...], what: str, problems: list[Problem]
) -> tuple[Path, ...]:
    """One file per key, or the only file if there are no keys; else nothing, and a problem."""
    name = _display(bundle.name)
    everything = [file for files in bundle.parts.values() for file in files]
    chosen = [bundle.parts.get(key, []) for key in keys] if keys else [everything]
    missing = [key for key, files in zip(keys, chosen, strict=False) if not files]
    if missing:
        remedy = "add the file (an empty mask where the class is absent), or remove the case"
        problems.append(Problem(name, f"no file for {what} {', '.join(missing)}", remedy))
        return ()
    several = [file.name for files in chosen if len(files) > 1 for file in files]
    if several:
        said = f"two candidates: {', '.join(several)}"
        problems.append(Problem(name, said, "keep one of them"))
        return ()
    extra = [
        f.name for key, files in bundle.parts.items() if keys and key not in keys for f in files
    ]
    if extra:
        said = f"{', '.join(extra)} is not used: most cases have no such {what}"
        problems.append(Problem(name, said, "remove it, or add it to the other cases"))
    return tuple(files[0] for files in chosen)


def _where(bundle: Bundle) -> str:
    """Such as images/case1.nii.gz: names alone do not tell an image from its label."""
    files = [file for several in bundle.parts.values() for file in several]
    return f"{files[0].parent.name}/{files[0].name}" if len(files) == 1 else _display(bundle.name)


def _display(name: str) -> str:
    """The case's name: `case1` for `case1/image`, `volume-3` as it is."""
    folder, _, _ = name.rpartition("/")
    return folder if folder and bare(name) == folder.casefold() else name
