"""A CT and its organ map, taken apart into tissues that can be bent and filled anew.

Organs are those of the map; what it leaves unlabelled is told apart by its HU, so that a new scan
has a wall of muscle, fat and bones around the organs as well.
"""

from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import numpy.typing as npt
import torch
from nibabel.nifti1 import Nifti1Extensions
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from medseg.errors import MedsegError

Array = npt.NDArray[Any]

AIR, FAT, SOFT, BONE = "air", "fat", "soft", "bone"
UNLABELLED = {"gas": (-9999, -400), FAT: (-400, -30), SOFT: (-30, 120), BONE: (120, 9999)}
"""Tissues inside the body that the map leaves out: name -> HU from, below."""
_BODY_HU = -300
_GAS_HU = -300
_CONTENT_HU = -100
_FAR_MM = 40.0
"""Depths are known this far; nothing grows or shrinks by more."""


class Tissue(NamedTuple):
    """One organ, or what lies between them.

    Attributes:
        name: As in the map's own table of labels.
        voxels: How many of the map's are labelled so; 0 for what is between organs.
        hu: The median of what is not gas, or of all where nearly all is gas (lungs).
        gas: Share of gas in a hollow organ, such as the colon; 0 for any other.
    """

    name: str
    voxels: int
    hu: float
    gas: float

    @property
    def is_bone(self) -> bool:
        """By its HU: no soft organ without contrast agent is as dense."""
        return self.hu > 115

    @property
    def is_lung(self) -> bool:
        """By its HU; unlabelled gas may be bowel as well."""
        return self.voxels > 0 and -950 < self.hu < -500


class Body(NamedTuple):
    """The example.

    Attributes:
        tissues: Organs first, by their value in the map.
        depth_mm: (tissues, *size), how deep a voxel lies in each tissue, negative outside of it.
        spacing_mm: Of the example, equal in all axes.
    """

    tissues: tuple[Tissue, ...]
    depth_mm: Tensor
    spacing_mm: float

    @property
    def length_mm(self) -> Array:
        """Between the centres of the first and the last voxel, (3,)."""
        return (np.array(self.depth_mm.shape[1:]) - 1) * self.spacing_mm

    def number(self, name: str) -> int:
        """The index of a tissue."""
        return next(i for i, tissue in enumerate(self.tissues) if tissue.name == name)


def read_body(folder: Path) -> Body:
    """Take apart `ct.nii.gz` and `organs.nii.gz`.

    Raises:
        MedsegError: If they are not there, or do not fit each other.
    """
    files = [folder / name for name in ("ct.nii.gz", "organs.nii.gz")]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise MedsegError(str(folder), f"has no {missing[0]}", "name the folder of the CT example")
    names = _names(nib.load(files[1]).header.extensions)
    ct, organs = (nib.as_closest_canonical(nib.load(file)) for file in files)
    spacing = ct.header.get_zooms()
    if ct.shape != organs.shape or max(spacing) > 1.01 * min(spacing):
        what = f"grids of {ct.shape} and {organs.shape}, {spacing} mm"
        raise MedsegError(
            str(folder), what, "both must have one grid, of equal spacing in all axes"
        )
    hu = np.asarray(ct.dataobj, dtype=np.float32)
    masks = _organ_masks(np.asarray(organs.dataobj), names)
    labelled = len(masks)
    masks |= _between(hu, np.any(list(masks.values()), axis=0))
    depth = torch.stack([_depth(mask, float(spacing[0])) for mask in masks.values()])
    tissues = tuple(
        _tissue(name, hu, mask, deep, labelled=number < labelled)
        for number, ((name, mask), deep) in enumerate(
            zip(masks.items(), depth.numpy(), strict=True)
        )
    )
    return Body(tissues, depth, float(spacing[0]))


def _names(extensions: Nifti1Extensions) -> dict[int, str]:
    """The table of labels in a NIfTI extension, as Connectome Workbench writes it; may be empty."""
    plain = (extension.get_content() for extension in extensions if extension.get_code() == 0)
    tables = [text.rstrip(b"\0 \n") for text in plain if b"<LabelTable>" in text]
    return {
        int(label.attrib["Key"]): str(label.text)
        for text in tables
        for label in ElementTree.fromstring(text).iter("Label")
    }


def _organ_masks(organs: Array, names: dict[int, str]) -> dict[str, Array]:
    values = (int(value) for value in np.unique(organs) if value)
    return {names.get(value, f"organ_{value}"): organs == value for value in values}


def _between(hu: Array, organs: Array) -> dict[str, Array]:
    """What no organ covers: four tissues of the body, the air around; no couch."""
    smooth = ndimage.gaussian_filter(hu, 0.5)
    parts, count = ndimage.label(ndimage.binary_opening(smooth > _BODY_HU, iterations=2))
    largest = 1 + int(np.argmax(ndimage.sum_labels(parts > 0, parts, range(1, count + 1))))
    body = ndimage.binary_dilation(parts == largest, iterations=2) & (smooth > _BODY_HU)
    for plane in range(hu.shape[2]):  # lungs and bowel are open towards the ends of the scan
        body[..., plane] = ndimage.binary_fill_holes(body[..., plane] | organs[..., plane])
    inside = {
        name: body & ~organs & (low <= smooth) & (smooth < high)
        for name, (low, high) in UNLABELLED.items()
    }
    return inside | {AIR: ~body & ~organs}


def _depth(mask: Array, spacing_mm: float) -> Tensor:
    """Signed distance to the surface in mm, without the steps of the voxels."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, 99.0)
    steps = np.where(mask, inside - 0.5, 0.5 - outside)
    smooth = ndimage.gaussian_filter(steps, 0.6, mode="nearest")
    return torch.from_numpy((smooth * spacing_mm).clip(-_FAR_MM, _FAR_MM).astype(np.float32))


def _tissue(name: str, hu: Array, mask: Array, depth_mm: Array, *, labelled: bool) -> Tissue:
    if name == AIR or not mask.any():
        return Tissue(name, 0, -1000.0, 0.0)
    core = mask & (depth_mm >= np.quantile(depth_mm[mask], 0.3))  # the rim is half its neighbour
    gas = float((hu[core] < _GAS_HU).mean())
    hollow = 0.02 < gas < 0.8
    kept = hu[core][hu[core] > _CONTENT_HU] if hollow else hu[core]
    return Tissue(
        name, int(mask.sum()) if labelled else 0, float(np.median(kept)), gas if hollow else 0.0
    )


def sample(maps: Tensor, index: Tensor) -> Tensor:
    """Values between voxels, linear; beyond the border, the border's.

    Args:
        maps: (channels, *size), at least two voxels long in each axis.
        index: (3, *shape), in voxels of `maps`.

    Returns:
        (channels, *shape).
    """
    lengths = maps.shape[1:]
    scaled = [2 / (lengths[axis] - 1) * index[axis] - 1 for axis in (2, 1, 0)]
    grid = torch.stack(scaled, dim=-1)[None]
    return F.grid_sample(maps[None], grid, padding_mode="border", align_corners=True)[0]
