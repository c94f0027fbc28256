import dataclasses
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import time

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.data.imports.conftest import dropped
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.files import DataError
from fedhealth.data.imports.quality_page import outcome_words, size_words
from fedhealth.data.tables import read_shard
from fedhealth.study import load_study

HEAD = "user_id,date,heart_rate,spo2,steps,sleep_hours,age,smoker,health_risk\n"


def people(count):
    return HEAD + "".join(
        f"p{i},2024-03-0{1 + i % 9},{60 + i % 9},97,5000,7,{30 + i},0,{i % 2}\n" for i in range(count)
    )


def test_a_table_with_the_studys_names_is_what_training_reads(imported, write, tmp_path):
    report, table = imported(write("a.csv", people(20)))
    assert (report["rows"], report["people"], table.height) == (20, 20, 20)
    study = load_study("health-risk")
    shard = read_shard(study, study.node("node_1"), tmp_path / "data", seed=0)
    assert sorted(shard.x[:, study.index("age")]) == list(range(30, 50))
    assert shard.y.sum() == 10
    assert shard.notes == ()


def test_a_map_names_columns_and_their_units(imported, write):
    file = write("b.csv", "who,when,pulse,oxygen,minutes\nann,2024-03-01,64,0.97,420\n")
    columns = {"person": "who", "date": "when", "heart_rate": "pulse", "spo2": "oxygen@1", "sleep_hours": "minutes@min"}
    report, table = imported(file, columns=columns)
    assert table.select("heart_rate", "spo2", "sleep_hours").row(0) == (64, 97, 7)
    assert report["converted"] == {"spo2: 1 to %": 1, "sleep_duration: min to h": 1}


def test_steps_within_a_day_add_up_and_totals_of_a_day_do_not(imported, write):
    parts = write("parts.csv", "user_id,date,steps\na,2024-03-01T08:00Z,300\na,2024-03-01T20:00Z,200\n")
    assert imported(parts, columns={"steps": "steps@{steps}"})[1]["steps"].to_list() == [500]
    assert imported(parts, columns={"steps": "steps@{steps}/d"})[1]["steps"].to_list() == [300]


def test_several_totals_of_a_day_are_refused_unless_somebody_says_what_they_are(imported, write):
    rows = "".join(f"a,2024-03-01 {hour:02}:00,{500 if hour < 18 else ''}\n" for hour in range(8, 20))
    with pytest.raises(
        DataError,
        match=r"p.csv: column 'steps' has several values a day, such as at 2024-03-01 08:00 and 2024-03-01 17:00; say "
        r"whether they add up, --map steps=steps@{steps}, or each is the day's so far, --map steps=steps@{steps}/d",
    ):
        imported(write("p.csv", "user_id,date,steps\n" + rows))
    days = "".join(f"a,2024-03-0{day} {7 + day:02}:00,500\n" for day in range(1, 9))
    assert imported(write("q.csv", "user_id,date,steps\n" + days))[1]["steps"].to_list() == [500] * 8


def test_every_reading_is_kept_or_dropped_for_a_reason(imported, write):
    rows = "a,2024-03-01,60,n/a,5000,7\na,yesterday,60,97,5000,7\na,2024-03-02,60,97,,7\n" + "".join(
        f"a,2024-04-{d:02},60,97,5000,7\n" for d in range(1, 21)
    )
    report, table = imported(
        write("c.csv", "user_id,date,heart_rate,spo2,steps,sleep_hours\n" + rows + "a,2024-03-02,60,97,,700\n")
    )
    assert dropped(report) == {"not a number": 1, "time not readable": 4, "duplicate": 2, "impossible value": 1}
    assert sum(report["kept"].values()) + sum(dropped(report).values()) == 24 * 4 - 2
    assert table.height == 22


