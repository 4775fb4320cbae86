"""Facts of made-up cases."""

from typing import Any

from medseg.measure.facts import CaseFacts, ChannelFacts, Fingerprint


def channel(**changes: Any) -> ChannelFacts:
    facts: dict[str, Any] = {
        "minimum": 0.0,
        "maximum": 1900.0,
        "mean": 300.0,
        "percentiles": (0.0, 10.0, 250.0, 900.0, 1500.0),
        "background_share": 0.01,
        "whole_numbers": True,
        "foreground": tuple(float(value) for value in range(100, 1100)),
    }
    return ChannelFacts(**facts | changes)


def case(name: str = "a", size: tuple[int, ...] = (35, 50, 36), **changes: Any) -> CaseFacts:
    voxels = size[0] * size[1] * size[2]
    facts: dict[str, Any] = {
        "name": name,
        "size": size,
        "spacing_mm": (1.0, 1.0, 1.0),
        "codes": "RAS",
        "world": True,
        "box_size": size,
        "channels": (channel(),),
        "label_values": ({0: voxels - 30, 1: 20, 2: 10},),
        "overlap": False,
    }
    return CaseFacts(**facts | changes)


def photo(name: str = "a", size: tuple[int, int, int] = (565, 584, 1), **changes: Any) -> CaseFacts:
    colours = (channel(maximum=255.0),) * 3
    facts: dict[str, Any] = {"world": False, "codes": "", "channels": colours}
    return case(name, size, **facts | changes)


def many(*cases: CaseFacts) -> Fingerprint:
    return Fingerprint(cases=cases)
