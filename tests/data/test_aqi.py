import csv

import numpy as np
import pytest

from fedhealth.data.aqi import CATEGORIES, OF_DAY, POLLUTANTS, TABLE, aqi, category, index_of_days, overall_aqi
from fedhealth.data.imports.air import AVERAGES
from fedhealth.data.imports.concepts import CONCEPTS
from fedhealth.data.imports.daily import DAILY
from fedhealth.study.advice.air import category_of


def test_every_published_vector(real_data):
    with (real_data / "air_quality" / "epa_aqi_vectors.csv").open(newline="") as file:
        vectors = list(csv.DictReader(file))
    assert len(vectors) == 94
    wrong = [v for v in vectors if aqi(v["pollutant"], float(v["concentration"])) != float(v["aqi"])]
    assert wrong == []


def test_pm25_by_hand():
    # 35.9 ug/m3 lies in 35.5..55.4 (101..150): 49 / 19.9 * 0.4 + 101 = 101.98
    assert aqi("pm25_24h", 35.9) == 102
    # truncated, not rounded: 9.09 counts as 9.0, the top of Good
    assert aqi("pm25_24h", [9.09, 9.1]).tolist() == [50, 51]


@pytest.mark.parametrize("pollutant", POLLUTANTS)
def test_never_falls_with_concentration_and_ends_at_the_top(pollutant):
    column = TABLE[pollutant]
    steps = np.arange(column.start, column.tops[-1] + 50)
    index = aqi(pollutant, steps / column.steps_per_unit)
    assert (np.diff(index) >= 0).all()
    assert index[-1] == column.index_tops[-1]


def test_above_the_table_the_top_stands():
    assert aqi("pm25_24h", 900.0) == 500
    assert aqi("o3_8h_ppm", 0.35) == 300
    assert aqi("so2_1h_ppb", 500.0) == 200


def test_not_defined_and_not_measured_are_nan():
    assert np.isnan(aqi("o3_1h_ppm", 0.124))
    assert np.isnan(aqi("so2_24h_ppb", 304))
    assert np.isnan(aqi("pm25_24h", [np.nan])).all()


def test_overall_is_the_highest_measured():
    overall = overall_aqi({"pm25_24h": [9.0, np.nan, np.nan], "pm10_24h": [155.0, 54.0, np.nan]})
    np.testing.assert_array_equal(overall, [101, 50, np.nan])


def test_days_are_indexed_in_the_units_of_readings():
    # 80 ppb of ozone is 0.080 ppm, in 0.071..0.085 (101..150): 49 / 0.014 * 0.009 + 101 = 132.5
    assert index_of_days({"o3": 80.0, "pm25": 9.0, "humidity": 90.0}) == 133
    for pollutant in OF_DAY:
        assert DAILY[CONCEPTS[TABLE[pollutant].substance].rule] is AVERAGES[pollutant]


def test_categories_change_where_the_index_does():
    names = [category(index) for index in (0, 50, 51, 100, 101, 150, 151, 200, 201, 300, 301, 500)]
    assert names == [name for name in CATEGORIES for _ in range(2)]


@pytest.mark.parametrize("index", [0.0, 50.4, 50.6, 100.5, 150.5, 200.4, 300.6, 500.4])
def test_everything_that_names_a_category_names_the_same(index):
    assert category(index) == category_of(index).name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aqi("pm1", 3.0), "pollutant: got 'pm1'; expected one of pm25_24h"),
        (lambda: aqi("pm10_24h", [3.0, -1.0]), "pm10_24h: got concentration -1; expected at least 0"),
        (lambda: overall_aqi({}), "got none; expected at least one of pm25_24h"),
        (lambda: category(501), "index: got 501; expected 0 to 500"),
    ],
)
def test_refusals_name_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
