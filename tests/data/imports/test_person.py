"""A person's own export, read for that person."""

import tempfile
import zipfile
from pathlib import Path

import pytest
from tests.data.imports.conftest import NOW
from tests.data.imports.test_apple_health import ME, asleep, export, steps

from fedhealth.data.files import DataError
from fedhealth.data.imports import person
from fedhealth.data.imports.person import own_days
from fedhealth.study import load_study

STUDY = load_study("health-risk")


def test_days_of_an_export_and_nothing_left_behind(write, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    night = asleep("2024-05-01 23:00:00 +0500", "2024-05-02 06:30:00 +0500")
    file = write("ann.xml", export(ME, steps("08:00:00", "08:10:00", 900), night))
    assert own_days(STUDY, file, NOW, "UTC") == [
        {"date": "2024-05-01", "steps": 900, "age": 43, "sex": 0},
        {"date": "2024-05-02", "sleep_hours": 7.5, "age": 43, "sex": 0},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["exports"]


def test_the_export_of_several_people_is_refused(write):
    file = write("t.csv", "Id,ActivityDate,TotalSteps\n1,4/12/2016,9\n2,4/12/2016,8\n")
    with pytest.raises(DataError, match="holds readings of 2 people; expected the export of one"):
        own_days(STUDY, file, NOW, "UTC")


def test_air_is_no_export_of_a_person(write):
    with pytest.raises(DataError, match=r"names no city|no reading for you"):
        own_days(STUDY, write("a.csv", "date,pm25_ug_per_m3\n2024-05-01,9\n"), NOW, "UTC")


def test_a_zip_that_unpacks_to_very_much_is_refused(write, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(person, "LARGEST_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.xml", b"0" * (2 << 20))
    with pytest.raises(DataError, match=r"bomb.zip: unpacks to 0 GB; expected at most"):
        own_days(STUDY, path, NOW, "UTC")


def test_a_code_of_the_study_is_read_as_its_value(write):
    file = write("a.csv", "date,slope\n2024-05-01,1\n2024-05-02,3\n")
    days = own_days(load_study("heart-disease"), file, NOW, "UTC")
    assert [day["st_slope"] for day in days] == [0, 2]
