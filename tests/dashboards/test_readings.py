"""Readings on the citizen page: where from and of when, refused in words, compared only within reach."""

import datetime as dt
import re

import pytest

pytest.importorskip("streamlit")
from .test_export import steps
from .test_pages import page, press, words

REFUSED = "**Heart rate at rest: 400 beats/min cannot be used.** Allowed: 25 – 220 beats/min."


def ago(**back):
    return (dt.datetime.now(dt.UTC) - dt.timedelta(**back)).isoformat()


def origins(shown):
    """What stands below the fields."""
    return [one.value for one in shown.caption if one.value.startswith(("Typed", "From your", "Air in", "Of the ex"))]


def test_a_reading_that_is_typed_in_tells_when(stub):
    shown = page("citizen").run()
    assert origins(shown) == []
    shown.number_input(key="reading_heart_rate").set_value(72).run()
    assert len(origins(shown)) == 1
    assert re.fullmatch(r"Typed in on \d\d \w{3} \d{4}, \d\d:\d\d", origins(shown)[0])
    assert "Old reading" not in words(shown)
    shown.number_input(key="reading_heart_rate").set_value(None).run()
    assert origins(shown) == []


def test_readings_of_the_example_person_are_told_from_typed_ones(stub):
    shown = press(page("citizen").run(), "Show an example person")
    assert set(origins(shown)) == {"Of the example person"}
    shown.segmented_control(key="reading_smoker").set_value("Yes").run()
    assert sum(one.startswith("Typed in on") for one in origins(shown)) == 1
    press(shown, "Clear")
    assert origins(shown) == []


@pytest.mark.parametrize(("back", "old"), [(1, False), (10, True)])
def test_a_reading_from_an_export_tells_its_day_and_whether_it_is_old(stub, back, old):
    day = dt.date.today() - dt.timedelta(days=back)
    content = f'<HealthData>{steps(day, 4000)}<Me HKCharacteristicTypeIdentifierDateOfBirth="1980-01-01"/></HealthData>'
    shown = page("citizen").run()
    shown.file_uploader[0].set_value(("export.xml", content.encode(), "text/xml")).run()
    assert f"From your export, as of {day:%d %b %Y}" in origins(shown)
    assert ("Old reading" in words(shown)) is old
    assert ("Old, but used: steps. New readings would fit you better." in words(shown)) is old


@pytest.mark.parametrize(
    ("air", "old"),
    [
        ({"time": ago(hours=1)}, False),
        ({"time": ago(hours=20), "stale": True}, True),
        ({"time": ago(days=4)}, True),
        ({"time": None, "source": None}, False),
    ],
)
def test_the_air_tells_its_source_its_time_and_whether_it_is_old(stub, air, old):
    stub.air = air
    shown = page("citizen").run()
    shown.selectbox(key="city").set_value("Lahore").run()
    assert origins(shown)[0].startswith("Air in Lahore, ")
    assert f"source: {air.get('source', 'synthetic') or '–'}" in origins(shown)[0]
    assert ("Old reading" in words(shown)) is old
    assert ("This air reading is old" in words(shown)) is old


def test_a_number_out_of_range_is_refused_with_the_reason_and_the_rest_stays(stub):
    shown = page("citizen").run()
    shown.number_input(key="reading_age").set_value(50).run()
    shown.number_input(key="reading_heart_rate").set_value(400).run()
    assert not shown.exception
    assert any(one.value.startswith(REFUSED) for one in shown.error)
    assert shown.number_input(key="reading_heart_rate").value == 400
    assert shown.number_input(key="reading_age").value == 50
    assert "Of **100 people like you**" in words(shown)
    assert "heart rate at rest" in next(one.value for one in shown.caption if "Not known" in one.value)
    shown.number_input(key="reading_heart_rate").set_value(72).run()
    assert "cannot be used" not in words(shown)


def test_a_refused_reading_still_raises_the_safety_rules_and_the_advice(stub):
    shown = page("citizen").run()
    shown.number_input(key="reading_spo2").set_value(50).run()
    shown.number_input(key="reading_aqi").set_value(620).run()
    text = words(shown)
    assert "Your oxygen reading is 50 %" in shown.error[0].value
    assert "**Oxygen (SpO₂): 50 % cannot be used.**" in text
    assert "**Air quality index (AQI): 620 cannot be used.** Allowed: 0 – 500." in text
    assert "The air is Hazardous (AQI 620)." in text
    shown.number_input(key="reading_aqi").set_value(-5).run()
    assert not shown.exception
    assert "Choose your city" in words(shown)


def test_a_value_beyond_what_can_be_compared_is_said_and_the_control_starts_at_the_end(stub):
    shown = press(page("citizen").run(), "Show an example person")
    assert "lies outside what can be compared" not in words(shown)
    shown.number_input(key="reading_steps").set_value(20000).run()
    slider = next(one for one in shown.slider if one.label.startswith("Steps"))
    assert (slider.min, slider.max, slider.value) == (1000, 15000, 15000)
    assert (
        "Your own value, 20,000 steps a day, lies outside what can be compared: 1,000 to 15,000 steps a day."
        in words(shown)
    )
    assert "People with **15,000 steps a day" in words(shown)


@pytest.mark.parametrize(
    ("told", "words_of_it"),
    [
        (["people in Peshawar, at Clinic C", "women, at Clinic C"], "- people in Peshawar, at Clinic C\n- women"),
        ([], "In tests no group of people was found"),
        (None, "It was not tested group by group"),
    ],
)
def test_version_date_and_weaker_groups_are_told(stub, told, words_of_it):
    stub.model = {"weaker_groups": told}
    text = words(page("citizen").run())
    assert "Model f417211d610a, in use since 23 Nov 2026" in text
    assert words_of_it in text
    stub.model["published"] = None
    assert "in use since an unknown day" in words(page("citizen").run())


def test_a_model_trained_partly_on_generated_data_is_labelled(stub):
    stub.model = {"synthetic_nodes": ["node_2"], "synthetic": False}
    text = words(page("citizen").run())
    assert "Trained partly on generated data." in text
    assert "trained partly on generated data, made by a computer (node_2)" in text
    stub.model = {"synthetic_nodes": [], "synthetic": False}
    assert "generated data" not in words(page("citizen").run())
