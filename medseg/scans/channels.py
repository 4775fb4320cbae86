"""How the channels of one case are told apart, and the files a user names grouped by that rule."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from medseg.scans.case import Case, Channel, Problem
from medseg.scans.formats import named_path
from medseg.scans.inputs import Found, Listing, find_files, list_images, spelled
from medseg.scans.names import case_folder, composed, is_label_name, role, safe_names

__all__ = ["ChannelRule", "Inputs", "group_inputs", "list_images"]

_LISTED = 30


class ChannelRule(BaseModel):
    """How a training case's image files were told apart; saved with the run, for prediction.

    Attributes:
        kind: `single`: each file is a case, with all its channels. `suffix`: the path without its
            format ends with a key, what comes before is the case. `folder`: a folder is a case, as
            `names.case_folder` has it, and a key is what a file is within it, `names.role`.
            `outer`: a key is a folder, and a case is the files of one name in all of them.
        keys: In channel order, in lower case, such as ("_0000", "_0001") or ("t1", "flair").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["single", "suffix", "folder", "outer"] = "single"
    keys: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that files are told apart by."""
        return tuple(Channel(place, key) for place, key in enumerate(self.keys))

    def names(self, channels: int) -> tuple[str, ...]:
        """What to call channels in messages: `flair`, or `channel 1` where files tell no name."""
        if len(self.keys) == channels > 1:
            return tuple(channel.name for channel in self.channels)
        return tuple(f"channel {place}" for place in range(channels))

    def split(self, path: Path) -> tuple[Path, str] | None:
        """The case, named by the path's last part, and the key of one of its files.

        None for a file that has no key, or lies in a folder of labels.
        """
        named = named_path(path.absolute())  # a DICOM series goes by its folder
        folder, stem = named.parent, named.name
        if self.kind == "folder":
            case = case_folder(folder)
            key = role(stem, case.name)
            in_labels = any(map(is_label_name, folder.relative_to(case).parts))
            return (case, key) if key in self.keys and not in_labels else None
        if self.kind == "outer":
            key = composed(folder.name).casefold()
            case = folder.parent / without_channel(stem, key)
            return (case, key) if key in self.keys else None
        text = (folder / stem).as_posix()
        ends = [key for key in self.keys if text.casefold().endswith(key)]
        key = max(ends, key=len, default="")
        case_text = text[: len(text) - len(key)]
        return (Path(case_text), key) if ends and not case_text.endswith("/") else None


def without_channel(stem: str, key: str) -> str:
    """`p1` for `p1_t1` in the folder `t1`."""
    start = stem[: len(stem) - len(key)]
    told = stem.casefold().endswith(key) and start[-1:] in ("_", "-", ".", " ")
    return start[:-1] if told and start[:-1] else stem


class Inputs(NamedTuple):
    """Cases made of what a user named.

    Attributes:
        cases: In the order given.
        problems: What could not be used.
        notes: What was left out of folders, a line each.
        places: Where each case is below what was named, without a format: `patient1/scan`.
    """

    cases: list[Case]
    problems: list[Problem]
    notes: list[str]
    places: list[PurePath]


class _Images(NamedTuple):
    """The files of a case in channel order, and the channels that have none."""

    group: "_Group"
    files: tuple[Path, ...]
    absent: tuple[Channel, ...] = ()


class _Group(NamedTuple):
    """Files of one case, by channel; `path` names the case, or is the file that is one."""

    path: Path
    name: str
    files: dict[str, list[Path]]


def group_inputs(
    paths: Sequence[str],
    rule: ChannelRule,
    channels: int,
    series: str | None = None,
    *,
    lacking: bool = False,
) -> Inputs:
    """Make cases of the files, folders and globs a user named.

    A folder stands for the images in it and in its sub-folders; labels and earlier masks among
    them are left out. A model of one file per case takes a file of any name; one of several takes
    files whose names hold the keys.

    Args:
        paths: As typed; `~` and `*` are understood.
        rule: That of the training data.
        channels: What the model expects, for the messages.
        series: Of DICOM series, those that are called so; all, and other files, if None.
        lacking: Whether a case may lack channels, as long as it has one.

    Raises:
        SettingsError: If no series is called so.
        MachineError: If the machine fails while looking.
    """
    several = len(rule.keys) > 1
    found = find_files(paths, lambda path: several and _claims(rule, path))
    problems, groups = found.problems, dict[Path, _Group]()
    files = _meant(found, series)
    splits = [rule.split(path) for path, _ in files]
    case_folders = {split[0] for split in splits if split and rule.kind == "folder"}
    beside: list[str] = []
    for (path, named), split in zip(files, splits, strict=True):
        if split is not None:
            case, key = split
            group = groups.setdefault(case if several else path, _Group(case, case.name, {}))
            group.files.setdefault(key, []).append(path)
        elif not named and not case_folders.isdisjoint(path.absolute().parents):
            beside.append(path.name)
        elif not several:
            groups[path] = _Group(path, named_path(path).name, {"": [path]})
        else:
            problems.append(_unknown_channel(path, rule, channels))
    if beside:
        shown = ", ".join(beside[:3]) + ", ..." * (len(beside) > 3)
        found.notes.append(
            f"left out {len(beside)} file(s) that are no channel of the model: {shown}; "
            "to have one predicted, name the file itself"
        )
    complete = list(_complete(groups.values(), rule, problems, lacking=lacking))
    places = [_place(images, several, found.root) for images in complete]
    cases = [
        Case(name, images.files, absent=images.absent)
        for name, images in zip(_names(complete, places), complete, strict=True)
    ]
    return Inputs(cases, problems, found.notes, places)


def _meant(found: Listing, series: str | None) -> list[Found]:
    """The files of the series that is meant; all of them, and a note of what they are, if None."""
    from medseg.scans.dicom.folder import chosen, images_of

    if series is None:
        images = images_of(path for path, _ in found.files)
        if len({one.first.parent for one in images}) < len(images):
            listed = "; ".join(f"{one.shown}: {one.line}" for one in images[:_LISTED])
            more = f"; and {len(images) - _LISTED} more" if len(images) > _LISTED else ""
            found.notes.append(f"DICOM series, an input each (--series picks): {listed}{more}")
        return found.files
    firsts = set(chosen((path for path, _ in found.files), series))
    meant = [file for file in found.files if file.path in firsts]
    if len(meant) < len(found.files):
        left = len(found.files) - len(meant)
        found.notes.append(f"left out {left} scan(s) that are not of series {series}")
    return meant


def _claims(rule: ChannelRule, path: Path) -> bool:
    """Whether a file is a channel by the rule although its name holds a label's word."""
    split = rule.split(path)
    return split is not None and is_label_name(split[1])


