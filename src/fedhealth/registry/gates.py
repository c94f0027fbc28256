"""The gates between a trained model and its being served: what was found, what is needed, whether it passes.

What a run found out is read from its ``report.json``. Beyond doubt means beyond the margin with the whole interval,
widened for the number of comparisons (Bonferroni), so that one of many equal nodes and subgroups is not refused by
chance.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fedhealth.registry.bundle import Bundle
from fedhealth.registry.comparisons import Comparison, beyond_doubt, local_comparisons, with_champion
from fedhealth.registry.golden import TOLERANCE
from fedhealth.registry.limits import Limits
from fedhealth.study import Study

NO_CHAMPION = "no champion to compare with yet"


@dataclass(frozen=True)
class Line:
    """One gate: what was found, what is needed, and whether it passes (None: there is nothing to compare)."""

    gate: str
    found: str
    needed: str
    passed: bool | None


def judge(
    bundle: Bundle,
    report: Mapping[str, Any],
    champion: Bundle | None,
    limits: Limits,
    golden_difference: Callable[[Bundle], float],
) -> list[Line]:
    """Every gate for ``bundle``, whose run left ``report``, against the ``champion`` (None: there is none yet).

    ``golden_difference`` scores a bundle's golden rows as the server would, and gives the largest difference.
    """
    private = bundle.facts.get("privacy")
    nothing = None if private else False  # a private run has no figures to compare, any other must have them
    of_groups = nothing if bundle.study.groups else None
    return [
        _hash(bundle, report),
        _complete(bundle, report),
        _schema(bundle.study, champion.study if champion else None),
        _golden(golden_difference(bundle)),
        *_against_champion(bundle, report, champion, limits["champion"], nothing),
        *_against_local("nodes", report["nodes"], limits["local"], nothing),
        *_against_local("subgroups", _parts(report["subgroups"]), limits["local"], of_groups),
        _budget(private, limits["budget"]["epsilon"]),
    ]


def _hash(bundle: Bundle, report: Mapping[str, Any]) -> Line:
    told = str((report.get("bundle") or {}).get("hash"))
    same = told == bundle.hash
    found = f"{bundle.version}, of files and report" if same else f"files {bundle.version}, report {told[:12]}"
    return Line("hash", found, "files and report of one model", same)


def _complete(bundle: Bundle, report: Mapping[str, Any]) -> Line:
    wanted = [*bundle.facts["took_part"], *(group["name"] for group in bundle.facts["subgroups"])]
    told = {part["name"] for part in (*report["nodes"], *report["subgroups"])}
    missing = [name for name in wanted if name not in told]
    found = f"nothing of {', '.join(missing)}" if missing else f"{len(report['nodes'])} nodes, all subgroups"
    return Line("report", found, "every node that took part, every subgroup", bool(wanted) and not missing)


def _schema(study: Study, served: Study | None) -> Line:
    if served is None:
        return Line("schema", NO_CHAMPION, "the champion's features and outcome", None)
    mine, theirs = _asked(study), _asked(served)
    apart = sorted({name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)})
    found = f"differs in {', '.join(apart)}" if apart else f"{len(study.features)} features, {study.outcome.name}"
    return Line("schema", found, "the champion's features and outcome", not apart)


def _asked(study: Study) -> dict[str, Any]:
    """What a client must know to ask and to understand the answer."""
    features = {f.name: (f.kind, f.unit, f.low, f.high, f.levels) for f in study.features}
    return {**features, f"outcome {study.outcome.name}": study.outcome.window_days}


def _golden(apart: float) -> Line:
    needed = f"the server's scores within {TOLERANCE:g}"
    return Line("golden rows", f"largest difference {apart:.1e}", needed, apart <= TOLERANCE)


def _against_champion(
    bundle: Bundle,
    report: Mapping[str, Any],
    champion: Bundle | None,
    limits: Mapping[str, float],
    nothing: bool | None,
) -> Iterator[Line]:
    if champion is None:
        yield from (Line(g, NO_CHAMPION, "–", None) for g in ("discrimination", "calibration"))
        return
    beside = report.get("champion") or {}
    if beside.get("hash") != champion.hash:
        yield from _on_other_rows(bundle.facts["metrics"], champion.facts["metrics"], limits, nothing)
        return
    everywhere, nodes = with_champion(beside)
    absent = sorted(set(bundle.facts["took_part"]) - {node["name"] for node in beside["nodes"]})
    without = f"; not compared at {', '.join(absent)}" if absent else ""
    for gate, metric, sign in (("discrimination", "auroc", -1), ("calibration: log loss", "log_loss", 1)):
        margin = limits[metric]
        worst = everywhere.of(metric, sign)
        needed = f"at most {_amount(metric, margin)} {'lower' if sign < 0 else 'higher'}"
        yield Line(gate, worst.text() + without, f"{needed}, whole interval", worst.surely_within(margin))
        yield _beyond_doubt(f"{gate}, by node", [node.of(metric, sign) for node in nodes], margin, needed, nothing)
    groups = [("all", beside["all"]), *((node["name"], node) for node in beside["nodes"])]
    yield from (_distance(gate, groups, limits[gate], nothing) for gate in ("slope", "bias"))


def _on_other_rows(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], limits: Mapping[str, float], nothing: bool | None
) -> Iterator[Line]:
    """The run was not compared with this champion: two bundles' own metrics, on rows that may differ."""
    both = mine["auroc"], theirs["auroc"]
    passed = None not in both and both[0] >= both[1] - limits["auroc"]
    found = f"AUROC {_with_ends(mine)}, champion {_with_ends(theirs)}; unpaired, other rows"
    yield Line("discrimination", found, f"at most {limits['auroc']:g} lower", passed)
    groups = [("all", {"model": mine, "champion": theirs})]
    yield from (_distance(gate, groups, limits[gate], nothing, "; unpaired, other rows") for gate in ("slope", "bias"))


