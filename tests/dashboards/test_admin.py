"""The admin's pages over the network, through their door, as Streamlit runs them, against the stub."""

import re

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from fedhealth.dashboards import api, svg
from fedhealth.dashboards.admin.page import PAGES

from .stub import ROLES, one_alert
from .stub_versions import BEFORE, NEXT, SERVED, TITLES
from .test_pages import admin_at, alerts_shown, cities_of, press, words


def signed_in(name: str, key: str) -> AppTest:
    shown = admin_at(name).run()
    shown.text_input(key="service_key").set_value(key)
    return press(shown, "Sign in")


def change(shown: AppTest, action: str, label: str, reason: str, sure: bool) -> AppTest:
    shown.text_input(key=f"{action}_reason").set_value(reason)
    shown.checkbox(key=f"{action}_sure").set_value(sure)
    return press(shown, label)


def test_the_privacy_page_tells_budget_limit_and_audit(with_key):
    shown = admin_at("privacy").run()
    assert not shown.exception
    text = words(shown)
    assert "Costliest run: **epsilon 3** of 8" in text
    assert "Beyond it the node refuses every further answer" in text
    assert "AUC **0.507**" in text
    assert "at least epsilon 0.400 was spent" in text
    assert list(shown.dataframe[0].value["Runs without noise"]) == [2, 2, 0]


def test_versions_show_standing_differences_gates_and_lineage(with_key):
    shown = admin_at("models").run()
    assert not shown.exception
    tables = [one.value for one in shown.dataframe]
    versions = next(t for t in tables if "Standing" in t.columns)
    assert versions["Standing"][0] == "● served"
    assert versions[versions["Version"] == NEXT]["AUROC, difference"].iloc[0] == "+0.003"
    assert "● passes" in set(next(t for t in tables if "Gate" in t.columns)["Result"])
    assert "without noise" in set(next(t for t in tables if "Policy" in t.columns)["Epsilon"])
    assert "newly trained" in set(next(t for t in tables if "By" in t.columns)["Reason"])


def test_promoting_needs_a_reason_and_a_confirmation(with_key):
    shown = admin_at("models").run()
    assert shown.selectbox(key="version").value == NEXT
    for reason, sure in (("", True), ("better in Lahore", False)):
        change(shown, "promote", "Promote", reason, sure)
        assert "Please give a reason" in words(shown)
        assert with_key.served["champion"] == SERVED
    change(shown, "promote", "Promote", "better in Lahore", True)
    assert f"Version {NEXT} is served now, instead of {SERVED}." in words(shown)
    assert with_key.served["history"][-1]["reason"] == "better in Lahore"


def test_rolling_back_needs_a_reason_and_a_confirmation(with_key):
    shown = admin_at("models").run()
    change(shown, "rollback", "Roll back", "", True)
    assert with_key.served["champion"] == SERVED
    change(shown, "rollback", "Roll back", "alarms", True)
    assert with_key.served["champion"] == BEFORE


def test_a_gates_refusal_is_said_before_and_after(with_key):
    shown = admin_at("models").run()
    shown.selectbox(key="version").set_value(BEFORE).run()
    assert "A gate refuses this version" in words(shown)
    change(shown, "promote", "Promote", "try", True)
    assert "the gates refuse it: calibration: slope" in words(shown)
    assert with_key.served["champion"] == SERVED


@pytest.mark.parametrize("key", ["viewer-key", "analyst-key"])
def test_choosing_the_model_is_not_offered_below_administrator(stub, key):
    shown = signed_in("models", key)
    assert "Choosing the model needs the key of an administrator." in words(shown)
    assert "Promote" not in [one.label for one in shown.button]


def test_what_a_role_may_see_is_said_and_a_citizens_key_is_refused(stub):
    assert "the-viewer, a viewer: may look at everything here" in words(signed_in("privacy", "viewer-key"))
    shown = signed_in("privacy", "citizen-key")
    assert "does not accept this key" in words(shown)
    assert not shown.header


def test_a_viewer_sees_alerts_and_cannot_acknowledge(stub):
    shown = signed_in("overview", "viewer-key")
    assert "Mean risk is high" in words(shown)
    assert "Save" not in [one.label for one in shown.button]


def test_the_service_refuses_what_a_page_should_not_have_offered(stub):
    for path in ("/models/promote", "/models/rollback"):
        with pytest.raises(api.ApiProblem, match="may not do that: this needs the role admin"):
            api.change("POST", path, "viewer-key")


