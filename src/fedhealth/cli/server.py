"""``fedhealth server``: who may take part, and how nodes know their server."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedhealth.cli import options
from fedhealth.study import DEFAULT_STUDY

if TYPE_CHECKING:
    from fedhealth.runtime.flower.certificates import ServerFolder

server_app = typer.Typer(
    no_args_is_help=True, help="For the server's operator: certificates, and which nodes may take part."
)
Name = Annotated[str, typer.Argument(metavar="NODE", help="Name of the node, such as node_1.")]


@server_app.command("init")
def init(
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address by which nodes reach this server; may be given again.")
    ] = None,
    folder: options.ServerFolder = options.SERVER_FOLDER,
) -> None:
    """Make an authority and the server's certificate; run again, it keeps what is there and renews what ends soon."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.runtime.flower.certificates import ServerFolder, key_fingerprint, prepare

    with plain_errors():
        here = ServerFolder(folder)
        hosts = host or ([] if here.is_initialised else [socket.gethostname()])
        for line in prepare(here, hosts):
            typer.echo(line[0].upper() + line[1:])
        typer.echo(f"The authority's fingerprint: {key_fingerprint(here.authority.read_bytes())}")
    typer.echo("Next, for each node: fedhealth server invite NODE")


@server_app.command("invite")
def invite(
    node: Name,
    to: Annotated[
        Path | None, typer.Option(help="File to write; default NODE.invitation.json.", dir_okay=False)
    ] = None,
    study: Annotated[str, typer.Option(help="The study that the node is invited to.")] = DEFAULT_STUDY,
    host: Annotated[str, typer.Option(help="By which the node reaches this server; default: init's first.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that the server will listen on.")] = options.PORT,
    folder: options.ServerFolder = options.SERVER_FOLDER,
) -> None:
    """Write an invitation for a node: a secret file that lets it enrol once. Send it over a channel that you trust."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.runtime.flower.book import Book
    from fedhealth.runtime.flower.certificates import key_fingerprint
    from fedhealth.runtime.flower.enrolment import Enrolment
    from fedhealth.study import load_study

    with plain_errors():
        here, loaded = _initialised(folder), load_study(study)
        loaded.node(node)  # or say which nodes there are
        address, ca = _address(here, host, port), here.authority.read_text(encoding="ascii")
        path = to or Path(f"{node}.invitation.json")
        Enrolment(node, address, ca, Book(here.book).invite(node), loaded.name, loaded.hash).write(path)
    typer.echo(f"Invitation of {node} to {address} written to {path}; it works once. There: fedhealth node join {path}")
    typer.echo(f"The authority's fingerprint, to compare: {key_fingerprint(ca.encode())}")


@server_app.command("revoke")
def revoke(node: Name, folder: options.ServerFolder = options.SERVER_FOLDER) -> None:
    """Refuse a node from now on, in a run under way too; it needs a new invitation to come back."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.runtime.flower.book import Book

    with plain_errors():
        Book(_initialised(folder).book).revoke(node)
    typer.echo(f"{node} is revoked; to let it in again: fedhealth server invite {node}")


@server_app.command("nodes")
def nodes(folder: options.ServerFolder = options.SERVER_FOLDER) -> None:
    """List the invited, enrolled and revoked nodes, with their keys' fingerprints."""
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.runtime.flower.book import Book
    from fedhealth.runtime.flower.certificates import key_fingerprint

    with plain_errors():
        listed = Book(_initialised(folder).book).nodes()
    table = Table("node", "state", "since", "node key", "signing key", box=None)
    for one in listed:
        since = one.revoked or one.enrolled or one.invited
        node_key = key_fingerprint(one.node_key.encode())[:19] if one.node_key else ""
        signing_key = key_fingerprint(bytes.fromhex(one.signing_key))[:19] if one.signing_key else ""
        table.add_row(one.name, one.state, since, node_key, signing_key)
    Console().print(table if listed else "Nobody is invited yet: fedhealth server invite NODE")


def _initialised(folder: Path) -> "ServerFolder":
    from fedhealth.runtime.flower.certificates import ServerFolder
    from fedhealth.runtime.flower.environment import FlowerError

    here = ServerFolder(folder)
    if not here.is_initialised:
        raise FlowerError(f"{folder} has no certificates yet; run: fedhealth server init --host NAME")
    return here


def _address(here: "ServerFolder", host: str, port: int) -> str:
    from fedhealth.runtime.flower.certificates import hosts_of, load
    from fedhealth.runtime.flower.environment import FlowerError

    hosts = hosts_of(load(here.certificate))
    if host and host not in hosts:
        raise FlowerError(
            f"--host {host}: the certificate is for {', '.join(hosts)}; run: fedhealth server init --host {host}"
        )
    chosen = host or hosts[0]
    return f"[{chosen}]:{port}" if ":" in chosen else f"{chosen}:{port}"
