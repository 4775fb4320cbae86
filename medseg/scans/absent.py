"""Names whose content is elsewhere: links and pointers of git-annex, Git LFS and DVC."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_LARGEST_POINTER = 1024
_POINTERS = {
    b"/annex/objects/": "git annex get",
    b"version https://git-lfs": "git lfs pull",
}
_FETCH = "get the data (git annex get, dvc pull, datalad get)"


class Absent(NamedTuple):
    """Why nothing can be read under a name, and what to do."""

    what: str
    remedy: str


def absent_content(path: Path) -> Absent | None:
    """What to say of a name that stands for data which is not on this machine; None if it is.

    Args:
        path: A file, a link, or a name that leads nowhere.
    """
    if path.is_symlink() and not path.exists():
        return Absent("a link whose target is absent", f"{_FETCH}, or remove the link")
    with suppress(OSError):  # whatever else is wrong with it is said by who reads it
        if path.is_file() and path.stat().st_size <= _LARGEST_POINTER:
            with path.open("rb") as file:
                start = file.read(_LARGEST_POINTER)
            for sign, command in _POINTERS.items():
                if start.startswith(sign):
                    remedy = f"get the data ({command}), or remove it"
                    return Absent("a pointer to data that is absent", remedy)
    return None
