"""Changing which model is served: with a reason, confirmed, and only where the API lets the reader."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.admin.view import View
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.colours import emphasis
from fedhealth.dashboards.texts import say


def show(view: View, served: str | None, chosen: str | None, told: Mapping[str, Any], before: bool) -> None:
    """Forms to serve ``chosen`` instead of ``served``, and to go back to the version ``before``, if there is one."""
    if said := st.session_state.pop("changed", None):
        st.success(said, icon=":material/check_circle:")
    if not view.reader.may("admin"):
        st.info(say("admin.change_forbidden"), icon=":material/lock:")
        return
    if served is None:
        return
    left, right = st.columns(2, gap="large")
    with left:
        if chosen:
            refused = any(one["passed"] is False for one in told["gates"])
            _form(view, "promote", served, {"version": chosen}, say("admin.gates_warn") if refused else "")
    with right:
        if before:
            _form(view, "rollback", served, {}, "")


def _form(view: View, action: str, served: str, more: dict[str, str], warning: str) -> None:
    names = {"served": served, "chosen": more.get("version", "")}
    with st.form(action):
        st.subheader(say(f"admin.{action}_title"), anchor=False)
        st.write(say(f"admin.{action}_words", **names))
        if warning:
            st.warning(warning, icon=":material/gpp_maybe:")
        reason = st.text_input(say("admin.reason"), key=f"{action}_reason", help=say("admin.reason_help"))
        sure = st.checkbox(say(f"admin.{action}_sure", **names), key=f"{action}_sure")
        sent = st.form_submit_button(say(f"admin.{action}_send"), type=emphasis())
    if sent and (len(reason.strip()) < 3 or not sure):
        st.error(say("admin.change_needs"))
    elif sent:
        _send(view, action, {"reason": reason.strip(), "instead_of": served, **more})


def _send(view: View, action: str, body: dict[str, str]) -> None:
    try:
        answer = api.change("POST", f"/models/{action}", view.key, body)
    except ApiProblem as problem:
        st.error(str(problem))
        return
    st.session_state["changed"] = say("admin.changed", served=answer["champion"], before=answer["before"])
    st.rerun()
