"""What a folder of predictions or references holds: label maps, told from scans as in training."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from medseg.errors import MachineError, MedsegError, ScanError
from medseg.scans.case import Case
from medseg.scans.dataset_json import read_dataset_json
from medseg.scans.discover import discover
from medseg.scans.inputs import is_extra, list_images
from medseg.scans.kinds import looks_like_image
from medseg.scans.marks import is_ours
from medseg.scans.names import (
    LABEL_WORDS,
    bare,
    composed,
    file_stem,
    is_image_folder,
    is_label_folder,
    is_label_name,
    words,
)
from medseg.scans.read import read_label_map
from medseg.scans.regions import Regions

Key = tuple[str, ...]
"""A path below a root: names of folders, and a stem."""


class Entry(NamedTuple):
    """One side of a case.

    Attributes:
        name: What it is called in scores and messages.
        files: One label map, or one mask per class; None for a class that is absent by declaration.
        keys: The paths under which the case is known: of its label, and of its scan.
        classes: The class of each mask, in the order of `files`; nothing for a label map.
        case: Set where its labels are read together, as training does: by the names of their
            segments, or several of one class. Such labels are layers in the order of `classes`.
        doubt: Names of files that could each be it; nothing where there is one.
    """

    name: str
    files: tuple[Path | None, ...]
    keys: tuple[Key, ...]
    classes: tuple[str, ...] = ()
    case: Case | None = None
    doubt: tuple[str, ...] = ()

    def masks(self) -> tuple[tuple[str, Path], ...]:
        """Class and file of each mask that is there; nothing for a label map."""
        return tuple(
            (name, path)
            for name, path in zip(self.classes, self.files, strict=False)
            if path is not None and self.case is None
        )


class Side(NamedTuple):
    """All of one side.

    Attributes:
        entries: Its cases.
        class_names: Value -> name, where a dataset gives names.
        regions: Its classes of several values.
        ignore_label: The value of voxels that nobody annotated.
    """

    entries: tuple[Entry, ...] = ()
    class_names: Mapping[int, str] = MappingProxyType({})
    regions: Regions | None = None
    ignore_label: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every class that it names, in any way."""
        masks = (name for entry in self.entries for name in entry.classes)
        regions = self.regions.values if self.regions else ()
        return tuple(dict.fromkeys((*self.class_names.values(), *regions, *masks)))


def file_entry(path: Path) -> Entry:
    """A label map that was named by itself."""
    stem = file_stem(path)
    return Entry(stem, (path,), ((stem,),))


def reference_side(folder: Path) -> Side | None:
    """The labels of a dataset, in any layout that trains; None for a folder that is none."""
    try:
        # What a missing mask means is for who scores; a missing scan means nothing.
        dataset = discover(folder, missing_masks="empty", missing_channels="absent")
    except MachineError:
        raise
    except MedsegError:  # no scans with labels: then it is a folder of labels
        return None
    if _is_no_dataset(dataset.cases[0]):
        return None
    names = dataset.class_values or {}
    entries = [_of_case(case, folder, tuple(names)) for case in dataset.cases]
    used = {path for case in dataset.cases for path in (*case.images, *case.labels)}
    others = [
        path
        for path in list_images(folder)
        if path not in used and _is_label(path, folder) and not is_extra(file_stem(path))
    ]
    entries += as_files(folder, others)
    single = all(len(case.labels) == 1 for case in dataset.cases)
    named = {value: name for name, value in names.items()} if single else {}
    return Side(tuple(entries), named, dataset.regions, dataset.ignore_label)


def described(folder: Path) -> Side:
    """What a dataset.json beside label maps says of them; that of the folder around `labelsTr` too.

    Raises:
        MedsegError: If it is broken.
    """
    around = [folder.resolve().parent] if is_label_folder(folder.resolve().name) else []
    for place in (folder, *around):
        file = place / "dataset.json"
        if file.is_file():
            said = read_dataset_json(file)
            names = {value: name for name, value in (said.class_values or {}).items()}
            return Side((), names, said.regions, said.ignore_label)
    return Side()


