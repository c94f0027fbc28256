"""Fitbit: a study's tables of 33 people in full, and the archive of an account in the forms in which it comes."""

import io
import json
import zipfile

import polars as pl
import pytest
from tests.data.imports.conftest import dropped

from fedhealth.data.files import DataError


def test_the_tables_of_33_people_in_full(imported, real_data):
    report, table = imported(real_data / "fitbit")
    assert report["files"] == {
        "dailyActivity_merged.csv": {"rows": 940},
        "sleepDay_merged.csv": {"rows": 413},
        "heartrate_seconds_slice.csv": {"rows": 17_666},
    }
    assert dropped(report) == {"not worn that day (no step, 1440 minutes at rest)": 72, "duplicate": 3}
    assert report["kept"] == {"daily_steps": 940 - 72, "heart_rate": 17_666, "sleep_duration": 413 - 3}
    assert report["people"] == table["user_id"].n_unique() == 33
    assert table["steps"].count() == 868
    assert table["sleep_hours"].count() == 410
    assert (report["first"], report["last"]) == ("2016-04-12", "2016-05-12")


def test_a_day_of_it_as_it_stands_in_the_files(imported, real_data):
    table = imported(real_data / "fitbit")[1].filter(pl.col("steps") == 13_162)
    assert table.select("date", "steps", "sleep_hours").rows() == [("2016-04-12", 13_162, 327 / 60)]


def test_a_row_without_an_id_is_of_nobody(imported, write):
    report, _ = imported(write("t.csv", "Id,ActivityDate,TotalSteps\n1,4/12/2016,9\n,4/12/2016,8\n"))
    assert (report["people"], dropped(report)) == (1, {"nobody is named": 1})


BEATS = [
    {"dateTime": f"01/31/20 {19 + m // 60:02}:{m % 60:02}:00", "value": {"bpm": 60 + m % 7, "confidence": 2}}
    for m in range(0, 300, 5)
]
ARCHIVE = {
    "heart_rate-2020-01-31.json": [*BEATS, {"dateTime": "01/31/20 19:00:01", "value": {"bpm": 70, "confidence": 0}}],
    "resting_heart_rate-2020-02-01.json": [
        {"dateTime": "02/01/20 00:00:00", "value": {"date": "02/01/20", "value": 58.4, "error": 6.7}},
        {"dateTime": "02/02/20 00:00:00", "value": {"date": None, "value": 0.0, "error": 0.0}},
    ],
    # 19:00 UTC is midnight in Karachi
    "steps-2020-01-31.json": [
        {"dateTime": "01/31/20 18:59:00", "value": "40"},
        {"dateTime": "01/31/20 19:00:00", "value": "90"},
        {"dateTime": "02/01/20 10:00:00", "value": "10"},
    ],
    "sleep-2020-02-01.json": [
        {
            "logId": 1, "dateOfSleep": "2020-02-01", "startTime": "2020-01-31T23:30:00.000", "type": "stages",
            "endTime": "2020-02-01T07:00:30.000", "minutesAsleep": 405, "minutesAwake": 45, "mainSleep": True,
        },
        {
            "logId": 2, "dateOfSleep": "2020-02-01", "startTime": "2020-02-01T14:00:00.000", "type": "classic",
            "endTime": "2020-02-01T14:30:00.000", "minutesAsleep": 15, "minutesAwake": 15, "mainSleep": False,
        },
    ],
    "calories-2020-01-31.json": [{"dateTime": "01/31/20 19:00:00", "value": "0.8"}],
    "Daily SpO2 - 2020-02-01-2020-02-28.csv": (
        "timestamp,average_value,lower_bound,upper_bound\n2020-02-01T00:00:00Z,95.5,92.0,98.1\n"
    ),
    "Profile.csv": "id,full_name,date_of_birth,gender\n7AB,Ann,1980-02-01,FEMALE\n",
}  # fmt: skip
EXPECTED = [("2020-01-31", 40, None, None, None, 39), ("2020-02-01", 100, 7, 95.5, 58.4, 40)]


def text_of(content):
    return content if isinstance(content, str) else json.dumps(content)


def days(table):
    return table.select("date", "steps", "sleep_hours", "spo2", "heart_rate", "age").rows()


@pytest.mark.parametrize("place", ["Takeout/Fitbit/Global Export Data", "Ann/Physical Activity", "ann"])
def test_a_folder_of_an_account_is_one_person(imported, write, place):
    for name, content in ARCHIVE.items():
        file = write(f"{place}/{name}", text_of(content))
    top = next(folder for folder in file.parents if folder.name == "exports")
    report, table = imported(top, zone="Asia/Karachi")
    assert days(table) == EXPECTED
    assert report["people"] == 1
    assert dropped(report) == {"no pulse felt (confidence 0)": 1, "no heart rate at rest that day": 1}
    counts = next(iter(report["files"].values()))
    assert (counts["heart_rate"], counts["steps"], counts["sleep"], counts["Daily SpO2"]) == (61, 3, 2, 1)


def zipped(files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"Takeout/Fitbit/Global Export Data/{name}", text_of(content))
    return memory.getvalue()


