"""``fedhealth keys``: who may ask the API for what."""

from enum import StrEnum
from typing import Annotated

import typer

keys_app = typer.Typer(no_args_is_help=True, help="Issue, list and revoke keys to the API; each has a role.")
Name = Annotated[str, typer.Argument(help="Whose key it is, such as lahore-clinic.")]


class Role(StrEnum):
    """What a key may do; each role may do what those before it may. docs/api.md has the table."""

    citizen = "citizen"
    viewer = "viewer"
    analyst = "analyst"
    admin = "admin"


@keys_app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the key may do; docs/api.md has the table.")],
    person: Annotated[
        str | None, typer.Option(help="Pseudonym of the person whose data a citizen's key may send, see and erase.")
    ] = None,
) -> None:
    """Make a key and print it, once: only its hash is kept. A running API knows it within a second."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.keys import issue_key, issued_keys_file

    with plain_errors():
        key = issue_key(name, role.value, person)
    typer.echo(f"Key of {name} ({role.value}), shown only now; its hash is in {issued_keys_file()}:", err=True)
    typer.echo(key)


@keys_app.command("list")
def list_keys() -> None:
    """List all keys: name, role, when issued and revoked; the keys themselves are kept nowhere."""
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.keys import issued_keys

    with plain_errors():
        found = issued_keys()
    table = Table("name", "role", "person", "issued", "revoked", box=None)
    for key in found:
        table.add_row(key.name, key.role, key.person or "", key.created, key.revoked or "")
    if found:
        Console().print(table)
    else:
        typer.echo("No keys were issued. The installation's own key is an administrator's.")


@keys_app.command()
def revoke(name: Name) -> None:
    """Put a key out of force; a running API refuses it within a second."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.keys import revoke_key

    with plain_errors():
        revoke_key(name)
    typer.echo(f"The key of {name} is revoked")
