"""Alerts: the open ones with what they rest on, each to be acknowledged by name."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.admin.downloads import offer
from fedhealth.dashboards.admin.view import RANGES, View, of_100, to_3, whole
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.colours import emphasis
from fedhealth.dashboards.parts import parsed, table, when
from fedhealth.dashboards.texts import listed, plain, say

Alert = dict[str, Any]
OPEN = ("firing", "no_data", "error")
SHOWN = 5  # open alerts in sight; the others are folded away
OLDEST = datetime.min.replace(tzinfo=UTC)
SHORTEST_EVIDENCE = 7  # days
PAST = 50  # alerts that are not open
# Rules over all cities whose evidence is on the page of drift, and what leads there.
ON_DRIFT = dict.fromkeys(("drift", "missing", "score"), "admin.alert_link_drift")
ON_DRIFT |= {"performance": "admin.alert_link_outcomes", "nodes": "admin.alert_link_nodes"}
# How a rule's value and limit are told; those of other rules say nothing by themselves.
FIGURES: Mapping[str, Callable[[float], str]] = {
    "mean-risk": lambda number: say("admin.of_100", n=of_100(number)),
    "aqi": whole,
    "drift": lambda number: say("admin.figure_psi", n=to_3(number)),
    "missing": lambda number: say("admin.of_100", n=of_100(number)),
    "score": lambda number: say("admin.figure_score", n=to_3(number)),
}


def show(view: View) -> None:
    """Open alerts as cards; acknowledged and past ones folded away."""
    told = view.ask("/alerts")["alerts"]
    newest = max((parsed(one["last_seen"]) or OLDEST for one in told), default=OLDEST)
    found = [one for one in told if view.city in (None, one["city"])]
    is_open = [one for one in found if one["state"] in OPEN]
    if not is_open:
        _none_open(view)
    is_open.sort(key=_excess, reverse=True)
    for alert in is_open[:SHOWN]:
        _card(view, alert, newest)
    if is_open[SHOWN:]:
        with st.expander(say("admin.alerts_more", n=len(is_open) - SHOWN)):
            for alert in is_open[SHOWN:]:
                _card(view, alert, newest)
    others = [one for one in found if one not in is_open]
    _others(others)
    offer(view, say("admin.alerts_title"), [_row(alert) for alert in [*is_open, *others[:PAST]]], of_range=False)


def _none_open(view: View) -> None:
    """No alert is good news only of cities whose mean risk can be told."""
    unknown = [one["city"] for one in view.cities() if one["mean_risk"] is None]
    if unknown:
        st.info(say("admin.alerts_unknown", cities=listed(unknown)), icon=":material/help:")
    else:
        st.success(say("admin.alerts_none"), icon=":material/check_circle:")


def _excess(alert: Alert) -> float:
    """How far past its limit an alert is, as a share of the limit."""
    return abs(float(alert["value"] or 0)) / float(alert["threshold"] or 1)


def _card(view: View, alert: Alert, newest: datetime) -> None:
    with st.container(border=True):
        where = {"city": alert["city"] or say("admin.all_cities"), "title": alert["title"]}
        words = say("admin.alert", figures=_figures(view, alert), since=when(alert["since"]), **where)
        st.markdown(f":material/warning: {words}")
        st.caption(say("admin.alert_state", state=say(f"admin.state_{alert['state']}"), about=_about(alert)))
        st.caption(_evidence(alert))
        with st.container(horizontal=True, vertical_alignment="center"):
            _link(view, alert, newest)
            if view.reader.may("analyst"):
                with st.popover(say("admin.acknowledge")):
                    _form(view, alert)


def _evidence(alert: Alert) -> str:
    if not alert["city"]:
        return say("admin.alert_last", last=when(alert["last_seen"]))
    evidence = alert.get("evidence") or {}
    few = {"readings": whole(evidence.get("readings")), "risk": of_100(evidence.get("mean_risk"))}
    return say("admin.alert_evidence", aqi=whole(evidence.get("aqi")), last=when(alert["last_seen"]), **few)


def _link(view: View, alert: Alert, newest: datetime) -> None:
    """To what the alert rests on: its city from before it opened until now, or the page of drift."""
    icon, city = ":material/query_stats:", alert["city"]
    if city:
        days = range_since(parsed(alert["since"]), newest)
        label = say("admin.alert_link", city=city, range=say(f"admin.range_{days}"))
        # A button: Streamlit reads city and time range out of an address only when it is opened anew.
        st.button(label, key=f"evidence_{alert['id']}", icon=icon, on_click=_open, args=(city, days))
    elif alert["rule"] in ON_DRIFT:
        st.page_link(view.pages["drift"], label=say(ON_DRIFT[alert["rule"]]), icon=icon)


def _open(city: str, days: int) -> None:
    st.session_state.update(city=city, days=days)


def range_since(since: datetime | None, newest: datetime) -> int:
    """The shortest time range, but a week, that shows the day before ``since`` too."""
    days = (newest.date() - since.date()).days + 2 if since else SHORTEST_EVIDENCE
    return next((one for one in RANGES if one >= max(days, SHORTEST_EVIDENCE)), RANGES[-1])


def _about(alert: Alert) -> str:
    return plain(alert.get("error") or alert.get("about") or "")


def _figures(view: View, alert: Alert) -> str:
    """Value and limit, and the value at which the alert ends, where the rule tells one."""
    rule = alert["rule"]
    if rule not in FIGURES:
        return ""
    ends = None
    with suppress(ApiProblem):  # which the panel of the rules says
        ends = next((one["ends"] for one in view.ask("/alerts/rules")["rules"] if one["rule"] == rule), None)
    words = {"value": figure(rule, alert["value"]), "threshold": figure(rule, alert["threshold"])}
    return (
        say("admin.alert_figures", **words)
        if ends is None
        else say("admin.alert_ends", end=figure(rule, ends), **words)
    )


def figure(rule: str, number: float | None) -> str:
    """A rule's value or limit in its own unit; a dash where there is none, or where it says nothing by itself."""
    return say("admin.unknown") if number is None or rule not in FIGURES else FIGURES[rule](number)


