"""The Brain Imaging Data Structure: files named by entities, labels beside scans or derived."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from medseg.scans.bundles import Bundle, assemble, display
from medseg.scans.layouts.place import Found, Place, aside
from medseg.scans.listing import OWN_NAMES, File, shown
from medseg.scans.names import is_label_name, natural_key
from medseg.scans.pairing import Pairs
from medseg.scans.plausible import Doubt, doubts_of

_CONTRASTS = frozenset(
    [
        "adc",
        "angio",
        "bold",
        "ct",
        "ctp",
        "dwi",
        "fa",
        "flair",
        "inplanet1",
        "inplanet2",
        "lge",
        "m0map",
        "mp2rage",
        "mra",
        "mrangle",
        "pd",
        "pdt2",
        "pdw",
        "pet",
        "rcbf",
        "swi",
        "t1map",
        "t1rho",
        "t1w",
        "t1ce",
        "t2map",
        "t2star",
        "t2starw",
        "t2w",
        "unit1",
        "us",
        "xray",
    ]
)
_LABELS = frozenset(["dseg", "lesion", "mask", "msk", "roi", "seg"])
_KEYS = frozenset(["sub", "ses"])
_SAYS_LABEL = frozenset(["desc", "label", "seg", "atlas", "from", "hemi"])
"""Entities that say something of a label, and nothing of the scan it is of."""


class _Named(NamedTuple):
    """A file's name taken apart.

    Attributes:
        file: The file.
        who: Subject and session, such as `sub-01_ses-02`.
        tokens: What else it says, in lower case: entities and suffix.
        contrast: The suffix of a scan, or what a label says of it; '' if it says nothing.
    """

    file: File
    who: str
    tokens: tuple[str, ...]
    contrast: str


def bids(place: Place) -> Found | None:
    """Scans by subject and session; labels in derivatives, or beside the scans.

    sub-01/anat/sub-01_T1w.nii.gz derivatives/labels/sub-01/anat/sub-01_T1w_label-lesion_seg.nii.gz
    sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz sub-01/ses-1/anat/sub-01_ses-1_dseg.nii.gz
    """
    named = [file for file in place.tree.files if file.path.name.startswith("sub-")]
    if len(named) < 2 or not any("/sub-" in f"/{file.name}" for file in named if "/" in file.name):
        return None
    derived = [file for file in named if "derivatives/" in f"{file.name}/"]
    labels = [file for file in named if _is_label(file)]
    if not labels:
        labels = derived
    known = {*labels, *derived}
    return between(place, [file for file in named if file not in known], labels)


def between(place: Place, images: Sequence[File], labels: Sequence[File]) -> Found | None:
    """Scans and labels of which it is known which they are.

    Args:
        place: The rest.
        images: With names that begin with `sub-`.
        labels: With such names.
    """
    chosen = place.pattern.choose(images, labels, place.tree.root)
    scans = [_taken_apart(file) for file in chosen.images]
    masks = [_taken_apart(file) for file in chosen.labels]
    if not scans or not masks:
        return None
    by_who: dict[str, list[_Named]] = {}
    for scan in scans:
        by_who.setdefault(scan.who, []).append(scan)
    # Who chose another contrast than the labels name means it.
    asked = bool(place.pattern) and len({scan.tokens[-1:] for scan in scans}) == 1
    fitting = [(mask, _scans_of(mask, by_who.get(mask.who, []), asked=asked)) for mask in masks]
    used = {scan.file for _, found in fitting for scan in found}
    image_bundles, label_bundles = _bundled(fitting, scans)
    if not {b.key for b in image_bundles} & {b.key for b in label_bundles}:
        return None
    left_aside = [scan for scan in scans if scan.file not in used and by_who[scan.who] != [scan]]
    several = any(len(bundle.parts) > 1 for bundle in image_bundles)
    made = assemble(
        [b for b in image_bundles if not _is_aside(b, left_aside)],
        label_bundles,
        "suffix" if several else "single",
        place.wish(),
    )
    cases = tuple(replace(case, group=_subject(case.images[0].name)) for case in made.cases)
    doubts = (*doubts_of(made), *_raters_by_folder(fitting))
    notes = (*chosen.notes, *_contrast_notes(left_aside, scans, made.rule.keys))
    files = sum(len(case.images) + len(case.labels) for case in cases) + len(left_aside)
    pairs = Pairs(
        cases,
        made.problems,
        made.rule,
        made.classes,
        max(0, len(scans) + len(masks) - files),
        doubts,
        made.notes,
    )
    outside = [file for file in place.tree.files if not file.path.name.startswith("sub-")]
    notes += aside(outside, "their names begin with no subject")
    return Found("BIDS", pairs, aside=notes, stated=True)


def _is_label(file: File) -> bool:
    tokens = _tokens(file)
    *folders, _ = file.name.split("/")
    told = tokens[-1] in _LABELS or is_label_name("_".join(tokens))
    after = folders[folders.index("derivatives") + 1 :][:1] if "derivatives" in folders else []
    return told or any(is_label_name(folder) for folder in after)


def _tokens(file: File) -> tuple[str, ...]:
    stem = file.name.rpartition("/")[2]
    return tuple(token for token in stem.casefold().split("_") if token)


def _taken_apart(file: File) -> _Named:
    stem = file.name.rpartition("/")[2]
    parts = [part for part in stem.split("_") if part]
    who = "_".join(part for part in parts if part.partition("-")[0].casefold() in _KEYS)
    tokens = tuple(
        part.casefold() for part in parts if part.partition("-")[0].casefold() not in _KEYS
    )
    said = [word for token in tokens for word in (token, *token.split("-")) if word in _CONTRASTS]
    return _Named(file, who, tokens, said[0] if said else "")


def _scans_of(mask: _Named, scans: Sequence[_Named], *, asked: bool) -> list[_Named]:
    """The scans that a label may be of: of its contrast, with entities like its own."""
    of = [s for s in scans if asked or mask.contrast in ("", s.contrast, *s.tokens[-1:])]
    agreeing = [scan for scan in of if not _contradicts(mask, scan)]
    most = max((len(_shared(mask, scan)) for scan in agreeing), default=0)
    return [scan for scan in agreeing if len(_shared(mask, scan)) == most]


def _shared(mask: _Named, scan: _Named) -> set[str]:
    return {token for token in mask.tokens if "-" in token} & set(scan.tokens)


def _contradicts(mask: _Named, scan: _Named) -> bool:
    """Whether both have an entity, with other values: run-1 and run-2."""
    mine = dict(token.split("-", 1) for token in mask.tokens if "-" in token)
    its = dict(token.split("-", 1) for token in scan.tokens if "-" in token)
    return any(mine[key] != its[key] for key in mine.keys() & its.keys() if key not in _SAYS_LABEL)


def _bundled(
    fitting: Sequence[tuple[_Named, list[_Named]]], scans: Sequence[_Named]
) -> tuple[list[Bundle], list[Bundle]]:
    """Bundles of scans that share labels, and of these labels."""
    images: dict[str, Bundle] = {}
    labels: dict[str, Bundle] = {}
    taken: set[File] = set()
    # Labels that say a contrast make cases of that contrast; others, of all that a subject has.
    several = any(len(found) > 1 for _, found in fitting)
    contrasts = {f[0].tokens for mask, f in fitting if len(f) == 1 and not _of_all(mask, several)}
    for mask, found in fitting:
        alone = len(found) == 1 and not _of_all(mask, several)
        name = _name(mask, found, len(contrasts) > 1) if alone else mask.who
        part = mask.file.part
        key = f"{part or ''}/{name.casefold()}"
        label = labels.setdefault(key, Bundle(name, key, part, {}))
        label.parts.setdefault(_class(mask, found), []).append(mask.file.path)
        if found and key not in images:
            parts = {f"_{'_'.join(scan.tokens)}": [scan.file.path] for scan in found}
            images[key] = Bundle(
                name,
                key,
                found[0].file.part,
                {"": [found[0].file.path]} if alone else parts,
            )
        taken.update(scan.file for scan in found)
    for scan in scans:
        if scan.file not in taken:
            name = f"{scan.who}_{'_'.join(scan.tokens)}"
            images.setdefault(name, Bundle(name, name, scan.file.part, {"": [scan.file.path]}))
    return [images[key] for key in sorted(images, key=natural_key)], list(labels.values())


def _of_all(mask: _Named, several: bool) -> bool:
    """Whether a label is of all that its subject has, were it a single scan.

    Args:
        mask: The label.
        several: Whether other subjects have several scans with one label.
    """
    entities = {token.partition("-")[0] for token in mask.tokens if "-" in token}
    return several and not mask.contrast and entities <= _SAYS_LABEL


def _name(mask: _Named, found: Sequence[_Named], several: bool) -> str:
    numbered = [token for token in found[0].tokens if token.startswith(("run-", "acq-"))]
    return "_".join((mask.who, *(found[0].tokens if several else numbered)))


def _class(mask: _Named, found: Sequence[_Named]) -> str:
    """What a label says that its scan does not: `label-lesion`."""
    scan = {token for one in found for token in (*one.tokens, one.contrast)}
    own = [token for token in mask.tokens if token not in scan and token not in _LABELS]
    told = [token.partition("-")[2] for token in own if token.startswith("label-")]
    rest = [re.sub(r"^(?:seg|desc|label|space|atlas)-", "", token) for token in own]
    return "_".join(told or [token for token in rest if token not in ("manual", mask.contrast)])


def _is_aside(bundle: Bundle, left_aside: Sequence[_Named]) -> bool:
    files = {scan.file.path for scan in left_aside}
    return files.issuperset(bundle.files)


def _raters_by_folder(fitting: Sequence[tuple[_Named, list[_Named]]]) -> list[Doubt]:
    """Several pipelines with a label each of one scan."""
    seen: dict[tuple[str, str], str] = {}
    for mask, found in fitting:
        folders = mask.file.name.split("/")
        if "derivatives" not in folders or not found:
            continue
        pipeline = folders[folders.index("derivatives") + 1]
        other = seen.setdefault((mask.who + found[0].contrast, _class(mask, found)), pipeline)
        if other != pipeline:
            what = f"derivatives/{other} and derivatives/{pipeline} hold labels of the same scans"
            return [Doubt(what, f"choose one: {OWN_NAMES}, --labels derivatives/{other}")]
    return []


def _contrast_notes(
    left_aside: Sequence[_Named], scans: Sequence[_Named], channels: Sequence[str]
) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if left_aside:
        others = sorted({"_".join(scan.tokens) for scan in left_aside})
        notes += (
            f"the labels are of one contrast: {len(left_aside)} scans of others left aside "
            f"({shown(others)})",
        )
    if len(channels) > 1:
        one = channels[0].strip("_")
        notes += (
            f"the labels name no contrast: all ({', '.join(c.strip('_') for c in channels)}) are "
            f"channels; to choose one, --pattern '*{one}*|*'",
        )
    del scans
    return notes


def _subject(name: str) -> str:
    return display(name.split("_")[0])
