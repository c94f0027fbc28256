"""What leaves the page, and what the service keeps of a person: to look at, to limit and to delete."""

from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.parts import note, when
from fedhealth.dashboards.texts import plain, say

RETENTIONS = ("full", "aggregate", "off")


def show() -> None:
    """In words what leaves the page; with a personal key, what is kept, consent and deletion."""
    st.markdown(say("citizen.privacy"))
    with st.expander(say("mine.title"), icon=":material/shield_person:"):
        st.write(say("mine.hint"))
        key = st.text_input(say("mine.key"), type="password", key="person_key", help=say("mine.key_help")).strip()
        if said := st.session_state.pop("mine_said", None):
            st.success(said, icon=":material/check_circle:")
        if key:
            _mine(key)


def _mine(key: str) -> None:
    try:
        person = api.get("/me", key).get("person")
        if not person:
            st.error(say("mine.no_person"))
            return
        kept = api.get(f"/people/{person}", key)
    except ApiProblem as problem:
        note(problem)
        st.error(str(problem))
        return
    facts = {"oldest": when(kept["oldest"]), "newest": when(kept["newest"])}
    st.markdown(say("mine.kept", person=plain(person), readings=kept["readings"], outcomes=kept["outcomes"], **facts))
    _consent(key, str(person), kept)
    _delete(key, str(person))


def _consent(key: str, person: str, kept: dict[str, Any]) -> None:
    with st.form("consent"):
        chosen = st.radio(
            say("mine.consent"),
            RETENTIONS,
            index=RETENTIONS.index(kept["retention"]),
            format_func=lambda name: say(f"mine.retention_{name}"),
        )
        sent = st.form_submit_button(say("mine.consent_send"))
    if sent:
        _do(lambda: api.change("PUT", f"/people/{person}/consent", key, {"retention": chosen}), "mine.consent_done")


def _delete(key: str, person: str) -> None:
    with st.form("delete"):
        st.write(say("mine.delete"))
        sure = st.checkbox(say("mine.delete_sure"), key="delete_sure")
        sent = st.form_submit_button(say("mine.delete_send"), icon=":material/delete_forever:")
    if sent and not sure:
        st.error(say("mine.delete_needs"))
    elif sent:
        _do(lambda: api.change("DELETE", f"/people/{person}", key), "mine.deleted")


def _do(act: Any, done: str) -> None:
    try:
        answer = act()
    except ApiProblem as problem:
        st.error(str(problem))
        return
    st.session_state["mine_said"] = say(done, n=answer.get("erased"))
    st.rerun()
