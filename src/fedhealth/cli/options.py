"""Options and defaults that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SERVER_FOLDER = Path(".fedhealth/server")
PORT = 9092


class RuntimeName(StrEnum):
    """Where the nodes run."""

    local = "local"
    flower = "flower"


StrategyName = StrEnum("StrategyName", ["fedavg", "fedprox", "scaffold", "fedadam", "fedyogi", "fedadagrad"])
AggregationName = StrEnum("AggregationName", {"mean": "mean", "median": "median", "trimmed_mean": "trimmed-mean"})

Study = Annotated[str, typer.Option(help="A built-in study or a TOML file.")]
SharedStudy = Annotated[str, typer.Option(help="A built-in study or a TOML file; the same for server and nodes.")]
Outcome = Annotated[str | None, typer.Option(help="Outcome to predict; default: the study's first.")]
Data = Annotated[Path, typer.Option(help="Folder with the nodes' tables.", file_okay=False)]
NodeData = Annotated[Path, typer.Option(help="Folder with the node's table.", file_okay=False)]
Node = Annotated[str, typer.Argument(help="Name of the node, such as node_1.")]
Models = Annotated[Path, typer.Option(help="Folder of the published bundle.", file_okay=False)]
Runs = Annotated[Path, typer.Option(help="Folder that keeps each run's bundle and report.", file_okay=False)]
Records = Annotated[Path, typer.Option(help="Folder that keeps runs (server) and audit logs (nodes).")]
Report = Annotated[Path | None, typer.Option(help="Also write the report as JSON to this file.", dir_okay=False)]
Last = Annotated[int, typer.Option(min=1, help="How many lines, from the end.")]
Runtime = Annotated[
    RuntimeName, typer.Option(help="local: nodes in this process; flower: a Flower server and one process a node.")
]
ServerFolder = Annotated[
    Path,
    typer.Option(
        envvar="FEDHEALTH_SERVER",
        file_okay=False,
        help="The server's keys and book of nodes, of fedhealth server init; with them, only enrolled nodes come in.",
    ),
]
Wait = Annotated[float, typer.Option(min=1, help="Seconds to wait for the other side.")]
AutoApprove = Annotated[
    bool, typer.Option("--auto-approve", help="Take part without the owner's look at the study (for demos).")
]
Strategy = Annotated[
    StrategyName | None, typer.Option(help="How nodes and server train the mlp together; default: fedavg.")
]
Aggregation = Annotated[
    AggregationName | None,
    typer.Option(help="How the nodes' moves of the mlp become one; median and trimmed-mean bear a faulty node."),
]
NormBound = Annotated[
    float | None, typer.Option(min=0.0, help="Longest move of the mlp's weights by one node in a round.")
]
Epsilon = Annotated[
    float | None,
    typer.Option(help="Train under differential privacy: what the run may tell of one row, e.g. 1. Default: no noise."),
]
Delta = Annotated[float, typer.Option(help="Chance that epsilon may fail; below one over the number of people.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the unfinished run of the same settings; see: fedhealth runs list.")
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the Flower server.")]
