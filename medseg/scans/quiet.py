"""Keeps the readers' own chatter off the screen: medseg says what is wrong itself, in one line."""

import atexit
import logging
import os
import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TextIO

_LOCK = threading.Lock()
_STDERR = 2
_SILENT = 1000
_LOGGERS = (
    *("nibabel.global", "tifffile", "PIL", "SimpleITK"),
    *("pydicom", "pylibjpeg", "libjpeg", "openjpeg", "jpeg_ls"),
)


class _Inside:
    """Who is within `quiet`, in all threads; what the last of them puts back."""

    count = 0
    kept: ExitStack | None = None
    screen: TextIO | None = None


@contextmanager
def quiet() -> Generator[None, None, None]:
    """No warnings, no log lines and nothing on stderr from the libraries that read files.

    All three are properties of the process, so the first of several threads that read turns them
    off, and the last turns them on again. What medseg writes to `sys.stderr` meanwhile is shown.
    """
    with _LOCK:
        if _Inside.count == 0:
            with ExitStack() as stack:
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                stack.enter_context(_no_log())
                stack.enter_context(_no_stderr())
                stack.enter_context(_no_limit())
                _Inside.kept = stack.pop_all()
        _Inside.count += 1
    try:
        yield
    finally:
        with _LOCK:
            _Inside.count -= 1
            if _Inside.count == 0 and _Inside.kept is not None:
                _Inside.kept.close()
                _Inside.kept = None


@contextmanager
def _no_log() -> Generator[None, None, None]:
    """By level, which loggers below these take over; handlers would leave it to the root logger."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    kept = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(_SILENT)
    try:
        yield
    finally:
        for logger, level in zip(loggers, kept, strict=True):
            logger.setLevel(level)


@contextmanager
def _no_limit() -> Generator[None, None, None]:
    """PIL's limit to a picture's size: what a header announces is checked where it is read."""
    from PIL import Image

    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = kept


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
    if _Inside.screen is None:
        file = os.fdopen(os.dup(_STDERR), "w", 1, encoding="utf-8", errors="backslashreplace")
        _Inside.screen = file
        atexit.register(file.close)
    os.dup2(_STDERR, _Inside.screen.fileno(), inheritable=False)
    return _Inside.screen


def _is_stderr() -> bool:
    try:
        sys.stderr.flush()
        return sys.stderr.fileno() == _STDERR
    except (AttributeError, OSError, ValueError):  # closed, replaced by a test, or none at all
        return False
