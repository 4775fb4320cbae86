"""How the channels of one case are told apart, and the files a user names grouped by that rule."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from medseg.scans.case import Case, Problem
from medseg.scans.formats import IMAGE_SUFFIXES
from medseg.scans.names import (
    case_folder,
    file_stem,
    is_image_file,
    is_label_name,
    natural_key,
    role,
    safe_names,
)


class ChannelRule(BaseModel):
    """How a training case's image files were told apart; saved with the run, for prediction.

    Attributes:
        kind: `single`: each file is a case, with all its channels. `suffix`: the path without its
            format ends with a key, what comes before is the case. `folder`: a folder is a case, as
            `names.case_folder` has it, and a key is what a file is within it, `names.role`.
        keys: In channel order, in lower case, such as ("_0000", "_0001") or ("t1", "flair").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["single", "suffix", "folder"] = "single"
    keys: tuple[str, ...] = ()

    def split(self, path: Path) -> tuple[Path, str] | None:
        """The case, named by the path's last part, and the key of one of its files.

        None for a file that has no key, or lies in a folder of labels.
        """
        folder, stem = path.absolute().parent, file_stem(path)
        if self.kind == "folder":
            case = case_folder(folder)
            key = role(stem, case.name)
            in_labels = any(map(is_label_name, folder.relative_to(case).parts))
            return (case, key) if key in self.keys and not in_labels else None
        text = (folder / stem).as_posix()
        ends = [key for key in self.keys if text.casefold().endswith(key)]
        key = max(ends, key=len, default="")
        case_text = text[: len(text) - len(key)]
        return (Path(case_text), key) if ends and not case_text.endswith("/") else None

    @property
    def depth(self) -> int:
        """How many levels below a folder of cases their files may lie."""
        return 2 if self.kind == "folder" else max((key.count("/") for key in self.keys), default=0)


def list_images(folder: Path, depth: int) -> list[Path]:
    """The image files of a folder, and of its sub-folders `depth` levels down, in natural order."""
    found: list[Path] = []
    for entry in sorted(folder.iterdir(), key=lambda path: natural_key(path.name)):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            found += list_images(entry, depth - 1) if depth > 0 else []
        elif is_image_file(entry):
            found.append(entry)
    return found


def group_inputs(
    paths: Sequence[str], rule: ChannelRule, channels: int
) -> tuple[list[Case], list[Problem]]:
    """Make cases of the files, folders and globs a user named.

    A folder stands for the image files directly in it and, when cases are folders, for those in
    its sub-folders, as deep as a case's go. A model of one file per case takes a file of any name;
    one of several takes files whose names hold the keys.

    Args:
        paths: As typed; `~` and `*` are understood.
        rule: That of the training data.
        channels: What the model expects, for the messages.

    Returns:
        Cases in the order given, and what could not be used.
    """
    problems: list[Problem] = []
    groups: dict[tuple[Path, str], dict[str, list[Path]]] = {}
    files = list(_expanded(paths, rule, problems))
    splits = [rule.split(path) for path, _ in files]
    case_folders = {split[0] for split in splits if split and rule.kind == "folder"}
    for (path, named), split in zip(files, splits, strict=True):
        if split is not None:
            case, key = split
            groups.setdefault((case, case.name), {}).setdefault(key, []).append(path)
        elif not named and not case_folders.isdisjoint(path.absolute().parents):
            continue  # a case's folder may hold other files, such as its label
        elif len(rule.keys) <= 1:
            groups[path, file_stem(path)] = {key: [path] for key in rule.keys or ("",)}
        else:
            problems.append(_unknown_channel(path, rule, channels))
    return _cases(groups, rule, problems), problems


def _cases(
    groups: dict[tuple[Path, str], dict[str, list[Path]]],
    rule: ChannelRule,
    problems: list[Problem],
) -> list[Case]:
    complete: list[tuple[str, tuple[Path, ...]]] = []
    for (_, name), files in groups.items():
        missing = [key for key in rule.keys if key not in files]
        twice = [path.name for same in files.values() if len(same) > 1 for path in same]
        if missing:
            what = f"no file for channel {', '.join(missing)}"
            problems.append(Problem(name, what, "add it beside the others, or name it too"))
        elif twice:
            what = f"several files for one channel: {', '.join(twice)}"
            problems.append(Problem(name, what, "name one of them"))
        else:
            complete.append((name, tuple(files[key][0] for key in rule.keys or ("",))))
    names = safe_names(name for name, _ in complete)
    return [Case(safe, images) for safe, (_, images) in zip(names, complete, strict=True)]


def _expanded(
    paths: Sequence[str], rule: ChannelRule, problems: list[Problem]
) -> Iterator[tuple[Path, bool]]:
    """Every image file once, and whether the user named it (rather than its folder)."""
    seen: set[Path] = set()
    for text in paths:
        path = Path(text).expanduser()
        try:
            globbed = not path.exists()
            entries = _globbed(path) if globbed else [path]
            files = [pair for entry in entries for pair in _files(entry, rule)]
        except OSError as error:
            what = f"cannot be looked at ({error.strerror})"
            problems.append(Problem(text, what, "check its name and permissions"))
            continue
        # A glob such as new/* may well hit other files, which nobody asked for by name.
        files = [pair for pair in files if is_image_file(pair[0])] if globbed else files
        if not files:
            problems.append(_nothing_there(text, entries))
        for file, named in files:
            if not is_image_file(file):
                problems.append(_not_an_image(file))
            elif file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, named


def _globbed(path: Path) -> list[Path]:
    """What a pattern matches, in natural order; nothing if it is no pattern, or a broken one."""
    fixed = list(takewhile(lambda part: not any(sign in part for sign in "*?["), path.parts))
    pattern = "/".join(path.parts[len(fixed) :])
    try:
        found = list(Path(*fixed).glob(pattern)) if pattern else []
    except ValueError:
        return []
    return sorted(found, key=lambda entry: natural_key(str(entry)))


def _files(entry: Path, rule: ChannelRule) -> list[tuple[Path, bool]]:
    if not entry.is_dir():
        return [(entry, True)]
    return [(file, False) for file in list_images(entry, rule.depth)]


def _nothing_there(text: str, entries: list[Path]) -> Problem:
    if not entries:
        return Problem(text, "no such file or folder", "check the path given to --input")
    return Problem(
        text,
        "holds no image files",
        f"name a folder or pattern with files of {', '.join(IMAGE_SUFFIXES)}",
    )


def _not_an_image(path: Path) -> Problem:
    remedy = f"convert it to one of {', '.join(IMAGE_SUFFIXES)}"
    return Problem(str(path), "not a known image format", remedy)


def _unknown_channel(path: Path, rule: ChannelRule, channels: int) -> Problem:
    keys = ", ".join(rule.keys)
    where = "end with" if rule.kind == "suffix" else "are"
    what = f"its name does not say which of the {channels} channels it is"
    return Problem(str(path), what, f"rename it: the model's files {where} {keys}")
