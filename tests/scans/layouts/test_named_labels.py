"""Labels that name their classes: Slicer's case folders."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from medseg.errors import ScanError
from medseg.scans.discover import discover
from medseg.scans.read import read_subject


def slicer(folder, segments, *, layers=1):
    """A scan, its segments (name, value, layer) each a slab of its own, and what stands beside."""
    folder.mkdir(parents=True)
    size = (8, 6, 4)
    nib.save(nib.Nifti1Image(np.ones(size, np.int16), np.diag([1, 1, 1, 1])), folder / "CT.nii.gz")
    data = np.zeros((layers, *size), np.uint8)
    for index, (_, value, layer) in enumerate(segments):
        data[layer, 2 * index : 2 * index + 2] = value
    four = layers > 1
    head = [
        *("NRRD0004", "type: unsigned char", f"dimension: {4 if four else 3}"),
        *("space: right-anterior-superior", "encoding: gzip", "space origin: (0,0,0)"),
        "sizes: " + " ".join(map(str, ((layers,) if four else ()) + size)),
        "space directions: " + "none " * four + "(1,0,0) (0,1,0) (0,0,1)",
        "kinds: " + "list " * four + "domain domain domain",
    ]
    for n, (name, value, layer) in enumerate(segments):
        head += [f"Segment{n}_ID:=S{n}", f"Segment{n}_Name:={name}"]
        head += [f"Segment{n}_LabelValue:={value}", f"Segment{n}_Layer:={layer}"]
    raw = data if four else data[0]
    text = "\n".join(head).encode() + b"\n\n" + gzip.compress(raw.tobytes(order="F"))
    (folder / "Segmentation.seg.nrrd").write_bytes(text)
    (folder / "scene.mrml").write_text("<MRML/>")


def test_segments_are_one_list_for_all_cases(tmp_path):
    slicer(tmp_path / "p1", [("liver", 1, 0), ("tumour", 2, 0)])
    slicer(tmp_path / "p2", [("tumour", 1, 0), ("liver", 2, 0)])
    slicer(tmp_path / "p3", [("liver", 1, 0)])
    dataset = discover(tmp_path)
    assert dataset.problems == ()
    assert dataset.class_values == {"liver": 1, "tumour": 2}
    assert {case.segments for case in dataset.cases} == {("liver", "tumour")}
    first, second, third = (read_subject(case).label for case in dataset.cases)
    assert (first[0, :4, 0, 0].tolist(), second[0, :4, 0, 0].tolist()) == (
        [1, 1, 2, 2],
        [2, 2, 1, 1],
    )
    assert set(np.unique(third)) == {0, 1}


def test_a_name_is_one_class_however_it_is_spelled(tmp_path):
    slicer(tmp_path / "p1", [("Left_Kidney", 1, 0), ("tumour", 2, 0)])
    slicer(tmp_path / "p2", [("tumour", 1, 0), ("left kidney", 2, 0)])
    slicer(tmp_path / "p3", [("left kidney", 1, 0)])
    dataset = discover(tmp_path)
    assert dataset.class_values == {"left kidney": 1, "tumour": 2}
    assert [note for note in dataset.notes if "taken for one class" in note] == [
        "segments 'Left_Kidney', 'left kidney' are taken for one class, 'left kidney'"
    ]
    first, second, _ = (read_subject(case).label for case in dataset.cases)
    assert first[0, :4, 0, 0].tolist() == [1, 1, 2, 2]
    assert second[0, :4, 0, 0].tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("names", [("Segment_1", "Segment_2"), ("Segment_1",), ("Segment_1", "a")])
def test_names_that_slicer_gives_by_itself_are_doubted(tmp_path, names):
    slicer(tmp_path / "p1", [(name, number, 0) for number, name in enumerate(names, start=1)])
    slicer(tmp_path / "p2", [(names[0], 1, 0)])
    said = "\n".join(discover(tmp_path).notes)
    assert ("in the order they are made" in said) == (names == ("Segment_1", "Segment_2"))


def test_overlapping_segments_are_layers_everywhere(tmp_path):
    slicer(tmp_path / "p1", [("liver", 1, 0), ("tumour", 1, 1)], layers=2)
    slicer(tmp_path / "p2", [("tumour", 1, 0)])
    dataset = discover(tmp_path)
    assert [case.layered for case in dataset.cases] == [True, True]
    labels = [read_subject(case).label for case in dataset.cases]
    assert [label.shape for label in labels] == [(2, 8, 6, 4)] * 2
    assert [int(mask.sum()) for label in labels for mask in label] == [48, 48, 0, 48]


def test_a_label_without_names_among_named_ones_is_not_read(tmp_path):
    slicer(tmp_path / "p1", [("liver", 1, 0)])
    slicer(tmp_path / "p2", [])
    case = discover(tmp_path).cases[1]
    with pytest.raises(ScanError, match="names no segments"):
        read_subject(case)


def test_masks_of_objects_of_one_class_are_united(tmp_path):
    from PIL import Image

    for n in (1, 2, 3):
        mask = np.zeros((6, 4), np.uint8)
        Image.fromarray(mask).save(tmp_path / f"b ({n}).png")
        mask[0] = 255
        Image.fromarray(mask).save(tmp_path / f"b ({n})_mask.png")
    mask = np.zeros((6, 4), np.uint8)
    mask[5] = 255
    Image.fromarray(mask).save(tmp_path / "b (2)_mask_1.png")
    dataset = discover(tmp_path)
    labels = [read_subject(case).label for case in dataset.cases]
    assert [int((label != 0).sum()) for label in labels] == [4, 8, 4]
    assert "united" in "".join(dataset.notes)
