"""Segments go by name, whatever number a file gives them."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import ScanError
from medseg.scans.segments import Segment, decode_segments, segment_names

LIVER, TUMOR = np.zeros((5, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)
LIVER[:3], TUMOR[2:] = 1, 1


def saved(path: Path, values: np.ndarray, segments: list[dict]) -> Path:
    layers = values.ndim == 4
    keys = "".join(
        f"Segment{number}_{key}:={value}\n"
        for number, segment in enumerate(segments)
        for key, value in segment.items()
    )
    path.write_bytes(
        (
            f"NRRD0004\ntype: uchar\ndimension: {values.ndim}\nspace: LPS\n"
            f"sizes: {' '.join(map(str, values.shape))}\n"
            f"space directions: {'none ' * layers}(1,0,0) (0,1,0) (0,0,1)\n"
            f"kinds: {'list ' * layers}domain domain domain\n"
            f"encoding: gzip\nspace origin: (0,0,0)\n{keys}\n"
        ).encode()
        + gzip.compress(values.tobytes(order="F"))
    )
    return path


def segment(name: str, value: int, layer: int = 0) -> dict:
    return {"ID": f"S_{name}", "Name": name, "LabelValue": value, "Layer": layer}


def test_values_differ_and_names_hold(tmp_path):
    apart = LIVER * (1 - TUMOR)
    one = saved(
        tmp_path / "a.seg.nrrd", apart * 1 + TUMOR * 2, [segment("liver", 1), segment("tumor", 2)]
    )
    two = saved(
        tmp_path / "b.seg.nrrd", apart * 7 + TUMOR * 3, [segment("tumor", 3), segment("liver", 7)]
    )
    assert segment_names(two) == (Segment("tumor", 3), Segment("liver", 7))
    for path in (one, two):
        values, _ = decode_segments(path, ("liver", "tumor"))
        np.testing.assert_array_equal(values, (apart + 2 * TUMOR)[None])
        assert values.dtype == np.uint8
        masks, _ = decode_segments(path, ("liver", "tumor", "spleen"), layered=True)
        np.testing.assert_array_equal(masks, [apart, TUMOR, 0 * TUMOR])


def test_layers_overlap_as_masks_and_not_as_a_map(tmp_path):
    layers = np.stack([LIVER * 4, TUMOR * 4])
    path = saved(tmp_path / "a.seg.nrrd", layers, [segment("tumor", 4, 1), segment("liver", 4, 0)])
    masks, _ = decode_segments(path, ("liver", "tumor"), layered=True)
    np.testing.assert_array_equal(masks, [LIVER, TUMOR])
    with pytest.raises(ScanError, match=r"a\.seg\.nrrd: its segments overlap"):
        decode_segments(path, ("liver", "tumor"))


def test_old_files_have_a_layer_for_each_segment(tmp_path):
    named = [{"ID": "S_liver", "Name": "liver"}, {"ID": "S_tumor", "Name": "tumor"}]
    path = saved(tmp_path / "a.seg.nrrd", np.stack([LIVER, TUMOR]), named)
    masks, _ = decode_segments(path, ("tumor", "liver"), layered=True)
    np.testing.assert_array_equal(masks, [TUMOR, LIVER])


def test_without_a_name_the_id_is_one_and_equal_names_are_one_class(tmp_path):
    apart = LIVER * (1 - TUMOR)
    named = [{"ID": "liver", "LabelValue": 1, "Layer": 0}, segment("liver", 2)]
    path = saved(tmp_path / "a.seg.nrrd", apart + 2 * TUMOR, named)
    assert [found.name for found in segment_names(path)] == ["liver", "liver"]
    values, _ = decode_segments(path, ("liver",))
    np.testing.assert_array_equal(values[0], apart | TUMOR)


def test_a_plain_file_names_nothing(tmp_path):
    path = saved(tmp_path / "a.nrrd", LIVER, [])
    assert segment_names(path) == ()
    assert segment_names(tmp_path / "a.png") == ()
    with pytest.raises(ScanError, match=r"a\.nrrd: names no segments"):
        decode_segments(path, ("liver",))


def test_what_no_name_covers_is_refused(tmp_path):
    path = saved(tmp_path / "a.seg.nrrd", LIVER * 5, [segment("liver", 5)])
    with pytest.raises(ScanError, match="its segment 'liver' is none of the classes spleen"):
        decode_segments(path, ("spleen",))
    path = saved(tmp_path / "a.seg.nrrd", LIVER * 5, [segment("liver", 6)])
    for layered in (True, False):
        with pytest.raises(ScanError, match="holds the value 5, which no segment has"):
            decode_segments(path, ("liver",), layered=layered)
    nothing = [segment("liver", 5), segment("tumor", 0)]
    with pytest.raises(ScanError, match="'tumor' has the value 0, which is that of nothing"):
        decode_segments(saved(tmp_path / "a.seg.nrrd", LIVER * 5, nothing), ("liver", "tumor"))
    both = [segment("liver", 5), segment("tumor", 5)]
    path = saved(tmp_path / "a.seg.nrrd", LIVER * 5, both)
    with pytest.raises(ScanError, match="'liver' and 'tumor' have the value 5 both"):
        decode_segments(path, ("liver", "tumor"))
    path = saved(tmp_path / "a.seg.nrrd", LIVER * 5, [segment("liver", 5, 3)])
    with pytest.raises(ScanError, match="'liver' is in layer 3 of 1"):
        decode_segments(path, ("liver",))
