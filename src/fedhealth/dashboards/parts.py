"""Parts of both pages: the page's frame, badges, cards, panels that fail alone, answers that are kept."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from importlib import resources
from typing import Any

import streamlit as st

from fedhealth.dashboards import svg
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.texts import say
from fedhealth.study.advice.air import Category

log = logging.getLogger(__name__)
SOON = 1.0  # seconds until an unanswered question is asked again


def frame(title: str) -> None:
    """The browser's title, a favicon of our own and the whole width; comes before anything else on a page."""
    icon = str(resources.files("fedhealth.dashboards") / "favicon.svg")
    st.set_page_config(page_title=title, page_icon=icon, layout="wide")
    st.session_state["unanswered"] = []


def badge(category: Category, index: float) -> None:
    """An air quality category: number, word, symbol and colour together."""
    words = escape(say("air.badge", symbol=category.symbol, index=round(index), name=category.name))
    style = f"background:{category.colour};color:{category.ink};border:1px solid #0F1722;border-radius:4px"
    st.html(f'<span style="{style};padding:4px 10px;font-weight:600;display:inline-block">{words}</span>')


def legend(categories: Sequence[Category]) -> None:
    """Symbol, colour and name of each category in a row that wraps."""
    box = "display:inline-block;padding:0 5px;border:1px solid #0F1722;border-radius:3px"
    items = (
        f'<span style="white-space:nowrap;margin-right:14px"><span style="{box};background:{one.colour};'
        f'color:{one.ink}">{one.symbol}</span> {escape(one.name)}</span>'
        for one in categories
    )
    st.html(f'<div style="font-size:0.85rem;line-height:1.9">{" ".join(items)}</div>')


def card(title: str, value: str, note: str = "", trend: Sequence[float | None] = (), trend_words: str = "") -> None:
    """A figure in a frame, with a note and a small line below it."""
    with st.container(border=True, height="stretch"):
        st.caption(title)
        st.markdown(f"<span style='font-size:1.9rem;line-height:1.2'>{escape(value)}</span>", unsafe_allow_html=True)
        if note:
            st.caption(note)
        if any(one is not None for one in trend):
            st.image(svg.sparkline(trend), alt=trend_words, width="stretch")


@contextmanager
def panel(title: str) -> Iterator[None]:
    """A headed part of a page; whatever goes wrong inside is said there and stays there."""
    with st.container():
        st.header(title, anchor=False)
        try:
            yield
        except ApiProblem as problem:
            note(problem)
            st.info(str(problem), icon=":material/cloud_off:")
        except Exception:
            log.exception("panel %r failed", title)
            st.error(say("page.panel_broken"))


def twin(title: str, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """The numbers behind a chart as a table, folded away."""
    with st.expander(say("page.as_table", title=title)):
        table(rows, name)


def table(
    rows: Sequence[Mapping[str, Any]], name: str, columns: Mapping[str, Any] | None = None, **choosing: Any
) -> None:
    """Rows as a table that can be sorted and downloaded; ``name`` is what a screen reader calls it.

    ``choosing`` says what happens when a row is chosen, in the words of ``st.dataframe``.
    """
    if not rows:
        st.caption(say("page.nothing_yet"))
        return
    by_column = {column: [row.get(column) for row in rows] for column in rows[0]}
    look: dict[str, Any] = {"hide_index": True, "height": "content", "placeholder": "–", **choosing}
    st.dataframe(by_column, alt=name, column_config=dict(columns or {}), **look)


def note(problem: ApiProblem) -> None:
    """Remember, until the page is drawn anew, that a question was not answered; :func:`come_back` asks it again."""
    if problem.again:
        st.session_state["unanswered"].append(problem.again)


def come_back() -> None:
    """While a question of this page is not answered, ask it every few seconds; draw the page anew once one is.

    Comes after everything else on a page.
    """
    unanswered = st.session_state["unanswered"]
    if unanswered:
        st.fragment(_look_again, run_every="5s")(unanswered, time.monotonic() + SOON)


def _look_again(unanswered: Sequence[Callable[[], object]], soonest: float) -> None:
    for ask in unanswered if time.monotonic() >= soonest else ():
        with suppress(ApiProblem):
            ask()
            st.rerun(scope="app")


@dataclass(frozen=True)
class Kept:
    """An answer, when it came, and why there is no newer one (None: it is the newest)."""

    data: dict[str, Any]
    came: datetime
    problem: ApiProblem | None = None


def keep(name: str, ask: Callable[[], dict[str, Any]]) -> Kept:
    """The newest answer and when it came; or the last one that came, with a word about its age.

    Raises:
        ApiProblem: nothing came yet, or the key is refused.
    """
    store: dict[str, Kept] = st.session_state.setdefault("kept", {})
    try:
        store[name] = Kept(ask(), datetime.now(UTC))
    except ApiProblem as problem:
        if name not in store or problem.kind in ("key", "forbidden", "refused"):
            raise
        note(problem)
        store[name] = replace(store[name], problem=problem)
        st.caption(say("page.kept", came=f"{store[name].came:%H:%M:%S}", problem=problem))
    return store[name]


def when(text: str | None) -> str:
    """A time of the API (ISO 8601, UTC) as ``23 Nov 2026, 17:57 UTC``; a dash for none."""
    moment = parsed(text)
    return "–" if moment is None else f"{moment:%d %b %Y, %H:%M} UTC"


def parsed(text: str | None) -> datetime | None:
    """A time of the API, or None where there is none or it cannot be read."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None
