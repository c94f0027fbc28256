"""The command behind ``fl/client_node*.py``: a node's side of training between processes over Flower."""

import time
from pathlib import Path
from typing import Protocol

import typer

from fedhealth.cli import options
from fedhealth.cli.flower import check_data, quiet
from fedhealth.runtime.ports import LOOPBACK
from fedhealth.study import DEFAULT_STUDY


class NodeCommand(Protocol):
    """The command of one node."""

    def __call__(
        self, data: Path, study: str, outcome: str | None, port: int, runs: Path, wait: float, auto_approve: bool
    ) -> None:
        """Take part in one training run."""


def client(node: str, at_home: bool = False) -> NodeCommand:
    """The command that takes part in training as ``node``.

    It goes to the server that the node is enrolled with, else, or ``at_home``, to the one on this machine.
    """

    def command(
        data: options.Data = Path("data"),
        study: options.SharedStudy = DEFAULT_STUDY,
        outcome: options.Outcome = None,
        port: options.Port = options.PORT,
        runs: options.Records = Path("runs"),
        wait: options.Wait = 600.0,
        auto_approve: options.AutoApprove = False,
    ) -> None:
        from fedhealth.cli.errors import plain_errors, polite_end

        with polite_end(), plain_errors():
            _await_approval(node, data, study, outcome, wait, auto_approve)
            _take_part(node, data, study, outcome, port, runs, wait, at_home)

    command.__doc__ = f"Take part in one training run as {node}: rows stay here, only sums leave."
    return command


def _take_part(
    node: str, data: Path, study: str, outcome: str | None, port: int, runs: Path, wait: float, at_home: bool
) -> None:
    from fedhealth.runtime.flower.environment import private_environment
    from fedhealth.study import load_study

    loaded = load_study(study, outcome)
    check_data(loaded, node, data)
    with private_environment():
        quiet()
        from fedhealth.runtime.flower.client import NodeConfig
        from fedhealth.runtime.flower.enrolment import enrolment_of
        from fedhealth.runtime.flower.node import serve_node
        from fedhealth.runtime.flower.processes import wait_for_server

        enrolment = None if at_home else enrolment_of(data, node)
        address = enrolment.server if enrolment else f"{LOOPBACK}:{port}"
        typer.echo(f"{node}: looking for the server on {address}")
        wait_for_server(address, wait)
        config = NodeConfig(node, study, str(data), str(runs), outcome or "", loaded.hash)
        ending = serve_node(address, config, lambda: typer.echo(f"{node}: connected; Ctrl-C leaves"), enrolment)
        typer.echo(f"{node}: {ending}")


def _await_approval(node: str, data: Path, study: str, outcome: str | None, wait: float, auto_approve: bool) -> None:
    """Return once the owner has approved the study; synthetic rows need no approval, and that is said aloud."""
    from fedhealth.data.generated import is_synthetic
    from fedhealth.privacy import PolicyRefusal, is_approved, policy_of, would_leave
    from fedhealth.study import load_study

    loaded = load_study(study, outcome)
    check_data(loaded, node, data)
    if is_approved(loaded, node, data):
        return
    if auto_approve or is_synthetic(loaded.node(node), data):
        why = "--auto-approve was given" if auto_approve else "its rows are synthetic"
        typer.secho(f"{node}: AUTO-APPROVED study {loaded.name} {loaded.hash[:12]}, because {why}", fg="yellow")
        return
    typer.echo(f"{node}: this study is new here, so nothing leaves yet. What would:")
    for line in would_leave(loaded, node, policy_of(loaded, node, data)):
        typer.echo(f"  {line}")
    how = f"fedhealth node approve {node} {loaded.hash[:12]} --study {study} --data {data}"
    typer.echo(f"{node}: waiting for its owner; to approve: {how}")
    until = time.monotonic() + wait
    while not is_approved(loaded, node, data):
        if time.monotonic() > until:
            raise PolicyRefusal(
                f"{node} was not approved for study {loaded.name} within {wait:.0f} s; to approve: {how}"
            )
        time.sleep(0.5)