LONG = "x," * 3_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "c.csv: the file is empty"),
        (
            f"user_id,date,steps\na,2024-01-01,1\n{LONG}\n",
            "c.csv: line 3: more than 4,194,304 characters; expected a row",
        ),
        (f"date,user_id,steps,{LONG}", "c.csv: line 1: more than 4,194,304 characters; expected a row"),
        ("user_id,date,colour\na,2024-01-01,red\n", "none of its columns .user_id, date, colour. is one of sex"),
        ("user_id,heart_rate\na,60\n", "column 'date' is missing; name it: --map date=COLUMN"),
        ("date,heart_rate\n2024-01-01,60\n", "column 'user_id' is missing, so nobody knows whom 'heart_rate' is about"),
        ("user_id,date,spo2\na,2024-01-01,0.97\n", "column 'spo2': 1 of 1 values are not 60 to 100 %; say the unit"),
        ("user_id,date,spo2\na,2024-01-01\n", "c.csv: line 2: got 2 cells; expected 3"),
        ("user_id,date,steps,steps\na,2024-01-01,1,2\n", "column 'steps' occurs twice"),
        (b"user_id,date,steps\n\xff,2024-01-01,1\n", "near line 1: not UTF-8 text"),
        ("user_id,date,steps\na,01.02.2024,10\n", "no reading for node_1.*dropped: 1 time not readable"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_leaves_the_table_alone(imported, write, tmp_path, content, message):
    before = imported(write("good.csv", people(3)))[1]
    files = {p.name: p.read_bytes() for p in (tmp_path / "data" / "node_1").iterdir()}
    with pytest.raises(DataError, match=message):
        imported(write("c.csv", content))
    assert {p.name: p.read_bytes() for p in (tmp_path / "data" / "node_1").iterdir()} == files
    assert before.height == 3


def test_a_unit_that_measures_something_else_is_refused(imported, write):
    with pytest.raises(DataError, match="unit 'kg' does not become 'h'"):
        imported(write("d.csv", "user_id,date,sleep\na,2024-01-01,7\n"), columns={"sleep_hours": "sleep@kg"})


def test_a_reading_of_nobody_is_dropped_and_nobody_elses(imported, write, tmp_path):
    rows = "ann,2024-03-01,Lahore,,5000\n,2024-03-01,Lahore,150,\nbob,2024-03-01,Lahore,,300\n,2024-03-01,,,70\n"
    file = write("a.csv", "user_id,date,city,heart_rate,steps\n" + rows)
    report, table = imported(file)
    assert table.select("steps", "heart_rate").sort("steps").rows() == [(300, None), (5000, None)]
    assert dropped(report) == {"nobody is named": 2}
    assert report["kept"] == {"daily_steps": 2}
    path = tmp_path / "exports" / "a.parquet"
    pl.read_csv(file).write_parquet(path)
    assert_frame_equal(imported(path)[1], table)


def test_outcomes_need_to_say_whose_they_are(imported, write):
    steps = write("a.csv", "user_id,date,steps\nann,2024-03-01,9\n")
    labels = write("o.csv", "patient,date,health_risk\nann,2024-03-01,1\n")
    with pytest.raises(DataError, match="column 'user_id' is missing, so nobody knows whom 'health_risk' is about"):
        imported(steps, labels)
    assert imported(steps, labels, columns={"person": "patient"}, person="ann")[1]["health_risk"].to_list() == [1]


@pytest.mark.parametrize(("node", "who", "what"), [("node_1", "user_id", "steps"), ("node_2", "city", "pm25")])
def test_outcomes_of_days_without_readings_are_counted(imported, write, tmp_path, node, who, what):
    readings = write("a.csv", f"{who},date,{what}\nann,2024-03-01,9\n")
    labels = write("o.csv", f"{who},date,health_risk\n" + "".join(f"ann,2024-03-0{d},1\n" for d in (1, 2, 3)))
    report, table = imported(readings, labels, node=node)
    assert table["health_risk"].to_list() == [1]
    assert report["kept"]["outcome health_risk"] == 1
    assert dropped(report) == {"outcome of a day without readings": 2}
    assert "health_risk" not in report["missing"]
    records = next((tmp_path / "data" / node).glob("*.records.parquet"))
    assert pl.read_parquet(records).height == 2


def test_a_table_without_outcomes_says_so(imported, write):
    assert "health_risk" in imported(write("a.csv", "user_id,date,steps\nann,2024-03-01,9\n"))[0]["missing"]


def test_air_of_no_city_is_dropped(imported, write):
    file = write(
        "a.csv", "user_id,date,city,steps,aqi\nann,2024-03-01,Lahore,9,\n,2024-03-01,,,70\n,2024-03-01,Lahore,,60\n"
    )
    report, table = imported(file)
    assert dropped(report) == {"no city is named": 1}
    assert table.select("steps", "aqi").rows() == [(9, 60)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"spo": "oxygen@1"}, "--map spo=oxygen@1: node_1 has no 'spo'; expected one of person, user_id, date, city, "),
        ({"spo2": "oxigen@1"}, "--map spo2=oxigen@1: no CSV or Parquet file among these has a column 'oxigen'"),
    ],
)
def test_a_map_that_leads_nowhere_is_refused(imported, write, columns, message):
    with pytest.raises(DataError, match=message):
        imported(write("b.csv", "user_id,date,oxygen,steps\nann,2024-03-01,0.97,9\n"), columns=columns)


