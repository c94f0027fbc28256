"""Stations' files; averages and indices against plain loops over the same file, and against worked figures."""

import csv
import dataclasses
import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from tests.data.imports.conftest import dropped

from fedhealth.data.aqi import aqi
from fedhealth.data.files import DataError
from fedhealth.data.imports import columns
from fedhealth.data.imports.air import nowcast
from fedhealth.study import load_study

STATION = "air_quality/PRSA_Data_Aotizhongxin_20130301-20170228.csv"
DAILY = "air_quality/PAQI_Daily_PM2.5_Data_2016-2024_in_Karachi.csv"
STUDY = load_study("health-risk")
# An environment department that tells the index too.
NODE = STUDY.node("node_2")
WITH_INDEX = dataclasses.replace(STUDY, nodes=(dataclasses.replace(NODE, features=(*NODE.features, "aqi")),))


def hours(path, day):
    """The hours of ``(year, month, day)``, then of the next 7 hours."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = next(i for i, r in enumerate(rows) if (r["year"], r["month"], r["day"]) == day)
    return rows[first : first + 31]


def numbers(rows, name, factor=1.0):
    return [math.nan if r[name] == "NA" else float(r[name]) * factor for r in rows]


def windows(values, first, last):
    means = [np.array(values[h : h + 8]) for h in range(first, last + 1)]
    return max(np.nanmean(w) for w in means if np.count_nonzero(~np.isnan(w)) >= 6)


@pytest.mark.slow
def test_four_years_of_a_station(imported, real_data):
    report, table = imported(real_data / STATION, node="node_2", kind="air-quality")
    found = report["files"]["PRSA_Data_Aotizhongxin_20130301-20170228.csv"]
    assert (found["hours"], found["without PM2.5"], found["without O3"]) == (35_064, 925, 1_719)
    assert report["kept"]["pm25"] == 35_064 - 925
    assert dropped(report) == {}
    assert table.height == 4 * 365 + 1
    assert table["city"].unique().to_list() == ["Aotizhongxin"]
    assert report["air_now"]["Aotizhongxin"]["hour"] == "2017-02-28 23:00"


@pytest.mark.slow
def test_days_of_it_by_plain_loops(imported, real_data):
    table = imported(real_data / STATION, node="node_2", kind="air-quality", study=WITH_INDEX)[1]
    for day in (("2013", "7", "5"), ("2015", "3", "7"), ("2016", "8", "11")):
        date = f"{day[0]}-{day[1]:0>2}-{day[2]:0>2}"
        row = next(r for r in table.iter_rows(named=True) if r["date"] == date)
        rows = hours(real_data / STATION, day)
        volume = 24.45 / 1 * 273.15 / 298.15  # ug/m3 at 0 °C and g/mol to ppb
        pm25, pm10 = (np.nanmean(numbers(rows[:24], name)) for name in ("PM2.5", "PM10"))
        no2 = np.nanmax(numbers(rows[:24], "NO2", volume / 46.006))
        so2 = np.nanmax(numbers(rows[:24], "SO2", volume / 64.064))
        o3 = numbers(rows, "O3", volume / 47.998)
        co = windows(numbers(rows, "CO", volume / 28.010 / 1000), 0, 23)
        assert row["pm25"] == pytest.approx(pm25, abs=1e-3)
        assert row["pm10"] == pytest.approx(pm10, abs=1e-3)
        assert row["no2"] == pytest.approx(no2, abs=1e-3)
        assert row["o3"] == pytest.approx(windows(o3, 7, 23), abs=1e-3)
        indices = [
            aqi("pm25_24h", pm25), aqi("pm10_24h", pm10), aqi("no2_1h_ppb", no2), aqi("so2_1h_ppb", so2),
            aqi("co_8h_ppm", co), aqi("o3_8h_ppm", windows(o3, 7, 23) / 1000),
            aqi("o3_1h_ppm", np.nanmax(o3[:24]) / 1000),
        ]  # fmt: skip
        assert row["aqi"] == np.nanmax(indices)


def test_eight_years_of_daily_means(imported, real_data):
    report, table = imported(real_data / DAILY, node="node_2", kind="air-quality", city="Karachi", study=WITH_INDEX)
    # The last of its lines has no line end; six have no value.
    assert report["files"]["PAQI_Daily_PM2.5_Data_2016-2024_in_Karachi.csv"] == {
        "days": 3_009,
        "without pm25_concentration_ug_per_m3": 6,
    }
    assert table.height == 3_003
    assert table["pm25"][0] == 22.0
    assert table["aqi"].to_list() == aqi("pm25_24h", table["pm25"].to_numpy()).tolist()
    assert report["gaps"]["days_missing"] == 6


def test_every_published_vector_of_a_days_particles(imported, real_data, write):
    with (real_data / "air_quality" / "epa_aqi_vectors.csv").open(newline="") as file:
        vectors = [
            v for v in csv.DictReader(file) if v["pollutant"] == "pm25_24h" and float(v["concentration"]) <= 1000
        ]
    lines = [f"{2020 + i // 12}-{1 + i % 12:02}-01,{v['concentration']}" for i, v in enumerate(vectors)]
    file = write("vectors.csv", "date,pm25_ug_per_m3\n" + "\n".join(lines))
    table = imported(file, node="node_2", kind="air-quality", city="Lahore", study=WITH_INDEX)[1]
    assert table["aqi"].to_list() == [float(v["aqi"]) for v in vectors]


def test_a_day_needs_eighteen_hours(imported, write):
    head = "year,month,day,hour,PM2.5,station\n"
    full = "".join(f"2020,1,1,{h},{h},X\n" for h in range(24))
    short = "".join(f"2020,1,2,{h},{h},X\n" for h in range(17)) + "2020,1,2,17,NA,X\n"
    report, table = imported(write("s.csv", head + full + short), node="node_2", kind="air-quality")
    assert table.select("date", "pm25").rows() == [("2020-01-01", 11.5)]
    assert report["unusable"] == {"pm25: fewer than 18 hours": 1}
    with pytest.raises(DataError, match=r"no reading for node_2.*; unusable days: 1 pm25: fewer than 18"):
        imported(write("s.csv", head + short), node="node_2", kind="air-quality")


def test_hours_of_a_day_go_before_what_is_told_of_the_whole_day(imported, write):
    head = "year,month,day,hour,PM2.5,NO2,O3,station\n"
    full = "".join(f"2020,1,{1 + h // 24},{h % 24},10,40,60,Lahore\n" for h in range(24 + 7))
    few = "".join(f"2020,1,3,{h},10,40,60,Lahore\n" for h in range(9, 12))
    days = "date,pm25_ug_per_m3,no2_ppb,o3_ppb\n2020-01-01,40,90,90\n2020-01-02,41,91,91\n2020-01-03,42,92,92\n"
    both = [write("hours.csv", head + full + few), write("days.csv", days)]
    table = imported(*both, node="node_2", kind="air-quality", city="Lahore")[1]
    volume = 24.45 * 273.15 / 298.15  # of a mole, as if at 0 °C
    first = (10, pytest.approx(40 * volume / 46.006, abs=1e-3), pytest.approx(60 * volume / 47.998, abs=1e-3))
    assert table.select("pm25", "no2", "o3").rows() == [first, (41, 91, 91), (42, 92, 92)]


def test_people_get_the_air_of_their_city_on_their_day(imported, write):
    air = write("pm25.csv", "date,pm25_ug_per_m3\n2024-03-01,9.0\n2024-03-02,35.9\n")
    rows = "user_id,date,steps,city\na,2024-03-01,10,Lahore\nb,2024-03-02,20,Lahore\nc,2024-03-02,30,Quetta\n"
    report, _ = imported(air, kind="air-quality", city="Lahore", node="node_2")
    assert report["rows"] == 2
    table = imported(write("p.csv", rows), air, city="Lahore")[1].sort("steps")
    assert table["aqi"].to_list() == [50, 102, None]


def test_a_file_of_several_cities_is_not_mixed(imported, write):
    rows = "2024-03-01,Lahore,12\n2024-03-01,Karachi,40\n2024-03-01, ,9\n"
    file = write("a.csv", "date,city,pm25_ug_per_m3\n" + rows)
    for told in ({}, {"city": "Quetta"}):
        report, table = imported(file, node="node_2", **told)
        expected = {"Lahore": 12, "Karachi": 40} | ({"Quetta": 9} if told else {})
        assert dict(table.select("city", "pm25").iter_rows()) == expected
        assert dropped(report) == ({} if told else {"no city is named": 1})


@pytest.mark.parametrize("column", ["pm25", "pm25_ug_per_m3"])
def test_days_told_as_midnights_are_whole_days(imported, write, tmp_path, column):
    file = write("a.csv", f"city,date,{column}\nLahore,2024-03-01 00:00:00,12\nLahore,2024-03-02T00:00,\n")
    assert imported(file, node="node_2")[1].select("date", "pm25").rows() == [("2024-03-01", 12)]
    path = tmp_path / "exports" / "a.parquet"
    pl.DataFrame({"city": ["Lahore"], "date": [dt.datetime(2024, 3, 1)], "pm25": [12.0]}).write_parquet(path)
    assert imported(path, node="node_2")[1].select("date", "pm25").rows() == [("2024-03-01", 12)]


def test_the_midnight_of_an_hourly_table_is_an_hour(imported, write, monkeypatch):
    monkeypatch.setattr(columns, "BATCH", 24)
    hours = [f"Lahore,2024-03-0{1 + h // 24}T{h % 24:02}:00,{h}\n" for h in range(25)]
    table = imported(write("a.csv", "city,date,pm25\n" + "".join(hours)), node="node_2")[1]
    assert table.select("date", "pm25").rows() == [("2024-03-01", 11.5)]


def test_hours_of_several_cities_are_not_mixed(imported, write):
    rows = "".join(
        f"2020,1,1,{h},{pm25},{city}\n" for h in range(24) for city, pm25 in (("Lahore", 12), ("Quetta", 40))
    )
    table = imported(write("s.csv", "year,month,day,hour,PM2.5,city\n" + rows), node="node_2", city="Karachi")[1]
    assert dict(table.select("city", "pm25").iter_rows()) == {"Lahore": 12, "Quetta": 40}


def test_rows_of_people_that_tell_of_air_are_theirs(imported, write):
    file = write("a.csv", "user_id,date,city,steps,pm25_ug_per_m3\nann,2024-03-01,Lahore,9,12\n")
    assert imported(file)[1].select("city", "steps").rows() == [("Lahore", 9)]


def test_people_get_the_air_of_the_city_where_they_were_that_day(imported, write):
    rows = "".join(f"2024-0{month}-01,{steps},{city}\n" for month, steps, city in ((5, 1, "Lahore"), (6, 2, "Karachi")))
    person = write("p.csv", "user_id,date,steps,city\n" + "".join(f"ann,{row}\n" for row in rows.split()))
    more = write("q.csv", "user_id,date,sleep_hours\nann,2024-04-01,7\nann,2024-05-02,7\nann,2024-07-01,7\n")
    table = imported(person, more)[1]
    assert table["city"].to_list() == ["Lahore", "Lahore", "Lahore", "Karachi", "Karachi"]


def test_air_that_cannot_be_makes_no_index_at_a_hospital(imported, write):
    head = "date,pm25_ug_per_m3,so2_ppb\n"
    air = write("air.csv", f"{head}2024-03-01,9999,3000\n2024-03-02,9,1\n")
    people = write("p.csv", "user_id,date,steps,city\na,2024-03-01,10,Lahore\na,2024-03-02,20,Lahore\n")
    report, table = imported(people, air, city="Lahore")
    assert table["aqi"].to_list() == [None, 50]
    assert dropped(report) == {"impossible value": 2}


def test_carbon_monoxide_of_the_night_counts(imported, write):
    def hour(day, hour, co):
        return f"2020,1,{day},{hour},{co},X\n"

    night = "".join(hour(1, h, 12_000 if h < 7 else 500) for h in range(24)) + "".join(
        hour(2, h, 500) for h in range(8)
    )
    table = imported(write("s.csv", "year,month,day,hour,CO,station\n" + night), node="node_2", study=WITH_INDEX)[1]
    mean = (7 * 12_000 + 500) / 8 * 24.45 / 28.010 / 1000 * 273.15 / 298.15
    assert table["aqi"][0] == aqi("co_8h_ppm", mean)


def test_impossible_hours_are_dropped_and_counted(imported, write):
    rows = "".join(f"2020,1,1,{h},10,X\n" for h in range(24))
    more = "2020,2,30,1,10,X\n2020,1,2,1,-5,X\n2020,1,2,2,9999,X\n2020,1,2,3,many,X\n2099,1,1,1,10,X\n"
    report, table = imported(
        write("s.csv", "year,month,day,hour,PM2.5,station\n" + rows + more), node="node_2", kind="air-quality"
    )
    assert dropped(report) == {
        "time not readable": 1,
        "impossible value": 2,
        "not a number": 1,
        "in the future": 1,
    }
    assert table.height == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("date,pm25_ug_per_m3\n2020-01-01,5\n", "names no city; say which it is: --city NAME"),
        ("date,colour\n2020-01-01,5\n", "expected year, month, day, hour, PM2.5"),
    ],
)
def test_refusals(imported, write, content, message):
    with pytest.raises(DataError, match=message):
        imported(write("a.csv", content), node="node_2", kind="air-quality")


def test_nowcast_by_hand():
    # constant hours: the same; 12 hours from 10 to 32 (weight 0.5, the least): 32, 30, ... halved each hour back
    assert nowcast(np.full(12, 20.0)) == pytest.approx(20)
    rising = np.arange(10.0, 34.0, 2.0)
    expected = sum(v * 0.5**i for i, v in enumerate(rising[::-1])) / sum(0.5**i for i in range(12))
    assert nowcast(rising) == pytest.approx(expected) == pytest.approx(30.0059, abs=1e-3)
    # weight 40 / 50 = 0.8, the middle hour missing: (50 + 0.64 * 40) / 1.64
    assert nowcast(np.array([40.0, math.nan, 50.0])) == pytest.approx((50 + 0.64 * 40) / 1.64)


def test_nowcast_needs_two_of_the_latest_three_hours():
    assert math.isnan(nowcast(np.array([5.0, 5.0, 5.0, math.nan, math.nan])))
    assert nowcast(np.array([5.0, math.nan, 5.0])) == 5
    assert nowcast(np.zeros(12)) == 0
