"""Settings of a run: edit, save, run train.py. None means: decided from the data."""

from medseg.hparams import HParams

hparams = HParams(
    # ---- Data ----
    # Spatial axes of the network: 3, or 2 (images, and volumes slice by slice). One of: 2, 3.
    dim=3,
    # Folder of the training data, in any layout of docs/data.md. The demo is made when missing.
    data="data/demo",
    # Folder of the images, when images and labels do not share `data`; goes with `labels`.
    images=None,
    # Folder of the labels; goes with `images`.
    labels=None,
    # Glob of the files inside `images` and `labels`, such as `*/*.mhd`. None: every scan file.
    pattern=None,
    # Folder of the run. None: a new folder in `runs`.
    output=None,
    # Class name -> its value in the label files, or several values of a region that may overlap
    # others: {"whole": [1, 2, 4], "core": [1, 4], "enhancing": 4}. None: every value is a
    # class.
    classes=None,
    # Value in the label files of voxels that nobody annotated: neither trained nor scored.
    # None: as the dataset's own description says, else no value.
    ignore_label=None,
    # Channels of each image; a case with another number is left out. None: as most cases have.
    channels=None,
    # multiclass: one class per voxel. multilabel: classes may overlap (one mask file per
    # class). None: found out. One of: multiclass, multilabel.
    task=None,
    # Where each class has a mask file and a case has none of it. refuse: leave the case out.
    # empty: the class is absent there. unannotated: nobody looked for it, so it may be there.
    # One of: refuse, empty, unannotated.
    missing_masks="refuse",
    # Where a case lacks files of some channels. refuse: leave it out. absent: learn without
    # them, so that scans that lack some can be predicted too; a channel of one value counts as
    # absent. One of: refuse, absent.
    missing_channels="refuse",
    # CSV or JSON table of case and the classes annotated in it, such as liver|spleen; other
    # classes may be there unmarked. Cases that it does not name have all. None: all cases have.
    annotated=None,
    # Who belongs together on one side of a split, such as scans of one patient: a regular
    # expression whose match in a case's name (or first group in it) says who it is of, or a CSV
    # or JSON table of case and group. None: found from the names.
    groups=None,
    # Which cases train and which validate: JSON with "training" and "validation", nnU-Net's
    # splits_final.json, or a CSV of case and part. None: the dataset's own, else dealt by
    # `folds`.
    split=None,
    # ---- Network ----
    # The network's encoder. micro and mini are made for CPU, the others have the papers' sizes.
    # One of: convnext_micro, convnext_mini, convnext_tiny, convnext_small, convnext_base,
    # convnext_large, convnext_xlarge, swinv2_mini, swinv2_tiny, swinv2_small, swinv2_base,
    # swinv2_large, swinv2_huge, swinv2_giant, swin_mlp_mini, swin_mlp_tiny_c24,
    # swin_mlp_tiny_c12, swin_mlp_tiny_c6, swin_mlp_base, gmlp_mini, gmlp_tiny, gmlp_small,
    # gmlp_base, amlp_mini, amlp_tiny, amlp_small, amlp_base, resmlp_mini, resmlp_12, resmlp_24,
    # resmlp_36, resmlp_big24, repmlp_mini, repmlp_res50_bottleneck, repmlp_res50_light,
    # repmlpnet_mini, repmlpnet_t, repmlpnet_b, repmlpnet_d, repmlpnet_l.
    encoder="convnext_mini",
    # What to start from: a file of weights that docs/pretrained.md lists, best with a paper's
    # size, or the folder of another run. None: random weights.
    pretrained=None,
    # A network of others in place of encoder and decoder, such as monai:DynUNet,
    # smp:Unet:resnet34 or unet; docs/networks.md lists them. None: ours, with the encoder
    # above.
    network=None,
    # Arguments of `network`'s class, which go before what is planned.
    network_arguments={},
    # pointrend sharpens boundaries by re-deciding uncertain points; dense only upsamples. One
    # of: pointrend, dense.
    head="pointrend",
    # Chance that a residual branch is skipped in training, in [0, 1). Raise it for large
    # encoders on little data.
    drop_path=0.0,
    # masked: train the encoder alone, on scans whose labels are not looked at, to restore what
    # is masked; the result is a file for `pretrained`. None: train a segmentation model. One
    # of: masked.
    pretrain=None,
    # ---- What the network sees ----
    # Patch in voxels, one number per spatial axis (`dim` of them). None: planned.
    patch_size=None,
    # Voxel spacing that scans are resampled to, in mm: left-right, back-front, down-up. None:
    # planned.
    spacing_mm=None,
    # Patches per step. None: planned under the memory limit.
    batch_size=None,
    # ---- Training ----
    # Training steps. At most one of steps, epochs and time_budget; without any: planned.
    steps=None,
    # Training length in passes over the training cases.
    epochs=None,
    # Training length as a duration such as 90s, 15m or 1h30m, validation and report included.
    time_budget=None,
    # Share of the length, in (0, 1), such as 0.25: when validation has not become better for so
    # long, the learning rate falls to 0 within a fifth of the steps done, and training ends.
    # None: the whole length is used.
    patience=None,
    # Peak learning rate of AdamW, above 0. None: planned, by network and pretraining.
    learning_rate=None,
    # What the learning rate is multiplied by from each stage of the encoder to the one before,
    # in (0, 1]. None: 1, but 0.9 for a pretrained encoder of a paper's size.
    layer_decay=None,
    # Weight decay of AdamW, at least 0.
    weight_decay=0.05,
    # Share of the schedule in which the learning rate rises, in [0, 1).
    warmup=0.03,
    # Largest norm of the gradient, above 0.
    gradient_clip=1.0,
    # Weight of the past in the running average of the weights, per step, in [0, 1); it is
    # reached after some steps, so that a short run is averaged over its end. The average is the
    # model.
    ema_decay=0.99,
    # dice_ce: Dice plus cross-entropy. dice_focal: Dice plus focal loss, for voxels that are
    # hard. tversky_ce: misses count more than false finds, for small classes. boundary: dice_ce
    # plus the overlap of edges. One of: dice_ce, dice_focal, tversky_ce, boundary.
    loss="dice_ce",
    # Class name -> its weight in the loss, such as 5 for a class that must not be missed;
    # classes that are not named have 1. None: all have.
    class_weights=None,
    # Strength of the random changes to training patches. One of: none, light, default.
    augmentation="default",
    # Axes mirrored in training: x left-right, y back-front, z down-up (of images: x across, y
    # down). Along x, classes called left and right become each other. None: of volumes x, if
    # names and places of the classes show that a mirror image is as likely; of images every
    # axis.
    flips=None,
    # Your own torchio transforms, each {"name": ..., "arguments": {...}}: a dict in hparam.py,
    # JSON on the command line.
    extra_transforms=(),
    # Number of parts the cases are dealt into, in natural order; at least 2.
    folds=5,
    # The part that is validated on instead of trained on; counts from 0, below `folds`. all: a
    # training for each, one after another, each of the whole length; predict averages them.
    # none: every case trains, and nothing is validated.
    fold=0,
    # Start of all random numbers, in [0, 2^32).
    seed=0,
    # Equal runs give equal models, at some cost in speed. Not with a time budget.
    deterministic=False,
    # ---- Machine ----
    # Number format of training. auto: bf16 or 16 where the device gains by it, else 32. One of:
    # auto, 32, bf16, 16.
    precision="auto",
    # Compute the encoder's activations twice instead of keeping them: less memory, more time.
    activation_checkpointing=False,
    # Parts in which swinv2's attention is computed, one after the other; more take less memory.
    attention_chunks=1,
    # Where to compute: auto, cpu, cuda, cuda:N or mps.
    device="auto",
    # Memory to stay under, such as 4GB or 4GiB. None: what is free.
    max_memory=None,
    # learned: stray pieces and holes of masks are mended, class by class, where that makes the
    # validated cases better; predict does the same. none: masks stay as the network has them.
    # One of: learned, none.
    cleanup="learned",
    # ---- Prediction ----
    # mirror averages predictions over the axes that were mirrored in training. One of: none,
    # mirror.
    tta="none",
    # Overlap of neighbouring windows as a share of the patch, in [0, 0.9].
    overlap=0.5,
)
