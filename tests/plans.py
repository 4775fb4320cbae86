"""A valid plan for tests: small, and any field replaceable."""

from typing import Any

from medseg.plan.plan import Normalisation, Plan


def plan_for_tests(**overrides: Any) -> Plan:
    """A 3D plan of one channel, two foreground classes, 1 mm; `overrides` replace its fields."""
    dim = overrides.get("dim", 3)
    channels = overrides.get("channels", 1)
    task = overrides.get("task", "multiclass")
    names = ("background", "organ", "lesion") if task == "multiclass" else ("organ", "lesion")
    values = tuple(range(len(names))) if task == "multiclass" else (1,) * len(names)
    fields: dict[str, Any] = {
        "dim": dim,
        "slice_axis": None if dim == 3 else 2,
        "world": True,
        "task": task,
        "channels": channels,
        "class_names": names,
        "label_values": values,
        "modality": "other",
        "spacing_mm": (1.0, 1.0, 1.0),
        "image_orders": (3, 3, 3),
        "normalisation": (Normalisation(kind="image"),) * channels,
        "patch_size": (16,) * dim,
        "batch_size": 2,
        "stem_strides": (2,) * dim,
        "stage_strides": ((2,) * dim,),
        "kernels": ((5,) * dim,) * 2,
        "flip_axes": (),
        "steps": 4,
        "reasons": {},
    }
    return Plan(**{**fields, **overrides})
