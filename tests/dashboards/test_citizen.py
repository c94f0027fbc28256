"""The citizen page's privacy, factors and days, as Streamlit runs them, against the stub."""

import pytest

pytest.importorskip("streamlit")
from fedhealth.dashboards.citizen.trend import calendar

from .stub_people import PERSON
from .test_export import EXPORT
from .test_pages import page, press, words


def mine(key: str = "citizen-key"):
    shown = page("citizen").run()
    return shown.text_input(key="person_key").set_value(key).run()


def test_what_leaves_the_page_is_told_in_plain_words(stub):
    text = words(page("citizen").run())
    assert "without your name" in text
    assert "notes the number, when it was worked out, which model did so and how many readings were missing" in text
    assert "takes no row from where it is" in text


def test_a_person_sees_what_is_kept(stub):
    assert f"Kept under the name **{PERSON}**: readings: 12; outcomes: 1" in words(mine())


def test_consent_can_be_withdrawn(stub):
    shown = mine()
    shown.radio[0].set_value("off")
    press(shown, "Save my choice")
    assert stub.people[PERSON]["retention"] == "off"
    assert "Saved." in words(shown)


def test_deleting_needs_a_tick_and_deletes(stub):
    shown = press(mine(), "Delete my data")
    assert "tick the box" in words(shown)
    assert stub.people[PERSON]["readings"] == 12
    shown.checkbox(key="delete_sure").check()
    press(shown, "Delete my data")
    assert "Deleted: 12 readings." in words(shown)
    assert stub.people[PERSON]["readings"] == 0


@pytest.mark.parametrize(("key", "said"), [("viewer-key", "for staff"), ("wrong", "does not accept the key")])
def test_a_key_of_somebody_else_opens_nothing(stub, key, said):
    shown = mine(key)
    assert said in words(shown)
    assert "Kept under" not in words(shown)


def test_three_factors_are_told_and_are_not_causes(stub):
    shown = press(page("citizen").run(), "Show an example person")
    table = next(one.value for one in shown.dataframe if "Moves the estimate" in one.value.columns)
    assert list(table["Moves the estimate"]) == ["▲ up", "▲ up", "▼ down"]
    assert "Not causes" in words(shown)


def test_what_adding_a_missing_reading_would_sharpen(stub):
    shown = page("citizen").run()
    shown.number_input(key="reading_age").set_value(60).run()
    text = words(shown)
    assert text.count("would narrow the range from") == 3
    assert "(of 100 people)" in text


def test_seven_and_thirty_days_with_gaps_and_a_table(stub):
    shown = page("citizen").run()
    shown.checkbox(key="export_keep").check().run()
    shown.file_uploader[0].set_value(("export.xml", EXPORT, "text/xml")).run()
    assert "20 of 30 days" in words(shown)
    assert "against your usual" in words(shown)
    shown.segmented_control(key="trend_span").set_value(7).run()
    assert "7 of 7 days" in words(shown)
    assert "a gap, not zero" in words(shown)


def test_a_day_without_a_reading_is_empty():
    found = calendar([{"date": "2026-01-03", "steps": 5}, {"date": "2026-01-01", "steps": 1}], 4)
    assert list(found) == ["2025-12-31", "2026-01-01", "2026-01-02", "2026-01-03"]
    assert [day.get("steps") for day in found.values()] == [None, 1, None, 5]


def test_limits_of_finger_sensors_are_told(stub):
    assert "Finger sensors read too high or too low" in words(page("citizen").run())


def test_the_same_age_is_compared(stub):
    shown = press(page("citizen").run(), "Show an example person")
    assert "Of 100 people of the same age, with nothing else known: about **" in words(shown)


@pytest.mark.parametrize(("risk", "wide"), [(None, False), ([0.01, 0.57], True)])
def test_a_comparison_of_which_little_is_known_says_so_and_stays(stub, risk, wide):
    stub.interval = risk
    shown = press(page("citizen").run(), "Show an example person")
    assert "Of 100 people of the same age, with nothing else known: about **" in words(shown)
    assert ("This range is very wide" in words(shown)) is wide


def test_the_same_age_and_sex_are_compared(stub):
    shown = press(page("citizen").run(), "Show an example person")
    next(one for one in shown.segmented_control if one.key == "reading_sex").set_value("Female").run()
    assert "Of 100 people of the same age and sex, with nothing else known: about **" in words(shown)


def test_many_steps_a_day_are_written_out(stub):
    days = [{"date": f"2026-11-{day:02}", "steps": steps} for day, steps in ((1, 12345), (2, 10008), (3, 13101))]
    shown = page("citizen")
    shown.session_state["export_days"] = days
    shown.session_state["export_keep"] = True
    text = words(shown.run())
    assert "13,101 steps a day" in text
    assert "+756 against your usual 12,345" in text


def test_the_air_names_pollutant_window_and_source(stub):
    shown = page("citizen").run()
    shown.selectbox(key="city").set_value("Lahore").run()
    assert "24-hour average · main pollutant: PM2.5 · source: synthetic" in words(shown)
