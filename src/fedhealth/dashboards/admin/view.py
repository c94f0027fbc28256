"""What a reader chose to see, and the API's answers for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.admin.access import Reader
from fedhealth.dashboards.parts import keep
from fedhealth.dashboards.texts import say

RANGES = (1, 7, 30, 90)  # days
SHORTEST = 7  # days; the API's shortest window


@dataclass(frozen=True)
class View:
    """The reader, the pages that can be linked to, the time range in days and the city (None: all)."""

    reader: Reader
    pages: Mapping[str, st.Page]
    days: int
    city: str | None = None

    @property
    def key(self) -> str:
        """What to ask the API with."""
        return self.reader.key

    def ask(self, path: str, **params: str | int | None) -> dict[str, Any]:
        """The API's newest answer, or the last that came; ApiProblem if there is none."""
        name = f"{path} {sorted(params.items(), key=str)}"
        return keep(name, lambda: api.get(path, self.key, **params))

    @property
    def window(self) -> int:
        """The days to ask the API for."""
        return max(self.days, SHORTEST)

    def cities(self) -> list[dict[str, Any]]:
        """The latest of each city in view."""
        return [one for one in self.ask("/cities")["cities"] if self.city in (None, one["city"])]

    def points(self) -> list[dict[str, Any]]:
        """Day by day, the cities in view, within the time range."""
        points = [one for one in self.ask("/trends", days=self.window)["points"] if self.city in (None, one["city"])]
        dates = sorted({one["date"] for one in points})[-self.days :]
        return [one for one in points if one["date"] in dates]


def choose(label: str, options: Sequence[str], key: str) -> str:
    """One of ``options``, the first until another is chosen; the page's address names it, and brings it back.

    An address that names what is not there any more is said to do so.
    """
    asked = st.query_params.get(key)
    if asked and asked not in options:
        st.warning(say("admin.choice_gone", asked=asked[:80]), icon=":material/link_off:")
    if not asked and key not in st.session_state:
        st.query_params[key] = options[0]  # Streamlit leaves out of the address what nobody has chosen
    if st.session_state.get(key, asked) not in options:
        st.session_state[key] = options[0]
    st.selectbox(label, options, index=None, key=key, bind="query-params", width=420)
    return str(st.session_state[key])


def data_kind(synthetic: bool | None, partly: Sequence[str]) -> str:
    """What a model learned from; ``partly`` names the nodes with generated rows where others have real ones."""
    if partly:
        return say("admin.data_partly", nodes=", ".join(partly))
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
