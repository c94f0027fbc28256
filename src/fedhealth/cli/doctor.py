"""``fedhealth doctor``: look a server or a node over, and say what to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedhealth.cli import options
from fedhealth.study import DEFAULT_STUDY

if TYPE_CHECKING:
    from fedhealth.runtime.flower.doctor import Finding


def doctor(
    server: Annotated[
        Path | None, typer.Option(help="Folder of a server's keys and book of nodes.", file_okay=False)
    ] = None,
    node: Annotated[str, typer.Option(help="Name of a node, such as node_1.")] = "",
    data: options.NodeData = Path("data"),
    study: options.Study = DEFAULT_STUDY,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server.")] = options.PORT,
) -> None:
    """Check this machine for training between hosts: versions, disk; a server's or a node's side.

    A server: certificates, keys, book of nodes, port. A node: table, policy, approval, ledger, keys, enrolment, its
    server, the clocks and versions at both ends. Without options: the server in .fedhealth/server, if there is one.
    The exit code is 1 if anything is to be done.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.runtime.flower.certificates import ServerFolder
    from fedhealth.runtime.flower.doctor import examine_machine, examine_node, examine_server
    from fedhealth.study import load_study

    with plain_errors():
        findings = examine_machine(data)
        folder = ServerFolder(server or options.SERVER_FOLDER)
        if server or (not node and folder.is_initialised):
            findings += examine_server(folder, port)
        if node:
            findings += examine_node(load_study(study), node, data)
    _show(findings)
    if any(finding.advice for finding in findings):
        raise typer.Exit(1)


def _show(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for column in ("", "check", "found", "what to do"):
        table.add_column(column, overflow="fold")  # commands and paths are there to be copied whole
    for finding in findings:
        sign, colour = ("!", "red") if finding.advice else ("ok", "green")
        table.add_row(f"[{colour}]{sign}[/]", finding.check, *map(escape, (finding.found, finding.advice)))
    Console().print(table)
