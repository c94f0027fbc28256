"""``fedhealth node join`` and ``node run``: enrol a node with its server, and keep it available."""

from pathlib import Path
from typing import Annotated

import typer

from fedhealth.cli import options
from fedhealth.cli.client import client
from fedhealth.runtime.ports import LOOPBACK
from fedhealth.study import DEFAULT_STUDY

WAIT = 600.0  # seconds for the owner's approval


def join_server(
    file: Annotated[Path, typer.Argument(help="The invitation that the server's operator sent.", dir_okay=False)],
    data: options.Data = Path("data"),
) -> None:
    """Enrol this node with the server that invited it: make its keys, and show their public halves, once.

    Private keys stay in DATA. Compare the fingerprints with the server's operator (fedhealth server nodes).
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.privacy.secure_aggregation import identity
    from fedhealth.runtime.flower.certificates import key_fingerprint
    from fedhealth.runtime.flower.enrolment import join, node_keys, public_pem, read_enrolment
    from fedhealth.runtime.flower.pinned import ServerAway

    with plain_errors():
        invitation = read_enrolment(file)
        node = invitation.node
        try:
            join(invitation, data)
            state = f"{node} is enrolled at {invitation.server}"
        except ServerAway as error:
            state = f"{node} is ready, but {error}; it enrols when it first connects"
        signing = identity.own_key(identity.key_file(data, node)).public_key().public_bytes_raw()
        shown = {
            "authority": invitation.ca.encode(),
            "node key": public_pem(node_keys(data, node)[1]).encode(),
            "signing key": signing,
        }
        for what, public in shown.items():
            typer.echo(f"{what + ':':<13}{key_fingerprint(public)}")
    typer.echo(state)
    typer.echo(f"Invited to study {invitation.study} {invitation.study_hash[:12]}. Next: fedhealth node run {node}")


def run_node(
    node: options.Node,
    data: options.Data = Path("data"),
    study: options.SharedStudy = DEFAULT_STUDY,
    outcome: options.Outcome = None,
    port: options.Port = options.PORT,
    runs: options.Records = Path("runs"),
    auto_approve: options.AutoApprove = False,
) -> None:
    """Keep a node available, run after run, until Ctrl-C: it comes back when the server does, and after a crash."""
    from fedhealth.cli.errors import plain_errors, polite_end
    from fedhealth.runtime.flower.supervisor import keep_available

    settings = (node, data, study, outcome, port, runs, auto_approve)
    with polite_end(), plain_errors():
        keep_available(node, data, f"{LOOPBACK}:{port}", take_part_once, settings, typer.echo)


def take_part_once(
    node: str, data: Path, study: str, outcome: str | None, port: int, runs: Path, auto_approve: bool
) -> None:
    """One run of ``node run``, in a process of its own."""
    try:
        client(node)(data, study, outcome, port, runs, WAIT, auto_approve)
    except typer.Exit as ended:
        raise SystemExit(ended.exit_code) from None