def _complete(
    groups: Iterable[_Group], rule: ChannelRule, problems: list[Problem], *, lacking: bool
) -> Iterator[_Images]:
    """Groups with one file per channel, in channel order; or with fewer, if cases may lack some."""
    for group in groups:
        absent = tuple(channel for channel in rule.channels if channel.key not in group.files)
        twice = [path.name for same in group.files.values() if len(same) > 1 for path in same]
        if len(rule.keys) > 1 and absent and not lacking:
            what = f"no file for channel {', '.join(channel.key for channel in absent)}"
            remedy = (
                "add it beside the others, or name it too; a model that was trained with "
                "--missing-channels absent does without"
            )
            problems.append(Problem(group.name, what, remedy))
        elif twice:
            what = f"several files for one channel: {', '.join(twice)}"
            problems.append(Problem(group.name, what, "name one of them"))
        elif len(rule.keys) > 1:
            files = tuple(group.files[key][0] for key in rule.keys if key in group.files)
            yield _Images(group, files, absent)
        else:
            yield _Images(group, tuple(path for same in group.files.values() for path in same))


def _place(images: _Images, several: bool, root: Path) -> PurePath:
    """A file keeps its own name; where cases have several, the case has one."""
    path = images.group.path if several else named_path(images.files[0])
    absolute = spelled(path)
    below = absolute.relative_to(root) if absolute.is_relative_to(root) else PurePath(path.name)
    return below if below.name else PurePath(absolute.name)


def _names(complete: Sequence[_Images], places: Sequence[PurePath]) -> list[str]:
    """A case's own name; where several share it, its place; at one place, with its format."""
    own = [images.group.name for images in complete]
    shared = Counter(name.casefold() for name in own)
    at_place = Counter(str(place).casefold() for place in places)
    names: list[str] = []
    for name, place, images in zip(own, places, complete, strict=True):
        if shared[name.casefold()] == 1:
            names.append(name)
        elif at_place[str(place).casefold()] == 1:
            names.append(place.as_posix())
        else:
            names.append((place.parent / images.files[0].name.replace(".", "_")).as_posix())
    return safe_names(names)


def _unknown_channel(path: Path, rule: ChannelRule, channels: int) -> Problem:
    keys = ", ".join(rule.keys)
    where = {"suffix": "end with", "outer": "lie in folders"}.get(rule.kind, "are")
    what = f"its name does not say which of the {channels} channels it is"
    return Problem(str(path), what, f"rename it: the model's files {where} {keys}")