def test_signing_out_forgets_the_key(stub):
    shown = press(signed_in("privacy", "viewer-key"), "Sign out")
    assert not shown.header
    assert shown.text_input(key="service_key").value == ""


def test_node_health_tells_last_seen_and_missed_rounds(with_key):
    shown = admin_at("training").run()
    nodes = next(one.value for one in shown.dataframe if "Last seen" in one.value.columns)
    assert list(nodes["Missed"]) == [0, 2, 9]
    assert list(nodes["State"]) == ["● in every round", "▲ missed some", "○ never seen"]
    assert list(nodes["Program"]) == ["0.1.0", "0.1.0", "unknown"]
    assert list(nodes["Rounds missed"]) == ["0 of 63", "14 of 63", "63 of 63"]
    assert list(nodes["Sent"]) == ["96.4 kB", "not measured", "not measured"]


def test_a_run_tells_each_clients_program_missed_rounds_and_bytes(with_key):
    shown = admin_at("training").run()
    clients = next(one.value for one in shown.dataframe if list(one.value.columns)[:2] == ["Client", "Program"])
    assert list(clients["Program"]) == ["0.1.0", "0.1.0", "unknown"]
    assert list(clients["Rounds missed"]) == ["0 of 7", "0 of 7", "1 of 7"]
    assert list(clients["Received"]) == ["2.5 MB", "2.5 MB", "not measured"]
    assert list(clients["Sent"]) == ["1.3 MB", "96.4 kB", "not measured"]


def test_a_run_is_evaluated_by_city_against_the_served_and_the_local_models(with_key):
    shown = admin_at("training").run()
    assert not shown.exception
    groups = next(one.value for one in shown.dataframe if "Who" in one.value.columns).set_index("Who")
    assert list(groups.index[:5]) == ["All", *TITLES.values(), "Karachi"]
    assert groups.loc["Lahore", "AUROC (95 %)"] == "0.746 (0.726 to 0.766)"
    assert groups.loc["Lahore", "Served model, AUROC (95 %)"] == "0.768 (0.748 to 0.788)"
    assert groups.loc["All", "AUROC against served (95 %)"] == "+0.003 (-0.027 to +0.026)"
    assert groups.loc["Clinic C", "AUROC against own model (95 %)"] == "-0.001 (-0.027 to +0.026)"
    assert groups.loc["Multan", "Better alone"] == "node_3"
    assert groups.loc["people whose age is 75 years or more", "Better alone"] == "–"
    assert {"Brier score (95 %)", "Calibration slope (95 %)", "AUPRC"} <= set(groups.columns)
    assert "Too few people to be told: people whose age is 75 years or more." in words(shown)
    cities = next(one.value for one in shown.dataframe if list(one.value.columns)[:2] == ["City", "Client"])
    assert len(cities) == 18
    assert cities["Its own model"][0] == "0.740 (0.720 to 0.760)"
    others = next(one.value for one in shown.dataframe if "Model, and on whom" in one.value.columns)
    assert list(others["AUROC (95 %)"]) == ["0.771 (0.751 to 0.791)", "0.768 (0.748 to 0.788)", "0.771", "0.851"]


def test_the_served_model_is_evaluated_by_city_with_intervals(with_key):
    shown = admin_at("models").run()
    groups = next(one.value for one in shown.dataframe if "Who" in one.value.columns).set_index("Who")
    assert groups.loc["Lahore", "AUROC (95 %)"] == "0.746 (0.726 to 0.766)"
    assert groups.loc["Clinic C", "Own model, AUROC (95 %)"] == "0.802 (0.782 to 0.822)"
    assert "Served model, AUROC (95 %)" not in groups.columns


def test_partly_synthetic_data_are_told_with_the_nodes_names(with_key):
    assert "Learned from: partly synthetic data: node_2." in words(admin_at("training").run())
    shown = admin_at("models").run()
    assert "Learned from: partly synthetic data: node_2." in words(shown)
    versions = next(one.value for one in shown.dataframe if "Standing" in one.value.columns)
    assert set(versions["Data"]) == {"partly synthetic data: node_2", "synthetic data"}


