"""Keeps the readers' own chatter off the screen: medseg says what is wrong itself, in one line."""

import os
import threading
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from nibabel import imageglobals

_LOCK = threading.Lock()
_STDERR = 2


class _Shared:
    """How many are reading, and what was put aside for them."""

    readers = 0
    kept = ExitStack()


@contextmanager
def quiet() -> Generator[None, None, None]:
    """No warnings, no log lines and nothing on stderr from nibabel, SimpleITK, torchio and PIL.

    All three are properties of the process, so the first of several threads that read turns them
    off, and the last turns them on again.
    """
    with _LOCK:
        if _Shared.readers == 0:
            _Shared.kept.enter_context(_no_warnings())
            _Shared.kept.enter_context(_no_log())
            _Shared.kept.enter_context(_no_stderr())
        _Shared.readers += 1
    try:
        yield
    finally:
        with _LOCK:
            _Shared.readers -= 1
            if _Shared.readers == 0:
                _Shared.kept.close()


@contextmanager
def _no_warnings() -> Generator[None, None, None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _no_log() -> Generator[None, None, None]:
    """By hand: nibabel's own suppressor takes its handlers away, and the root logger speaks."""
    logger = imageglobals.logger
    kept, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = kept


@contextmanager
def _no_stderr() -> Generator[None, None, None]:
    """ITK's readers (and libjpeg, libtiff below them) write to the file descriptor itself."""
    try:
        kept = os.dup(_STDERR)
    except OSError:  # a process without stderr, such as a Windows service
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(nowhere)
        os.close(kept)
