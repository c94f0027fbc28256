"""Exports of Apple Health: a real one, and the traps of others."""

import io
import os
import zipfile

import polars as pl
import pytest
from tests.data.imports.conftest import dropped

from fedhealth.data.files import DataError
from fedhealth.data.imports import daily

union = daily._union
BROKEN_TYPE = """<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 13 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
<!ATTLIST Record
  type          CDATA #REQUIRED
  startDate     CDATA #REQUIRED
>
]>"""
ME = (
    '<Me HKCharacteristicTypeIdentifierDateOfBirth="1980-06-15" '
    'HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexFemale"/>'
)


def record(kind, start, end, value, unit="", source="Watch"):
    name = f"HK{'Category' if 'Sleep' in kind else 'Quantity'}TypeIdentifier{kind}"
    unit = f' unit="{unit}"' if unit else ""
    return (
        f'<Record type="{name}" sourceName="{source}"{unit} creationDate="{end}" '
        f'startDate="{start}" endDate="{end}" value="{value}"/>'
    )


def steps(start, end, count, source="Watch", day="2024-05-01", zone="+0500"):
    return record("StepCount", f"{day} {start} {zone}", f"{day} {end} {zone}", count, "count", source)


def asleep(start, end, stage="AsleepCore", source="Watch"):
    return record("SleepAnalysis", start, end, f"HKCategoryValueSleepAnalysis{stage}", source=source)


def export(*records, head=""):
    body = "\n".join(records)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<HealthData locale="en_US">\n{body}\n</HealthData>\n'