def test_a_time_zone_that_is_not_there_is_refused(imported, write):
    with pytest.raises(DataError, match="time zone 'Asia/Karatchi' is not known; expected a name such as Asia/Karachi"):
        imported(write("a.csv", people(3)), zone="Asia/Karatchi")


def test_what_is_left_out_of_a_folder_is_counted(imported, write):
    write("all/a.csv", people(3))
    write("all/b.csv", people(3).encode("utf-16"))
    folder = write("all/c.ndjson.gz", b"\x1f\x8b\0").parent
    assert imported(folder)[0]["files"]["other files"] == {"left out: not recognised, such as b.csv": 2}


def test_what_vendors_put_into_a_folder_is_left_out_and_counted(imported, write):
    write("all/electrocardiograms/ecg_2024-01-01.csv", "Name,Ann\nDate of Birth,1980\n\nx\n")
    write("all/Sleep Score/sleep_score.csv", "sleep_log_entry_id,timestamp,overall_score\n1,2024-03-01,70\n")
    write("all/README.txt", "These are your data, as of today.\n")
    write("all/empty.csv", "")
    write("all/others.csv", "date,colour\n2024-03-01,red\n")
    write("all/what.csv", "who,when,oxygen\nann,2024-03-01,97\n")
    folder = write("all/a.csv", people(3)).parent
    report, _ = imported(folder)
    assert report["files"] == {
        "a.csv": {"rows": 3},
        "other files": {"left out: not recognised, such as README.txt": 6},
    }
    told = {"person": "who", "date": "when", "spo2": "oxygen"}
    assert imported(folder, columns=told, person="x")[0]["files"]["what.csv"] == {"rows": 1}


def test_what_is_of_another_kind_than_was_told_is_counted(imported, write):
    write("all/steps.csv", "Id,ActivityDate,TotalSteps\n1,4/12/2016,9\n")
    write("all/b.csv", people(3).encode("utf-16"))
    folder = write("all/a.csv", people(3)).parent
    assert imported(folder, kind="csv")[0]["files"] == {
        "a.csv": {"rows": 3},
        "other files": {
            "left out: not recognised, such as b.csv": 1,
            "left out: fitbit, not csv, such as steps.csv": 1,
        },
    }


def test_fhir_is_recognised_wherever_it_says_so(imported, write):
    rate = {
        "status": "final", "subject": {"reference": "Patient/ann"}, "effectiveDateTime": "2024-05-01T08:00:00Z",
        "code": {"coding": [{"system": "http://loinc.org", "code": "40443-4"}]},
        "valueQuantity": {"value": 60, "code": "/min"}, "resourceType": "Observation",
    }  # fmt: skip
    file = write("all/a.json", json.dumps({"text": {"div": "x" * 100_000}, **rate}))
    write("all/b.json", "{}")
    for kind, path in (("fhir", file.parent), (None, file.parent), (None, file)):
        assert imported(path, kind=kind)[1]["heart_rate"].to_list() == [60]


def test_patients_are_read_first_in_whatever_order_files_are_named(imported, write):
    ann = {"subject": {"reference": "Patient/ann"}}
    asthma = {"coding": [{"system": "http://snomed.info/sct", "code": "195967001"}]}
    rate = {
        "code": {"coding": [{"system": "http://loinc.org", "code": "40443-4"}]}, "status": "final", **ann,
        "valueQuantity": {"value": 60, "code": "/min"}, "effectiveDateTime": "2024-05-01T08:00:00Z",
    }  # fmt: skip
    born = write("Patient.ndjson", '{"resourceType": "Patient", "id": "ann", "birthDate": "1980-01-01"}')
    told = {"resourceType": "Condition", "code": asthma, "onsetAge": {"value": 45, "code": "a"}, **ann}
    ill = write("Condition.ndjson", json.dumps(told))
    seen = write("Observation.ndjson", json.dumps({"resourceType": "Observation", **rate}))
    assert imported(seen, ill, born)[1].select("age", "chronic").rows() == [(44, 0)]


