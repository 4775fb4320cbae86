import pytest

from medseg.prepare.resample import resampled_size


@pytest.mark.parametrize(("size", "spacing", "target", "slice_axis", "expected"), [
    ((100, 100, 20), (1.0, 1.0, 3.0), (1.5, 1.5, 1.5), None, (67, 67, 40)),
    ((100, 512, 20), (1.0, 1.005, 3.0), (1.0, 1.0, 3.0), None, (100, 512, 20)),
    ((100, 512, 20), (1.0, 1.02, 3.0), (1.0, 1.0, 3.0), None, (100, 522, 20)),
    ((100, 100, 20), (1.0, 1.0, 3.0), (2.0, 2.0, 2.0), 2, (50, 50, 20)),
    ((1, 2, 3), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0), None, (1, 1, 1)),
])  # fmt: skip
def test_the_field_of_view_is_kept(size, spacing, target, slice_axis, expected):
    assert resampled_size(size, spacing, target, slice_axis) == expected
