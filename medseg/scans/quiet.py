"""Keeps the readers' own chatter off the screen: medseg says what is wrong itself, in one line."""

import os
import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TextIO

from nibabel import imageglobals

_LOCK = threading.Lock()
_STDERR = 2


class _Shared:
    """How many are reading, and what was put aside for them."""

    readers = 0
    kept = ExitStack()
    screen: TextIO | None = None


@contextmanager
def quiet() -> Generator[None, None, None]:
    """No warnings, no log lines and nothing on stderr from nibabel, SimpleITK, torchio and PIL.

    All three are properties of the process, so the first of several threads that read turns them
    off, and the last turns them on again. What medseg writes to `sys.stderr` meanwhile is shown.
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
    """ITK's readers (and libjpeg, libtiff below them) write to the file descriptor itself.

    `sys.stderr` leads past that meanwhile: other threads show how far they are.
    """
    try:
        screen = _screen()
    except OSError:  # a process without stderr, such as a Windows service
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    shown = sys.stderr
    try:
        if _is_stderr():
            sys.stderr = screen
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(screen.fileno(), _STDERR)
        sys.stderr = shown
        os.close(nowhere)


def _screen() -> TextIO:
    """What stderr leads to now, under a descriptor that stays: a thread may write to it late."""
    if _Shared.screen is None:
        file = os.fdopen(os.dup(_STDERR), "w", 1, encoding="utf-8", errors="backslashreplace")
        _Shared.screen = file
    os.dup2(_STDERR, _Shared.screen.fileno(), inheritable=False)
    return _Shared.screen


def _is_stderr() -> bool:
    try:
        sys.stderr.flush()
        return sys.stderr.fileno() == _STDERR
    except (AttributeError, OSError, ValueError):  # closed, replaced by a test, or none at all
        return False
