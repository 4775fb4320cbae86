"""What every layout is given, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from medseg.scans.bundles import Missing, Wish
from medseg.scans.case import Problem
from medseg.scans.dataset_json import DatasetJson
from medseg.scans.layouts.pattern import Pattern
from medseg.scans.listing import File, Tree, shown, top_folder
from medseg.scans.names import bare, is_label_name
from medseg.scans.pairing import Pairs
from medseg.scans.regions import Regions


@dataclass(frozen=True)
class Place:
    """A folder, and what the user and its own description say of it.

    Attributes:
        tree: Its files. Folders that only name a side of a split are taken out of their names.
        pattern: Which files count.
        described: Its dataset.json.
        missing: What it means that a case lacks a file.
        notes: What was left aside before, a line each.
        held: How many files that were.
    """

    tree: Tree
    pattern: Pattern = field(default_factory=Pattern)
    described: DatasetJson | None = None
    missing: Missing = field(default_factory=Missing)
    notes: tuple[str, ...] = ()
    held: int = 0

    def wish(self, images: Sequence[File] = (), labels: Sequence[File] = ()) -> Wish:
        """What pairing should know.

        Args:
            images: Files in formats that are not read, where images are.
            labels: Such where labels are.
        """
        channels = self.described.num_channels if self.described else None
        return Wish(channels, self.missing, (_by_bare(images), _by_bare(labels)))

    def unread(self) -> tuple[list[File], list[File]]:
        """Files of formats that are not read, by their names: images, labels."""
        labels = [file for file in self.tree.others if any(map(is_label_name, _said(file)))]
        known = set(labels)
        return [file for file in self.tree.others if file not in known], labels


class Found(NamedTuple):
    """A reading of a folder.

    Attributes:
        layout: In words.
        pairs: Cases and problems.
        left: Files that have no place in it, as problems.
        left_files: How many these are.
        aside: What is left out on purpose, in words.
        stated: Whether the dataset itself states which files belong together.
        class_values: Class name -> value, where it is not dataset.json that says so.
        regions: Likewise, where classes have several values.
        ignore_label: Likewise, the value of voxels that nobody annotated.
        at_stake: How many cases a reading in doubt might have.
        held: As in `Place`.
    """

    layout: str
    pairs: Pairs
    left: tuple[Problem, ...] = ()
    left_files: int = 0
    aside: tuple[str, ...] = ()
    stated: bool = False
    class_values: dict[str, int] | None = None
    regions: Regions | None = None
    ignore_label: int | None = None
    at_stake: int = 0
    held: int = 0


def aside(files: Sequence[File], why: str) -> tuple[str, ...]:
    """A line on files that are left out on purpose, by their folders."""
    if not files:
        return ()
    folders = list(dict.fromkeys(top_folder(file) or file.path.name for file in files))
    first = f" ({files[0].path.name}, ...)" if len(files) > 1 else f" ({files[0].path.name})"
    return (f"{shown(folders)}: {len(files)} file(s){first} left aside, {why}",)


def _by_bare(files: Sequence[File]) -> dict[str, str]:
    return {bare(file.name): file.path.name for file in files}


def _said(file: File) -> list[str]:
    return file.name.split("/")