def _with_ends(metrics: Mapping[str, Any]) -> str:
    value, *ends = (metrics[f"auroc{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "undefined"
    return f"{value:.4f}" if None in ends else f"{value:.4f} ({ends[0]:.4f} to {ends[1]:.4f})"


def _distance(gate: str, groups: list[tuple[str, Any]], margin: float, nothing: bool | None, note: str = "") -> Line:
    """Where the model is further from perfect than the champion by most."""
    key, best = ("calibration_slope", 1.0) if gate == "slope" else ("bias", 0.0)
    both = [(name, found["model"][key], found["champion"][key]) for name, found in groups]
    further = {
        f"{name}: {mine:.3f}, champion {theirs:.3f}{note}": abs(mine - best) - abs(theirs - best)
        for name, mine, theirs in both
        if mine is not None and theirs is not None
    }
    needed = f"at most {margin:g} further from {best:g}"
    if not further:
        return Line(f"calibration: {gate}", "undefined: one label only", needed, nothing)
    worst = max(further, key=lambda name: further[name])
    return Line(f"calibration: {gate}", worst, needed, further[worst] <= margin)


def _against_local(gate: str, groups: list[Any], limits: Mapping[str, float], nothing: bool | None) -> Iterator[Line]:
    for metric, name, sign in (("log_loss", "log loss", 1), ("auroc", "AUROC", -1)):
        needed = f"at most {_amount(metric, limits[metric])} {'lower' if sign < 0 else 'higher'} than local"
        found = [one.of(metric, sign) for one in local_comparisons(groups)]
        yield _beyond_doubt(f"{gate}: {name}", found, limits[metric], needed, nothing)


def _parts(subgroups: list[Any]) -> list[Any]:
    return [{**part, "name": f"{group['name']} at {part['name']}"} for group in subgroups for part in group["nodes"]]


def _beyond_doubt(gate: str, found: list[Comparison], margin: float, needed: str, nothing: bool | None) -> Line:
    if not found:
        return Line(gate, "nothing was compared (a private run, or too few rows)", needed, nothing)
    worse = beyond_doubt(found, margin)
    shown = max(worse or found, key=lambda one: one.worse)
    return Line(gate, f"{shown.name}: {shown.text()}", f"{needed}, beyond doubt", not worse)


def _budget(private: Mapping[str, Any] | None, limit: float) -> Line:
    if not private:
        return Line("budget", "answers without noise", f"epsilon at most {limit:g} if private", None)
    spent = float(private["epsilon"])
    return Line("budget", f"epsilon {spent:g}", f"at most {limit:g}", spent <= limit)


def _amount(metric: str, margin: float) -> str:
    return f"{margin:.3g}" if metric == "auroc" else f"{margin:.1%}"
