"""What a reader should know about the model: which one, since when, made from what, and for whom it does worse."""

import streamlit as st

from fedhealth.dashboards.features import Subject
from fedhealth.dashboards.parts import parsed
from fedhealth.dashboards.texts import listed, plain, say


def head(subject: Subject) -> None:
    """The line under the page's title, and a badge for generated data."""
    model = _model(subject) if subject.version else say("about.none")
    st.caption(f"{model} · {say('risk.estimate').split('.')[0]}")
    if subject.synthetic_nodes or subject.synthetic:
        words = say("about.partly" if subject.synthetic_nodes else "page.synthetic")
        st.badge(words, icon=":material/science:", color="gray")


def show(subject: Subject) -> None:
    """Version, date, training data and weaker groups."""
    if not subject.version:
        st.write(say("about.none"))
        return
    st.markdown(f"{_model(subject)}. {_trained(subject)}")
    if subject.weaker_groups:
        st.markdown("\n".join([say("about.weaker"), "", *(f"- {plain(group)}" for group in subject.weaker_groups)]))
    else:
        st.markdown(say("about.weaker_unknown" if subject.weaker_groups is None else "about.weaker_none"))


def _model(subject: Subject) -> str:
    moment = parsed(subject.published)
    since = say("about.since", date=f"{moment:%d %b %Y}") if moment else say("about.since_unknown")
    return say("about.model", version=plain(subject.version), since=since)


def _trained(subject: Subject) -> str:
    if subject.synthetic_nodes:
        return say("about.trained_partly", names=listed([plain(name) for name in subject.synthetic_nodes]))
    return say("about.trained_synthetic" if subject.synthetic else "about.trained_unknown")
