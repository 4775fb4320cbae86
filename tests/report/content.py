"""A small report: three volumes, or photographs, with predictions that are off by a voxel."""

import numpy as np

from medseg.evaluation.evaluate import score_case, summarise
from medseg.geometry import Geometry
from medseg.report.curves import Curve
from medseg.report.figures import Example
from medseg.report.page import ReportContent
from medseg.scans.case import Problem

CLASSES = {"liver": 3, "spleen": 7}


def label_map(size, shift=0):
    label = np.zeros(size, np.int32)
    label[4 + shift : 12 + shift, 5:11] = 3
    label[15:18, 5:11] = 7
    return label


def example(name, dim, shift=1):
    size = (20, 18, 1 if dim == 2 else 6)
    image = np.random.default_rng(0).normal(size=(3 if dim == 2 else 1, *size))
    geometry = Geometry(size, (1.0, 1.0, 1.0 if dim == 2 else 3.0), world=dim == 3)
    return Example(name, "worst", image, geometry, label_map(size), label_map(size, shift), 0.8)


def report(dim, name="case"):
    examples = tuple(example(f"{name}{shift}", dim, shift) for shift in range(3))
    scores = [
        score
        for one in examples
        for score in score_case(one.name, one.prediction, one.reference, one.geometry, CLASSES)
    ]
    steps = range(100)
    return ReportContent(
        title=name,
        facts=(("trained", "15 min"),),
        curves=(
            Curve("loss", "loss", steps, [1 / (step + 1) for step in steps]),
            Curve("mean", "dice", [0, 50, 99], [0.1, float("nan"), 0.9]),
        ),
        summary=summarise(scores),
        examples=examples,
        reasons=(("patch_size", "fits whole"),),
        problems=(Problem(name, "truncated", "copy it again"),),
    )
