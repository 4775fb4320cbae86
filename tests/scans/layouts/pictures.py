"""Public datasets of pictures, and folders as tools make them: the reading each must get."""

from scans.layouts.volumes import N, Right, of

PICTURES: dict[str, tuple[list[str], Right]] = {
    "Kvasir-SEG": (
        [
            *of("Kvasir-SEG/images/cju{}.jpg", "Kvasir-SEG/masks/cju{}.jpg", n=N),
            "Kvasir-SEG/kavsir_bboxes.json",
        ],
        Right(4),
    ),
    "polyp collections": (
        of("TrainDataset/image/{}.png", "TrainDataset/mask/{}.png", n=N)
        + of("TestDataset/CVC-300/images/{}.png", "TestDataset/CVC-300/masks/{}.png", n=N),
        Right(4, notes=("testing",)),
    ),
    "CVC-ClinicDB": (of("Original/{}.tif", "Ground Truth/{}.tif", n=N), Right(4)),
    "GlaS": (
        of("train_{}.bmp.png", "train_{}_anno.bmp.png", n=N)
        + of("testA_{}.bmp.png", "testA_{}_anno.bmp.png", n=N),
        Right(4, notes=("testing",)),
    ),
    "DRIVE": (
        of("DRIVE/training/images/2{}_training.tif", n=N)
        + of(
            "DRIVE/training/1st_manual/2{}_manual1.png",
            "DRIVE/training/mask/2{}_training_mask.png",
            n=N,
        )
        + of("DRIVE/test/images/0{}_test.tif", "DRIVE/test/mask/0{}_test_mask.png", n=N),
        Right(4, first="21_manual1.png", notes=("field of view", "testing")),
    ),
    "DRIVE's test folder, drawn twice": (
        of("images/0{}_test.tif", "1st_manual/0{}_manual1.png", n=N)
        + of("2nd_manual/0{}_manual2.png", "mask/0{}_test_mask.png", n=N),
        Right(4, first="01_manual1.png", notes=("field of view", "second rater")),
    ),
    "HRF": (
        of("images/0{}_dr.jpg", "manual1/0{}_dr.tif", "mask/0{}_dr_mask.tif", n=N),
        Right(4, first="01_dr.tif", notes=("field of view",)),
    ),
    "ISIC, flat": (
        of("ISIC_000000{}.jpg", "ISIC_000000{}_segmentation.png", n=N),
        Right(4, first="ISIC_0000001_segmentation.png"),
    ),
    "ISIC 2018": (
        of("ISIC2018_Task1-2_Training_Input/ISIC_000{}.jpg", n=N)
        + of("ISIC2018_Task1_Training_GroundTruth/ISIC_000{}_segmentation.png", n=N)
        + of("ISIC2018_Task1-2_Validation_Input/ISIC_001{}.jpg", n=(1, 2))
        + of("ISIC2018_Task1_Validation_GroundTruth/ISIC_001{}_segmentation.png", n=(1, 2))
        + of("ISIC2018_Task1-2_Test_Input/ISIC_002{}.jpg", n=N),
        Right(6, validation=2, notes=("testing",)),
    ),
    "BUSI": (
        of("benign/benign ({}).png", "benign/benign ({})_mask.png", n=N)
        + of("malignant/malignant ({}).png", "malignant/malignant ({})_mask.png", n=N)
        + ["benign/benign (4)_mask_1.png"],
        Right(8, first="benign (1)_mask.png", notes=("united", "benign (4)_mask_1.png")),
    ),
    "Data Science Bowl 2018": (
        [f"stage1_train/{'abcd'[n - 1]}0/images/{'abcd'[n - 1]}0.png" for n in N]
        + [f"stage1_train/{'abcd'[n - 1]}0/masks/{n}f{i}e.png" for n in N for i in range(3)]
        + ["stage1_test/e0/images/e0.png"],
        Right(4, notes=("united", "testing")),
    ),
    "VOC": (
        of("VOCdevkit/VOC2012/JPEGImages/2007_00{}.jpg", n=(1, 2, 3, 4, 5))
        + of("VOCdevkit/VOC2012/SegmentationClass/2007_00{}.png", n=N)
        + of("VOCdevkit/VOC2012/SegmentationObject/2007_00{}.png", n=N),
        Right(4, notes=("without a segmentation", "objects")),
    ),
    "mmsegmentation": (
        [
            f"{k}_dir/{p}/{n}.png"
            for k in ("img", "ann")
            for p, m in (("train", N), ("val", (8, 9)))
            for n in m
        ],
        Right(6, validation=2),
    ),
    "ADE20K": (
        [
            f"{k}/{p}/{n}.png"
            for k in ("images", "annotations")
            for p, m in (("training", N), ("validation", (8, 9)))
            for n in m
        ],
        Right(6, validation=2),
    ),
    "train_images": (
        [
            f"{p}_{k}/{n}.png"
            for k in ("images", "masks")
            for p, m in (("train", N), ("val", (8, 9)))
            for n in m
        ],
        Right(6, validation=2),
    ),
    "train/images": (
        [
            f"{p}/{k}/{n}.png"
            for k in ("images", "masks")
            for p, m in (("train", N), ("valid", (1, 2)))
            for n in m
        ],
        Right(6, validation=2),
    ),
    "pairs in train and val": (
        [
            f"{p}/{n}{k}.png"
            for k in ("", "_mask")
            for p, m in (("train", N), ("val", (8, 9)))
            for n in m
        ],
        Right(6, validation=2),
    ),
    "case folders in train and val": (
        [
            f"{p}/p{n}/{k}.nii.gz"
            for k in ("t1", "flair", "seg")
            for p, m in (("train", N), ("val", (8, 9)))
            for n in m
        ],
        Right(6, channels=2, validation=2),
    ),
    "classes in train and val": (
        [f"{p}/images/{n}.png" for p, m in (("train", N), ("val", (1, 2))) for n in m]
        + [
            f"{p}/masks/{c}/{n}.png"
            for c in ("cup", "disc")
            for p, m in (("train", N), ("val", (1, 2)))
            for n in m
        ],
        Right(6, classes=("cup", "disc"), validation=2),
    ),
    "knees": (
        [
            f"p{n}/{side}{what}.nii.gz"
            for n in N
            for side in ("left", "right")
            for what in ("", "_mask")
        ],
        Right(8, groups=4),
    ),
    "days": (
        [
            f"p{n}/{kind}/{day}.nii.gz"
            for n in N
            for day in ("day0", "day7")
            for kind in ("images", "masks")
        ],
        Right(8, groups=4),
    ),
    "dates": (
        [f"p{n}/{year}{what}.nii.gz" for n in N for year in (2019, 2021) for what in ("", "_seg")],
        Right(8, groups=4),
    ),
    "tiles of slides": (
        [f"s{n}/{kind}/tile{i}.png" for n in N for i in range(3) for kind in ("images", "masks")],
        Right(12, groups=4),
    ),
    "visits below patients": (
        [
            f"p{n}/visit{v}/{what}.nii.gz"
            for n in N
            for v in (1, 2)
            for what in ("t1", "flair", "seg")
        ],
        Right(8, channels=2),
    ),
    "sites": (
        [
            f"{site}/{kind}/{n}.png"
            for site in ("basel", "bern")
            for n in N
            for kind in ("images", "labels")
        ],
        Right(8),
    ),
    "Slicer": (
        of("p{}/CT.nrrd", "p{}/Segmentation.seg.nrrd", "p{}/scene.mrml", "p{}/notes.csv", n=N),
        Right(4),
    ),
    "classes by how names end": (
        of("images/IDRiD_{}.jpg", "masks/IDRiD_{}_MA.tif", "masks/IDRiD_{}_HE.tif", n=N),
        Right(4, classes=("he", "ma")),
    ),
    "the word within the name": (
        of("images/p1_image_z{}.png", "labels/p1_mask_z{}.png", n=N),
        Right(4),
    ),
    "numbers alone agree": (
        of("images/retina_{}.png", "labels/vessels_0{}.png", n=N),
        Right(4, notes=("numbers",)),
    ),
    "labels in one folder for all sites": (
        of("images/a/x{}.png", n=(1, 2))
        + of("images/b/x{}.png", n=(3, 4))
        + of("labels/x{}.png", n=N),
        Right(4),
    ),
    "a study called mask": (
        of("mask_study_{}.nii.gz", "mask_study_{}_seg.nii.gz", n=N),
        Right(4, first="mask_study_1_seg.nii.gz"),
    ),
    "one patient's contrasts": (
        ["p1/t1.nii.gz", "p1/t2.nii.gz", "p1/seg.nii.gz"],
        Right(1, channels=2),
    ),
    "diffusion": (
        [f"p{n}/{what}.nii.gz" for n in N for what in ("b0", "b1000", "label")],
        Right(4, channels=2),
    ),
    "overlays beside pictures and masks": (
        of("images/c{}.png", "images/c{}_overlay.png", "labels/c{}.png", n=N),
        Right(4, notes=("c1_overlay.png, ...) left aside",)),
    ),
    "ISIC 2017 with superpixels": (
        of(
            "ISIC-2017_Training_Data/ISIC_{}.jpg",
            "ISIC-2017_Training_Data/ISIC_{}_superpixels.png",
            "ISIC-2017_Training_Part1_GroundTruth/ISIC_{}_segmentation.png",
            n=N,
        ),
        Right(4, first="ISIC_1_segmentation.png", notes=("superpixels",)),
    ),
    "pictures with a stray volume": (
        [*of("images/c{}.png", "labels/c{}.png", n=N), "more/v.nii.gz", "more/v_mask.nii.gz"],
        Right(4, first="c1.png"),
    ),
    "masks that are called overlays": (
        of("images/c{}.png", "labels/c{}_overlay.png", n=N),
        Right(4, first="c1_overlay.png"),
    ),
}
