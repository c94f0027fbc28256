"""Both pages through their doors, as Streamlit runs them, against the stub."""

from pathlib import Path
from typing import Any

import pytest

from fedhealth.dashboards import api
from fedhealth.dashboards.admin import access

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

ROOT = Path(__file__).parents[2]


def page(name: str) -> AppTest:
    return AppTest.from_file(str(ROOT / f"dashboard/{name}_app.py"), default_timeout=60)


def admin_at(name: str) -> AppTest:
    """An admin page by its address."""
    shown = page("admin")
    shown._page_hash = calc_hash(name)
    return shown


def words(shown: AppTest) -> str:
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(element.value for kind in kinds for element in getattr(shown, kind))


def press(shown: AppTest, label: str) -> AppTest:
    return next(button for button in shown.button if button.label == label).click().run()


def alerts_shown(shown: AppTest) -> list[str]:
    return [one.value for one in shown.markdown if "Mean risk is high" in one.value]


def cities_of(shown: AppTest) -> Any:
    """The table of the cities."""
    return next(one.value for one in shown.dataframe if "AQI category" in one.value.columns)


def test_example_person_gets_a_count_of_100_with_a_range(stub):
    shown = press(page("citizen").run(), "Show an example person")
    text = words(shown)
    assert not shown.exception
    assert "Of **100 people like you**, about **" in text
    assert "An estimate, not a diagnosis" in text
    assert "Synthetic data" in text
    assert "f417211d610a" in text
    assert "Not known, so not used: fine dust (PM2.5)" in text
    assert "From the US EPA's Air Quality Guide" in text
    assert "People with **4,500 steps a day, 6 hours of sleep and no smoking** who are otherwise like you" in text
    assert "This compares groups; it does not show your risk would change." in text


def test_empty_form_asks_for_a_reading_and_nothing_counts_as_zero(stub):
    shown = page("citizen").run()
    assert "Give at least one reading" in words(shown)
    shown.number_input(key="reading_age").set_value(50).run()
    assert "Of **100 people like you**" in words(shown)
    assert "heart rate at rest" in next(one.value for one in shown.caption if "Not known" in one.value)


def test_low_oxygen_is_warned_of_before_the_estimate(stub):
    shown = page("citizen").run()
    shown.number_input(key="reading_spo2").set_value(91).run()
    raised = [one.value for one in shown.error if "Your oxygen reading is 91 %" in one.value]
    assert len(raised) == 2  # on top, and below its field
    assert shown.error[0].value == raised[0]
    assert "1122" in shown.error[0].value
    assert "clinician's approval" in words(shown)


def test_a_city_fills_in_its_air(stub):
    shown = page("citizen").run()
    shown.selectbox(key="city").set_value("Lahore").run()
    assert shown.number_input(key="reading_aqi").value == 268
    assert "The air in Lahore is Very Unhealthy (AQI 268)." in words(shown)


def test_other_groups_are_compared(stub):
    shown = press(page("citizen").run(), "Show an example person")
    shown.slider[0].set_value(9000).run()
    text = words(shown)
    assert "People with **9,000 steps a day" in text
    assert "no clear difference" in text


@pytest.mark.usefixtures("no_api")
def test_without_api_the_safety_rules_and_the_advice_stand():
    shown = page("citizen").run()
    shown.number_input(key="reading_heart_rate").set_value(140).run()
    shown.number_input(key="reading_aqi").set_value(160).run()
    assert not shown.exception
    text = words(shown)
    assert "Your heart rate at rest is 140" in text
    assert "does not answer" in text
    assert "Unhealthy (AQI 160)" in text


@pytest.mark.parametrize("trouble", ["status", "delay"])
def test_citizen_says_trouble_in_words_and_recovers(stub, trouble, monkeypatch):
    monkeypatch.setattr(api, "TIMEOUT", 0.5)
    shown = press(page("citizen").run(), "Show an example person")
    setattr(stub, trouble, 500 if trouble == "status" else 1.0)
    shown.run()
    assert not shown.exception
    assert shown.warning
    assert shown.number_input(key="reading_age").value == 30
    setattr(stub, trouble, 0)
    api._silent_until.clear()
    assert "Of **100 people like you**" in words(shown.run())


def test_admin_shows_cities_and_alerts(with_key):
    shown = page("admin").run()
    assert not shown.exception
    text = words(shown)
    assert "9 of 9 cities reporting" in text
    assert "Synthetic data" in text
    assert len(alerts_shown(shown)) == 3
    for header in ("Risk by city and day", "Trends of mean risk", "Air quality by category", "Fine dust (PM2.5)"):
        assert header in text
    assert len(cities_of(shown)) == 9


