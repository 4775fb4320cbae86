"""What a folder holds: its layout found by looking, its cases in order, what is wrong by name."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from medseg.errors import MedsegError
from medseg.files import machine_error
from medseg.scans.bundles import Missing
from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.dataset_json import DatasetJson, read_dataset_json
from medseg.scans.layouts.bids import between
from medseg.scans.layouts.by_pattern import by_pattern
from medseg.scans.layouts.listed import missing_entries
from medseg.scans.layouts.one_tree import one_folder
from medseg.scans.layouts.pattern import Pattern
from medseg.scans.layouts.place import Found, Place
from medseg.scans.layouts.table import read
from medseg.scans.listing import OWN_NAMES, File, Tree, check_folder, look, top_folder, unused
from medseg.scans.named_labels import name_segments
from medseg.scans.names import is_image_folder, is_label_folder, is_label_name, natural_key
from medseg.scans.pairing import pair
from medseg.scans.regions import Regions

__all__ = ["ChannelRule", "Dataset", "discover", "discover_scans", "group_inputs"]

MissingMasks = Literal["refuse", "empty"]
MissingChannels = Literal["refuse", "absent"]
_LAYOUTS = "docs/data.md shows the layouts"


@dataclass(frozen=True)
class Dataset:
    """Labelled cases, and everything that is not one.

    Attributes:
        cases: Usable for training, in natural order; names are unique and safe as file names.
        problems: Files that were left out, each with its reason.
        layout: How the folder was read, in words.
        class_values: Class name -> value, from dataset.json (background included); or class name
            -> place in `Case.labels`, from 1, when masks are files of their own; None when nothing
            names the classes.
        channel_rule: How the files of one case's channels are told apart.
        notes: What a user should know of this reading, a line each.
        masks_per_class: Whether each label file is the mask of one class, in which any value but
            0 is inside: one with several values is a label map after all.
        regions: Classes of several values, from dataset.json; then `class_values` is None.
        ignore_label: The value of voxels that nobody annotated, from dataset.json.
    """

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    layout: str
    class_values: dict[str, int] | None
    channel_rule: ChannelRule
    notes: tuple[str, ...] = ()
    masks_per_class: bool = False
    regions: Regions | None = None
    ignore_label: int | None = None


def discover(
    data: Path,
    images: Path | None = None,
    labels: Path | None = None,
    pattern: str | None = None,
    missing_masks: MissingMasks = "refuse",
    missing_channels: MissingChannels = "refuse",
) -> Dataset:
    """Look at a folder of scans and labels; see docs/data.md for the layouts that are understood.

    Args:
        data: The dataset's folder; not looked at when `images` and `labels` are given.
        images: Folder of the images.
        labels: Folder of the labels.
        pattern: Glob for the files, such as "*/*.nii.gz", or one for images and one for labels:
            "*T1w*|*mask*".
        missing_masks: Whether a mask file that a case lacks means that the class is absent.
        missing_channels: Whether a case that lacks files of channels is used without them.

    Raises:
        MedsegError: If a folder is missing, holds nothing, no image in it has a label, or what
            fits its names makes no sense.
        MachineError: If the machine fails while looking.
    """
    missing = Missing(missing_masks, missing_channels)
    try:
        if (images is None) != (labels is None):
            what = "one folder without the other"
            raise MedsegError(
                f"images={images}, labels={labels}", what, "give both folders, or use data"
            )
        if images is not None and labels is not None:
            dataset = _two_folders(images, labels, Pattern(pattern), missing)
        else:
            dataset = _one_folder(data, Pattern(pattern), missing)
        named = name_segments(dataset.cases)
        if named.values is None:
            return dataset
        notes = (*dataset.notes, *named.notes)
        return replace(dataset, cases=named.cases, class_values=named.values, notes=notes)
    except OSError as error:
        raise _unseen(error) from error


def discover_scans(data: Path, images: Path | None = None, pattern: str | None = None) -> Dataset:
    """Every scan of a folder, labelled or not; files and folders named like labels are left alone.

    Where a folder is named like images, such as imagesTr or imagesTs, what stands beside is not
    read: it may be anything that belongs to a dataset.

    Args:
        data: A dataset as `discover` understands, or a folder of scans.
        images: Folder of the scans; goes before `data`.
        pattern: Glob for the files inside `images`.

    Raises:
        MedsegError: If the folder is missing or holds no scan.
        MachineError: If the machine fails while looking.
    """
    root = images or data
    rule = ChannelRule()
    try:
        check_folder(root)
        tree = look(root)
    except OSError as error:
        raise _unseen(error) from error
    if images is None:
        with suppress(MedsegError):  # no labels: then each file is a scan with all its channels
            rule = discover(data).channel_rule
    files = Pattern(pattern).choose(tree.files, [], root).images
    scans = [
        file
        for file in files
        if not is_label_name(file.name.rpartition("/")[2])
        and not any(map(is_label_folder, file.name.split("/")[:-1]))
    ]
    named = [file for file in scans if is_image_folder(top_folder(file))]
    taken = scans if images else named or scans
    cases, problems = _grouped(taken, rule)
    if not cases:
        raise MedsegError(str(root), f"no scan found ({tree.in_words()})", _LAYOUTS)
    known = {file.path for file in taken}
    beside = unused([file for file in scans if file.path not in known], "folders of images")
    return Dataset(_in_order(cases), (*problems, *beside), "scans, labels left alone", None, rule)


def _grouped(files: Sequence[File], rule: ChannelRule) -> tuple[Sequence[Case], Sequence[Problem]]:
    if not files:
        return (), ()
    found = group_inputs([str(file.path) for file in files], rule, max(len(rule.keys), 1))
    return found[0], found[1]


def _one_folder(data: Path, pattern: Pattern, missing: Missing) -> Dataset:
    check_folder(data)
    description = data / "dataset.json"
    described = read_dataset_json(description) if description.is_file() else None
    place = Place(look(data), pattern, described, missing)
    return _dataset(read(place), str(data), place.tree, described)


def _two_folders(images: Path, labels: Path, pattern: Pattern, missing: Missing) -> Dataset:
    check_folder(images)
    check_folder(labels)
    where = f"{images} and {labels}"
    if images.samefile(labels):
        return _same_folder(images, pattern, missing)
    image_tree, label_tree = look(images), look(labels)
    # One may lie within the other, as derivatives do in BIDS.
    image_tree = _without(image_tree, labels)
    label_tree = _without(label_tree, images)
    chosen = pattern.choose(image_tree.files, (), images)
    named = pattern.choose((), label_tree.files, labels)
    place = Place(replace(image_tree, files=()), Pattern(), None, missing)
    layout = f"two folders: {images.name} and {labels.name}"
    layout += f", {pattern.text}" if pattern else ""
    found = None
    if all(f.path.name.startswith("sub-") for f in (*chosen.images, *named.labels)):
        found = between(place, chosen.images, named.labels)
    if found is None or found.pairs.doubts or not found.pairs.cases:
        wish = place.wish(image_tree.others, label_tree.others)
        found = Found(layout, pair(chosen.images, named.labels, wish))
    if found.pairs.doubts:
        raise MedsegError(where, *found.pairs.doubts[0])
    found = found._replace(layout=layout, aside=(*named.notes, *found.aside))
    both = Tree(
        images, (*image_tree.files, *label_tree.files), (*image_tree.others, *label_tree.others)
    )
    return _dataset(found, where, both, None)


def _same_folder(folder: Path, pattern: Pattern, missing: Missing) -> Dataset:
    """Images and labels in one folder, told apart by the words in their names."""
    place = Place(look(folder), pattern, None, missing)
    found = by_pattern(place) if pattern.tells else one_folder(place)
    if found is None or not found.pairs.cases or found.pairs.doubts:
        raise MedsegError(
            str(folder),
            "is given as the folder of images and of labels, and names do not tell which is which",
            "name labels after their images with _mask or _seg added, give two folders, or tell "
            "them apart with --pattern '*IMAGE*|*LABEL*'",
        )
    return _dataset(found, str(folder), place.tree, None)


def _without(tree: Tree, inner: Path) -> Tree:
    """Without the files of a folder that lies within."""
    if not inner.resolve().is_relative_to(tree.root.resolve()):
        return tree
    start = inner.resolve()
    return replace(
        tree,
        files=tuple(f for f in tree.files if not f.path.resolve().is_relative_to(start)),
        others=tuple(f for f in tree.others if not f.path.resolve().is_relative_to(start)),
    )


def _dataset(found: Found | None, where: str, tree: Tree, described: DatasetJson | None) -> Dataset:
    """What a layout found, in order and checked.

    Raises:
        MedsegError: If that is nothing.
    """
    if found is None:
        if not tree.files and tree.others:
            what = f"none of its files is of a format that is read ({tree.in_words()})"
            raise MedsegError(where, what, f"convert them to .nii.gz or .png, or {OWN_NAMES}")
        lacking = "labels seen beside images" if tree.files else "image files in it"
        what = f"no {lacking} ({tree.in_words()})"
        raise MedsegError(where, what, f"{OWN_NAMES}; {_LAYOUTS}")
    own, kept = _own_labels(found.pairs.cases)
    problems = (*found.pairs.problems, *found.left, *own)
    if not kept:
        raise _nothing(found, where, tree, problems)
    class_values, notes = found.class_values, (*found.pairs.notes, *found.aside)
    regions, ignore_label = found.regions, found.ignore_label
    if described is not None and not found.stated:
        class_values = described.class_values
        regions, ignore_label = described.regions, described.ignore_label
        notes = (*notes, *described.notes(len(kept)))
        problems = (
            *problems,
            *missing_entries(tree.root, described, [case.name for case in kept]),
        )
    if found.pairs.classes:
        class_values = {name: place + 1 for place, name in enumerate(found.pairs.classes)}
        regions = None
    sides = {case.part for case in kept}
    if len(sides) < 2:
        kept = [replace(case, part=None) for case in kept]
    return Dataset(
        _in_order(kept),
        problems,
        found.layout,
        class_values,
        found.pairs.rule,
        tuple(dict.fromkeys(notes)),
        bool(found.pairs.classes),
        regions,
        ignore_label,
    )


def _nothing(found: Found, where: str, tree: Tree, problems: Sequence[Problem]) -> MedsegError:
    seen = f"seen there: {tree.in_words()}"
    if not problems:
        return MedsegError(where, f"no image with a label found; {seen}", OWN_NAMES)
    first = problems[0]
    what = f"no image with a label found ({found.layout}): {len(problems)} problem(s), the first: "
    return MedsegError(
        where, f"{what}{first.name}: {first.what}; {seen}", f"{first.remedy}; or {OWN_NAMES}"
    )


def _own_labels(cases: Sequence[Case]) -> tuple[list[Problem], list[Case]]:
    """Cases one of whose labels is its own image, or that are another's; and the rest."""
    problems: list[Problem] = []
    kept: list[Case] = []
    seen: dict[tuple[tuple[int, int] | str, ...], str] = {}
    for case in cases:
        images = tuple(_identity(path) for path in case.images)
        same = [path for path in case.labels if path and _identity(path) in images]
        other = seen.setdefault(images, case.name)
        if same:
            what = f"{same[0].name} is its image and its label at once: one file"
            problems.append(Problem(case.name, what, "give each a file of its own"))
        elif other != case.name:
            what = f"{case.images[0].name} is the image of {other} as well: one file, two names"
            problems.append(Problem(case.name, what, "remove one of the two"))
        else:
            kept.append(case)
    return problems, kept


def _identity(path: Path) -> tuple[int, int] | str:
    try:
        status = path.stat()
    except OSError:
        return str(path)  # a link that leads nowhere is told of when it is read
    return (status.st_dev, status.st_ino) if status.st_ino else str(path.resolve())


def _in_order(cases: Sequence[Case]) -> tuple[Case, ...]:
    return tuple(sorted(cases, key=lambda case: natural_key(case.name)))


def _unseen(error: OSError) -> MedsegError:
    name = str(error.filename)
    what = f"cannot be looked at ({error.strerror})"
    return machine_error(error, name) or MedsegError(name, what, "check its permissions")
