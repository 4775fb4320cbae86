"""What a DICOM object is: an image, a segmentation, or something without voxels to look at."""

from typing import Literal, NamedTuple

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SEGMENTATIONS = (_STORAGE + "66.4", _STORAGE + "66.7")
_DIRECTORY = "1.2.840.10008.1.3.10"
_PICTURES = frozenset(
    ["CR", "DX", "MG", "IO", "PX", "RG", "RF", "XA", "US", "IVUS", "NM", "XC", "ES", "GM", "SM"]
) | {"OP", "OT", "SC", "DG", "BMD", "ECG", "AU", "DOC", "HC", "TG"}
"""Modalities whose images are flat pictures: none lies behind another."""
_SLICES = ("2", "2.1", "4", "4.1", "20", "128", "128.1", "130")
"""Storage classes of CT, MR and nuclear medicine, by the end of their identifier."""
_LEFT_OUT = {
    "66": "raw data",
    "66.1": "a registration",
    "66.2": "marked points",
    "66.3": "a deformation",
    "66.5": "surfaces",
    "66.6": "tractography",
    "67": "a mapping of values",
    "77.1.6": "tiles of a slide",
    "481.2": "a radiotherapy dose",
    "481.3": "a radiotherapy structure set: contours, no voxels",
    "481.5": "a radiotherapy plan",
    "481.8": "a radiotherapy plan",
    "88.59": "a selection of key images",
}
"""Storage classes without an image of a body, by the end of their identifier."""
_FAMILIES = {
    "481.": "a radiotherapy record",
    "88.": "a report",
    "11.": "a way of showing images",
    "9.": "a recorded signal",
    "104.": "a document",
}


class Kind(NamedTuple):
    """What an object is.

    Attributes:
        what: `image`, `labels`, or `other`.
        words: For `other`: what it holds instead of an image; empty where it is broken.
        remedy: For `other`: what a user can do.
    """

    what: Literal["image", "labels", "other"]
    words: str = ""
    remedy: str = ""


def kind_of(storage_class: str, has_pixels: bool) -> Kind:
    """What an object is.

    Args:
        storage_class: Its SOP class; empty where it does not say.
        has_pixels: Whether it states rows and columns.
    """
    if storage_class == _DIRECTORY:
        return Kind("other", "a directory of other files", "name their folder instead")
    if storage_class in _SEGMENTATIONS:
        return Kind("labels")
    end = storage_class.removeprefix(_STORAGE)
    words = _LEFT_OUT.get(end) or next(
        (words for start, words in _FAMILIES.items() if end.startswith(start)), ""
    )
    if end != storage_class and words:
        contours = "convert it to a mask, in 3D Slicer for one, and save that as .nii.gz"
        return Kind("other", words, contours if end in ("481.3", "66.5") else "leave it out")
    if not has_pixels and (not storage_class or end in _SLICES):
        return Kind("other")
    if not has_pixels:
        return Kind("other", "an object without pixels", "leave it out, or export it again")
    return Kind("image")


def is_picture(modality: str) -> bool:
    """Whether images of a modality are flat pictures, each complete in itself."""
    return not modality or modality.upper() in _PICTURES
