"""All commands in one place. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fedhealth import __version__
from fedhealth.cli.audit import audit_app
from fedhealth.cli.context import context_app
from fedhealth.cli.data import data_app
from fedhealth.cli.doctor import doctor
from fedhealth.cli.errors import refuse
from fedhealth.cli.feed import feed
from fedhealth.cli.keys import keys_app
from fedhealth.cli.models import models_app
from fedhealth.cli.monitor import monitor_app
from fedhealth.cli.monitor_nodes import nodes
from fedhealth.cli.node import node_app
from fedhealth.cli.runs import runs_app
from fedhealth.cli.serve import serve
from fedhealth.cli.server import server_app
from fedhealth.cli.simulate import simulate
from fedhealth.cli.study import study_app
from fedhealth.cli.train import train
from fedhealth.cli.up import up

EXTRAS = {"polars": "tables", "lxml": "tables", "flwr": "node", "starlette": "api", "sqlalchemy": "api"}


class Commands(TyperGroup):
    """The commands; one that needs a package that is not installed says how to get it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            extra = EXTRAS.get(error.name or "")
            if extra is None:
                raise
            refuse(f"this needs {error.name}; install it: pip install 'fedhealth[{extra}]'")


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train one calibrated health-risk model over nodes that keep their rows; serve it; explain it.",
    epilog="First time here? Run: fedhealth up",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedhealth {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options for all commands."""


app.command()(up)
app.command()(train)
app.command()(simulate)
app.command()(serve)
app.command()(feed)
app.command()(doctor)
app.add_typer(audit_app, name="audit")
app.add_typer(context_app, name="context")
app.add_typer(data_app, name="data")
app.add_typer(keys_app, name="keys")
app.add_typer(models_app, name="models")
monitor_app.command()(nodes)
app.add_typer(monitor_app, name="monitor")
app.add_typer(node_app, name="node")
app.add_typer(runs_app, name="runs")
app.add_typer(server_app, name="server")
app.add_typer(study_app, name="study")