def _form(view: View, alert: Alert) -> None:
    with st.form(f"acknowledge_{alert['id']}", border=False):
        who = st.text_input(say("admin.ack_who"), key=f"who_{alert['id']}")
        note = st.text_input(say("admin.ack_note"), key=f"note_{alert['id']}")
        sent = st.form_submit_button(say("admin.ack_send"), type=emphasis())
    if sent and not who.strip():
        st.error(say("admin.ack_need"))
    elif sent:
        _acknowledge(view, alert, who.strip(), note.strip())


def _acknowledge(view: View, alert: Alert, who: str, note: str) -> None:
    try:
        api.change("POST", f"/alerts/{alert['id']}/acknowledge", view.key, {"by": who, "note": note})
    except ApiProblem as problem:
        st.error(str(problem))
        return
    st.toast(say("admin.ack_done"))
    st.rerun()


def _others(found: list[Alert]) -> None:
    if not found:
        return
    with st.expander(say("admin.alerts_other", n=len(found))):
        table([_row(alert) for alert in found[:PAST]], say("admin.alerts_alt"))


def _row(alert: Alert) -> dict[str, Any]:
    return {
        say("admin.col_city"): alert["city"] or say("admin.all_cities"),
        say("admin.alert_what"): alert["title"],
        say("admin.col_state"): say(f"admin.state_{alert['state']}"),
        say("admin.value"): figure(alert["rule"], alert["value"]),
        say("admin.alert_limit"): figure(alert["rule"], alert["threshold"]),
        say("admin.alert_since"): when(alert["since"]),
        say("admin.alert_who"): alert.get("acknowledged_by") or say("admin.unknown"),
        say("admin.alert_key"): alert.get("acknowledged_key") or say("admin.unknown"),
        say("admin.alert_when"): when(alert.get("acknowledged_at")),
        say("admin.ack_note"): alert.get("note") or "",
    }


def show_rules(view: View) -> None:
    """From which values alerts open, after how long, and when they end; to be read, not changed."""
    told = view.ask("/alerts/rules")
    if told["problem"]:
        st.warning(plain(told["problem"]), icon=":material/rule:")
    st.markdown("\n".join(f"- {_rule(one)}" for one in told["rules"]))
    st.caption(say("admin.rules_note"))


def _rule(one: dict[str, Any]) -> str:
    minutes = one["for_minutes"]
    wait = say("admin.rule_wait", n=f"{minutes:g}") if minutes else say("admin.rule_at_once")
    if one["opens"] is None:
        return say("admin.rule_own", title=one["title"], wait=wait)
    key = "admin.rule_at" if one["opens_at_limit"] else "admin.rule_above"
    limits = {name: figure(one["rule"], one[of]) for name, of in (("limit", "opens"), ("end", "ends"))}
    return say(key, title=one["title"], wait=wait, **limits)
