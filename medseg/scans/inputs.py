"""The files, folders and patterns that a user names -> the scans among them."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePath
from typing import NamedTuple

from medseg.errors import ScanError
from medseg.files import machine_error
from medseg.scans.absent import absent_content
from medseg.scans.case import Problem
from medseg.scans.formats import IMAGE_SUFFIXES, first_file, format_of, suffix_of
from medseg.scans.marks import is_ours
from medseg.scans.names import (
    file_stem,
    is_image_file,
    is_image_folder,
    is_label_folder,
    is_label_name,
    natural_key,
)
from medseg.scans.segments import segment_names

DEEPEST = 16
"""Levels of sub-folders that are searched."""
EXTRA_WORDS = ("probabilities", "uncertainty", "overlay")
"""How the names end of what is written beside a mask."""
_UNREAD = frozenset(
    [
        *(".dcm", ".ima", ".npy", ".npz", ".mat", ".h5", ".hdf5", ".mgz", ".mgh", ".hdr", ".nhdr"),
        *(".mnc", ".vtk", ".vti", ".svs", ".ndpi", ".czi", ".nd2", ".lif", ".webp", ".heic"),
        *(".jp2", ".bmp", ".gif", ".zip", ".tar", ".rar", ".7z", ".bz2", ".gz"),
    ]
) - frozenset(IMAGE_SUFFIXES)
"""What a scan may be in and cannot be read from: named where it is passed over."""


class Found(NamedTuple):
    """A scan's file, as typed or listed, and whether the user named it rather than its folder."""

    path: Path
    named: bool


class Listing(NamedTuple):
    """What the user's words stand for.

    Attributes:
        files: Each once, in the order given. Two names are two files, whatever they link to.
        problems: Words that stand for nothing, files that cannot be used.
        notes: What was left out of folders, a line each.
        root: The folder that all of it lies in.
    """

    files: list[Found]
    problems: list[Problem]
    notes: list[str]
    root: Path


def list_images(folder: Path, depth: int = DEEPEST) -> list[Path]:
    """The image files of a folder, and of its sub-folders `depth` levels down, in natural order.

    Raises:
        OSError: If a folder cannot be looked at.
    """
    return [path for path in _walk(folder, depth, (), None) if is_image_file(path)]


def is_extra(stem: str) -> bool:
    """Whether a name is one of those that are written beside a mask: never a scan or a mask."""
    return stem.casefold().endswith(tuple(f"_{word}" for word in EXTRA_WORDS))


def spelled(path: Path) -> Path:
    """The absolute path as it is written: links are names of their own, and stay."""
    return Path(os.path.normpath(path.absolute()))


def find_files(paths: Sequence[str], claims: Callable[[Path], bool]) -> Listing:
    """Look for the scans that a user's words stand for.

    A folder stands for the images in it and in its sub-folders, a pattern for what it matches.
    Either may hold labels and earlier masks: those are left out and counted. What is named is
    taken, whatever its name says.

    Args:
        paths: As typed; `~` and `*` are understood.
        claims: Whether a file is one of a case's channels, whatever else its name says.

    Raises:
        MachineError: If the machine fails while looking.
    """
    listing = Listing([], [], [], _common([_root(Path(text).expanduser()) for text in paths]))
    seen: set[tuple[str, str]] = set()
    passed: dict[Path, str] = {}
    for text in paths:
        for found, left_out in _looked_at(text, listing.problems, claims):
            # A path with `..` behind a link leads elsewhere than its text says.
            identity = (str(spelled(found.path)), os.path.realpath(found.path))
            if left_out:
                passed.setdefault(found.path, left_out)
            elif identity not in seen and not _absent(found.path, listing.problems):
                seen.add(identity)
                listing.files.append(found)
    taken = {found.path for found in listing.files}
    listing.notes.extend(_notes({p: why for p, why in passed.items() if p not in taken}))
    return listing


_LABELS = "named like labels, or earlier masks of medseg"
_BESIDE = "beside a dataset's folder of images"
_FORMATS = "of formats that are not read"


def _notes(passed: dict[Path, str]) -> Iterator[str]:
    for why, remedy in (
        (_LABELS, "to have one predicted, name the file itself"),
        (_BESIDE, "to have one predicted, name it or its folder"),
        (_FORMATS, "convert them to .nii.gz"),
    ):
        names = [path.name for path, reason in passed.items() if reason == why]
        if names:
            shown = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
            yield f"left out {len(names)} file(s) {why}: {shown}; {remedy}"


def _looked_at(
    text: str, problems: list[Problem], claims: Callable[[Path], bool]
) -> Iterator[tuple[Found, str]]:
    """Everything that one word stands for, and why it is left out, if it is."""
    path = Path(text).expanduser()
    errors: list[OSError] = []
    files: list[tuple[Found, str]] = []
    try:
        if path.exists() or path.is_symlink():
            base, entries, named = path, [path], not path.is_dir()
        else:
            base, entries, named = _fixed(path), _globbed(path), False
        files = _named(path, problems) if named else _sorted_out(base, entries, claims, errors)
    except OSError as error:
        errors.append(error)
        entries, named = [path], True
    for error in errors:
        failed = machine_error(error, str(error.filename or text))
        if failed:
            raise failed from error
        what = f"cannot be looked at ({error.strerror})"
        problems.append(Problem(error.filename or text, what, "check its name and permissions"))
    if not named and not errors and not any(not why for _, why in files):
        problems.append(_nothing_there(text, entries, [found.path for found, _ in files]))
    yield from files