def test_a_zip_gives_what_the_folder_gives(imported, write):
    assert days(imported(write("takeout-1-001.zip", zipped(ARCHIVE)), zone="Asia/Karachi")[1]) == EXPECTED


def test_two_accounts_may_number_their_nights_alike(imported, write):
    name = "sleep-2020-02-01.json"
    paths = [write(f"{person}.zip", zipped({name: ARCHIVE[name]})) for person in ("ann", "bob")]
    report, table = imported(*paths)
    assert table["sleep_hours"].to_list() == [7, 7]
    assert dropped(report) == {}


def test_steps_by_the_hour_and_by_the_minute_count_once(imported, write):
    hourly = write("hourlySteps.csv", "Id,ActivityHour,StepTotal\n7,4/12/2016 8:00:00 AM,600\n")
    rows = "".join(f"7,4/12/2016 8:{minute:02}:00 AM,10\n" for minute in range(60))
    minutes = write("minuteSteps.csv", f"Id,ActivityMinute,Steps\n{rows}")
    assert imported(hourly, minutes)[1]["steps"].to_list() == [600]


def test_the_report_does_not_say_whose_archive_it_is(imported, write, tmp_path):
    for name, content in ARCHIVE.items():
        write(f"Annabel/Physical Activity/{name}", text_of(content))
    report, _ = imported(tmp_path / "exports" / "Annabel")
    folder = tmp_path / "data" / "node_1"
    written = "\n".join((folder / f"wearables.import.{end}").read_text() for end in ("json", "html"))
    assert report["files"]["Fitbit archive"]["steps"] == 3
    assert "It holds no names" not in written
    assert "Annabel" not in written


def test_an_archive_is_known_by_its_content_whatever_its_name(imported, write):
    assert days(imported(write("takeout", zipped(ARCHIVE)), zone="Asia/Karachi")[1]) == EXPECTED


def test_the_parts_of_a_large_archive_are_one_person(imported, write):
    names = list(ARCHIVE)
    parts = [write(f"takeout-1-00{i}.zip", zipped({n: ARCHIVE[n] for n in names[i::2]})) for i in (0, 1)]
    assert days(imported(*parts, zone="Asia/Karachi")[1]) == EXPECTED


def test_steps_by_the_hour_fill_in_for_days_without_a_total(imported, write):
    daily = write("dailyActivity.csv", "Id,ActivityDate,TotalSteps\n7,4/12/2016,900\n")
    rows = "7,4/12/2016 11:00:00 PM,500\n7,4/13/2016 12:00:00 AM,70\n7,4/13/2016 1:00:00 PM,30\n"
    hourly = write("hourlySteps.csv", f"Id,ActivityHour,StepTotal\n{rows}")
    assert imported(daily, hourly)[1].select("date", "steps").rows() == [("2016-04-12", 900), ("2016-04-13", 100)]


def test_what_cannot_be_used_is_dropped_and_counted(imported, write):
    steps = [
        {"dateTime": "02/01/20 10:00:00", "value": "10"},
        {"dateTime": "2020-02-01", "value": "10"},
        {"dateTime": "02/01/20 10:01:00", "value": "many"},
        {"dateTime": "02/01/20 10:02:00", "value": "-4"},
        {"value": "10"},
    ]
    no_text = b', {"dateTime": "02/01/20 10:03:00", "value": "\x80"}]'
    content = json.dumps(steps).encode().removesuffix(b"]") + no_text
    report, table = imported(write("ann/steps-2020-02-01.json", content))
    assert table["steps"].to_list() == [10]
    assert dropped(report) == {
        "time not readable": 1,
        "not a number": 1,
        "impossible value": 1,
        "not as Fitbit writes it": 2,
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "steps-2020-01-31.json",
            '[{"dateTime": "01/31',
            "steps-2020-01-31.json: not valid JSON: Input data was trunc",
        ),
        ("steps-2020-01-31.json", '[{"a" 1}]', r"not valid JSON: JSON is malformed: .*\(byte 6\)"),
        ("steps-2020-01-31.json", '{"a": 1}', "not an export that is known"),
        ("calories-2020-01-31.json", "[]", "not an export that is known"),
        ("a.csv", "Id,ActivityDate,TotalSteps\n1,4/12/2016\n", "a.csv: line 2: got 2 cells; expected 3"),
        ("ann.zip", zipped(ARCHIVE)[:-60], "the zip is cut off or broken"),
        (
            "ann.zip",
            zipped({"steps-2020-01-31.json": '[{"dateTime": "01/31'}),
            "exports/ann.zip: Takeout/Fitbit/Global Export Data/steps-2020-01-31.json: not valid JSON: Input data",
        ),
    ],
)
def test_a_broken_file_is_refused_with_the_place(imported, write, name, content, message):
    with pytest.raises(DataError, match=message):
        imported(write(name, content))


def test_a_damaged_byte_in_a_zip_is_noticed(imported, write):
    content = bytearray(zipped(ARCHIVE))
    content[200] ^= 0xFF
    with pytest.raises(DataError, match=r"the zip cannot be read|not valid JSON"):
        imported(write("a.zip", bytes(content)))