def zipped(**files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return memory.getvalue()


def test_a_real_export_in_full(imported, real_data):
    report, table = imported(real_data / "apple_health" / "iphone_2017_export.xml")
    found = report["files"]["iphone_2017_export.xml"]
    assert (found["StepCount"], found["HeartRate"], found["SleepAnalysis"]) == (3_980, 2_177, 121)
    assert sum(found.values()) == 11_101
    assert dropped(report) == {"in bed or awake, not asleep": 14}
    assert report["kept"] == {"heart_rate": 2_177, "sleep": 107, "steps": 3_980}
    assert report["clocks"]["offsets"].keys() == {"+02:00"} or sum(report["clocks"]["offsets"].values()) == 6_278
    assert report["people"] == 1
    assert table["user_id"].n_unique() == 1


def test_no_day_of_it_counts_more_steps_than_its_sources_together_or_fewer_than_the_best(imported, real_data, tmp_path):
    _, table = imported(real_data / "apple_health" / "iphone_2017_export.xml")
    records = pl.read_parquet(tmp_path / "data" / "node_1" / "wearables.records.parquet")
    local = (pl.col("start") + pl.duration(minutes=pl.col("offset"))).dt.date().dt.to_string().alias("date")
    by_source = records.filter(pl.col("feature") == "steps").group_by(local, "source").agg(pl.col("value").sum())
    days = by_source.group_by("date").agg(pl.col("value").max().alias("best"), pl.col("value").sum().alias("all"))
    compared = table.join(days, on="date").filter(pl.col("steps").is_not_null())
    assert compared.height == 190
    assert (compared["steps"] >= compared["best"] - 0.5).all()
    assert (compared["steps"] <= compared["all"] + 0.5).all()
    assert (compared["all"].sum(), compared["steps"].sum()) == (349_765, 342_274)


def test_the_small_exports(imported, real_data):
    report, table = imported(real_data / "apple_health" / "small_export_a.xml")
    assert table.select("date", "heart_rate", "sleep_hours").rows() == [
        ("2024-01-01", 60, None),
        ("2024-01-02", None, 7.5),
    ]
    with pytest.raises(DataError, match=r"small_export_b.xml: 5 HeartRate; dropped: 5 unit not understood"):
        imported(real_data / "apple_health" / "small_export_b.xml")
    assert report["rows"] == 2


def test_a_phone_and_a_watch_that_count_the_same_steps(imported, write):
    file = write(
        "ann.xml",
        export(
            steps("08:00:00", "09:00:00", 1000, "Watch"),
            steps("08:30:00", "09:30:00", 600, "Phone"),  # half of it hidden by the watch
            steps("12:00:00", "12:10:00", 200, "Phone"),  # the watch was off
            steps("08:00:00", "08:30:00", 400, "App"),  # wholly hidden
        ),
    )
    assert imported(file)[1]["steps"].to_list() == [1000 + 300 + 200]


def test_many_sources_of_a_day_take_no_longer_than_a_few(imported, write, monkeypatch):
    rounds = []
    monkeypatch.setattr(daily, "_union", lambda start, end: rounds.append(1) or union(start, end))
    counts = [steps(f"08:{i // 60:02}:{i % 60:02}", f"08:{i // 60:02}:{i % 60:02}", 10, f"App {i}") for i in range(300)]
    hidden = steps("08:00:00", "08:01:00", 700, "Watch")
    assert imported(write("ann.xml", export(*counts, hidden)))[1]["steps"].to_list() == [700 + 240 * 10]
    assert len(rounds) <= daily.MOST_SOURCES + 1


def test_sleep_counts_once_and_on_the_day_of_waking(imported, write):
    file = write(
        "ann.xml",
        export(
            asleep("2024-05-01 23:00:00 +0500", "2024-05-02 02:00:00 +0500"),
            asleep("2024-05-02 02:00:00 +0500", "2024-05-02 02:30:00 +0500", "Awake"),
            asleep("2024-05-02 02:30:00 +0500", "2024-05-02 06:00:00 +0500", "AsleepREM"),
            asleep("2024-05-01 23:30:00 +0500", "2024-05-02 05:00:00 +0500", "Asleep", "Phone"),  # 30 minutes more
            asleep("2024-05-01 22:30:00 +0500", "2024-05-02 06:30:00 +0500", "InBed", "Phone"),
            asleep("2024-05-02 14:00:00 +0500", "2024-05-02 15:00:00 +0500", "AsleepUnspecified"),  # a nap
        ),
    )
    report, table = imported(file)
    assert table.select("date", "sleep_hours").rows() == [("2024-05-02", 7 + 1)]
    assert dropped(report) == {"in bed or awake, not asleep": 2}


@pytest.mark.parametrize(("value", "kept"), [("0.97", 97), ("97", 97), ("1", 100)])
def test_oxygen_is_told_as_a_fraction_or_in_percent(imported, write, value, kept):
    at = "2024-05-02 03:00:00 +0500"
    assert imported(write("a.xml", export(record("OxygenSaturation", at, at, value, "%"))))[1]["spo2"].to_list() == [
        kept
    ]


def test_oxygen_of_the_night_counts_for_the_day_it_ends_on(imported, write):
    readings = [("2024-05-01 23:00:00", 0.94), ("2024-05-02 03:00:00", 0.96), ("2024-05-02 12:00:00", 0.99)]
    file = write(
        "a.xml", export(*(record("OxygenSaturation", f"{t} +0500", f"{t} +0500", v, "%") for t, v in readings))
    )
    assert imported(file)[1].select("date", "spo2").rows() == [("2024-05-02", 95)]


def test_a_watch_worn_four_hours_tells_the_rate_at_rest_and_a_run_does_not(imported, write):
    def rates(day, hours):
        times = [(f"{day} {h:02}:{m:02}:00 +0500", 50 + (h * 7 + m) % 60) for h in hours for m in range(0, 60, 5)]
        return [record("HeartRate", t, t, rate, "count/min") for t, rate in times]

    report, table = imported(write("a.xml", export(*rates("2024-05-01", range(8, 20)), *rates("2024-05-02", (18, 19)))))
    assert table["date"].to_list() == ["2024-05-01"]
    assert 50 <= table["heart_rate"][0] <= 53
    assert report["kept"]["heart_rate"] == 14 * 12
    assert report["unusable"] == {"heart_rate: readings in fewer than 4 different hours": 1}


def test_each_reading_counts_on_the_day_of_its_own_clock(imported, write):
    late = steps("23:30:00", "23:40:00", 100, zone="+0500")
    away = steps("23:30:00", "23:40:00", 30, day="2024-05-02", zone="-0700")
    report, table = imported(write("a.xml", export(late, away)))
    assert table.select("date", "steps").rows() == [("2024-05-01", 100), ("2024-05-02", 30)]
    assert report["clocks"]["offsets"] == {"+05:00": 1, "-07:00": 1}


def test_age_and_sex_come_from_the_export(imported, write):
    file = write(
        "a.xml",
        export(
            ME, steps("08:00:00", "08:10:00", 9, day="2024-06-14"), steps("08:00:00", "08:10:00", 9, day="2024-06-15")
        ),
    )
    assert imported(file)[1].select("age", "sex").rows() == [(43, 0), (44, 0)]


@pytest.mark.parametrize(
    "name", ["apple_health_export/export.xml", "apple_health_export/Exportación.xml", "导出/导出.xml"]
)
def test_a_zip_in_any_language_with_a_broken_document_type(imported, write, name):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("apple_health_export/export_cda.xml", "<ClinicalDocument/>")
        archive.writestr(name, export(steps("08:00:00", "08:10:00", 9), head=BROKEN_TYPE))
    assert imported(write("ann.zip", memory.getvalue()))[1]["steps"].to_list() == [9]


def test_a_record_that_a_correlation_repeats_counts_once(imported, write):
    one = steps("08:00:00", "08:10:00", 9)
    report, table = imported(write("a.xml", export(one, f'<Correlation type="x">{one}</Correlation>')))
    assert table["steps"].to_list() == [9]
    assert dropped(report) == {"duplicate": 1}


def test_what_cannot_be_is_dropped_and_counted(imported, write):
    day = "2024-05-01"
    file = write(
        "a.xml",
        export(
            steps("08:00:00", "08:10:00", 9),
            steps("09:00:00", "08:00:00", 9),
            steps("10:00:00", "10:10:00", -4),
            steps("11:00:00", "11:10:00", "many"),
            steps("12:00:00", "12:10:00", 9, day="2099-01-01"),
            steps("12:00:00", "12:10:00", 9, day="1970-01-01"),
            steps("12:00:00", "12:10:00", 9, zone="+9900"),
            record("StepCount", f"{day} 01:00:00 +0500", f"{day} 02:00:00 +0500", 5, "furlong"),
            record("StepCount", f"{day} 01:00:00 +0500", "2024-05-05 02:00:00 +0500", 5, "count"),
            record("HeartRate", f"{day} 01:00:00 +0500", f"{day} 01:00:00 +0500", 900, "count/min"),
        ),
    )
    report, table = imported(file)
    assert table["steps"].to_list() == [9]
    assert dropped(report) == {
        "ends before it starts": 1,
        "impossible value": 2,
        "not a number": 1,
        "in the future": 1,
        "clock not set (1970-01-01)": 1,
        "time not readable": 1,
        "unit not understood": 1,
        "longer than a day": 1,
    }


def test_what_devices_are_called_is_not_kept(imported, write, tmp_path):
    named = [steps("08:00:00", "08:10:00", 9, source) for source in ("Annas iPhone", "Annas Watch")]
    imported(write("a.xml", export(*named)))
    records = pl.read_parquet(tmp_path / "data" / "node_1" / "wearables.records.parquet")
    assert records["source"].n_unique() == 2
    assert "Anna" not in records.write_csv()


def test_two_files_of_one_name_are_not_taken_for_one_person(imported, write):
    one = write("ann/export.xml", export(steps("08:00:00", "08:10:00", 9)))
    other = write("bob/export.xml", export(steps("08:00:00", "08:10:00", 7)))
    with pytest.raises(DataError, match=r"would be about the same person as .*ann/export.xml; give the files names"):
        imported(one, other)
    assert imported(one, other, person="ann")[0]["people"] == 1


def test_a_person_is_called_after_a_file_whose_name_is_no_text(imported, write):
    assert imported(write(os.fsdecode(b"caf\xe9.xml"), export(steps("08:00:00", "08:10:00", 9))))[0]["people"] == 1


GOOD = export(*(steps(f"{h:02}:00:00", f"{h:02}:10:00", h) for h in range(24)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", GOOD[:-400], r"a.xml: not valid XML: .*, line 25, column \d+; the export may be cut off"),
        ("a.xml", GOOD.replace("<Record", "<<Record", 3), r"not valid XML: .*, line 3, column 2"),
        ("a.xml", export(head=BROKEN_TYPE).replace("</", "<"), r"not valid XML: .*, line 14, column 1"),
        ("a.xml", "<HealthData><Record value='&boom;'/></HealthData>", "Entity 'boom' not defined, line 1, column 34"),
        ("a.zip", zipped(export_xml=GOOD)[:-60], "a.zip: the zip is cut off or broken"),
        ("a.zip", zipped(notes_xml="<notes/>"), "a.zip: not an export that is known"),
        ("a.xml", "<notes/>", "a.xml: not an export that is known; expected CSV or Parquet"),
    ],
)
def test_a_broken_export_is_refused_with_the_place(imported, write, name, content, message):
    with pytest.raises(DataError, match=message):
        imported(write(name, content))


def test_a_damaged_byte_in_a_zip_is_noticed(imported, write):
    content = bytearray(zipped(export_xml=GOOD))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(DataError, match=r"the zip cannot be read|not valid XML"):
        imported(write("a.zip", bytes(content)), kind="apple-health")
