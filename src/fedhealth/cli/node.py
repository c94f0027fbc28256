"""``fedhealth node``: what a node's owner sees and decides."""

from pathlib import Path
from typing import Annotated

import typer

from fedhealth.cli import options
from fedhealth.cli.joining import join_server, run_node
from fedhealth.study import DEFAULT_STUDY

node_app = typer.Typer(
    no_args_is_help=True, help="For a node's owner: enrol it, keep it available, decide what leaves."
)
policy_app = typer.Typer(no_args_is_help=True, help="What this node lets out.")
audit_app = typer.Typer(no_args_is_help=True, help="The record of everything that left this node.")
node_app.add_typer(policy_app, name="policy")
node_app.add_typer(audit_app, name="audit")
node_app.command("join")(join_server)
node_app.command("run")(run_node)

Runs = Annotated[Path, typer.Option(help="Folder that the node's runs were told to use.", file_okay=False)]


@policy_app.command("show")
def show_policy(
    node: options.Node, study: options.Study = DEFAULT_STUDY, data: options.NodeData = Path("data")
) -> None:
    """Say in plain words what this node will let out in a study, and what never.

    The owner may ask for more than the study does in DATA/NODE.policy.toml, for example minimum_rows = 500.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.privacy import EXITS, policy_file, policy_of
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study)
        loaded.node(node)  # or say which nodes there are
        policy = policy_of(loaded, node, data)
    typer.echo(f"In study {loaded.name} (hash {loaded.hash[:12]}, policy {policy.name}) {node} will never")
    for promise in policy.promises():
        typer.echo(f"  - {promise}")
    typer.echo("What it may tell, step by step, always summed over its rows:")
    for step, way in EXITS.items():
        if not policy.steps or step in policy.steps:
            typer.echo(f"  - {step}: {way.tells}")
    if not policy_file(data, node).is_file():
        typer.echo(f"To ask for more, write limits to {policy_file(data, node)}")


@policy_app.command("check")
def check_policy(
    node: options.Node, study: options.Study = DEFAULT_STUDY, data: options.NodeData = Path("data")
) -> None:
    """Check the owner's file, and say which features of the node's own table it would keep inside."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.data.dataset import read_own_shard
    from fedhealth.privacy import policy_of
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study)
        loaded.node(node)  # or say which nodes there are
        policy = policy_of(loaded, node, data)
        shard = read_own_shard(loaded, node, data, seed=0)
    inside = policy.kept_inside(loaded, shard)
    few = len(shard.training) < policy.minimum_rows
    typer.echo(f"{node}: {len(shard):,} rows, {len(shard.training):,} of them for training; policy {policy.name}")
    typer.echo(f"Stays inside: {', '.join(inside) if inside else 'no feature'}")
    typer.echo("It could not take part: too few rows" if few else "It could take part")


@audit_app.command("show")
def show_audit(
    node: options.Node,
    runs: Runs = Path("runs"),
    data: options.NodeData = Path("data"),
    last: options.Last = 20,
) -> None:
    """List what left the node: when, for which study and step, over how many rows, how much."""
    from collections import deque

    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.privacy import audit, audit_file

    with plain_errors():
        lines = deque(audit.read(audit_file(node, runs / "audit", data)), maxlen=last)
    table = Table("time", "study", "step", "rows", "arrays", "bytes", box=None)
    for line in lines:
        arrays, size = ", ".join(line["arrays"]), f"{line['bytes']:,}"
        table.add_row(line["time"], line["study"][:12], line["step"], f"{line['rows']:,}", arrays, size)
    Console().print(table)


@audit_app.command("verify")
def verify_audit(
    node: options.Node,
    runs: Runs = Path("runs"),
    data: options.NodeData = Path("data"),
    noted: Annotated[str, typer.Option(help="A hash noted earlier, or its first digits; it must still be there.")] = "",
) -> None:
    """Check that no line of the record was changed, removed, added or moved."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.privacy import AuditError, audit, audit_file

    with plain_errors():
        path = audit_file(node, runs / "audit", data)
        hashes = [line["hash"] for line in audit.read(path)]
        if noted and not any(found.startswith(noted) for found in hashes):
            raise AuditError(f"{path}: no line has hash {noted}: the log was cut short or replaced since it was noted")
    typer.echo(f"{path}: {len(hashes):,} lines, unbroken")
    if hashes:
        typer.echo(f"The last hash is {hashes[-1]}; note it elsewhere, and check later with --noted")


@node_app.command("approve")
def approve_study(
    node: options.Node,
    study_hash: Annotated[str, typer.Argument(metavar="HASH", help="Hash of the study, or its first 12 digits.")],
    study: options.Study = DEFAULT_STUDY,
    data: options.NodeData = Path("data"),
    without: Annotated[
        list[str] | None, typer.Option(help="A feature to tell nothing of without noise; may be given again.")
    ] = None,
) -> None:
    """Let this node take part in a study. A study that is changed has another hash, and needs a new approval.

    Approving means consent, feature by feature, to what sums tell of those that fewer than three nodes observe; name
    with --without what you do not consent to.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.privacy import PolicyError, approve, policy_of, would_leave
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study)
        loaded.node(node)  # or say which nodes there are
        if len(study_hash) < 12 or not loaded.hash.startswith(study_hash):
            raise PolicyError(
                f"got hash {study_hash}; study {loaded.name} has {loaded.hash[:12]}: look at what changed"
            )
        unknown = [name for name in without or () if name not in loaded.names]
        if unknown:
            raise PolicyError(f"--without {unknown[0]}: study {loaded.name} has {', '.join(loaded.names)}")
        approve(loaded, node, data, without or ())
        for line in would_leave(loaded, node, policy_of(loaded, node, data)):
            typer.echo(line)
    typer.echo(f"Approved: {node} takes part in study {loaded.name} {loaded.hash[:12]}")


@node_app.command("ledger")
def show_ledger(
    node: options.Node, study: options.Study = DEFAULT_STUDY, data: options.NodeData = Path("data")
) -> None:
    """Say what answers with noise have told of one row so far, study by study, and what is left of the limit.

    The owner sets the limit in DATA/NODE.policy.toml, for example epsilon = 3.
    """
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.privacy import Ledger, epsilon_of, ledger_file, policy_of
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study)
        loaded.node(node)  # or say which nodes there are
        policy = policy_of(loaded, node, data)
        path = ledger_file(data, node)
        ledger = Ledger(node, path, policy.most_epsilon, policy.delta)
        studies = ledger.studies() if path.is_file() else []
        spent = ledger.spent() if studies else 0.0
    if studies:
        table = Table("study", "answers", "of them unsettled", "epsilon alone", "last", box=None)
        for one in studies:
            alone = f"{epsilon_of(one.mu, policy.delta):.4g}"
            table.add_row(one.study[:12], f"{one.answers:,}", f"{one.unsettled:,}", alone, one.last)
        Console().print(table)
    unlimited = policy.most_epsilon == float("inf")
    left = (
        "no limit is set" if unlimited else f"{max(policy.most_epsilon - spent, 0):.4g} of {policy.most_epsilon:g} left"
    )
    typer.echo(f"{node}: epsilon {spent:.4g} at delta {policy.delta:g} spent on answers with noise; {left}")
