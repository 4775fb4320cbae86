"""What was read to be measured, held until it is prepared: a dataset that fits is read once."""

import threading

from medseg.machine import available_memory_bytes
from medseg.scans.case import Subject

_MOST_BYTES = 1 << 30
_MEMORY_SHARE = 1 / 16


class Held:
    """Subjects in memory, by the digest of their case; any thread may put and take.

    A plan needs the facts of every case, so cases are measured before the first is prepared. What
    would take more memory than a small share of this machine's is not held, and read again then.

    Args:
        budget: Bytes that all subjects may take.
    """

    def __init__(self, budget: int | None = None) -> None:
        if budget is None:
            budget = min(_MOST_BYTES, int(_MEMORY_SHARE * available_memory_bytes()))
        self._budget = budget
        self._subjects: dict[str, Subject] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What is held."""
        return self._bytes

    def has_room(self, size: int) -> bool:
        """Whether a subject of so many bytes could be held now."""
        return self._bytes + size <= self._budget

    def put(self, key: str, subject: Subject) -> None:
        """Hold a subject if there is room for it."""
        with self._lock:
            if key not in self._subjects and self.has_room(_bytes(subject)):
                self._subjects[key] = subject
                self._bytes += _bytes(subject)

    def take(self, key: str) -> Subject | None:
        """A subject, which is held no longer."""
        with self._lock:
            subject = self._subjects.pop(key, None)
            self._bytes -= 0 if subject is None else _bytes(subject)
        return subject

    def clear(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._subjects.clear()
            self._bytes = 0


def _bytes(subject: Subject) -> int:
    return subject.image.nbytes + (0 if subject.label is None else subject.label.nbytes)
