"""Shape aliases used everywhere. `*spatial` is one axis per dimension: each serves 2D and 3D."""

from jaxtyping import Float, Integer
from torch import Tensor

IGNORED = 255
"""In labels (uint8): a voxel that does not exist, or of which nobody knows the class."""


def hidden_in(number: int) -> int:
    """The class index of background that may be any class of a numbered set.

    Multiclass labels of cases in which not every class was annotated have it in place of 0.
    """
    return IGNORED - 1 - number


Images = Float[Tensor, "batch channels *spatial"]
"""A batch of images, or of any feature maps."""
Maps = Float[Tensor, "batch _ ..."]
"""Feature maps of the same batch, as wide and as fine as they happen to be."""
Logits = Float[Tensor, "batch classes *spatial"]
"""Scores before softmax (multiclass) or sigmoid (multilabel)."""
Labels = Integer[Tensor, "batch layers *spatial"]
"""Class indices in one layer (multiclass), or one 0/1 layer per class (multilabel); `IGNORED` in
either."""
Points = Float[Tensor, "batch points dim"]
"""Positions in a map, per axis in the order of its spatial axes: 0 is its start, 1 its end."""
PointFeatures = Float[Tensor, "batch channels points"]
"""What maps hold at those positions."""
PointLabels = Integer[Tensor, "batch layers points"]
"""The labels of the voxels that hold those positions."""
