"""Who the patient is stands in every file, and nowhere in what medseg says or names."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from medseg.errors import MedsegError
from medseg.scans.decode import decode
from medseg.scans.dicom.folder import chosen, series_in
from medseg.scans.formats import is_scan, named_path, reading_notes, shown_name
from tests.scans.dicom.objects import SECRETS, affine, dataset, ramp, save, save_series, slices, uid


def said_of(folder: Path) -> Iterator[str]:
    """Everything that a user may come to see of a folder."""
    for series in series_in(folder):
        yield series.line
        yield series.name
        yield series.description
        yield str(series.problem)
        yield str(reading_notes(series.first))
        yield shown_name(series.first)
        yield series.shown
        yield str(named_path(series.first).relative_to(folder.parent))
        try:
            yield str(decode(series.first).geometry)
        except MedsegError as error:
            yield str(error)
        try:
            chosen([series.first], "nothing of this kind")
        except MedsegError as error:
            yield str(error)


def check(folder: Path) -> None:
    said = list(said_of(folder))
    assert said
    secrets = (*SECRETS, "20240131", str(uid("series")), str(uid("study")))
    for text in said:
        assert "\n" not in text
        for secret in secrets:
            assert secret.casefold() not in text.casefold()


@pytest.mark.parametrize(
    "description",
    [
        "ZWOLINSKA^HILDEGARD T1",
        "T1_Zwolinska_axial",
        "hildegard zwolinska 17.04.1961",
        "ID-7741 / ACC99123 Bethesda General",
        "zwolinskahildegard\nsecond line",
    ],
)
def test_descriptions_lose_names_identifiers_and_dates(tmp_path: Path, description: str) -> None:
    save_series(tmp_path / "case", ramp(3, 3, 3), SeriesDescription=description)
    check(tmp_path / "case")


def test_a_description_keeps_the_rest(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(3, 3, 3), SeriesDescription="Zwolinska T1 MPRAGE sag 0.8mm (post)")
    assert series_in(tmp_path)[0].description == "T1 MPRAGE sag 0.8mm (post)"


def test_identifiers_are_no_names(tmp_path: Path) -> None:
    """Many exports name files so."""
    for one in slices(ramp(3, 3, 3), affine()):
        one.SeriesInstanceUID = uid("several")
        save(one, tmp_path / "case" / f"{one.SOPInstanceUID}{one.InstanceNumber}.dcm")
    (only,) = slices(ramp(3, 3, 1), affine())
    save(only, tmp_path / "case" / f"MR.{only.SOPInstanceUID}")
    names = [named_path(one.first) for one in series_in(tmp_path / "case")]
    assert len(set(names)) == 2
    assert all(len(name.name) < 20 and "1.2.826" not in name.name for name in names)


def test_refusals_say_nothing_of_the_patient(tmp_path: Path) -> None:
    """Libraries quote what they stumble over."""
    folder = tmp_path / "case"
    for index, one in enumerate(slices(ramp(3, 3, 4), affine())):
        if index != 1:
            save(one, folder / f"{index}.dcm")
    save(dataset("1.2.840.10008.5.1.4.1.1.481.3"), folder / "contours.dcm")
    broken = save(dataset("1.2.840.10008.5.1.4.1.1.1", ramp(3, 3, kind=np.uint8)), folder / "x.dcm")
    broken.write_bytes(broken.read_bytes()[:-3])
    strange = dataset("1.2.840.10008.5.1.4.1.1.66.4", ramp(3, 3, kind=np.uint8))
    strange.SegmentationType, strange.SegmentSequence = "ZWOLINSKA", [Dataset()]
    save(strange, folder / "y.dcm")
    check(folder)
    assert any(is_scan(path) for path in folder.iterdir())
