"""Windows follow the kernels of the plan."""

from medseg.plan.topology import attention_window, mixing_window


def test_windows_of_attention_waste_little():
    assert attention_window((5, 10, 14), (7, 7, 7)) == (5, 5, 7)
    assert attention_window((16, 28, 3), (5, 7, 1)) == (4, 7, 1)
    assert attention_window((5, 10), (7, 7)) == (5, 5)
    assert attention_window((56, 14), (7, 7)) == (8, 7)


def test_tokens_are_mixed_in_windows_of_64_where_an_axis_mixes_at_all():
    assert mixing_window((7, 7)) == (8, 8)
    assert mixing_window((5, 3, 7)) == (4, 4, 4)
    assert mixing_window((1, 7, 7)) == (1, 8, 8)
    assert mixing_window((1, 1, 3)) == (1, 1, 64)
    assert mixing_window((1, 1, 1)) == (1, 1, 1)
