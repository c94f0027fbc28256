import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world
from fedhealth.registry import load_bundle


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Three runs that differ in their seed."""
    folder = tmp_path_factory.mktemp("trained")
    write_world(folder / "data", rows=1500, seed=1)
    for seed in (0, 1, 2):
        result = invoke(
            "train", "--data", folder / "data", "--runs", folder / "runs", "--model", "logistic", "--seed", seed
        )
        assert result.exit_code == 0, result.output
    return folder / "runs"


@pytest.fixture
def published(runs, tmp_path):
    """A models folder to which the three runs were promoted in turn, and their versions."""
    bundles = sorted(path.parent for path in runs.glob("*/bundle.json"))
    for bundle in bundles:
        result = invoke("models", "promote", bundle, "--runs", runs, "--models", tmp_path, "--reason", "better", "-y")
        assert result.exit_code == 0, result.output
    return tmp_path, [load_bundle(bundle).version for bundle in bundles]


def test_list_shows_the_champion_former_ones_and_challengers(published, runs):
    models, versions = published
    result = invoke("models", "list", "--models", models, "--runs", runs)
    lines = {line.split()[0]: line.split()[1] for line in result.output.splitlines() if line.strip()}
    assert [lines[v] for v in versions] == ["former", "former", "champion"]


def test_rollback_goes_one_further_back_each_time(published):
    models, versions = published
    for expected in (versions[1], versions[0]):
        result = invoke("models", "rollback", "--models", models, "--reason", "drift", "-y")
        assert result.exit_code == 0, result.output
        assert load_bundle(models).version == expected
    result = invoke("models", "rollback", "--models", models, "--reason", "drift", "-y")
    assert result.exit_code == 1
    assert "no predecessor" in result.output


def test_every_change_is_in_the_history_with_its_reason(published):
    models, versions = published
    invoke("models", "rollback", "--models", models, "--reason", "drift", "-y")
    history = [json.loads(line) for line in (models / "history.jsonl").read_text().splitlines()]
    assert [(h["action"], h["reason"]) for h in history] == [("promote", "better")] * 3 + [("rollback", "drift")]
    assert history[-1]["before"] == versions[2]


def test_without_a_yes_nothing_changes(published, runs):
    models, versions = published
    command = ["models", "promote", versions[0], "--runs", str(runs), "--models", str(models), "--reason", "x"]
    result = CliRunner().invoke(app, command, input="n\n")
    assert result.exit_code == 1
    assert load_bundle(models).version == versions[2]


def test_an_unknown_version_lists_the_known_ones(published, runs):
    models, versions = published
    result = invoke("models", "promote", "zzz", "--runs", runs, "--models", models, "--reason", "x", "-y")
    assert result.exit_code == 1
    assert versions[0] in result.output


def test_nothing_to_list_says_how_to_train(tmp_path):
    result = invoke("models", "list", "--models", tmp_path, "--runs", tmp_path)
    assert "fedhealth train" in result.output
