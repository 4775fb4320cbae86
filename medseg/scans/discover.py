"""What a folder holds: its layout found by looking, its cases in order, what is wrong by name."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from medseg.errors import MedsegError
from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule, group_inputs, list_images
from medseg.scans.dataset_json import DatasetJson, read_dataset_json
from medseg.scans.names import IMAGE_WORDS, LABEL_WORDS, is_image_file, is_label_name, natural_key
from medseg.scans.pairing import File, Pairs, named_below, pair

__all__ = ["ChannelRule", "Dataset", "discover", "discover_scans", "group_inputs"]

_IMAGE_FOLDERS = IMAGE_WORDS | {"imagestr"}
_LABEL_FOLDERS = LABEL_WORDS | {"labelstr", "1st_manual"}
_SCAN_FOLDERS = _IMAGE_FOLDERS | {"imagests"}
_DEPTH = 3
_OWN_NAMES = "name the two folders with --images and --labels (and --pattern for the files in them)"


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
    """

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    layout: str
    class_values: dict[str, int] | None
    channel_rule: ChannelRule
    notes: tuple[str, ...] = ()


def discover(
    data: Path,
    images: Path | None = None,
    labels: Path | None = None,
    pattern: str | None = None,
) -> Dataset:
    """Look at a folder of scans and labels; see docs/data.md for the layouts that are understood.

    Args:
        data: The dataset's folder; not looked at when `images` and `labels` are given.
        images: Folder of the images.
        labels: Folder of the labels.
        pattern: Glob for the files inside both folders, such as "*/*.nii.gz".

    Raises:
        MedsegError: If a folder is missing, holds nothing, or no image in it has a label.
    """
    try:
        dataset = _look(data, images, labels, pattern)
    except OSError as error:
        raise MedsegError(
            f"{error.filename}: cannot be looked at ({error.strerror}); check its permissions"
        ) from None
    if not dataset.cases:
        where = f"{images} and {labels}" if images and labels else str(data)
        first = "no image files in it; docs/data.md shows the layouts"
        if dataset.problems:
            name, what, remedy = dataset.problems[0]
            first = f"{len(dataset.problems)} problem(s), the first: {name}: {what} ({remedy})"
        raise MedsegError(f"{where}: no image with a label found ({dataset.layout}): {first}")
    return replace(dataset, cases=tuple(sorted(dataset.cases, key=lambda c: natural_key(c.name))))


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
    """
    root = images or data
    _check_folder(root)
    rule = ChannelRule()
    if images is None:
        with suppress(MedsegError):  # no labels: then each file is a scan with all its channels
            rule = discover(data).channel_rule
    scans = [
        file
        for file in _files(root, pattern)
        if not any(map(is_label_name, file.name.split("/")))
        and not {part.casefold() for part in file.name.split("/")[:-1]} & _LABEL_FOLDERS
    ]
    named = [file for file in scans if _top_folder(file) in _SCAN_FOLDERS]
    read = scans if images else named or scans
    files = [str(file.path) for file in read]
    cases, problems, *_ = group_inputs(files, rule, max(len(rule.keys), 1)) if files else ([], [])
    if not cases:
        raise MedsegError(f"{root}: no scan found; docs/data.md shows the layouts")
    ordered = tuple(sorted(cases, key=lambda case: natural_key(case.name)))
    layout = "scans, labels left alone"
    known = set(files)
    beside = _unused([file for file in scans if str(file.path) not in known], "folders of images")
    return Dataset(ordered, (*problems, *beside), layout, None, rule)


def _top_folder(file: File) -> str:
    """Where it stands in the dataset; nothing for a file at its top."""
    folder, slash, _ = file.name.partition("/")
    return folder.casefold() if slash else ""


def _look(data: Path, images: Path | None, labels: Path | None, pattern: str | None) -> Dataset:
    if (images is None) != (labels is None):
        raise MedsegError(
            f"images={images}, labels={labels}: give both folders, or neither and use data"
        )
    if images is not None and labels is not None:
        return _two_folders(images, labels, pattern, "two folders", None)
    _check_folder(data)
    described = _described(data)
    if described is not None and any((data / e.image).exists() for e in described.training):
        return _decathlon(data, described)
    folders = _image_and_label_folder(data)
    if folders is not None:
        kind = "nnU-Net" if folders[0].name.casefold() == "imagestr" else "two folders"
        return _two_folders(*folders, pattern, kind, described)
    if pattern is not None:
        raise MedsegError(
            f"{data}: pattern={pattern} needs a folder of images and one of labels; " + _OWN_NAMES
        )
    return _one_tree(data, described)


def _two_folders(
    images: Path, labels: Path, pattern: str | None, kind: str, described: DatasetJson | None
) -> Dataset:
    _check_folder(images)
    _check_folder(labels)
    channels = described.num_channels if described else None
    pairs = pair(_files(images, pattern), _files(labels, pattern), channels=channels)
    layout = f"{kind}: {images.name} and {labels.name}" + (f", {pattern}" if pattern else "")
    return _dataset(pairs, layout, described)


def _one_tree(data: Path, described: DatasetJson | None) -> Dataset:
    """One folder per case, or all files in one folder: whichever makes more cases of the files."""
    files = _files(data, None)
    nested = [file for file in files if "/" in file.name]
    flat = [file for file in files if "/" not in file.name]
    pairs, unused, layout = max(
        (
            (_pair_by_name(nested, case_folders=True), flat, "one folder per case"),
            (_pair_by_name(flat), nested, "one folder, labels told by their names"),
        ),
        key=lambda reading: (len(reading[0].cases), -len(reading[1])),
    )
    dataset = _dataset(pairs, layout, described)
    return replace(dataset, problems=(*dataset.problems, *_unused(unused, layout)))


def _pair_by_name(files: list[File], *, case_folders: bool = False) -> Pairs:
    """Pair files of one tree, whose names say which are labels."""
    images: list[File] = []
    labels: list[File] = []
    for file in files:
        # The first folder is a case's name, which may say anything.
        said = file.name.partition("/")[2] if case_folders else file.name
        (labels if any(map(is_label_name, said.split("/"))) else images).append(file)
    return pair(images, labels, case_folders=case_folders)


def _unused(files: list[File], layout: str) -> Iterator[Problem]:
    """One problem per folder whose files have no place in the layout."""
    remedy = "move them out of the dataset, or arrange all files alike"
    for folder, group in groupby(files, key=lambda file: file.path.parent):
        names = [file.path.name for file in group]
        shown = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
        what = f"{len(names)} image file(s) not used ({shown}), read as {layout}"
        yield Problem(folder.name, what, remedy)


def _decathlon(data: Path, described: DatasetJson) -> Dataset:
    """The cases dataset.json lists; pairs are stated, so names need not agree."""
    problems: list[Problem] = []
    images: list[File] = []
    labels: list[File] = []
    for entry in described.training:
        image, label = data / entry.image, data / entry.label
        for path in (image, label):
            if not (path.is_file() and is_image_file(path)):
                what = "named in dataset.json, but no such image file"
                problems.append(Problem(str(path), what, "add the file, or remove the entry"))
                break
        else:
            name = named_below(image.parent, [image])[0].name
            images.append(File(image, name))
            labels.append(File(label, name))
    dataset = _dataset(pair(images, labels), "Medical Decathlon dataset.json", described)
    return replace(dataset, problems=(*problems, *dataset.problems))


def _dataset(pairs: Pairs, layout: str, described: DatasetJson | None) -> Dataset:
    class_values = described.class_values if described else None
    if pairs.classes:
        class_values = {name: place + 1 for place, name in enumerate(pairs.classes)}
    return Dataset(pairs.cases, pairs.problems, layout, class_values, pairs.rule)


def _described(data: Path) -> DatasetJson | None:
    path = data / "dataset.json"
    return read_dataset_json(path) if path.is_file() else None


def _image_and_label_folder(data: Path) -> tuple[Path, Path] | None:
    folders = [p for p in data.iterdir() if p.is_dir() and not p.name.startswith(".")]
    images = sorted(p for p in folders if p.name.casefold() in _IMAGE_FOLDERS)
    labels = sorted(p for p in folders if p.name.casefold() in _LABEL_FOLDERS)
    if not images or not labels:
        return None
    if len(images) > 1 or len(labels) > 1:
        several = ", ".join(p.name for p in (*images, *labels))
        raise MedsegError(f"{data}: which of {several} are the images and the labels? {_OWN_NAMES}")
    return images[0], labels[0]


def _files(folder: Path, pattern: str | None) -> list[File]:
    if pattern is None:
        return named_below(folder, list_images(folder, _DEPTH))
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise MedsegError(f"pattern={pattern}: must be relative and stay inside the two folders")
    try:
        found = [p for p in folder.glob(pattern) if p.is_file() and is_image_file(p)]
    except ValueError as error:
        raise MedsegError(f"pattern={pattern}: {error}; write one such as '*/*.nii.gz'") from None
    return named_below(folder, sorted(found, key=lambda path: natural_key(str(path))))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise MedsegError(f"{folder}: {what}; give a folder of scans and labels")
    if not any(folder.iterdir()):
        raise MedsegError(f"{folder}: is empty; put scans and labels there (see docs/data.md)")
