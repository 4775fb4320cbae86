"""Folders that name a side of a split, wherever they stand: read, and taken out of the names."""

from collections.abc import Sequence
from typing import NamedTuple

from medseg.scans.layouts.place import aside
from medseg.scans.listing import File, Tree
from medseg.scans.names import (
    PART_WORDS,
    Part,
    file_stem,
    is_label_folder,
    is_label_name,
    part_folder,
    spoken,
)


class Dealt(NamedTuple):
    """A tree whose files know their side; what was left aside in words, and how many files."""

    tree: Tree
    notes: tuple[str, ...]
    held: int


def by_folders(tree: Tree) -> Dealt | None:
    """`train/images`, `images/val`, `train_images`, `imagesTr`, `TestDataset/masks`.

    Files for testing are left aside, and so are those for validation if none of them is a label.
    None if the folders name no split.
    """
    return _dealt(
        tree, [_by_folder(file) for file in tree.files], [_by_folder(f) for f in tree.others]
    )


def by_names(tree: Tree) -> Dealt | None:
    """`train_1.png`, `test_1.png` in one folder, if every name begins so."""
    files = [_by_stem(file) for file in tree.files]
    return _dealt(tree, files, list(tree.others)) if all(f.part for f in files) else None


def _dealt(tree: Tree, files: Sequence[File], others: Sequence[File]) -> Dealt | None:
    sides = {file.part for file in files}
    if len(sides) < 2 or not (sides & {"training"} or sides == {None, "testing"}):
        return None
    if sides == {None, "testing"} and not _is_plain_test(tree, files):
        return None
    held = [f for f, after in zip(tree.files, files, strict=True) if after.part == "testing"]
    notes = aside(held, "kept for testing by the dataset")
    kept = [file for file in files if file.part != "testing"]
    if not any(file.part == "validation" and _is_label(file) for file in kept):
        bare = [f for f, after in zip(tree.files, files, strict=True) if after.part == "validation"]
        notes += aside(bare, "for validation by their names, but without labels")
        kept = [file for file in kept if file.part != "validation"]
    if len({file.part for file in kept}) == 1:
        kept = [file._replace(part=None) for file in kept]
    held_back = len(files) - len(kept)
    return Dealt(Tree(tree.root, tuple(kept), tuple(others)), notes, held_back)


def _is_plain_test(tree: Tree, files: Sequence[File]) -> bool:
    """Whether `test` beside other folders is a side, and not the name of a case."""
    return all(
        after.name.count("/") < before.name.count("/") or is_label_folder(after.name.split("/")[0])
        for before, after in zip(tree.files, files, strict=True)
        if after.part == "testing"
    ) and any(file.name.split("/")[0].casefold() in _TESTS for file in tree.files)


_TESTS = frozenset(["test", "testing", "imagests", "test_images", "test_set"])


def _by_folder(file: File) -> File:
    part: Part | None = None
    kept: list[str] = []
    *folders, stem = file.name.split("/")
    for folder in folders:
        found = part_folder(folder) if part is None else None
        if found is None:
            kept.append(folder)
        else:
            part = found.part
            kept += [found.rest] if found.rest else []
    return file._replace(name="/".join((*kept, stem)), part=part)


def _by_stem(file: File) -> File:
    first = next(iter(spoken(file_stem(file.path))), "")
    return file._replace(part=PART_WORDS.get(first) if len(first) > 2 else None)


def _is_label(file: File) -> bool:
    *folders, stem = file.name.split("/")
    return is_label_name(stem) or any(map(is_label_folder, folders))
