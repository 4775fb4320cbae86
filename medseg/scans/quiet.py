"""Keeps the readers' own chatter off the screen: medseg says what is wrong itself, in one line."""

import os
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from nibabel import imageglobals

_LOCK = threading.RLock()
_STDERR = 2


@contextmanager
def quiet() -> Generator[None, None, None]:
    """No warnings, no log lines and nothing on stderr from nibabel, SimpleITK, torchio and PIL.

    One thread at a time: all three are properties of the process.
    """
    with _LOCK, warnings.catch_warnings(), _no_log(), _no_stderr():
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
