"""What kind of images these are, and how their intensities become numbers around zero."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from medseg.measure.facts import PERCENTILES, CaseFacts
from medseg.plan.plan import Normalisation

Modality = Literal["ct", "rgb", "other"]

AIR_HU = -500
"""Only CT reaches down to here: air has -1000 Hounsfield units."""


def choose_modality(cases: Sequence[CaseFacts]) -> tuple[Modality, str]:
    """CT and RGB by their range; all else is one kind, for which units mean nothing."""
    there = [case.present.values() for case in cases]
    minimum = np.median([min(channel.minimum for channel in seen) for seen in there])
    maximum = np.median([max(channel.maximum for channel in seen) for seen in there])
    whole = np.mean([channel.whole_numbers for seen in there for channel in seen]) > 0.5
    channels = len(cases[0].channels)
    found = f"values from {minimum:g} to {maximum:g} in the median case"
    if cases[0].world and channels == 1 and whole and minimum <= AIR_HU:
        return "ct", f"one channel of whole numbers, {found}: Hounsfield units"
    if not cases[0].world and channels == 3 and minimum >= 0 and 1 < maximum <= 255:
        return "rgb", f"three channels without a world frame, {found}"
    return "other", found


def choose_normalisation(
    cases: Sequence[CaseFacts], modality: Modality
) -> tuple[tuple[Normalisation, ...], str]:
    """One entry per channel: CT has units, so the dataset decides (nnU-Net's rule)."""
    if modality == "ct":
        return (_over_dataset(cases),), (
            f"CT: clip to the foreground's {PERCENTILES[0]:g} and {PERCENTILES[-1]:g} percentiles, "
            "z-score over the dataset"
        )
    shares = [
        float(np.median([c.present[index].background_share for c in cases if index in c.present]))
        for index in range(len(cases[0].channels))
    ]
    shown = ", ".join(f"{share:.0%}" for share in shares)
    return (
        tuple(Normalisation(kind="body" if share > 0.5 else "image") for share in shares),
        f"z-score of each image; over the body alone where over half is background (it is {shown})",
    )


def _over_dataset(cases: Sequence[CaseFacts]) -> Normalisation:
    """Every case counts alike; where nothing is labelled, whole scans stand in."""
    samples = [case.channels[0].foreground for case in cases if case.channels[0].foreground]
    values = np.concatenate(samples or [case.channels[0].percentiles for case in cases])
    low, high = np.percentile(values, [PERCENTILES[0], PERCENTILES[-1]])
    clipped = np.clip(values, low, high)
    return Normalisation(
        kind="dataset",
        low=float(low),
        high=float(high),
        mean=float(clipped.mean()),
        std=float(clipped.std()) or 1.0,
    )
