"""What a reader chose to see, and the API's answers for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.admin.access import Reader
from fedhealth.dashboards.features import built_in
from fedhealth.dashboards.parts import Kept, keep
from fedhealth.dashboards.texts import plain, say

RANGES = (1, 7, 30, 90)  # days
WEEK = 7  # days
SHORTEST = WEEK + 2  # days that it takes to see today and yesterday, each beside the day a week before


@dataclass(frozen=True)
class View:
    """The reader, the pages that can be linked to, the time range in days and the city (None: all)."""

    reader: Reader
    pages: Mapping[str, st.Page]
    days: int
    city: str | None = None
    _answers: dict[str, Kept] = field(default_factory=dict, init=False, compare=False)

    @property
    def key(self) -> str:
        """What to ask the API with."""
        return self.reader.key

    def ask(self, path: str, **params: str | int | None) -> dict[str, Any]:
        """The API's answer, or the last that came before; ApiProblem if there is none. A view asks once."""
        return self.answer(path, **params).data

    def answer(self, path: str, **params: str | int | None) -> Kept:
        """As :meth:`ask`, with when it came."""
        name = f"{path} {sorted(params.items(), key=str)}"
        if name not in self._answers:
            self._answers[name] = keep(name, lambda: api.get(path, self.key, **params))
        return self._answers[name]

    @property
    def window(self) -> int:
        """The days to ask the API for."""
        return max(self.days, SHORTEST)

    @property
    def names(self) -> list[str]:
        """The cities in view, whether or not there is anything of them."""
        return [self.city] if self.city else sorted(built_in().cities)

    def cities(self) -> list[dict[str, Any]]:
        """The latest of each city in view."""
        return [one for one in self.ask("/cities")["cities"] if self.city in (None, one["city"])]

    def points(self, least: int = 1) -> list[dict[str, Any]]:
        """Day by day, the cities in view, within the time range; at least the last ``least`` days of them."""
        points = [one for one in self.ask("/trends", days=self.window)["points"] if self.city in (None, one["city"])]
        dates = sorted({one["date"] for one in points})[-max(self.days, least) :]
        return [one for one in points if one["date"] in dates]


def choose(label: str, options: Sequence[str], key: str) -> str:
    """One of ``options``, the first until another is chosen; the page's address names it, and brings it back.

    An address that names what is not there any more is said to do so.
    """
    asked = st.query_params.get(key)
    say_gone(key, options, say("admin.first_shown"))
    if not asked and key not in st.session_state:
        st.query_params[key] = options[0]  # Streamlit leaves out of the address what nobody has chosen
    if st.session_state.get(key, asked) not in options:
        st.session_state[key] = options[0]
    st.selectbox(label, options, index=None, key=key, bind="query-params", width=420)
    return str(st.session_state[key])


def say_gone(key: str, options: Sequence[str], instead: str) -> None:
    """Say that what the page's address names under ``key`` is not there any more, and what is shown ``instead``."""
    asked = st.query_params.get(key)
    if asked and asked not in options:
        st.warning(say("admin.choice_gone", asked=plain(asked[:80]), instead=instead), icon=":material/link_off:")


def data_kind(synthetic: bool | None, partly: Sequence[str]) -> str:
    """What a model learned from; ``partly`` names the nodes with generated rows where others have real ones."""
    if partly:
        return say("admin.data_partly", nodes=plain(", ".join(partly)))
    return say({True: "admin.data_synthetic", False: "admin.data_real", None: "admin.unknown"}[synthetic])


def size(count: int | None) -> str:
    """A number of bytes for people; in words where there is none."""
    if count is None:
        return say("admin.unmeasured")
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def with_ends(measures: Mapping[str, Any] | None, name: str, form: str = ".3f") -> str:
    """A measure with its 95 % interval in brackets, where there is one; a dash for none."""
    value, low, high = ((measures or {}).get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return say("admin.unknown")
    if low is None or high is None:
        return f"{value:{form}}"
    return say("admin.ends", value=f"{value:{form}}", low=f"{low:{form}}", high=f"{high:{form}}")


def of_100(share: float | None) -> str:
    """A share as a count of 100 with one decimal; a dash for none."""
    return say("admin.unknown") if share is None else f"{100 * share:.1f}"


def whole(number: float | None) -> str:
    """A number without decimals, thousands apart; a dash for none."""
    return say("admin.unknown") if number is None else f"{number:,.0f}"


def to_3(number: float | None) -> str:
    """A number with three decimals; a dash for none."""
    return say("admin.unknown") if number is None else f"{number:.3f}"