def test_a_report_of_an_older_program_is_still_shown(with_key):
    with_key.older = True
    shown = admin_at("training").run()
    assert not shown.exception
    assert "had a problem" not in words(shown)
    clients = next(one.value for one in shown.dataframe if list(one.value.columns)[:2] == ["Client", "Program"])
    assert set(clients["Program"]) == {"unknown"}
    assert set(clients["Sent"]) == {"not measured"}
    groups = next(one.value for one in shown.dataframe if "Who" in one.value.columns).set_index("Who")
    assert list(groups.index) == ["All", *TITLES.values()]
    assert groups.loc["All", "AUROC (95 %)"] == "0.771"


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("training", "run", "health-risk-0a1b2c3d4e5f"),
        ("models", "version", BEFORE),
        ("drift", "feature", "Steps"),
    ],
)
def test_a_permalink_brings_back_what_was_chosen(with_key, name, key, value):
    shown = admin_at(name)
    shown.query_params[key] = value
    shown.run()
    assert not shown.exception
    assert shown.selectbox(key=key).value == value
    assert "not there any more" not in words(shown)


def test_a_permalink_to_what_is_gone_says_so(with_key):
    shown = admin_at("training")
    shown.query_params["run"] = "health-risk-000000000000"
    shown.run()
    assert "“health-risk-000000000000” of this address is not there any more" in words(shown)
    assert shown.selectbox(key="run").value == "health-risk-f417211d610a"


def test_all_alert_states_are_told_with_who_when_and_note(with_key):
    text = admin_at("overview").run()
    table = next(one.value for one in text.dataframe if "Looked after by" in one.value.columns)
    assert set(table["State"]) == {"not long enough yet", "over"}
    over = table[table["State"] == "over"].iloc[0]
    assert (over["Looked after by"], over["Note"]) == ("Dr B", "seen")
    assert over["Acknowledged"].startswith("23 Nov 2026")


def test_fine_dust_is_shown_with_the_line_of_the_who(with_key):
    text = words(admin_at("overview").run())
    assert "15 µg/m³, the guideline of the WHO" in text


@pytest.mark.full
@pytest.mark.parametrize("name", list(PAGES))
@pytest.mark.parametrize("trouble", ["status", "delay"])
def test_every_page_says_trouble_in_words_keeps_what_it_has_and_recovers(with_key, name, trouble):
    shown = admin_at(name).run()
    tables = len(shown.dataframe)
    api._client().timeout = 0.4
    setattr(with_key, trouble, 500 if trouble == "status" else 0.8)
    shown.run()
    assert not shown.exception
    assert "No newer answer" in words(shown)
    assert len(shown.dataframe) == tables
    setattr(with_key, trouble, 0)
    api._client().timeout = 10
    api._silent_until.clear()
    assert "No newer answer" not in words(shown.run())


@pytest.mark.full
@pytest.mark.usefixtures("no_api")
@pytest.mark.parametrize("name", list(PAGES))
def test_every_page_says_that_the_service_is_down(name):
    shown = signed_in(name, "any")
    assert not shown.exception
    assert "does not answer" in words(shown)


def test_key_figures_tell_their_change(with_key):
    for days in ("24 h", "7 days", "30 days"):
        shown = admin_at("overview")
        shown.query_params["days"] = days
        captions = [one.value for one in shown.run().caption]
        assert sum("against 7 days before" in one for one in captions) == 4
    assert any(re.search(r"acknowledged · [+-]\d against 7 days before", one) for one in captions)
    assert any(re.search(r"yesterday [+-][\d,]+ against 7 days before", one) for one in captions)


@pytest.mark.parametrize(
    ("since", "ended", "told"),
    [
        ("16T17:58", None, "+3"),
        ("16T17:56", None, "+2"),
        ("15T08:00", "16T17:00", "+3"),
        ("15T08:00", "17T08:00", "+2"),
    ],
)
def test_what_was_open_a_week_before_the_newest_reading_counts_against_what_is_open(with_key, since, ended, told):
    times = {"since": f"2026-11-{since}:00Z", "ended": ended and f"2026-11-{ended}:00Z"}
    with_key.more_alerts = [
        alert(with_key, "aqi", 268, 200, **times, city="Lahore", state="resolved" if ended else "firing")
    ]
    captions = [one.value for one in admin_at("overview").run().caption]
    assert any(f"acknowledged · {told} against 7 days before" in one for one in captions)


def test_live_is_off_until_asked_for(with_key):
    assert admin_at("overview").run().toggle(key="live").value is False


def test_alerts_without_data_or_with_an_error_stay_open(with_key):
    with_key.states = {"Lahore": "no_data", "Multan": "error"}
    text = words(admin_at("overview").run())
    assert "State: open, nothing new came in." in text
    assert "State: cannot be checked." in text


