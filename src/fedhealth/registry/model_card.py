"""The model card: what a model is for, on what it was trained, how well it does, where it must not be used.

Follows the headings of Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fedhealth.study import Study

INTERVALS = (
    "95 % intervals: AUROC by DeLong's variance, calibration slope by its Hessian; rows count as independent people."
)
TOO_FEW = "Rows of a node count in a subgroup where it has enough people of either label there; else they stay inside."


def model_card(study: Study, facts: Mapping[str, Any]) -> str:
    """The card of a model as Markdown, from its study and the facts of its bundle."""
    return (
        "\n\n".join(
            [
                f"# {study.title}",
                _what(study, facts),
                "## Intended use\n\nInformation for people and public-health staff. An estimate for groups of people "
                "with the same readings, not a diagnosis, and no ground for changing treatment.",
                "## Training data\n\n" + _data(facts),
                *([_privacy(facts["privacy"])] if "privacy" in facts else []),
                *([_leakage(facts["leakage"])] if "leakage" in facts else []),
                "## Features\n\n" + _features(study),
                "## Evaluation on held-out rows\n\n" + _evaluation(facts),
                "## Limits\n\n" + _limits(facts),
            ]
        )
        + "\n"
    )


def _what(study: Study, facts: Mapping[str, Any]) -> str:
    window = f" within {study.outcome.window_days} days" if study.outcome.window_days else ""
    threshold = facts["threshold"]
    return (
        f"A {facts['model']} model of the probability of {study.outcome.title}{window}. Risks from "
        f"{threshold['value']:g} count as high; on held-out rows this finds {_percent(threshold['sensitivity'])} of "
        f"the people with the outcome and leaves out {_percent(threshold['specificity'])} of those without."
    )


def _data(facts: Mapping[str, Any]) -> str:
    generated = facts.get("synthetic_nodes", ())
    kind = "**Synthetic data**: no real people or measurements." if facts["synthetic"] else "Real data."
    if generated:
        kind = f"**Synthetic in part**: the rows of {', '.join(f'`{name}`' for name in generated)} were generated."
    nodes = "\n".join(
        f"- {n['title']} (`{n['name']}`): {_rows(n['rows'], n['name'] in generated)}, {', '.join(n['features'])}"
        for n in facts["nodes"]
    )
    return f"{kind} Trained federatedly (seed {facts['seed']}, policy `{facts['policy']}`); rows stayed at:\n\n{nodes}"


def _rows(count: int | None, synthetic: bool) -> str:
    rows = "synthetic rows" if synthetic else "rows"
    return f"{rows} that only their node has counted" if count is None else f"{count:,} {rows}"


def _privacy(facts: Mapping[str, Any]) -> str:
    return (
        f"## Privacy\n\nDifferential privacy: epsilon {facts['epsilon']:g} at delta {facts['delta']:g}, for "
        f"{facts['unit']} ({facts['relation']}), by {facts['mechanism']}; {facts['trust']}. Counts and metrics in this "
        "card have noise too. Whoever has several rows is protected less."
    )


def _leakage(facts: Mapping[str, Any]) -> str:
    """Attacks with all rows at hand (NIST SP 800-226), by ``fedhealth audit privacy``."""
    member, guessed = facts["membership"], facts["canaries"]
    lines = [
        f"- Membership (LiRA, {facts['shadow_models']} shadow models, {member['targets']:,} targets): AUC "
        f"{member['auc']:.3f}; found at 1 % falsely accused: {member['tpr_at_1_percent_fpr']:.2%} (95 %: up to "
        f"{member['tpr_at_1_percent_fpr_high']:.2%}), at 0.1 %: {member['tpr_at_0.1_percent_fpr']:.2%}.",
        f"- Differencing two answers rebuilt {facts['rebuilt_by_differencing']:.0%} of people.",
    ]
    if guessed:
        lines.insert(
            1, f"- Planted rows, {guessed['runs']} runs: at least epsilon {guessed['epsilon_low']:.2f} was spent."
        )
    return (
        f"## What attacks found\n\nWith all {facts['rows']:,} rows at hand, on a model of {facts['parameters']} "
        "parameters. An attack that finds little is evidence, no proof.\n\n" + "\n".join(lines)
    )


def _features(study: Study) -> str:
    rows = [f"| `{f.name}` | {f.title} | {f.modality} | {f.allowed} |" for f in study.features]
    return "\n".join(["| feature | meaning | observed by | allowed |", "|---|---|---|---|", *rows])


def _evaluation(facts: Mapping[str, Any]) -> str:
    lines = [
        "| rows of | n | AUROC, this model (95 %) | AUROC, the node alone | Brier | calibration slope (95 %) | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for node in facts["nodes"]:
        lines.append(_line(node["name"], node["global"], _figure(node["local"], "auroc")))
    lines.append(_line("all nodes", facts["metrics"], "–"))
    return "\n".join(lines) + "\n\n" + INTERVALS + _subgroups(facts["subgroups"])


def _line(name: str, found: Mapping[str, Any], *cells: str) -> str:
    auroc, brier, slope, ece = (_figure(found, k) for k in ("auroc", "brier", "calibration_slope", "ece"))
    parts = [name, f"{found['n']:,}", auroc + _ends(found, "auroc"), *cells, brier]
    return "| " + " | ".join([*parts, slope + _ends(found, "calibration_slope"), ece]) + " |"


def _figure(found: Mapping[str, Any], name: str) -> str:
    return "–" if found[name] is None else f"{found[name]:.3f}"


def _ends(found: Mapping[str, Any], name: str) -> str:
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"


def _subgroups(groups: Sequence[Mapping[str, Any]]) -> str:
    if not groups:
        return ""
    lines = ["| people with | n | AUROC (95 %) | Brier | calibration slope (95 %) | ECE |", "|---|---|---|---|---|---|"]
    for group in groups:
        too_few = f"| {group['name']} | too few | – | – | – | – |"
        lines.append(_line(group["name"], group["global"]) if group["global"] else too_few)
    return "\n\n" + "\n".join(lines) + "\n\n" + TOO_FEW


def _limits(facts: Mapping[str, Any]) -> str:
    limits = ["It answers from any subset of features, with a wider interval the more are missing."]
    limits += [
        f"People at `{n['name']}` would be served better by a model of that node alone."
        for n in facts["nodes"]
        if n["better_alone"]
    ]
    limits += [
        f"People with {group['name']} at `{node}` would be served better by a model of that node alone."
        for group in facts["subgroups"]
        for node in group["better_alone"]
    ]
    if facts.get("synthetic_nodes"):
        limits.append("Trained in part on synthetic data, it says nothing sure about real people.")
    elif facts["synthetic"]:
        limits.append("Trained on synthetic data, it says nothing about real people.")
    return "\n".join(f"- {limit}" for limit in limits)


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share:.0%}"
