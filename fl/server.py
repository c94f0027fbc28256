"""The server of a training run over Flower: ``python fl/server.py [--help]``."""

import typer

from fedhealth.cli.flower import server

if __name__ == "__main__":
    typer.run(server)