def test_drift_tells_n_statistic_threshold_and_both_shapes(with_key):
    shown = admin_at("drift").run()
    tables = [one.value for one in shown.dataframe]
    assert {"PSI", "Limit", "Readings", "Missing"} <= set(tables[0].columns)
    assert {"When it learned", "Now"} <= set(tables[1].columns)
    assert "Features then and now as CSV" in {one.proto.label for one in shown.get("download_button")}


def test_the_model_at_each_node_is_told_then_and_now_with_what_was_not_asked(with_key):
    shown = admin_at("drift").run()
    nodes = next(one.value for one in shown.dataframe if "Lower by" in one.value.columns)
    assert list(nodes["State"]) == ["● as at training", "▲ worse", "○ not asked"]
    assert nodes["AUROC then → now"][1] == "0.771 → 0.710"
    assert nodes["Lower by"][1] == "+0.061 (+0.031 to +0.091)"
    assert "Answers came with noise" in words(shown)
    assert "The model at each node as CSV" in {one.proto.label for one in shown.get("download_button")}


def test_an_alert_opens_city_and_time_range_of_its_evidence(with_key):
    shown = press(admin_at("overview").run(), "Evidence: Lahore, 7 days")
    assert (shown.selectbox(key="city").value, shown.segmented_control(key="days").value) == ("Lahore", 7)
    assert len(alerts_shown(shown)) == 1


@pytest.mark.parametrize(
    ("rule", "label"),
    [("drift", "Evidence: features then and now"), ("nodes", "Evidence: the model at each node")],
)
def test_an_alert_over_all_cities_links_to_the_page_of_drift(with_key, rule, label):
    with_key.more_alerts = [{**one_alert("Lahore", with_key), "id": 9, "city": "", "rule": rule, "title": "Drifted"}]
    shown = admin_at("overview").run()
    assert "**All cities: Drifted**" in words(shown)
    (link,) = shown.get("page_link")
    assert (link.proto.page, link.proto.label) == ("drift", label)


def test_the_rules_of_alerts_are_shown_with_limit_waiting_and_end(with_key):
    text = words(admin_at("overview").run())
    for said in (
        "**High mean risk**, of a city's last 24 hours: opens at **20.0 of 100** or above for 30 minutes, "
        "ends at **19.0 of 100** or below.",
        "opens above **200** for 30 minutes, ends at **190** or below.",
        "**Readings are not as in training**, of all cities: opens at once",
        "Set where the service runs, by FEDHEALTH_ALERT_RISK",
    ):
        assert said in text


def test_rules_that_cannot_be_read_are_said_to_be_so(with_key):
    with_key.rules_problem = "FEDHEALTH_ALERT_AQI: got 'x'; expected a number above 0"
    assert with_key.rules_problem in words(admin_at("overview").run())


def test_shares_on_few_events_are_flagged_in_table_and_words(with_key):
    shown = admin_at("overview").run()
    table = cities_of(shown).set_index("City")
    assert (table["High risk"]["Islamabad"], table["High-risk readings"]["Islamabad"]) == ("▲ 5 %, unstable", 13)
    assert (table["High risk"]["Lahore"], table["High-risk readings"]["Lahore"]) == ("11 %", 27)
    assert "▲ unstable: in Islamabad, Karachi, Rawalpindi the share at high risk rests on 20 readings" in words(shown)


def test_trends_tell_their_uncertainty(with_key):
    shown = admin_at("overview").run()
    table = next(one.value for one in shown.dataframe if "Lahore, from" in one.value.columns)
    known = table.dropna(subset=["Lahore"])
    assert (known["Lahore, from"] < known["Lahore"]).all()
    assert (known["Lahore"] < known["Lahore, to"]).all()
    assert "Shaded: 95 % range of the mean" in words(shown)


@pytest.mark.parametrize(
    ("stored", "said"), [("all", "Synthetic data: made"), ("some", "Partly synthetic data"), ("none", None)]
)
def test_data_are_called_synthetic_if_and_only_if_they_are(with_key, stored, said):
    with_key.synthetic = stored
    captions = [one.value for one in admin_at("overview").run().caption]
    assert [one.startswith(said or "") for one in captions if "ynthetic data" in one] == ([True] if said else [])


