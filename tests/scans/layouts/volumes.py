"""Public datasets of volumes, names only, and the reading that each must get."""

from typing import NamedTuple


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

VOLUMES: dict[str, tuple[list[str], Right]] = {
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
    "a scene's picture beside a scan": (
        of("p{}/CT.nrrd", "p{}/Segmentation.seg.nrrd", "p{}/Scene.mrml", "p{}/Scene.png"),
        Right(3, first="Segmentation.seg.nrrd", notes=("Scene.png, ...) left aside",)),
    ),
    "previews, with some for testing": (
        of("train/p{}/ct.nii.gz", "train/p{}/ct_preview.png", "train/p{}/seg.nii.gz", n=N)
        + of("test/p{}/ct.nii.gz", "test/p{}/ct_preview.png", n=range(5, 12)),
        Right(4, first="seg.nii.gz", notes=("ct_preview.png", "kept for testing")),
    ),
    "VerSe with snapshots": (
        of(
            "rawdata/sub-verse{0}/sub-verse{0}_ct.nii.gz",
            "derivatives/sub-verse{0}/sub-verse{0}_seg-vert_msk.nii.gz",
            "derivatives/sub-verse{0}/sub-verse{0}_seg-vert_snp.png",
        ),
        Right(3, groups=3, first="sub-verse1_seg-vert_msk.nii.gz", notes=("pictures beside",)),
    ),
    "VerSe in three": (
        [
            f"dataset-{part}/{kind.format(n)}"
            for part, ns in (("01training", (1, 2)), ("02validation", (3,)), ("03test", (4, 5)))
            for n in ns
            for kind in (
                "rawdata/sub-verse{0}/sub-verse{0}_ct.nii.gz",
                "derivatives/sub-verse{0}/sub-verse{0}_seg-vert_msk.nii.gz",
            )
        ],
        Right(3, groups=3, validation=1, notes=("kept for testing",)),
    ),
    "letters with accents, as a Mac and as others spell them": (
        [
            *(f"images/{name}.nii.gz" for name in ("Mu\u0308ller", "Bo\u0308hm")),
            *(f"labels/{name}.nii.gz" for name in ("M\u00fcller", "B\u00f6hm")),
        ],
        Right(2),
    ),
    "a folder per contrast": (
        of("images/t1/p{}.nii.gz", "images/t2/p{}.nii.gz", "labels/p{}.nii.gz", n=N),
        Right(4, channels=2, first="p1.nii.gz"),
    ),
    "a folder per contrast, at the top": (
        of("T1/p{0}_T1.nii.gz", "FLAIR/p{0}_FLAIR.nii.gz", "mask/p{}_mask.nii.gz", n=N),
        Right(4, channels=2, first="p1_mask.nii.gz"),
    ),
    "a folder per contrast and per class": (
        of("images/t1/p{}.nii.gz", "images/t2/p{}.nii.gz", n=N)
        + of("labels/liver/p{}.nii.gz", "labels/spleen/p{}.nii.gz", n=N),
        Right(4, channels=2, classes=("liver", "spleen")),
    ),
    "contrasts with a label each": (
        of("images/t1/p{}.nii.gz", "images/t2/p{}.nii.gz", n=N)
        + of("labels/t1/p{}.nii.gz", "labels/t2/p{}.nii.gz", n=N),
        Right(8),
    ),
    "contrasts of different patients": (
        of("images/ct/p{}.nii.gz", n=(1, 2))
        + of("images/mr/p{}.nii.gz", n=(3, 4))
        + of("labels/p{}.nii.gz", n=N),
        Right(4),
    ),
    "volumes in parts": (
        of("volume_pt1/volume-{}.nii", n=(1, 2))
        + of("volume_pt2/volume-{}.nii", n=(3, 4))
        + of("segmentations/segmentation-{}.nii", n=N),
        Right(4, first="segmentation-1.nii"),
    ),
}