def test_folders_that_are_not_looked_into_are_counted(imported, write, tmp_path, monkeypatch):
    folder = write("all/a.csv", people(3)).parent
    write("all/shut/a.csv", people(9))
    (folder / "link").symlink_to(write("elsewhere/a.csv", people(9)).parent)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert imported(folder)[0]["files"] == {
        "a.csv": {"rows": 3},
        "other files": {"left out: folder that is a link or cannot be read, such as link": 2},
    }


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"a\x1b]0;b\x07.csv"])
def test_a_name_of_a_file_that_is_no_text_is_shown_as_one(imported, write, name):
    file = write(os.fsdecode(name), people(9) + "a,2024-03-01,many,97,5000,7,30,0,0\n")
    report, _ = imported(file)
    (shown,) = report["files"]
    assert shown == os.fsdecode(name).translate(dict.fromkeys([0xDCE9, 0x1B, 0x07], "�"))
    assert report["dropped"][0]["example"].startswith(f"{shown} line 11")
    air = write(f"air {os.fsdecode(name)}", "date,pm25_ug_per_m3\n2024-03-01,9\n")
    assert imported(air, node="node_2", city="Lahore")[0]["rows"] == 1


def test_a_refusal_sends_no_control_characters_to_the_terminal(tmp_path):
    told = ["--node", "node_1", "--data", str(tmp_path)]
    done = CliRunner().invoke(app, ["data", "import", "a\x1b]0;b\x07.csv", *told])
    assert "Error: a�]0;b�.csv: no such file or folder" in done.output


def test_what_a_killed_import_left_is_cleared_away(imported, write, tmp_path):
    folder = tmp_path / "data" / "node_1"
    (folder / ".import-x1").mkdir(parents=True)
    (folder / ".import-x1" / "000000.parquet").write_bytes(b"readings")
    for name in (".wearables.csv.77.part", ".wearables.records.parquet.77.part", ".context.csv.77.part"):
        (folder / name).write_bytes(b"x")
    imported(write("a.csv", people(3)))
    assert [path.name for path in folder.glob(".*")] == [".context.csv.77.part"]


def test_two_imports_at_once_do_not_clear_away_each_others_readings(imported, write, tmp_path):
    file = write("a.csv", people(3))
    imported(file)
    held = os.open(tmp_path / "data" / "node_1", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="node_1: another import is going on here; wait until it has ended"):
        imported(file)
    os.close(held)
    imported(file)


@pytest.mark.slow
def test_an_import_that_is_ended_leaves_nothing(write, tmp_path):
    file = write("a.csv", people(600_000))
    told = ["--node", "node_1", "--data", str(tmp_path / "data")]
    with subprocess.Popen([sys.executable, "-m", "fedhealth", "data", "import", str(file), *told]) as going:
        while not list((tmp_path / "data").glob("node_1/.import-*/*")):
            assert going.poll() is None
            time.sleep(0.01)
        going.terminate()
        assert going.wait(60) == 130
    assert [path.name for path in (tmp_path / "data" / "node_1").iterdir()] == ["pseudonym.key"]


def test_people_are_known_by_a_keyed_hash_and_the_key_stays(imported, write, tmp_path):
    _, first = imported(write("a.csv", people(2)))
    _, again = imported(write("a.csv", people(2)))
    folder = tmp_path / "data" / "node_1"
    key = folder / "pseudonym.key"
    assert first["user_id"].to_list() == again["user_id"].to_list()
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in first["user_id"])
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not any(b"p0" in p.read_bytes() for p in folder.glob("*.csv"))
    key.unlink()
    assert imported(write("a.csv", people(2)))[1]["user_id"].to_list() != first["user_id"].to_list()
    key.chmod(0o644)
    with pytest.raises(DataError, match="others may read this key; make it private: chmod 600"):
        imported(write("a.csv", people(2)))


def test_the_report_stays_beside_the_table_and_asks_nothing_of_the_network(imported, write, tmp_path):
    report, _ = imported(write("a.csv", people(30)))
    folder = tmp_path / "data" / "node_1"
    assert json.loads((folder / "wearables.import.json").read_text()) == report
    page = (folder / "wearables.import.html").read_text()
    assert page.count("<figure>") == len(report["features"]) == 6
    assert not re.search(r"https?://|<script|src=|href=|url\(", page)
    steps = report["features"]["steps"]
    assert (steps["min"], steps["median"], steps["max"], steps["days"]) == (5000, 5000, 5000, 30)
    assert report["missing"] == ["chronic", "aqi"]
    records = pl.read_parquet(folder / "wearables.records.parquet")
    assert set(records["feature"]) >= {"resting_heart_rate", "daily_steps"}