def test_what_is_shown_can_be_had_as_a_file(with_key):
    shown = admin_at("overview").run()
    files = {one.proto.label for one in shown.get("download_button")}
    panels = ("Cities, last 24 h", "Alerts", "Risk by city and day", "Trends of mean risk", "Fine dust (PM2.5)")
    assert files == {f"{panel} as CSV" for panel in (*panels, "Air quality by category")}


def alert(behaviour, rule: str, value: float, limit: float, **more) -> dict:
    told = {"rule": rule, "value": value, "threshold": limit, "title": f"{rule} is off", "id": rule, "city": "", **more}
    return {**one_alert("Lahore", behaviour), **told}


@pytest.mark.parametrize(
    ("rule", "value", "limit", "said"),
    [
        ("mean-risk", 0.21, 0.185, "21.0 of 100 (limit 18.5 of 100, ends at 19.0 of 100)"),
        ("aqi", 268, 200, "268 (limit 200, ends at 190)"),
        ("drift", 0.445, 0.299, "PSI 0.445 (limit PSI 0.299)"),
        ("missing", 0.12, 0.05, "12.0 of 100 (limit 5.0 of 100)"),
        ("score", -0.41, 0.3, "-0.410 on the log-odds (limit 0.300 on the log-odds)"),
        ("performance", 0.2, 0.1, None),
        ("settings", 0.0, 0.0, None),
    ],
)
def test_an_alert_tells_its_figures_in_its_own_unit(with_key, rule, value, limit, said):
    with_key.quiet, with_key.more_alerts = True, [alert(with_key, rule, value, limit)]
    shown = admin_at("overview").run()
    card = next(one.value for one in shown.markdown if f"{rule} is off" in one.value)
    figures = f" · {said}" if said else ""
    assert card.endswith(f"{rule} is off**{figures} · since 23 Nov 2026, 06:00 UTC")


def test_alerts_come_by_how_far_they_are_past_their_limit_either_way(with_key):
    with_key.quiet = True
    with_key.more_alerts = [alert(with_key, "aqi", 268, 200, city="Lahore"), alert(with_key, "score", -0.9, 0.3)]
    shown = admin_at("overview").run()
    cards = [one.value for one in shown.markdown if "is off**" in one.value]
    assert ["score is off" in one for one in cards] == [True, False]


def test_a_city_with_few_people_is_held_back_in_words_and_not_counted_as_none(with_key):
    assert "held back: Quetta, too few people" in words(admin_at("overview").run())
    shown = admin_at("overview")
    shown.query_params["city"] = "Quetta"
    text = words(shown.run())
    assert "held back: Quetta, too few people" in text
    assert "from 0 people" not in text


def test_no_alert_is_good_news_only_of_cities_that_can_be_checked(with_key):
    with_key.quiet = True
    shown = admin_at("overview").run()
    assert not shown.success
    said = "No open alerts. The mean risk cannot be checked in Quetta: no or too few readings."
    assert said in [one.value for one in shown.info]
    with_key.few = ()
    assert [one.value for one in admin_at("overview").run().success] == ["No open alerts."]


def test_an_alert_without_new_data_counts_as_open_in_the_key_figures(with_key):
    with_key.states = dict.fromkeys(("Lahore", "Multan", "Faisalabad"), "no_data")
    assert ">3 of 9<" in words(admin_at("overview").run())


def test_the_line_in_trends_is_where_an_alert_opens(with_key):
    assert "Dashed: 20.0 of 100, where an alert on a city's last 24 hours opens." in words(admin_at("overview").run())
    with_key.rules_problem = "FEDHEALTH_ALERT_AQI: got 'x'; expected a number above 0"
    assert "where an alert" not in words(admin_at("overview").run())


def test_a_city_without_readings_keeps_its_row_and_is_hatched(with_key):
    with_key.no_points = ("Multan",)
    shown = admin_at("overview").run()
    table = next(one.value for one in shown.dataframe if {"Date", "Multan"} <= set(one.value.columns))
    assert table["Multan"].isna().all()


@pytest.mark.parametrize(("key", "asked", "said"), [("days", "", ""), ("city", "Nowhere", "“Nowhere” of this address")])
def test_an_address_that_names_nothing_shows_what_is_usual(with_key, key, asked, said):
    shown = admin_at("overview")
    shown.query_params[key] = asked
    shown.run()
    assert not shown.exception
    text = words(shown)
    assert said in text
    assert "9 of 9 cities reporting" in text


