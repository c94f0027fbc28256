"""The citizen page from top to bottom."""

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.citizen import about, advice, explore, export, factors, form, privacy, result
from fedhealth.dashboards.features import Subject, of_model, without_model
from fedhealth.dashboards.parts import come_back, frame, panel
from fedhealth.dashboards.texts import say
from fedhealth.study.advice.safety import load_safety


def main() -> None:
    """Draw the page; Streamlit calls this at every rerun."""
    frame(say("citizen.browser"))
    st.title(say("citizen.title"), anchor=False)
    subject, problem = _subject()
    about.head(subject)
    banner = st.container()
    if problem is not None:
        st.warning(f"{problem} {say('citizen.works_without')}", icon=":material/cloud_off:")
        come_back("/model")
    export.show(subject)
    entered = form.show(subject)
    with banner:
        warned = _warn(entered)
    export.show_kept(subject)
    _columns(subject, entered, warned)
    _footer()


def _subject() -> tuple[Subject, ApiProblem | None]:
    """What the model predicts, or the built-in study and why there is no model."""
    try:
        subject = of_model(api.get("/model"))
    except ApiProblem as problem:
        return st.session_state.get("subject", without_model()), problem
    except (KeyError, TypeError, ValueError):
        return without_model(), ApiProblem("error", say("api.unreadable"))
    st.session_state["subject"] = subject
    return subject, None


def _warn(entered: dict[str, float]) -> bool:
    """The safety rules that the readings raise, allowed or not, before anything else; whether there are any."""
    try:
        safety = load_safety()
    except ValueError:
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
