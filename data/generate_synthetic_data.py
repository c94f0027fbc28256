"""Write the synthetic world: ``python data/generate_synthetic_data.py [--rows N] [--seed S] [--out DIR]``."""

import typer

from fedhealth.cli.data import generate

if __name__ == "__main__":
    typer.run(generate)
