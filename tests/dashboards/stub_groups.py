"""What the stub's run tells of groups of people, of the served model, and of its nodes' programs and bytes."""

from typing import Any

SERVED = "9c8b7a6d5e4f"
CITIES = ("Karachi", "Lahore", "Islamabad", "Quetta", "Peshawar", "Multan", "Faisalabad", "Rawalpindi", "Hyderabad")
OTHERS = {"age": ("age < 30", "age ≥ 75"), "smoker": ("smoker = 0", "smoker = 1")}
TOO_FEW = "age ≥ 75"
DIFFERENCE = {"auroc": -0.001, "auroc_low": -0.027, "auroc_high": 0.026, "log_loss": 0.0002}


def with_intervals(metrics: dict[str, Any]) -> dict[str, Any]:
    """The measures, and the ends of an interval around some of them."""
    wide = {"auroc": 0.02, "brier": 0.005, "calibration_slope": 0.07}
    ends = {f"{name}_{end}": metrics[name] + sign * by for name, by in wide.items() for end, sign in ENDS}
    return {**metrics, **ends}


ENDS = (("low", -1), ("high", 1))


def subgroups(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """As a report tells them: cities and two more kinds, one of them too small everywhere."""
    kinds = [*(("city", f"city = {name}") for name in CITIES), *((k, n) for k, names in OTHERS.items() for n in names)]
    return [_group(by, name, i, metrics) for i, (by, name) in enumerate(kinds)]


def _group(by: str, name: str, place: int, metrics: dict[str, Any]) -> dict[str, Any]:
    found = with_intervals({**metrics, "auroc": 0.74 + 0.006 * place, "n": 2000 - 90 * place})
    own = with_intervals({**metrics, "auroc": 0.74})
    at_node = {"global": found, "local": own, "difference": DIFFERENCE, "better_alone": False}
    nodes = [{"name": node, **at_node} for node in ("node_1", "node_3")]
    few = name == TOO_FEW
    return {
        "name": name,
        "by": by,
        "global": None if few else found,
        "too_few": ["node_1", "node_2", "node_3"] if few else ["node_2"],
        "better_alone": ["node_3"] if name == "city = Multan" else [],
        "nodes": [] if few else nodes,
    }


def champion(metrics: dict[str, Any]) -> dict[str, Any]:
    """As a report tells of the served model on the same people."""
    theirs = with_intervals({**metrics, "auroc": 0.768})
    both = {"model": with_intervals(metrics), "champion": theirs, "difference": {**DIFFERENCE, "auroc": 0.003}}
    groups = [
        {"name": one["name"], "model": one["global"], "champion": one["global"] and theirs}
        for one in subgroups(metrics)
    ]
    nodes = [{"name": name, **both} for name in ("node_1", "node_2", "node_3")]
    return {"version": SERVED, "hash": SERVED, "all": both, "nodes": nodes, "subgroups": groups}


NETWORK = {
    "node_1": {"version": "0.1.0", "received": 2_480_000, "sent": 1_310_000},
    "node_2": {"version": "0.1.0", "received": 2_480_000, "sent": 96_400},
    "node_3": {"version": None, "received": None, "sent": None},
}
