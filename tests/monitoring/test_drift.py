import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from fedhealth.data import synthetic
from fedhealth.data.synthetic.replay import position, replay
from fedhealth.data.tables import shard_from_table
from fedhealth.federation import exchange_within
from fedhealth.federation.training import describe
from fedhealth.monitoring.drift import (
    NOMINAL_RATE,
    FeatureDrift,
    Window,
    drift,
    population_stability_index,
    window_of,
)
from fedhealth.monitoring.missing import missing_drift
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


@pytest.mark.slow
def test_winter_in_lahore_is_no_drift(reference: Mapping[str, np.ndarray]):
    found = [drift(STUDY, reference, window(seed, 60, ("Lahore",))) for seed in range(100, 112)]
    alarms = [one.feature for features in found for one in features if one.status == "drift"]
    assert all(one.status != "too few" for one in found[0])
    # Of 12 * 18. One city's weather moves together, and all windows share one reference: over eight references 1 to 12
    # alarms were seen, 2.3 % instead of the nominal 1 %, which holds for all cities together.
    assert len(alarms) <= 12
    # A whole year's reference would call the same winter drift.
    everywhere = reference["by_stratum"].sum(axis=0)[None].repeat(STUDY.strata, axis=0)
    assert of_aqi(drift(STUDY, {**reference, "by_stratum": everywhere}, window(100, 60, ("Lahore",)))).status == "drift"


@pytest.mark.slow
def test_a_third_more_pollution_in_nine_cities_is_drift_and_nothing_else_is(reference: Mapping[str, np.ndarray]):
    quiet = [drift(STUDY, reference, window(seed, 30)) for seed in range(100, 106)]
    loud = [drift(STUDY, reference, dirtier(window(seed, 30))) for seed in range(100, 106)]
    assert sum(of_aqi(found).status == "drift" for found in quiet) == 0
    assert sum(of_aqi(found).status == "drift" for found in loud) >= 5
    assert sum(one.status == "drift" for found in quiet for one in found) <= 4  # 99 % point of 6 * 18 at 1 %


@pytest.mark.slow
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


SEASONS = [dt.datetime(*day, tzinfo=dt.UTC) for day in ((2025, 11, 25), (2026, 4, 10), (2026, 7, 20))]
DAYS, PER_DAY, WINDOWS = 55, 4, 200  # 1,980 readings in nine cities


def two_thousand(seed: int, back: int = 0) -> Window:
    start = SEASONS[seed % 3] - dt.timedelta(days=back)
    readings = replay(seed, start, start + dt.timedelta(days=DAYS), PER_DAY)
    return window_of(
        STUDY, [(r["city"], dt.date.fromisoformat(r["time"][:10]), r["person"], r["features"]) for r in readings]
    )


@pytest.mark.full
@pytest.mark.timeout(900)
def test_two_hundred_quiet_windows_alarm_at_the_nominal_rate_and_two_thousand_readings_show_drift(
    reference: Mapping[str, np.ndarray],
):
    """Alarms within the binomial bound of the nominal rate; drift of the usual sizes found within 2,000 readings."""
    windows = [two_thousand(seed) for seed in range(100, 100 + WINDOWS)]
    assert all(len(one.x) <= 2_000 for one in windows)
    alarms = [one.feature for found in windows for one in drift(STUDY, reference, found) if one.status == "drift"]
    tests = WINDOWS * len(STUDY.features)
    bound = scipy.stats.binom.ppf(0.99, tests, NOMINAL_RATE)
    found = {"alarms": len(alarms), "bound": bound}
    for name, changed in (
        ("aqi", lambda values: np.minimum(1.3 * values, 500)),
        ("heart_rate", lambda values: values + 5),
        ("spo2", lambda values: values - 1),
    ):
        found[name] = np.mean([_is_found(reference, window, name, changed) for window in windows[:60]])
    quiet = lost = 0
    rng = np.random.default_rng(0)
    for seed, now in enumerate(windows[:60], 100):
        before = two_thousand(seed, back=DAYS)
        quiet += sum(one.status == "drift" for one in missing_drift(STUDY, before, now))
        x = now.x.copy()
        x[rng.random(len(x)) < 0.2, AQI] = np.nan
        gone = missing_drift(STUDY, before, replace(now, x=x))
        lost += next(one.status == "drift" for one in gone if one.feature == "aqi")
    found |= {"missing, quiet": quiet, "missing": lost / 60}
    print(found)
    assert len(alarms) <= bound, found
    assert quiet <= scipy.stats.binom.ppf(0.99, 60 * len(STUDY.features), NOMINAL_RATE), found
    assert found["aqi"] >= 0.9, found
    assert min(found["heart_rate"], found["spo2"], found["missing"]) == 1, found


def _is_found(
    reference: Mapping[str, np.ndarray], window: Window, name: str, changed: Callable[..., np.ndarray]
) -> bool:
    x, i = window.x.copy(), STUDY.index(name)
    x[:, i] = changed(x[:, i])
    return next(one.status == "drift" for one in drift(STUDY, reference, replace(window, x=x)) if one.feature == name)
