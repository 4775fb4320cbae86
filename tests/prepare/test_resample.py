import numpy as np
import pytest

from medseg.prepare.resample import resample_layer, resampled_size
from medseg.types import IGNORED


@pytest.mark.parametrize(("size", "spacing", "target", "slice_axis", "expected"), [
    ((100, 100, 20), (1.0, 1.0, 3.0), (1.5, 1.5, 1.5), None, (67, 67, 40)),
    ((100, 512, 20), (1.0, 1.005, 3.0), (1.0, 1.0, 3.0), None, (100, 512, 20)),
    ((100, 512, 20), (1.0, 1.02, 3.0), (1.0, 1.0, 3.0), None, (100, 522, 20)),
    ((100, 100, 20), (1.0, 1.0, 3.0), (2.0, 2.0, 2.0), 2, (50, 50, 20)),
    ((1, 2, 3), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0), None, (1, 1, 1)),
])  # fmt: skip
def test_the_field_of_view_is_kept(size, spacing, target, slice_axis, expected):
    assert resampled_size(size, spacing, target, slice_axis) == expected


def test_what_is_ignored_is_resized_like_a_class():
    """Halves of a box: no value between them is invented, at any size."""
    label = np.zeros((8, 6, 4), dtype=np.uint8)
    label[4:] = IGNORED
    label[:4, 3:] = 2
    for size in ((16, 12, 8), (4, 3, 2), (8, 6, 4)):
        resized = resample_layer(label, size, 3)
        half, middle = size[0] // 2, -(-size[1] // 2)
        assert (resized[half:] == IGNORED).all()
        assert (resized[:half, middle:] == 2).all()
        assert {*np.unique(resized).tolist()} == {0, 2, IGNORED}
