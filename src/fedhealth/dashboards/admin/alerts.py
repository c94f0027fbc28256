"""Alerts: the open ones with what they rest on, each to be acknowledged by name."""

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.admin.downloads import offer
from fedhealth.dashboards.admin.view import RANGES, SHORTEST, View, of_100, whole
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.colours import emphasis
from fedhealth.dashboards.parts import parsed, table, when
from fedhealth.dashboards.texts import say

Alert = dict[str, Any]
OPEN = ("firing", "no_data", "error")
SHOWN = 5  # open alerts in sight; the others are folded away
OLDEST = datetime.min.replace(tzinfo=UTC)
PAST = 50  # alerts that are not open
# Rules over all cities whose evidence is on the page of drift, and what leads there.
ON_DRIFT = dict.fromkeys(("drift", "missing", "score"), "admin.alert_link_drift") | {"nodes": "admin.alert_link_nodes"}


def show(view: View) -> None:
    """Open alerts as cards; acknowledged and past ones folded away."""
    told = view.ask("/alerts")["alerts"]
    newest = max((parsed(one["last_seen"]) or OLDEST for one in told), default=OLDEST)
    found = [one for one in told if view.city in (None, one["city"])]
    is_open = [one for one in found if one["state"] in OPEN]
    if not is_open:
        st.success(say("admin.alerts_none"), icon=":material/check_circle:")
    is_open.sort(key=_excess, reverse=True)
    for alert in is_open[:SHOWN]:
        _card(view, alert, newest)
    if is_open[SHOWN:]:
        with st.expander(say("admin.alerts_more", n=len(is_open) - SHOWN)):
            for alert in is_open[SHOWN:]:
                _card(view, alert, newest)
    others = [one for one in found if one not in is_open]
    _others(others)
    offer(view, say("admin.alerts_title"), [_row(alert) for alert in [*is_open, *others[:PAST]]])


def _excess(alert: Alert) -> float:
    """How far past its limit an alert is, as a share of the limit."""
    return float(alert["value"] or 0) / float(alert["threshold"] or 1)


def _card(view: View, alert: Alert, newest: datetime) -> None:
    with st.container(border=True):
        facts = {"value": _figure(alert["value"]), "threshold": _figure(alert["threshold"])}
        facts |= {"city": alert["city"] or say("admin.all_cities"), "since": when(alert["since"])}
        words = say("admin.alert", title=alert["title"], **facts)
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
    days = (newest.date() - since.date()).days + 2 if since else SHORTEST
    return next((one for one in RANGES if one >= max(days, SHORTEST)), RANGES[-1])


def _about(alert: Alert) -> str:
    return str(alert.get("error") or alert.get("about") or "")


def _figure(number: float | None) -> str:
    """A risk (0..1) as a count of 100, an index as it is."""
    return say("admin.of_100", n=of_100(number)) if number is not None and number <= 1 else whole(number)


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
        api.post(f"/alerts/{alert['id']}/acknowledge", {"by": who, "note": note}, view.key)
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
        say("admin.value"): _figure(alert["value"]),
        say("admin.alert_limit"): _figure(alert["threshold"]),
        say("admin.alert_since"): when(alert["since"]),
        say("admin.alert_who"): alert.get("acknowledged_by") or say("admin.unknown"),
        say("admin.alert_when"): when(alert.get("acknowledged_at")),
        say("admin.ack_note"): alert.get("note") or "",
    }


def show_rules(view: View) -> None:
    """From which values alerts open, after how long, and when they end; to be read, not changed."""
    told = view.ask("/alerts/rules")
    if told["problem"]:
        st.warning(told["problem"], icon=":material/rule:")
    st.markdown("\n".join(f"- {_rule(one)}" for one in told["rules"]))
    st.caption(say("admin.rules_note"))


def _rule(one: dict[str, Any]) -> str:
    minutes = one["for_minutes"]
    wait = say("admin.rule_wait", n=f"{minutes:g}") if minutes else say("admin.rule_at_once")
    if one["opens"] is None:
        return say("admin.rule_own", title=one["title"], wait=wait)
    key = "admin.rule_at" if one["opens_at_limit"] else "admin.rule_above"
    return say(key, title=one["title"], limit=_figure(one["opens"]), wait=wait, end=_figure(one["ends"]))
