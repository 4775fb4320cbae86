"""Subjects in memory for tests: smooth labels of known shape, and images without a border."""

import numpy as np

from medseg.geometry import Geometry, Orientation
from medseg.scans.case import Subject

ORIENTATIONS = [
    Orientation(order, (bool(flips & 1), bool(flips & 2), bool(flips & 4)))
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    for flips in range(8)
]
"""All 48."""


def ellipsoids(size, spacing_mm):
    """Two ellipsoids, 1 and 2, of different shape and place; 0 elsewhere. (*size) int32."""
    extent = np.array(size) * spacing_mm
    grids = np.meshgrid(*[np.arange(n) + 0.5 for n in size], indexing="ij")
    positions = np.stack(grids, axis=-1) * spacing_mm
    label = np.zeros(size, dtype=np.int32)
    for value, centre, radius in ((1, (0.35, 0.4, 0.45), (0.25, 0.3, 0.3)),
                                  (2, (0.72, 0.65, 0.6), (0.2, 0.22, 0.3))):  # fmt: skip
        distance = ((positions - centre * extent) / (radius * extent)) ** 2
        label[distance.sum(axis=-1) < 1] = value
    return label


def subject_for_tests(label, geometry, channels=1, name="case"):
    """A subject whose image is noise plus the label; `label` is (layers, *size)."""
    noise = np.random.default_rng(0).normal(size=(channels, *geometry.size))
    return Subject(name, (noise + label[0]).astype(np.float32), label, geometry)


def oblique(size, spacing_mm=(1.0, 1.0, 1.0)):
    """A canonical grid, turned some degrees about two axes."""
    a, b = np.deg2rad(14), np.deg2rad(-9)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * spacing_mm
    affine[:3, 3] = (-40, 25, 7)
    return Geometry.from_affine(size, affine)
