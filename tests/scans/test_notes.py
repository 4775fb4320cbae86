from medseg.scans.notes import Note, folded


def test_what_happens_to_many_cases_is_one_line_and_what_is_rare_stays():
    notes = [(f"p{n}", Note(f"p{n}.nrrd", "put in its place", f"covers {n}%")) for n in range(40)]
    notes.insert(7, ("p7", Note("p7.nii", "voxels are taken by index")))
    assert folded(notes) == (
        "put in its place (40 cases, first p0: covers 0%)",
        "p7: p7.nii: voxels are taken by index",
    )


def test_several_files_of_one_case_are_one_line():
    notes = [("a", Note(f"mask{n}.nii", "moved", "exactly")) for n in range(3)]
    assert folded(notes) == ("a: mask0.nii: moved (exactly); so are 2 other files of it",)


def test_nothing_is_nothing():
    assert folded([]) == ()
