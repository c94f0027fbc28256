"""Signing in with a key. What its role may see and do, the API decides; the pages only say so beforehand."""

import os
from dataclasses import dataclass

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.colours import emphasis
from fedhealth.dashboards.parts import note
from fedhealth.dashboards.texts import plain, say
from fedhealth.keys import ROLES, load_key

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Reader:
    """Who reads the page: the key, its name and its role; ``unknown``, who may but look, while the API cannot tell."""

    key: str
    name: str = ""
    role: str = "unknown"

    def may(self, role: str) -> bool:
        """Whether it is worth offering what needs this role; the API has the last word."""
        own = "viewer" if self.role == "unknown" else self.role
        return ROLES.index(own) >= ROLES.index(role)


def sign_in() -> Reader | None:
    """The reader, if there is a key that the API accepts; else ask for one, and give None."""
    found = st.session_state.get("own_key") or _found()
    reader = _reader(found) if found else None
    if reader is None:
        reader = _ask()
    return reader


def say_reader(reader: Reader) -> None:
    """Who is signed in, what the role may do, and the way out."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            say("admin.signed_in", name=plain(reader.name or say("admin.unknown")), may=say(f"admin.may_{reader.role}"))
        )
        st.button(say("admin.sign_out"), on_click=_sign_out, icon=":material/logout:", type="tertiary")


def _sign_out() -> None:
    """Forget the key and what it showed; whoever opens the page next has to give one, until it is started anew."""
    for name in ("own_key", "kept"):
        st.session_state.pop(name, None)
    os.environ.pop("FEDHEALTH_ADMIN_OPENED", None)


def _ask() -> Reader | None:
    st.info(say("admin.key_needed"), icon=":material/key:")
    with st.form("sign_in", border=False):
        given = st.text_input(say("admin.key"), type="password", help=say("admin.key_help"), key="service_key").strip()
        sent = st.form_submit_button(say("admin.sign_in"), type=emphasis())
    reader = _reader(given) if sent and given else None
    if reader is None:
        if sent:
            st.error(say("admin.key_wrong"))
        return None
    st.session_state["own_key"] = given
    st.rerun()


def _found() -> str | None:
    """The installation's key, if the page was started to take it by itself, and if only this machine can open it."""
    if os.environ.get("FEDHEALTH_ADMIN_OPENED") != "1" or st.get_option("server.address") not in LOOPBACK:
        return None
    try:
        return load_key()
    except OSError:
        return None


def _reader(key: str) -> Reader | None:
    """Whose key it is; None if the API turns it down or it is a citizen's."""
    known: dict[str, Reader] = st.session_state.setdefault("readers", {})
    try:
        told = api.get("/me", key)
        known[key] = Reader(key, str(told["name"]), str(told["role"]))
    except ApiProblem as problem:
        if problem.kind == "key":
            known.pop(key, None)
            st.session_state.pop("kept", None)  # the next key may not show what this one did
            return None
        note(problem)
    reader = known.get(key, Reader(key))
    return reader if reader.may("viewer") else None