def as_files(folder: Path, paths: Sequence[Path]) -> list[Entry]:
    """Each label map a case of its own, named by its stem, or by its path where stems are shared.

    Where a scan, or a copy of a label, lies beside a mask of its name, the mask is told by its
    mark, by its name, or by what it holds.
    """
    groups: defaultdict[Key, list[Path]] = defaultdict(list)
    for path in paths:
        groups[normal(key_of(path, folder), bare)].append(path)
    chosen = {
        path: rest for group in groups.values() for path, rest in _labels_among(group, folder)
    }
    stems = Counter(file_stem(path).casefold() for path in chosen)
    entries: list[Entry] = []
    for path in paths:
        if path in chosen:
            key, stem = key_of(path, folder), file_stem(path)
            name = stem if stems[stem.casefold()] == 1 else "/".join(key)
            entries.append(Entry(name, (path,), (key,), doubt=chosen[path]))
    return entries


def label_files(folder: Path) -> list[Path]:
    """The image files of a tree that may be label maps: not what is written beside a mask.

    Raises:
        MedsegError: If there is none.
        OSError: If a folder cannot be looked at.
    """
    files = [path for path in list_images(folder) if not is_extra(file_stem(path))]
    if not files:
        raise MedsegError(str(folder), "holds no label maps", "point at the folder that does")
    return files


def key_of(path: Path, folder: Path) -> Key:
    """Where a file is below its root, without its format."""
    return tuple(map(composed, (*path.parent.relative_to(folder).parts, file_stem(path))))


def without_label(name: str) -> str:
    """Without `seg`, `label`, ... at either end. `scan` itself is kept: it may be all there is."""
    parts = words(name)
    while len(parts) > 1 and parts[-1] in LABEL_WORDS:
        parts.pop()
    while len(parts) > 1 and parts[0] in LABEL_WORDS:
        parts.pop(0)
    return "_".join(parts)


def normal(key: Key, loosen: Callable[[str], str]) -> Key:
    """A key in which affixes do not count, nor folders that say what kind of files they hold."""
    folders = [name for name in key[:-1] if not is_kind(name)]
    return tuple(loosen(name) for name in (*folders, key[-1]))


def is_kind(folder: str) -> bool:
    """Whether a folder's name says what its files are, and not whose."""
    plain = LABEL_WORDS.issuperset(words(folder))
    return (
        plain
        or (is_label_folder(folder) and not is_label_name(folder))
        or (is_image_folder(folder) and len(words(folder)) == 1)
    )


def _of_case(case: Case, folder: Path, classes: tuple[str, ...]) -> Entry:
    files = [path for path in (*case.images, *case.labels) if path is not None]
    below = (key_of(path, folder) for path in files if path.is_relative_to(folder))
    keys = ((case.name,), *below)
    if case.layered:
        return Entry(case.name, case.labels * len(case.segments), keys, case.segments, case)
    if len(case.labels) == len(classes) > 1:
        return Entry(case.name, case.labels, keys, classes)
    together = bool(case.segments) or len(case.labels) > 1
    return Entry(case.name, case.labels[:1], keys, case=case if together else None)


def _is_no_dataset(case: Case) -> bool:
    """Whether what was read as a scan beside its label is a label map too, such as of a class."""
    image, label = case.images[0], case.labels[0]
    return label is not None and image.parent == label.parent and _is_label_map(image)


def _is_label_map(path: Path) -> bool:
    with suppress(ScanError):
        return not looks_like_image(read_label_map(path)[0])
    return False


def _is_label(path: Path, folder: Path) -> bool:
    """Whether a file's name, or that of a folder it lies in, says so."""
    *folders, stem = key_of(path, folder)
    return is_label_name(stem) or any(map(is_label_folder, folders))


def _labels_among(group: Sequence[Path], folder: Path) -> Iterable[tuple[Path, tuple[str, ...]]]:
    """Of files that name one case, the label maps, each with those that it cannot be told from."""
    named = [path for path in group if _is_label(path, folder)]
    plain = [path for path in group if path not in named]
    if not (named and plain):
        return [(path, ()) for path in group]
    ours = [path for path in group if is_ours(path)]
    if len(ours) == 1:
        return [(ours[0], ())]
    if not any(map(_is_label_map, plain)):
        return [(path, ()) for path in named]
    names = tuple(path.name for path in group)
    return [(path, names) for path in named]
