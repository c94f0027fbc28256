"""The model card: what a model is for, on what it was trained, how well it does, where it must not be used.

Follows the headings of Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from collections.abc import Mapping
from typing import Any

from fedhealth.study import Study


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
    kind = "**Synthetic data**: no real people or measurements." if facts["synthetic"] else "Real data."
    nodes = "\n".join(
        f"- {n['title']} (`{n['name']}`): {n['rows']:,} rows, {', '.join(n['features'])}" for n in facts["nodes"]
    )
    return f"{kind} Trained federatedly (seed {facts['seed']}, policy `{facts['policy']}`); rows stayed at:\n\n{nodes}"


def _features(study: Study) -> str:
    rows = [f"| `{f.name}` | {f.title} | {f.modality} | {f.allowed} |" for f in study.features]
    return "\n".join(["| feature | meaning | observed by | allowed |", "|---|---|---|---|", *rows])


def _evaluation(facts: Mapping[str, Any]) -> str:
    lines = [
        "| rows of | n | AUROC, this model | AUROC, the node alone | Brier | calibration slope | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for node in facts["nodes"]:
        lines.append(_line(node["name"], node["global"], node["local"]))
    lines.append(_line("all nodes", facts["metrics"], None))
    return "\n".join(lines)


def _line(name: str, together: Mapping[str, Any], alone: Mapping[str, Any] | None) -> str:
    figures = [
        together["auroc"],
        alone["auroc"] if alone else None,
        *(together[k] for k in ("brier", "calibration_slope", "ece")),
    ]
    cells = " | ".join("–" if figure is None else f"{figure:.3f}" for figure in figures)
    return f"| {name} | {together['n']:,} | {cells} |"


def _limits(facts: Mapping[str, Any]) -> str:
    limits = ["It answers from any subset of features, with a wider interval the more are missing."]
    limits += [
        f"People at `{n['name']}` would be served better by a model of that node alone."
        for n in facts["nodes"]
        if n["better_alone"]
    ]
    if facts["synthetic"]:
        limits.append("Trained on synthetic data, it says nothing about real people.")
    return "\n".join(f"- {limit}" for limit in limits)


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share:.0%}"
