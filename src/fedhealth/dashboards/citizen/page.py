"""The citizen page from top to bottom."""

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.citizen import about, advice, explore, export, factors, form, privacy, result
from fedhealth.dashboards.features import Subject, of_model, without_model
from fedhealth.dashboards.parts import come_back, frame, note, panel
from fedhealth.dashboards.texts import say
from fedhealth.study.advice.safety import Safety, load_safety


def main() -> None:
    """Draw the page; Streamlit calls this at every rerun."""
    frame(say("citizen.browser"))
    st.title(say("citizen.title"), anchor=False)
    head, banner, trouble = (st.container() for _ in range(3))
    known: Subject = st.session_state.setdefault("subject", without_model())
    export.show(known)
    safety = _safety()
    entered = form.show(known, safety)
    with banner:  # before the API is asked, which may take long to answer
        warned = _warn(safety, entered)
    subject, problem = _subject(known)
    if subject.features != known.features:
        st.rerun()
    with head:
        about.head(subject)
    if problem is not None:
        note(problem)
        trouble.warning(f"{problem} {say('citizen.works_without')}", icon=":material/cloud_off:")
    export.show_kept(subject)
    _columns(subject, entered, warned)
    _footer()
    come_back()


def _subject(known: Subject) -> tuple[Subject, ApiProblem | None]:
    """What the model predicts; else what is ``known`` of it, and why there is no more."""
    try:
        st.session_state["subject"] = of_model(api.get("/model"))
    except ApiProblem as problem:
        return known, problem
    except (KeyError, TypeError, ValueError):
        return known, ApiProblem("error", say("api.unreadable"))
    return st.session_state["subject"], None


def _safety() -> Safety | None:
    """The safety rules; None where they cannot be read."""
    try:
        return load_safety()
    except ValueError:
        return None


def _warn(safety: Safety | None, entered: dict[str, float]) -> bool:
    """The safety rules that the readings raise, allowed or not, before anything else; whether there are any."""
    if safety is None:
        st.error(say("safety.broken"), icon=":material/emergency:")
        return False
    raised = safety.raised(entered)
    for rule in raised:
        st.error(safety.words(rule, entered[rule.feature]), icon=":material/emergency:")
    if raised:
        st.caption(safety.approval)
    return bool(raised)


def _columns(subject: Subject, entered: dict[str, float], warned: bool) -> None:
    readings = form.accepted(subject, entered)
    left, right = st.columns(2, gap="large")
    risk = None  # stays so if its panel fails
    title = "citizen.risk_title" if subject.window_days else "citizen.risk_title_now"
    with left:
        with st.container(border=True), panel(say(title, outcome=subject.outcome, days=subject.window_days)):
            if warned:
                st.error(say("safety.first"), icon=":material/emergency:")
            risk = result.show(subject, readings)
        with panel(say("citizen.factors_title")):
            factors.show(subject, readings, risk)
    with right:
        with st.container(border=True), panel(say("citizen.do_title")):
            advice.show(entered)
        with panel(say("citizen.explore_title")):
            explore.show(subject, readings, risk)
        with panel(say("about.title")):
            about.show(subject)


def _footer() -> None:
    st.divider()
    with panel(say("citizen.privacy_title")):
        privacy.show()
