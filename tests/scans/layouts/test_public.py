"""Folders as public datasets and tools have them, names only: the reading that each must get."""

from typing import NamedTuple

import pytest

from medseg.scans.discover import Dataset, discover
from tests.scans.folders import fill


class Right(NamedTuple):
    """What a reading must be.

    Attributes:
        cases: How many.
        channels: Of each.
        classes: Names of mask files; empty for label maps.
        groups: How many patients; 0 if the folders say nothing.
        validation: Cases on that side.
        problems: How many lines.
        notes: Words that the notes must hold.
        first: The label of the first case, its file name.
    """

    cases: int
    channels: int = 1
    classes: tuple[str, ...] = ()
    groups: int = 0
    validation: int = 0
    problems: int = 0
    notes: tuple[str, ...] = ()
    first: str | None = None


def of(*patterns: str, **names: object) -> list[str]:
    """Each pattern filled with 1, 2, 3, or with the values of the one name given."""
    ((_, values),) = names.items() or (("n", (1, 2, 3)),)
    return [pattern.format(value) for pattern in patterns for value in values]


N = (1, 2, 3, 4)

READ: dict[str, tuple[list[str], Right]] = {
    "LiTS": (
        [
            f"Training Batch {b}/{kind}-{n}.nii"
            for b, numbers in ((1, (0, 1)), (2, (2, 3)))
            for kind in ("volume", "segmentation")
            for n in numbers
        ],
        Right(4, first="segmentation-0.nii"),
    ),
    "KiTS19": (
        of("case_0000{}/imaging.nii.gz", "case_0000{}/segmentation.nii.gz", n=N),
        Right(4, first="segmentation.nii.gz"),
    ),
    "KiTS23": (
        of(
            "case_0000{}/imaging.nii.gz",
            "case_0000{}/segmentation.nii.gz",
            "case_0000{}/instances/kidney_instance-1_annotation-1.nii.gz",
            "case_0000{}/instances/tumor_instance-1_annotation-1.nii.gz",
            n=N,
        ),
        Right(4, first="segmentation.nii.gz", notes=("left aside",)),
    ),
    "BraTS2018": (
        [
            f"MICCAI_BraTS_2018_Data_Training/{grade}/Brats18_CBICA_A{n}_1/Brats18_CBICA_A{n}_1_{w}.nii.gz"
            for grade, numbers in (("HGG", "AB"), ("LGG", "CD"))
            for n in numbers
            for w in ("t1", "t1ce", "t2", "flair", "seg")
        ],
        Right(4, channels=4, first="Brats18_CBICA_AA_1_seg.nii.gz"),
    ),
    "BraTS2020": (
        [
            f"MICCAI_BraTS2020_TrainingData/BraTS20_Training_00{n}/BraTS20_Training_00{n}_{w}.nii"
            for n in N
            for w in ("t1", "t1ce", "t2", "flair", "seg")
        ]
        + ["MICCAI_BraTS2020_TrainingData/name_mapping.csv"],
        Right(4, channels=4, first="BraTS20_Training_001_seg.nii"),
    ),
    "BraTS2023": (
        [
            f"BraTS-GLI-0000{n}-000/BraTS-GLI-0000{n}-000-{w}.nii.gz"
            for n in N
            for w in ("t1n", "t1c", "t2w", "t2f", "seg")
        ],
        Right(4, channels=4, first="BraTS-GLI-00001-000-seg.nii.gz"),
    ),
    "BraTS with a validation folder without labels": (
        [f"TrainingData/B{n}/B{n}_{w}.nii.gz" for n in N for w in ("t1", "flair", "seg")]
        + [f"ValidationData/B{n}/B{n}_{w}.nii.gz" for n in (8, 9) for w in ("t1", "flair")],
        Right(4, channels=2, notes=("ValidationData", "without labels")),
    ),
    "Decathlon without its description": (
        [
            *of("imagesTr/heart_{}.nii.gz", "labelsTr/heart_{}.nii.gz", n=N),
            "imagesTs/heart_9.nii.gz",
        ],
        Right(4, notes=("imagesTs", "testing")),
    ),
    "AMOS": (
        of("imagesTr/amos_{}.nii.gz", "labelsTr/amos_{}.nii.gz", n=N)
        + of("imagesVa/amos_{}.nii.gz", "labelsVa/amos_{}.nii.gz", n=(8, 9))
        + ["imagesTs/amos_7.nii.gz"],
        Right(6, validation=2, notes=("testing",)),
    ),
    "BTCV": (
        [
            *of(
                "RawData/Training/img/img000{}.nii.gz",
                "RawData/Training/label/label000{}.nii.gz",
                n=N,
            ),
            "RawData/Testing/img/img0061.nii.gz",
        ],
        Right(4, first="label0001.nii.gz", notes=("testing",)),
    ),
    "PROMISE12": (
        of(
            "Case0{}.mhd",
            "Case0{}.raw",
            "Case0{}_segmentation.mhd",
            "Case0{}_segmentation.raw",
            n=N,
        ),
        Right(4, first="Case01_segmentation.mhd"),
    ),
    "ATLAS": (
        [
            f"Training/R00{n}/sub-r00{n}s001/ses-1/anat/sub-r00{n}s001_ses-1_space-MNI_{what}.nii.gz"
            for n in N
            for what in ("T1w", "label-L_desc-T1lesion_mask")
        ],
        Right(4, groups=4, first="sub-r001s001_ses-1_space-MNI_label-L_desc-T1lesion_mask.nii.gz"),
    ),
    "ISLES 2022": (
        [f"sub-s{n}/ses-1/dwi/sub-s{n}_ses-1_{c}.nii.gz" for n in N for c in ("dwi", "adc")]
        + [f"derivatives/sub-s{n}/ses-1/sub-s{n}_ses-1_msk.nii.gz" for n in N]
        + ["dataset_description.json"],
        Right(4, channels=2, groups=4, notes=("--pattern",)),
    ),
    "FeTA": (
        of(
            "sub-00{0}/anat/sub-00{0}_rec-mial_T2w.nii.gz",
            "sub-00{0}/anat/sub-00{0}_rec-mial_dseg.nii.gz",
            n=N,
        ),
        Right(4, groups=4),
    ),
    "SegTHOR": (
        [
            *of("train/Patient_0{0}/Patient_0{0}.nii.gz", "train/Patient_0{0}/GT.nii.gz", n=N),
            "test/Patient_41.nii.gz",
        ],
        Right(4, first="GT.nii.gz", notes=("testing",)),
    ),
    "MM-WHS": (
        of("ct_train/ct_train_100{}_image.nii.gz", "ct_train/ct_train_100{}_label.nii.gz", n=N)
        + of("mr_train/mr_train_100{}_image.nii.gz", "mr_train/mr_train_100{}_label.nii.gz", n=N)
        + ["ct_test/ct_test_2001_image.nii.gz", "mr_test/mr_test_2001_image.nii.gz"],
        Right(8, notes=("testing",)),
    ),
    "ACDC": (
        [
            f"database/{part}/patient00{n}/patient00{n}_{what}.nii.gz"
            for part, numbers in (("training", N), ("testing", (7,)))
            for n in numbers
            for what in ("4d", "frame01", "frame01_gt", f"frame1{n}", f"frame1{n}_gt")
        ]
        + ["database/training/patient001/Info.cfg"],
        Right(8, groups=4, notes=("testing", "4d")),
    ),
    "M&Ms": (
        [f"A{n}/A{n}_sa_{p}{g}.nii.gz" for n in "BCDEF" for p in ("ED", "ES") for g in ("", "_gt")],
        Right(10, groups=5),
    ),
    "TotalSegmentator": (
        of("s000{}/ct.nii.gz", n=N)
        + [
            f"s000{n}/segmentations/{c}.nii.gz"
            for n in N
            for c in ("liver", "rib_left_1", "rib_left_2")
        ]
        + ["meta.csv"],
        Right(4, classes=("liver", "rib_left_1", "rib_left_2")),
    ),
    "vertebrae alone": (
        of("s{}/ct.nii.gz", n=N)
        + [f"s{n}/segmentations/vertebrae_L{v}.nii.gz" for n in N for v in (1, 2, 3)],
        Right(4, classes=("vertebrae_l1", "vertebrae_l2", "vertebrae_l3")),
    ),
    "LUNA16": (
        of("subset0/1.3.6.{}.mhd", "subset0/1.3.6.{}.raw", n=(1, 2))
        + of("subset1/1.3.6.{}.mhd", "subset1/1.3.6.{}.raw", n=(3, 4))
        + of("seg-lungs-LUNA16/1.3.6.{}.mhd", "seg-lungs-LUNA16/1.3.6.{}.zraw", n=N),
        Right(4),
    ),
    "Montgomery": (
        of("CXR_png/MCUCXR_000{}_0.png", n=N)
        + of(
            "ManualMask/leftMask/MCUCXR_000{}_0.png", "ManualMask/rightMask/MCUCXR_000{}_0.png", n=N
        )
        + ["ClinicalReadings/MCUCXR_0001_0.txt"],
        Right(4, classes=("left", "right")),
    ),
    "COVID-19-20": (
        of("COVID-19-20_v2/Train/volume-covid19-A-000{}_ct.nii.gz", n=N)
        + of("COVID-19-20_v2/Train/volume-covid19-A-000{}_seg.nii.gz", n=N)
        + ["COVID-19-20_v2/Validation/volume-covid19-A-0900_ct.nii.gz"],
        Right(4, notes=("Validation", "without labels")),
    ),
    "HECKTOR": (
        of("imagesTr/CHUM-00{}__CT.nii.gz", "imagesTr/CHUM-00{}__PT.nii.gz", n=N)
        + of("labelsTr/CHUM-00{}.nii.gz", n=N),
        Right(4, channels=2),
    ),
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
    "folders linked from elsewhere": (
        of(
            "images/{}.png",
            "labels/{}.png",
            "elsewhere/images/{}.png",
            "elsewhere/labels/{}.png",
            n=N,
        ),
        Right(4, notes=("elsewhere",)),
    ),
    "one patient's contrasts": (
        ["p1/t1.nii.gz", "p1/t2.nii.gz", "p1/seg.nii.gz"],
        Right(1, channels=2),
    ),
    "diffusion": (
        [f"p{n}/{what}.nii.gz" for n in N for what in ("b0", "b1000", "label")],
        Right(4, channels=2),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_read(tmp_path, name):
    names, right = READ[name]
    dataset = discover(fill(tmp_path, *names))
    assert problems(dataset)[: 1 if right.problems == 0 else 0] == []
    assert len(dataset.problems) == right.problems
    assert len(dataset.cases) == right.cases
    assert {len(case.images) for case in dataset.cases} == {right.channels}
    if right.classes:
        assert dataset.class_values == {c: i for i, c in enumerate(right.classes, start=1)}
        assert {len(case.labels) for case in dataset.cases} == {len(right.classes)}
    assert dataset.masks_per_class == bool(right.classes)
    assert len({case.group for case in dataset.cases} - {""}) == right.groups
    assert sum(case.part == "validation" for case in dataset.cases) == right.validation
    if right.validation:
        assert (
            sum(case.part == "training" for case in dataset.cases) == right.cases - right.validation
        )
    said = "\n".join(dataset.notes)
    assert [word for word in right.notes if word not in said] == []
    if right.first:
        assert dataset.cases[0].labels[0].name == right.first
    check_apart(dataset)


def problems(dataset: Dataset) -> list[str]:
    return [f"{p.name}: {p.what}; {p.remedy}" for p in dataset.problems]


def check_apart(dataset: Dataset) -> None:
    """No file has two places, no two cases one name."""
    files = [path for case in dataset.cases for path in (*case.images, *case.labels)]
    assert len(files) == len(set(files))
    assert len({case.name.casefold() for case in dataset.cases}) == len(dataset.cases)
