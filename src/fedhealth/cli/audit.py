"""``fedhealth audit``: attack what was released, and say how much it tells."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

audit_app = typer.Typer(no_args_is_help=True, help="Measure what a released model tells of single people.")


@audit_app.callback()
def main() -> None:
    """Audits."""


@audit_app.command("privacy")
def audit_privacy(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, such as a run's.")] = Path("models"),
    data: Annotated[Path, typer.Option(help="Folder with the tables that it was trained on.")] = Path("data"),
    shadows: Annotated[int, typer.Option(min=8, help="Models trained to learn what membership looks like.")] = 64,
    canary_runs: Annotated[int, typer.Option(min=50, help="Trainings with or without a planted row.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the audit's own draws.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Also write the figures as JSON.", dir_okay=False)] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the run anew, with the figures in its model card and report.")
    ] = False,
) -> None:
    """Attack a model with all its rows at hand: membership (LiRA), planted rows, and differencing.

    An attack that finds little is evidence, no proof. Only someone who may read all rows can run this.
    """
    from rich.console import Console
    from rich.progress import Progress

    from fedhealth.cli.errors import plain_errors
    from fedhealth.cli.run_folders import write_audited
    from fedhealth.data.dataset import load_dataset
    from fedhealth.registry import load_bundle
    from fedhealth.runtime.leakage_audit import audit_model

    with plain_errors():
        found = load_bundle(bundle)
        dataset = load_dataset(found.study, data, int(found.facts["seed"]))
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Training shadow models", total=shadows)
            told = audit_model(
                found.study,
                found.model,
                found.facts,
                dataset,
                shadows,
                canary_runs,
                seed,
                lambda: bar.advance(task),
            )
        told = {"bundle": found.version, "synthetic": bool(dataset.synthetic), **told}
        if report:
            report.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        audited = write_audited(bundle, told) if card else None
    _show(told)
    if audited:
        typer.echo(f"Bundle {audited[0].version}, with these figures in its card, written to {audited[1]}")


def _show(told: dict[str, Any]) -> None:
    member, claimed, guessed = told["membership"], told["claimed"], told["canaries"]
    promise = f"epsilon {claimed['epsilon']:g} at delta {claimed['delta']:g}" if claimed else "none"
    kind = "synthetic rows" if told["synthetic"] else "rows"
    typer.echo(f"Bundle {told['bundle']}: {told['rows']:,} {kind}, {told['parameters']} parameters; promise: {promise}")
    typer.echo(
        f"Membership ({told['shadow_models']} shadow models, {member['targets']:,} targets): AUC {member['auc']:.3f}; "
        f"found at 1 % falsely accused: {member['tpr_at_1_percent_fpr']:.2%} (95 %: up to "
        f"{member['tpr_at_1_percent_fpr_high']:.2%}), at 0.1 %: {member['tpr_at_0.1_percent_fpr']:.2%}"
    )
    if guessed:
        typer.echo(
            f"Planted rows ({guessed['runs']} runs): right in {guessed['found']:.0%}, false alarm in "
            f"{guessed['accused']:.0%}; so at least epsilon {guessed['epsilon_low']:.2f} was spent"
        )
    typer.echo(f"Differencing two answers rebuilt {told['rebuilt_by_differencing']:.0%} of people")
