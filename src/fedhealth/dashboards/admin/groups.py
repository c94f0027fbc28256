"""How well a model does at each client, in each city and in other groups, beside other models, with 95 % intervals."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin.charts import dots, draw
from fedhealth.dashboards.admin.view import to_3, whole, with_ends
from fedhealth.dashboards.features import built_in
from fedhealth.dashboards.parts import table, twin
from fedhealth.dashboards.texts import listed, plain, say
from fedhealth.study.advice.groups import people_of

Found = Mapping[str, Any]
CITY = "city = "  # begins the name of a city's group


def show(total: Found | None, nodes: Sequence[Found], groups: Sequence[Found], champion: Found | None = None) -> None:
    """A line for all held-out people, each client, each city and each other group.

    ``total``, ``nodes`` and ``groups`` are as a run's report or ``/evaluation`` tells them, ``champion`` as a report.
    """
    rows = list(_rows(total, nodes, _cities_first(groups), champion or {}))
    table(rows, say("admin.groups_alt"))
    st.caption(say("admin.groups_note"))
    if champion:
        st.caption(say("admin.groups_champion"))
    if few := [one["name"] for one in groups if one["global"] is None]:
        st.caption(say("admin.groups_few", names=listed([plain(_named(name)) for name in few])))


def show_cities(groups: Sequence[Found], champion: Found | None) -> None:
    """The AUROC in each city with its interval, beside the served model's; nothing where there are no cities."""
    cities = [one for one in groups if one["by"] == "city"]
    if not cities:
        return
    st.subheader(say("admin.cities_auroc_title"), anchor=False)
    beside = _by_name((champion or {}).get("subgroups"))
    kinds = {say("admin.together"): [one["global"] for one in cities]}
    if beside:
        kinds[say("admin.champion")] = [beside[one["name"]]["champion"] for one in cities]
    places = [_named(one["name"]) for one in cities]
    draw(dots(kinds, places, say("admin.auroc")), say("admin.cities_auroc_alt"), "cities_auroc")
    rows = [_at_node(city, one) for city in cities for one in city.get("nodes", [])]
    twin(say("admin.cities_auroc_title"), rows, say("admin.cities_nodes_alt"))


def _at_node(city: Found, one: Found) -> dict[str, Any]:
    return {
        say("admin.col_city"): _named(city["name"]),
        say("admin.node"): one["name"],
        say("admin.people"): whole(one["global"]["n"]),
        say("admin.together"): with_ends(one["global"], "auroc"),
        say("admin.local"): with_ends(one["local"], "auroc"),
        say("admin.against_local"): with_ends(one["difference"], "auroc", "+.3f"),
    }


def _rows(total: Found | None, nodes: Sequence[Found], groups: Sequence[Found], champion: Found) -> Iterator[Found]:
    beside = {"": champion.get("all"), **_by_name(champion.get("nodes")), **_by_name(champion.get("subgroups"))}
    compared = bool(champion)
    yield _row(say("admin.groups_all"), total, {}, beside[""], compared)
    for node in nodes:
        own = {**node, "better_alone": say("admin.yes" if node["better_alone"] else "admin.no")}
        yield _row(node["title"], node["global"], own, beside.get(node["name"]), compared)
    for group in groups:
        own = {"better_alone": listed(group["better_alone"]) if group["better_alone"] else say("admin.no")}
        yield _row(_named(group["name"]), group["global"], own, beside.get(group["name"]), compared)


def _row(who: str, found: Found | None, own: Found, beside: Found | None, compared: bool) -> dict[str, Any]:
    row = {say("admin.groups_who"): who, say("admin.people"): whole((found or {}).get("n"))}
    for name in ("auroc", "brier", "calibration_slope"):
        row[say("admin.with_ends", measure=say(f"measure.{name}"))] = with_ends(found, name)
    row[say("measure.auprc")] = to_3((found or {}).get("auprc"))
    row[say("admin.local_auroc")] = with_ends(own.get("local"), "auroc")
    row[say("admin.against_local")] = with_ends(own.get("difference"), "auroc", "+.3f")
    row[say("admin.better_alone")] = own["better_alone"] if own and found else say("admin.unknown")
    if compared:
        row[say("admin.champion_auroc")] = with_ends((beside or {}).get("champion"), "auroc")
        row[say("admin.against_champion")] = with_ends((beside or {}).get("difference"), "auroc", "+.3f")
    return row


def _cities_first(groups: Sequence[Found]) -> list[Found]:
    return sorted(groups, key=lambda one: one["by"] != "city")


def _by_name(told: Sequence[Found] | None) -> dict[str, Found]:
    return {one["name"]: one for one in told or ()}


def _named(group: str) -> str:
    """A group in words, as the built-in study has them; a city by its name alone."""
    return group.removeprefix(CITY) if group.startswith(CITY) else _in_words().get(group, group)


@cache
def _in_words() -> dict[str, str]:
    return people_of(built_in())
