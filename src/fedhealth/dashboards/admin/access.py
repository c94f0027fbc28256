"""The key: found beside the service where only this machine can open the page, asked for everywhere else."""

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.texts import say
from fedhealth.keys import load_key

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def admin_key() -> str | None:
    """The key to ask the API with; None while the reader has not given one that is accepted."""
    found = _found()
    if found and not _refused(found):
        return found
    st.info(say("admin.key_needed"), icon=":material/key:")
    given = st.text_input(say("admin.key"), type="password", help=say("admin.key_help"), key="service_key").strip()
    if not given:
        return None
    if _refused(given):
        st.error(say("admin.key_wrong"))
        return None
    return given


def _found() -> str | None:
    """The installation's key. A page that other machines can open must not hand out what the key protects."""
    if st.get_option("server.address") not in LOOPBACK:
        return None
    try:
        return load_key()
    except OSError:
        return None


def _refused(key: str) -> bool:
    """Whether the API turns the key down; while it does not answer, nobody knows, and the panels say so."""
    try:
        api.get("/alerts", key, state="firing")
    except ApiProblem as problem:
        return problem.kind == "key"
    return False
