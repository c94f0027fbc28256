"""Training on imported wearables and air beside a synthetic clinic, and who is said to be synthetic."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.generated import is_synthetic
from fedhealth.data.synthetic import write_world
from fedhealth.keys import write_private
from fedhealth.registry import load_bundle
from fedhealth.study import load_study

STATION = "air_quality/PRSA_Data_Aotizhongxin_20130301-20170228.csv"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def outcomes(path: Path, heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    """Made-up outcomes for real days: none of these data sets has any."""
    labels = np.random.default_rng(0).random(len(rows)) < 0.3
    lines = [",".join((*row, str(int(label)))) for row, label in zip(rows, labels, strict=True)]
    path.write_text("\n".join([",".join((*heading, "health_risk")), *lines]) + "\n")
    return path


def iso(date: str) -> str:
    month, day, year = date.split("/")
    return f"{year}-{month:0>2}-{day:0>2}"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, real_data: Path) -> Path:
    """A synthetic world in which a hospital and a city have put their own files."""
    folder = tmp_path_factory.mktemp("mixed")
    write_world(folder, rows=1500, seed=7)
    write_private(folder / "node_1" / "pseudonym.key", b"01" * 32)  # who is held out follows from it: 33 people are few
    with (real_data / "fitbit" / "dailyActivity_merged.csv").open(newline="") as file:
        days = sorted({(row["Id"], iso(row["ActivityDate"])) for row in csv.DictReader(file)})
    with (real_data / STATION).open(newline="") as file:
        dates = sorted({f"{r['year']}-{r['month']:0>2}-{r['day']:0>2}" for r in csv.DictReader(file)})
    people = outcomes(folder / "people.csv", ("user_id", "date"), days)
    places = outcomes(folder / "places.csv", ("city", "date"), [("Aotizhongxin", date) for date in dates])
    told = ("--data", folder)
    run("data", "import", real_data / "fitbit", people, "--node", "node_1", *told)
    run("data", "import", real_data / STATION, places, "--node", "node_2", *told)
    return folder


@pytest.mark.slow
def test_training_runs_and_says_which_part_is_synthetic(mixed, tmp_path):
    report = tmp_path / "report.json"
    output = run("train", "--data", mixed, "--runs", tmp_path, "--report", report, "--model", "logistic")
    assert "3,829 rows, 1,500 of them synthetic (node_3)" in " ".join(output.split())
    found = json.loads(report.read_text())
    assert (found["synthetic"], found["synthetic_nodes"]) == (True, ["node_3"])
    assert [node["rows"] for node in found["nodes"]] == [868, 1461, 1500]
    folder = next(tmp_path.glob("health-risk-*"))
    card = (folder / "MODEL_CARD.md").read_text()
    assert "**Synthetic in part**: the rows of `node_3` were generated." in card
    assert "(`node_3`): 1,500 synthetic rows" in card
    assert "(`node_1`): 868 rows" in card
    assert load_bundle(folder).facts["synthetic_nodes"] == ["node_3"]
    assert "node_3 synthetic" in " ".join(
        run("models", "list", "--runs", tmp_path, "--models", tmp_path / "none").split()
    )


@pytest.mark.slow
def test_a_node_with_imported_rows_is_not_taken_for_synthetic(mixed):
    nodes = load_study("health-risk").nodes
    assert [is_synthetic(node, mixed) for node in nodes] == [False, False, True]


def test_only_the_tables_of_the_world_are_synthetic(tmp_path):
    write_world(tmp_path, rows=20, seed=7)
    node = load_study("health-risk").node("node_1")
    assert is_synthetic(node, tmp_path)
    with (tmp_path / node.file).open("a") as table:
        table.write("\n")
    assert not is_synthetic(node, tmp_path)
