"""What a reader chose to see, and the API's answers for it."""

from collections.abc import Mapping
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


def of_100(share: float | None) -> str:
    """A share as a count of 100 with one decimal; a dash for none."""
    return say("admin.unknown") if share is None else f"{100 * share:.1f}"


def whole(number: float | None) -> str:
    """A number without decimals, thousands apart; a dash for none."""
    return say("admin.unknown") if number is None else f"{number:,.0f}"


def to_3(number: float | None) -> str:
    """A number with three decimals; a dash for none."""
    return say("admin.unknown") if number is None else f"{number:.3f}"