def test_the_months_of_a_plot_are_without_a_hole(imported, write):
    rows = "user_id,date,steps\nann,2024-01-31,500\nann,2024-04-01,500\nbob,2024-04-02,500\n"
    months = imported(write("a.csv", rows))[0]["features"]["steps"]["months"]
    assert list(months.items()) == [("2024-01", 1), ("2024-02", 0), ("2024-03", 0), ("2024-04", 2)]


def test_the_command_says_which_days_have_no_value(write, tmp_path):
    rows = "".join(f"ann,2024-03-01T{h:02}:00Z,40000\n" for h in range(3)) + "ann,2024-03-02T08:00Z,500\n"
    file = write("a.csv", "user_id,date,steps\n" + rows)
    told = ["--map", "steps=steps@{steps}", "--node", "node_1", "--data", str(tmp_path / "data")]
    output = CliRunner().invoke(app, ["data", "import", str(file), *told]).output
    assert "unusable days: 1 of steps: outside the plausible range" in output
    assert "Without a usable day: heart_rate," in output


def test_parquet_is_read_as_csv_is(imported, write, tmp_path):
    frame = pl.read_csv(write("a.csv", people(12)), try_parse_dates=True)
    path = tmp_path / "exports" / "a.parquet"
    frame.write_parquet(path)
    assert_frame_equal(imported(path)[1], imported(write("a.csv", people(12)))[1])
    assert imported(path.rename(path.with_suffix(".pq")))[0]["rows"] == 12
    path.with_suffix(".pq").rename(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        imported(path)


def test_columns_of_parquet_that_are_not_used_may_hold_anything(imported, write, tmp_path):
    path = tmp_path / "exports" / "a.parquet"
    frame = pl.read_csv(write("a.csv", people(12)), try_parse_dates=True).with_columns(
        pl.col("user_id").cast(pl.Binary)
    )
    frame.with_columns(notes=pl.lit(b"\xff"), tags=pl.lit(["a", "b"]), more=pl.struct(x=1)).write_parquet(path)
    assert imported(path)[0]["people"] == 12
    frame.with_columns(user_id=pl.lit(b"\xff")).write_parquet(path)
    with pytest.raises(DataError, match="not a readable Parquet file"):
        imported(path)


OUTCOMES = "user_id,date,steps,health_risk\nann,2024-05-01,500,1\nann,2024-05-02,500,0\nbob,2024-05-01,500,{}\n"


def test_the_outcome_is_counted_and_values_that_studies_do_not_expect_are_seen(imported, write):
    known = {"title": "an adverse heart or breathing event", "rows": 3, "happened": 2, "above": 0.5}
    for other, values, said in (
        ("1", {"0": 1, "1": 2}, "known for 3 rows, happened in 2 (health_risk 0: 1, 1: 2)."),
        ("2", {"0": 1, "1": 1, "2": 1}, "(health_risk 0: 1, 1: 1, 2: 1); values above 0.5 count as happened."),
    ):
        report = imported(write("a.csv", OUTCOMES.format(other)))[0]
        assert report["outcome"] == {**known, "values": {"health_risk": values}}
        assert outcome_words(report).endswith(said)
    assert imported(write("a.csv", OUTCOMES.replace("health_risk", "weather").format("1")))[0]["outcome"] is None
    many = "user_id,date,steps,health_risk\n" + "".join(f"ann,2024-05-{day:02},500,{day}\n" for day in range(1, 15))
    assert imported(write("a.csv", many))[0]["outcome"]["values"] == {"health_risk": {"1 to 14": 14}}


def test_an_outcome_of_which_a_column_is_missing_is_known_of_nobody(imported, write):
    study = load_study("health-risk")
    both = dataclasses.replace(study.outcome, columns=("health_risk", "stroke"))
    two = dataclasses.replace(study, outcomes=(both,))
    found = imported(write("a.csv", OUTCOMES.format("1")), study=two)[0]["outcome"]
    assert (found["rows"], found["happened"], found["values"]) == (0, 0, {"health_risk": {"0": 1, "1": 2}})


def test_a_table_that_is_replaced_is_counted(imported, write):
    assert imported(write("a.csv", people(3)))[0]["replaced"] is None
    report = imported(write("a.csv", people(1)))[0]
    assert size_words(report).startswith("1 row of 1 person, ")
    assert size_words(report).endswith(", instead of 3 rows before")
