"""From what the data says to what will be done: pure rules, each with its reason in words."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Literal

from medseg.errors import SettingsError
from medseg.hparams import HParams
from medseg.measure.facts import CaseFacts, Fingerprint
from medseg.plan.classes import UNDECLARED, Declared, choose_classes, choose_task, class_weights
from medseg.plan.flips import choose_flips
from medseg.plan.intensity_rules import choose_modality, choose_normalisation
from medseg.plan.learning_rate import choose_layer_decay, choose_learning_rate
from medseg.plan.missing_channels import choose_channel_dropout
from medseg.plan.patch import (
    BATCH_RULE,
    CPU_VOXELS,
    Candidate,
    Limits,
    Shape,
    by,
    choose_batch,
    fit,
    shape_for,
    shapes,
)
from medseg.plan.plan import Plan, network_axes
from medseg.plan.spacing import image_orders, median_size, slice_axis, target_spacing
from medseg.plan.split import split
from medseg.plan.topology import REFERENCE, Recipe, recipe

STEPS_PER_CASE, FEWEST_STEPS, MOST_STEPS = 150, 1_000, 20_000


def make_plan(
    fingerprint: Fingerprint,
    hparams: HParams,
    step_bytes: Callable[[Candidate], int],
    declared: Declared = UNDECLARED,
    limits: Limits | None = None,
    num_training: int | None = None,
) -> Plan:
    """Decide everything that the data decides, where the user has not.

    Args:
        fingerprint: Cases that fit together (`check_cases`).
        hparams: Settings that are not None go before any rule.
        step_bytes: Memory of a training step, in bytes.
        declared: The classes as settings or the dataset name them.
        limits: What the machine allows; `hparams.max_memory` goes before its memory.
        num_training: Cases to learn from; None: all but one in `hparams.folds`.

    Raises:
        MedsegError: If settings and data do not fit together, or memory is too small.
    """
    cases = fingerprint.cases
    limits = limits or Limits()
    reasons: dict[str, str] = {}
    walked, reasons["slice_axis"] = _walked(cases, hparams.dim)
    task, reasons["task"] = choose_task(cases, hparams.task, declared.regions)
    source = "set by you" if hparams.classes else "from the dataset's own description"
    classes = choose_classes(cases, task, declared.values, source, declared.regions)
    reasons["classes"] = classes.reason
    class_weights(classes.names, hparams.class_weights)
    if declared.ignore_label is not None:
        reasons["ignore_label"] = "neither trained nor scored, " + (
            "set by you" if hparams.ignore_label is not None else "as the dataset says"
        )
    modality, reasons["modality"] = choose_modality(cases)
    normalisation, reasons["normalisation"] = choose_normalisation(cases, modality)
    dropout = 0.0
    if hparams.missing_channels == "absent":
        dropout, reasons["channel_dropout"] = choose_channel_dropout(len(normalisation))
    spacing_mm, reasons["spacing_mm"] = target_spacing(cases, hparams.spacing_mm, walked)
    orders, reasons["image_orders"] = image_orders(spacing_mm, walked)
    axes = network_axes(walked)
    size = median_size(cases, spacing_mm, walked)
    shape, batch, why = _patch_and_batch(
        [size[axis] for axis in axes],
        [spacing_mm[axis] for axis in axes],
        hparams,
        limits,
        lambda shape, batch: step_bytes(
            Candidate(
                shape.patch_size,
                batch,
                *shape.topology,
                channels=len(normalisation),
                num_outputs=len(classes.names),
                multilabel=task == "multilabel",
            )
        ),
    )
    reasons |= why
    names = [case.name for case in cases]
    training = num_training or len(split(names, hparams.folds, hparams.one_fold).training)
    flips = choose_flips(cases, hparams.flips, classes, axes)
    reasons["flip_axes"] = flips.reason
    if flips.exchanged:
        reasons["exchanged"] = "left and right by name, side by side in the scans"
    rate, reasons["learning_rate"] = choose_learning_rate(hparams)
    decay, reasons["layer_decay"] = choose_layer_decay(hparams)
    steps, reasons["steps"] = planned_steps(hparams, training, batch)
    return Plan(
        dim=hparams.dim,
        slice_axis=walked,
        world=cases[0].world,
        task=task,
        channels=len(normalisation),
        class_names=classes.names,
        label_values=classes.values,
        modality=modality,
        spacing_mm=spacing_mm,
        image_orders=orders,
        normalisation=normalisation,
        patch_size=shape.patch_size,
        batch_size=batch,
        stem_strides=shape.topology.stem_strides,
        stage_strides=shape.topology.stage_strides,
        kernels=shape.topology.kernels,
        flip_axes=flips.axes,
        steps=steps,
        reasons=reasons,
        regions=classes.regions,
        ignore_label=declared.ignore_label,
        learning_rate=rate,
        layer_decay=decay,
        exchanged=flips.exchanged,
        channel_dropout=dropout,
    )


def _walked(cases: Sequence[CaseFacts], dim: int) -> tuple[Literal[0, 1, 2] | None, str]:
    """The slice axis, where there is one."""
    if dim == 2:
        return slice_axis(cases)
    if cases[0].flat:
        raise SettingsError(
            "dim = 3", "the cases are 2D images, which need a 2D network", "set --dim 2"
        )
    return None, "none: the network is 3D"


def _wants(hparams: HParams) -> Recipe:
    if hparams.network is not None:
        return REFERENCE
    return recipe(hparams.encoder, pretrained=hparams.pretrained is not None)


def _patch_and_batch(
    size: Sequence[int],
    spacing_mm: Sequence[float],
    hparams: HParams,
    limits: Limits,
    cost: Callable[[Shape, int], int],
) -> tuple[Shape, int, dict[str, str]]:
    """Patch with its topology, batch size, reasons; `size` and `spacing_mm` per network axis."""
    wants = _wants(hparams)
    most = limits.voxels or CPU_VOXELS[hparams.dim]
    asked = hparams.patch_size
    if asked is None:
        choices = shapes(size, spacing_mm, wants, most)
        whole = all(p >= n for p, n in zip(choices[0].patch_size, size, strict=True))
        part = "all of it" if whole else f"as much as {most} voxels hold, of equal sides in mm"
        why = f"the median case has {by(size)} voxels: {part}, in multiples of the strides"
    elif len(asked) == hparams.dim:
        choices = [shape_for(asked, spacing_mm, wants)]
        padded = asked != choices[0].patch_size
        why = "set by you" + f" as {by(asked)}, padded to multiples of the strides" * padded
    else:
        raise SettingsError(
            f"patch_size = {asked}", "one number per axis is needed", f"give {hparams.dim} of them"
        )
    batches = [hparams.batch_size or choose_batch(choices[0].patch_size)]
    while hparams.batch_size is None and batches[-1] > 1:
        batches.append(batches[-1] // 2)
    memory = limits.memory if hparams.max_memory is None else hparams.max_memory
    shape, batch = fit(choices, batches, cost, memory)
    saved = f"; smaller than {by(choices[0].patch_size)} to save memory" * (shape != choices[0])
    halved = f"; {batches[0]} would take too much memory" * (batch != batches[0])
    strides = by(shape.topology.total_strides)
    return (
        shape,
        batch,
        {
            "patch_size": why + saved,
            "batch_size": ("set by you" if hparams.batch_size else BATCH_RULE) + halved,
            "stage_strides": f"total stride {strides}: an axis is halved while enough voxels "
            f"remain, later where they are coarse ({by(spacing_mm)} mm)",
            "kernels": f"{wants.kernel} wide, narrower along coarse axes and on small maps",
        },
    )


def planned_steps(hparams: HParams, training: int, batch: int) -> tuple[int | None, str]:
    """Training steps, None where time decides, and why as many."""
    if hparams.time_budget is not None:
        return None, "the time budget decides"
    if hparams.steps is not None:
        return hparams.steps, "set by you"
    if hparams.epochs is not None:
        each = ceil(training / batch)
        return hparams.epochs * each, f"{hparams.epochs} epochs of {each} steps, set by you"
    steps = min(max(STEPS_PER_CASE * training, FEWEST_STEPS), MOST_STEPS)
    return steps, (
        f"{STEPS_PER_CASE} for each of {training} training cases, "
        f"within {FEWEST_STEPS} and {MOST_STEPS}"
    )
