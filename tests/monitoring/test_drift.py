import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fedhealth.data import synthetic
from fedhealth.data.synthetic.replay import position, replay
from fedhealth.data.tables import shard_from_table
from fedhealth.federation import exchange_within
from fedhealth.federation.training import describe
from fedhealth.monitoring.drift import FeatureDrift, Window, drift, population_stability_index, window_of
from fedhealth.study import load_study

STUDY = load_study("health-risk")
WINTER = dt.datetime(2025, 11, 25, tzinfo=dt.UTC)
AQI = STUDY.index("aqi")


@pytest.fixture(scope="module")
def reference() -> Mapping[str, np.ndarray]:
    shards = [shard_from_table(STUDY, n, synthetic.draw(n.name, 20_000, seed=7), 0, n.name) for n in STUDY.nodes]
    return describe(STUDY, exchange_within(shards, STUDY), 8)[1].reference


def window(seed: int, days: int, cities: tuple[str, ...] = STUDY.cities) -> Window:
    readings = replay(seed, WINTER, WINTER + dt.timedelta(days=days), 20)
    rows = [
        (r["city"], dt.date.fromisoformat(r["time"][:10]), r["person"], r["features"])
        for r in readings
        if r["city"] in cities
    ]
    return window_of(STUDY, rows)


def dirtier(found: Window) -> Window:
    x = found.x.copy()
    x[:, AQI] = np.minimum(1.3 * x[:, AQI], 500)
    return replace(found, x=x)


def of_aqi(found: list[FeatureDrift]) -> FeatureDrift:
    return next(one for one in found if one.feature == "aqi")


def test_psi_by_hand():
    # (0.5 - 0.25) ln(0.5 / 0.25) + (0.5 - 0.75) ln(0.5 / 0.75), by so many values that the added halves do not count
    expected = 0.25 * math.log(2) + 0.25 * math.log(1.5)
    shares = np.zeros((2, 10))
    shares[0, :2], shares[1, :2] = (0.5, 0.5), (0.25, 0.75)
    assert population_stability_index(*shares, n=1e9, m=1e9) == pytest.approx(expected)
    assert population_stability_index(shares[0], shares[0], n=100, m=100) == 0


def test_winter_in_lahore_is_no_drift(reference: Mapping[str, np.ndarray]):
    found = [drift(STUDY, reference, window(seed, 60, ("Lahore",))) for seed in range(100, 112)]
    alarms = [one.feature for features in found for one in features if one.status == "drift"]
    assert all(one.status != "too few" for one in found[0])
    assert len(alarms) <= 6  # of 12 * 18 at a nominal rate of 1 %: 99 % point
    # A whole year's reference would call the same winter drift.
    everywhere = reference["by_stratum"].sum(axis=0)[None].repeat(STUDY.strata, axis=0)
    assert of_aqi(drift(STUDY, {**reference, "by_stratum": everywhere}, window(100, 60, ("Lahore",)))).status == "drift"


def test_a_third_more_pollution_in_nine_cities_is_drift_and_nothing_else_is(reference: Mapping[str, np.ndarray]):
    quiet = [drift(STUDY, reference, window(seed, 30)) for seed in range(100, 106)]
    loud = [drift(STUDY, reference, dirtier(window(seed, 30))) for seed in range(100, 106)]
    assert sum(of_aqi(found).status == "drift" for found in quiet) == 0
    assert sum(of_aqi(found).status == "drift" for found in loud) >= 5
    assert sum(one.status == "drift" for found in quiet for one in found) <= 4  # 99 % point of 6 * 18 at 1 %


def test_lahore_alone_shows_it_too(reference: Mapping[str, np.ndarray]):
    found = [of_aqi(drift(STUDY, reference, dirtier(window(seed, 60, ("Lahore",))))) for seed in range(100, 110)]
    assert sum(one.status == "drift" for one in found) >= 7


def test_a_week_is_too_short_to_tell(reference: Mapping[str, np.ndarray]):
    found = drift(STUDY, reference, window(100, 7))
    assert {one.status for one in found} == {"too few"}
    assert {one.psi for one in found} == {None}


def test_what_is_shown_of_a_feature(reference: Mapping[str, np.ndarray]):
    found = drift(STUDY, reference, window(100, 30))
    assert [one.feature for one in found] == list(STUDY.names)
    for one in found:
        assert len(one.labels) == len(one.reference) == len(one.current) == (2 if one.labels[0] == "no" else 10)
        assert sum(one.reference) == pytest.approx(1)
        assert sum(one.current) == pytest.approx(1)
    cough = next(one for one in found if one.feature == "cough_flag")
    assert cough.missing_share == pytest.approx(0.6, abs=0.05)


def test_without_a_reference_by_city_and_month_there_is_nothing_to_say(reference: Mapping[str, np.ndarray]):
    assert drift(STUDY, {}, window(100, 7)) == []
    assert drift(STUDY, reference, window_of(STUDY, [])) == []


def test_every_day_has_its_counterpart_in_the_synthetic_years():
    assert position(dt.date(2028, 2, 29)) == 59
    assert position(dt.date(2026, 12, 31)) == 365
    assert position(dt.date(2027, 12, 31)) == 730
