"""Node 2 of a training run over Flower: ``python fl/client_node2.py [--help]``."""

import typer

from fedhealth.cli.client import client

if __name__ == "__main__":
    typer.run(client("node_2"))