def test_words_from_an_address_or_the_api_are_shown_as_they_are(with_key):
    bad = "[Session over, sign in](http://evil.example/) ![x](http://evil.example/p.png)"
    with_key.served["history"][-1]["reason"] = bad
    run, models = admin_at("training"), admin_at("models")
    run.query_params["run"] = bad
    models.query_params["version"] = SERVED
    for shown in (run.run(), models.run()):
        text = words(shown)
        assert "\\[Session over, sign in\\]" in text
        assert "http://" not in text


def test_a_node_that_only_trained_without_noise_has_no_meter_and_says_that_nothing_bounds_it(with_key):
    with_key.private_runs = False
    shown = admin_at("privacy").run()
    text = words(shown)
    assert "Trained without noise (2 runs): no epsilon bounds what was told." in text
    assert "It took part in no run yet." in text
    assert "Costliest run" not in text
    assert not shown.get("imgs")


def test_what_a_performance_score_or_missing_alert_rests_on_is_on_the_page_of_drift(with_key):
    shown = admin_at("drift").run()
    text = words(shown)
    assert "▲ Worse than the risks promise: AUROC 0.701 where the risks let expect 0.775" in text
    assert "Of 4,000 readings that this model scored, the outcome of 900 is known; it happened in 108." in text
    assert "risks of 4,000 readings have moved by **-0.41** (limit 0.30 either way)" in text
    tables = [one.value for one in shown.dataframe]
    missing = next(one for one in tables if "As long before" in one.columns)
    assert (missing["As long before"][3], missing["Now"][3]) == ("10 %", "16 %")
    outcomes = next(one for one in tables if "Expected without outcomes" in one.columns)
    assert tuple(outcomes.iloc[0]) == ("AUROC", "0.775", "0.701 (0.681 to 0.721)")


def test_drift_is_of_all_cities_and_offers_no_city_and_no_live_figures(with_key):
    shown = admin_at("drift")
    shown.query_params["city"] = "Lahore"
    shown.run()
    assert "city" not in [one.key for one in shown.selectbox]
    assert not shown.toggle


def test_a_feature_with_few_readings_tells_no_count(with_key):
    table = admin_at("drift").run().dataframe[0].value.set_index("Feature")
    assert table["Readings"]["Cough flag"] == "–"


def test_a_key_that_was_revoked_leaves_nothing_to_whoever_comes_next(stub):
    shown = signed_in("overview", "viewer-key")
    assert len(alerts_shown(shown)) == 3
    del ROLES["viewer-key"]
    try:
        shown.run()
        assert not shown.header
        stub.status = 500
        shown.text_input(key="service_key").set_value("anything")
        press(shown, "Sign in")
        assert not alerts_shown(shown)
    finally:
        ROLES["viewer-key"] = "viewer"


def test_while_the_role_is_not_known_nothing_is_offered_but_to_look(stub):
    stub.broken.add("/me")
    shown = signed_in("overview", "analyst-key")
    assert len(alerts_shown(shown)) == 3
    assert "Save" not in [one.label for one in shown.button]


def test_nothing_is_offered_to_go_back_to_where_nothing_was_served_before(with_key):
    with_key.served["history"] = with_key.served["history"][:1]
    shown = admin_at("models").run()
    assert "Promote" in [one.label for one in shown.button]
    assert "Roll back" not in [one.label for one in shown.button]


def test_small_trends_share_one_axis_and_the_line_at_which_an_alert_opens(with_key, monkeypatch):
    drawn, draw = [], svg.small_trend
    monkeypatch.setattr(svg, "small_trend", lambda *told: drawn.append(told[1:3]) or draw(*told))
    admin_at("overview").run()
    assert len(drawn) == 18
    assert set(drawn[:9]) == {(40.0, 20.0)}
    assert set(drawn[9:]) == {(150.0, 15.0)}


def test_days_are_counted_by_category_of_the_air(with_key):
    shown = admin_at("overview").run()
    days = next(one.value for one in shown.dataframe if "Hazardous" in one.value.columns).set_index("City")
    assert (days.sum(axis=1) == 30).all()
    assert days.loc["Lahore", "Hazardous"] > 0 == days.loc["Islamabad", "Hazardous"]


def test_each_page_has_a_title_of_its_own_in_the_browser(with_key, monkeypatch):
    told = []
    monkeypatch.setattr("streamlit.set_page_config", lambda **said: told.append(said["page_title"]))
    for name in PAGES:
        admin_at(name).run()
    assert {one.split(" · ")[0] for one in told[1::2]} == {"Overview", "Training", "Privacy", "Models", "Drift"}
