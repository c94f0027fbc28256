"""Alerts: the open ones with what they rest on, each to be acknowledged by name."""

from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.admin.view import View, of_100, whole
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.colours import emphasis
from fedhealth.dashboards.parts import table, when
from fedhealth.dashboards.texts import say

Alert = dict[str, Any]
OPEN = ("firing", "no_data", "error")
SHOWN = 5  # open alerts in sight; the others are folded away


def show(view: View) -> None:
    """Open alerts as cards; acknowledged and past ones folded away."""
    found = [one for one in view.ask("/alerts")["alerts"] if view.city in (None, one["city"])]
    is_open = [one for one in found if one["state"] in OPEN]
    if not is_open:
        st.success(say("admin.alerts_none"), icon=":material/check_circle:")
    is_open.sort(key=_excess, reverse=True)
    for alert in is_open[:SHOWN]:
        _card(view, alert)
    if is_open[SHOWN:]:
        with st.expander(say("admin.alerts_more", n=len(is_open) - SHOWN)):
            for alert in is_open[SHOWN:]:
                _card(view, alert)
    _others([one for one in found if one not in is_open])


def _excess(alert: Alert) -> float:
    """How far past its limit an alert is, as a share of the limit."""
    return float(alert["value"] or 0) / float(alert["threshold"] or 1)


def _card(view: View, alert: Alert) -> None:
    with st.container(border=True):
        facts = {"value": _figure(alert["value"]), "threshold": _figure(alert["threshold"])}
        words = say("admin.alert", city=alert["city"], title=alert["title"], since=when(alert["since"]), **facts)
        st.markdown(f":material/warning: {words}")
        st.caption(say("admin.alert_state", state=say(f"admin.state_{alert['state']}"), about=_about(alert)))
        evidence = alert.get("evidence") or {}
        few = {"readings": whole(evidence.get("readings")), "risk": of_100(evidence.get("mean_risk"))}
        st.caption(say("admin.alert_evidence", aqi=whole(evidence.get("aqi")), last=when(alert["last_seen"]), **few))
        if view.reader.may("analyst"):
            with st.popover(say("admin.acknowledge")):
                _form(view, alert)


def _about(alert: Alert) -> str:
    return str(alert.get("error") or alert.get("about") or "")


def _figure(number: float | None) -> str:
    """A risk (0..1) as a count of 100, an index as it is."""
    return f"{100 * number:.1f} of 100" if number is not None and number <= 1 else whole(number)


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
        table([_row(alert) for alert in found[:50]], say("admin.alerts_alt"))


def _row(alert: Alert) -> dict[str, Any]:
    return {
        say("admin.col_city"): alert["city"] or say("admin.all_cities"),
        say("admin.alert_what"): alert["title"],
        say("admin.col_state"): say(f"admin.state_{alert['state']}"),
        say("admin.alert_since"): when(alert["since"]),
        say("admin.alert_who"): alert.get("acknowledged_by") or say("admin.unknown"),
        say("admin.alert_when"): when(alert.get("acknowledged_at")),
        say("admin.ack_note"): alert.get("note") or "",
    }