def test_a_run_shows_each_clients_loss(with_key):
    shown = admin_at("training").run()
    assert "Training loss at each client" in words(shown)
    tables = [one.value for one in shown.dataframe]
    losses = next(t for t in tables if "node_1" in t.columns)
    assert losses["node_1"].iloc[0] > losses["node_1"].iloc[-1]


def test_the_served_model_is_evaluated(with_key):
    tables = [one.value for one in admin_at("models").run().dataframe]
    assert "AUROC" in set(next(t for t in tables if "Measure" in t.columns)["Measure"])


def test_a_run_under_differential_privacy_says_what_it_promised_and_draws_no_empty_charts(with_key):
    shown = admin_at("training").run()
    shown.selectbox(key="run").set_value("health-risk-0a1b2c3d4e5f").run()
    assert not shown.exception
    text = words(shown)
    assert "epsilon 3 at delta 1e-05 for one row of a node's table. All figures have noise" in text
    assert "Training loss at each client" not in text
    assert "No client does better alone." not in text


def test_time_range_and_city_come_from_the_address(with_key):
    shown = page("admin")
    shown.query_params["city"] = "Lahore"
    shown.query_params["days"] = "7 days"
    shown.run()
    assert shown.selectbox(key="city").value == "Lahore"
    assert len(alerts_shown(shown)) == 1


def test_acknowledging_needs_a_name_and_is_sent(with_key):
    shown = page("admin").run()
    press(shown, "Save")
    assert "Please give your name." in words(shown)
    shown.text_input(key="who_Lahore").set_value("Dr A")
    shown.text_input(key="note_Lahore").set_value("checked")
    press(shown, "Save")
    assert with_key.acknowledged == {"Lahore": {"by": "Dr A", "note": "checked"}}
    assert len(alerts_shown(shown)) == 2


def test_an_alert_that_somebody_looks_after_is_not_taken_over(with_key):
    shown = page("admin").run()
    with_key.taken["Lahore"] = "Dr B"
    shown.text_input(key="who_Lahore").set_value("Dr A")
    press(shown, "Save")
    assert "Dr B looks after alert Lahore already" in words(shown)
    assert not with_key.acknowledged


def test_admin_asks_for_the_key_and_refuses_a_wrong_one(stub):
    shown = page("admin").run()
    assert not shown.header
    shown.text_input(key="service_key").set_value("wrong")
    press(shown, "Sign in")
    assert "does not accept this key" in words(shown)
    shown.text_input(key="service_key").set_value("stub-key")
    press(shown, "Sign in")
    assert "9 of 9 cities reporting" in words(shown)


@pytest.mark.parametrize(
    ("path", "name", "headers"),
    [
        *((path, "overview", 8) for path in ("/cities", "/trends", "/alerts", "/aqi")),
        ("/runs", "training", 2),
        ("/nodes", "training", 2),
        ("/privacy", "privacy", 3),
        ("/models", "models", 4),
        ("/promotion", "models", 4),
        ("/evaluation", "models", 4),
        ("/drift", "drift", 5),
        ("/performance", "drift", 5),
    ],
)
def test_one_broken_panel_leaves_the_others(with_key, path, name, headers):
    with_key.broken.add(path)
    shown = admin_at(name).run()
    assert not shown.exception
    assert len(shown.header) == headers
    assert "had a problem" in words(shown)


def test_admin_keeps_what_it_has_while_the_api_fails(with_key):
    shown = page("admin").run()
    with_key.status = 500
    shown.run()
    assert "No newer answer" in words(shown)
    assert len(alerts_shown(shown)) == 3
    with_key.status = 0
    assert "No newer answer" not in words(shown.run())


def test_a_page_that_others_can_open_does_not_hand_out_the_key(with_key, monkeypatch):
    monkeypatch.setattr(access, "LOOPBACK", ("not this one",))
    assert not page("admin").run().header


def test_a_page_takes_the_key_by_itself_only_where_it_was_started_to(with_key, monkeypatch):
    monkeypatch.delenv("FEDHEALTH_ADMIN_OPENED")
    assert not page("admin").run().header


def test_who_signs_out_stays_out_also_after_a_reload(with_key):
    shown = press(page("admin").run(), "Sign out")
    assert not shown.header
    assert not page("admin").run().header


@pytest.mark.usefixtures("no_api")
def test_admin_without_api_says_so():
    shown = page("admin").run()
    shown.text_input(key="service_key").set_value("any")
    press(shown, "Sign in")
    assert not shown.exception
    assert "does not answer" in words(shown)
