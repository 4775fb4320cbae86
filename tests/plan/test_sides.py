"""Names tell left from right in whole words, in any usual spelling, and nothing else does."""

from itertools import permutations

import pytest

from medseg.plan.sides import sided

SPELLINGS = [
    ("left", "right"), ("LEFT", "RIGHT"), ("Left", "Right"), ("l", "r"), ("L", "R"), ("lt", "rt"),
    ("lh", "rh"), ("links", "rechts"), ("linke", "rechte"), ("linker", "rechter"), ("li", "re"),
    ("gauche", "droite"), ("gauche", "droit"), ("izquierdo", "derecho"), ("izq", "der"),
    ("sinistro", "destro"), ("sinistra", "dextra"), ("sin", "dx"), ("sin", "dex"), ("sx", "dx"),
    ("esquerda", "direita"), ("sinister", "dexter"), ("os", "od"), ("левая", "правая"),
    ("vänster", "höger"), ("va\u0308nster", "ho\u0308ger"),
]  # fmt: skip
PATTERNS = [
    "{}", "{} kidney", "{}_kidney", "{}-Hippocampus", "kidney_{}", "Kidney {}", "kidney.{}",
    "ctx-{}-cuneus", "lung_upper_lobe_{}", "rib_{}_7", "kidney ({})", "{}, kidney", "T2 {} kidney",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("words", SPELLINGS, ids=" ".join)
def test_twins_are_found_whatever_their_order(pattern, words):
    left, right = (pattern.format(word) for word in words)
    names = ["background", left, "liver", right]
    for order in permutations(range(4)):
        one, other = sorted((order.index(1), order.index(3)))
        found = sided([names[index] for index in order])
        assert found == (((one, other),), ())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("leftKidney", "rightKidney"), ("KidneyL", "KidneyR"), ("Left_kidney", "right-kidney"),
        ("左肾", "右肾"), ("left2", "right2"), ("Precentral_L", "Precentral_R"),
        ("ctx_lh_G_left", "ctx_rh_G_right"), ("leftlung", "rightlung"), ("GTVLeft", "GTVRight"),
    ],
)  # fmt: skip
def test_further_spellings(left, right):
    assert sided([left, right]).pairs == ((0, 1),)


@pytest.mark.parametrize(
    "names",
    [
        ("l1", "r1"), ("L1", "R1"), ("LV", "RV"), ("lv", "rv"), ("lvmyo", "rvmyo"),
        ("liver", "river"), ("cleft", "cright"), ("LKidney", "RKidney"), ("l", "right"),
        ("Liver", "liver"), ("bright", "bleft"), ("leftlung", "rightliver"), ("aleft", "aright"),
        ("a left-right shunt", "a right-left shunt"), ("V4", "L4"), ("lung", "rung"),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_side(names):
    assert sided(names).pairs == ()


def test_names_without_their_twin_are_named_where_they_mean_a_side_for_certain():
    names = ["background", "left atrium", "l", "L5", "OS", "lh-cortex", "Niere rechts"]
    assert sided(names) == ((), (1, 6))
    assert sided(["lung_left", "lung_right", "lobe_right"]) == (((0, 1),), (2,))


def test_several_pairs_and_a_name_that_is_there_twice():
    names = ["l_eye", "r_ear", "r_eye", "l_ear"]
    assert sided(names).pairs == ((0, 2), (1, 3))
    assert sided(["left", "LEFT", "right"]) == (((0, 2),), (1,))
