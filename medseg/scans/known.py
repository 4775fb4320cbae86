"""The cases of a dataset, found by the names that people give them in tables of their own."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from medseg.scans.formats import suffix_of
from medseg.scans.names import bare, composed, safe_names

_SHOWN = 3
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_CHANNEL = re.compile(r"_0\d{3}$")


class Known:
    """Names with or without a suffix, a folder, affixes such as `_seg`, or leading zeros.

    A name that may mean two cases means none. Where a table writes all names without a part that
    the dataset's have (`000` for `train_000`), or with one more, they are told by their ends.

    Args:
        names: The cases' names.
        others: What was left out: names that a table may hold, although no case bears them.
    """

    def __init__(self, names: Iterable[str], others: Iterable[str] = ()) -> None:
        self.names = tuple(names)
        self._others = frozenset(_plain(name) for name in others)
        forms = (str, _plain, lambda name: bare(_plain(name)), _unpadded)
        self._tables = [_unique((form(name), name) for name in self.names) for form in forms]
        self._ends = _unique((end, name) for name in self.names for end in _ends_of(_plain(name)))

    def find(self, written: str) -> str | None:
        """The case's name; None for one that is not there, or may be two."""
        path = _path(written)
        for text in dict.fromkeys((composed(written), "_".join(path.parts), path.name)):
            plain = _plain(text)
            forms = (text, plain, bare(plain), _unpadded(text))
            for form, table in zip(forms, self._tables, strict=True):
                if form in table:
                    return table[form]
        # One file of several channels, as nnU-Net numbers them.
        return self._tables[1].get(_CHANNEL.sub("", _plain(path.name)))

    def find_all(self, written: Sequence[str]) -> list[str | None]:
        """As `find`, and by their ends where that finds none of them."""
        found = [self.find(text) for text in written]
        return found if any(found) else [self._by_end(text) for text in written]

    def left_out(self, written: str) -> bool:
        """Whether it names something that was left out of the dataset."""
        return bool({_plain(written), _plain(_path(written).name)} & self._others)

    def _by_end(self, written: str) -> str | None:
        end = _plain(_path(written).name)
        found = {self._ends.get(end), *map(self._tables[1].get, _ends_of(end))} - {None}
        return found.pop() if len(found) == 1 else None


def shown(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)


def _path(written: str) -> PurePosixPath:
    return PurePosixPath(written.strip().replace("\\", "/"))


def _plain(name: str) -> str:
    """Without image format, in lower case, as names of cases are made."""
    text = composed(name.strip())
    stem = text[: len(text) - len(suffix_of(Path(text)))] or text
    return safe_names([stem])[0].casefold()


def _ends_of(plain: str) -> list[str]:
    """What follows each separator."""
    return [plain[place + 1 :] for place, letter in enumerate(plain) if letter in "_-"]


def _unpadded(name: str) -> str:
    """Without the leading zeros of its numbers, which spreadsheets drop: `case_1`, `1`."""
    return _ZEROS.sub("", _plain(name))


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Form -> name; None where two names have the same form."""
    table: dict[str, str | None] = {}
    for form, name in pairs:
        table[form] = None if form in table else name
    return table