def _named(path: Path, problems: list[Problem]) -> list[tuple[Found, str]]:
    """The scan that a file is, or is a slice of."""
    try:
        if format_of(path) is not None:
            return [(Found(first_file(path), named=True), "")]
    except ScanError as error:
        problems.append(Problem(str(path), error.what, error.remedy))
        return []
    remedy = f"convert it to one of {', '.join(IMAGE_SUFFIXES)}"
    problems.append(Problem(str(path), "not a known image format", remedy))
    return []


def _sorted_out(
    base: Path,
    entries: Sequence[Path],
    claims: Callable[[Path], bool],
    errors: list[OSError],
) -> list[tuple[Found, str]]:
    """The files of folders, or those that a pattern matched, each with why it is left out."""
    found = (
        (path, path.relative_to(base))
        for entry in entries
        for path in (_walk(entry, DEEPEST, (), errors) if entry.is_dir() else [entry])
    )
    files = [(path, below) for path, below in found if not any(map(_is_hidden, below.parts))]
    datasets = _datasets([below for path, below in files if is_image_file(path)])
    sorted_out: list[tuple[Found, str]] = []
    for path, below in files:
        if is_image_file(path):
            why = "" if claims(path) else _left_out(path, below, datasets, errors)
            sorted_out.append((Found(path, named=False), why))
        elif suffix_of(path) in _UNREAD and format_of(path) is None and path.is_file():
            sorted_out.append((Found(path, named=False), _FORMATS))
    return sorted_out


def _left_out(
    path: Path, below: PurePath, datasets: frozenset[PurePath], errors: list[OSError]
) -> str:
    folders, stem = below.parts[:-1], file_stem(path)
    if is_label_name(stem) or is_extra(stem) or any(map(is_label_folder, folders)):
        return _LABELS
    try:
        if path.is_file() and (is_ours(path) or segment_names(path)):
            return _LABELS
    except ScanError:
        pass  # it is said where the scan is read
    except OSError as error:
        if machine_error(error, path.name):
            errors.append(error)
    beside = any(
        parent in datasets and not is_image_folder(below.relative_to(parent).parts[0])
        for parent in below.parents
    )
    return _BESIDE if beside else ""


def _datasets(files: Sequence[PurePath]) -> frozenset[PurePath]:
    """Folders that hold one of images and one of labels: what lies beside those is neither."""
    inside: defaultdict[PurePath, set[str]] = defaultdict(set)
    for file in files:
        for folder in file.parents:
            if folder.name:
                inside[folder.parent].add(folder.name)
    return frozenset(
        folder
        for folder, names in inside.items()
        if any(map(is_label_folder, names))
        and any(is_image_folder(name) and not is_label_folder(name) for name in names)
    )


def _walk(
    folder: Path, depth: int, above: tuple[str, ...], errors: list[OSError] | None
) -> Iterator[Path]:
    """Files below a folder in natural order; a link to a folder above is not followed again."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
    except OSError as error:
        if errors is None:
            raise
        errors.append(error)
        return
    for entry in entries:
        if _is_hidden(entry.name):
            continue
        if not entry.is_dir():
            yield entry
        elif depth > 0:
            yield from _walk(entry, depth - 1, (*above, real), errors)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _absent(path: Path, problems: list[Problem]) -> bool:
    absent = absent_content(path)
    if absent is not None:
        problems.append(Problem(str(path), absent.what, absent.remedy))
    return absent is not None


def _fixed(path: Path) -> Path:
    """The part of a pattern that is no pattern."""
    return Path(*takewhile(lambda part: not any(sign in part for sign in "*?["), path.parts))


def _globbed(path: Path) -> list[Path]:
    """What a pattern matches, in natural order; nothing if it is no pattern, or a broken one."""
    fixed = _fixed(path)
    pattern = "/".join(path.parts[len(fixed.parts) :])
    try:
        found = list(fixed.glob(pattern)) if pattern else []
    except (ValueError, NotImplementedError):
        return []
    return sorted(found, key=lambda entry: natural_key(str(entry)))


def _root(path: Path) -> Path:
    """The folder that a word is about: itself, that of a file, or what stands before a `*`."""
    try:
        if path.is_dir():
            return path
        return path.parent if path.exists() or _fixed(path) == path else _fixed(path)
    except OSError:
        return path.parent


def _common(roots: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([spelled(root) for root in roots]))
    except ValueError:  # drives of Windows have nothing in common
        return spelled(roots[0])


def _nothing_there(text: str, entries: Sequence[Path], left_out: Sequence[Path]) -> Problem:
    if not entries:
        return Problem(text, "no such file or folder", "check the path given to --input")
    if left_out:
        names = ", ".join(path.name for path in left_out[:3]) + ", ..." * (len(left_out) > 3)
        what = f"holds nothing but labels, earlier masks and other files ({names})"
        return Problem(text, what, "name the folder of the scans, or the files themselves")
    return Problem(
        text,
        "holds no image files",
        f"name a folder or pattern with files of {', '.join(IMAGE_SUFFIXES)}",
    )
