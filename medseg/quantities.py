"""Durations and sizes as people write them: one parser and one serializer each."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

_SECONDS = {"h": 3600, "m": 60, "s": 1}
_SPELLINGS = ("TB", "TiB", "GB", "GiB", "MB", "MiB", "KB", "KiB", "B")
_BYTES = {
    unit.upper(): (1024 if "i" in unit else 1000) ** "BKMGT".index(unit[0]) for unit in _SPELLINGS
}
_DURATION = re.compile(r"(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m)?(?:(?P<s>[\d.]+)s)?")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]?I?B)")


def parse_duration(text: object) -> timedelta:
    """Read '90s', '15m', '2h' or '1h30m'; a timedelta passes through.

    Raises:
        ValueError: If it is none of these, or not above zero.
    """
    if isinstance(text, timedelta):
        duration = text
    else:
        match = _DURATION.fullmatch(str(text).strip().lower())
        try:
            parts = match.groupdict() if match else {}
            seconds = sum(_SECONDS[unit] * float(n) for unit, n in parts.items() if n is not None)
            duration = timedelta(seconds=seconds)
        except (ValueError, OverflowError):
            duration = timedelta(0)
    if duration <= timedelta(0):
        raise ValueError("must be a duration above zero with its unit, such as 90s, 15m or 1h30m")
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as the same duration."""
    minutes, rest = divmod(duration, timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest.total_seconds():.6f}".rstrip("0").rstrip(".")
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "")
    return "".join(parts) + (f"{seconds}s" if rest else "")


def parse_size(text: object) -> int:
    """Read '4GB' (10^9 bytes), '4GiB' (2^30) and the like; a number is in bytes.

    Raises:
        ValueError: If it is none of these, or below one byte.
    """
    size = 0
    if isinstance(text, int):
        size = int(text)
    elif match := _SIZE.fullmatch(str(text).strip().upper()):
        size = round(float(match["number"]) * _BYTES[match["unit"]])
    if size < 1:
        raise ValueError("must be a size above zero with its unit, such as 500MB, 4GB or 4GiB")
    return size


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads as the same number of bytes."""
    factors = ((_BYTES[unit.upper()], unit) for unit in _SPELLINGS)
    number, unit = min((size // factor, unit) for factor, unit in factors if size % factor == 0)
    return f"{number}{unit}"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
"""A duration in settings: a timedelta in Python, text such as 1h30m everywhere else."""
Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    Field(ge=1),
]
"""A number of bytes in settings: an int in Python, text such as 4GB everywhere else."""
