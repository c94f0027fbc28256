"""``fedhealth monitor nodes``: each node says through its door how the served model does there now."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world
from fedhealth.monitoring.alerts import list_alerts, state_of
from fedhealth.monitoring.nodes import kept_looks
from fedhealth.monitoring.store import Store
from fedhealth.registry import load_bundle, publish

pytestmark = pytest.mark.slow


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


class Place:
    """A folder with the nodes' tables, runs and the served model, and the store."""

    def __init__(self, folder: Path) -> None:
        self.data, self.runs, self.models = folder / "data", folder / "runs", folder / "models"

    def train(self, *options: object) -> None:
        result = invoke("train", "--data", self.data, "--runs", self.runs, "--model", "logistic", *options)
        assert result.exit_code == 0, result.output
        (run,) = [path.parent for path in self.runs.glob("*/bundle.json")]
        publish(run, self.models, "promote", "first")

    def nodes(self) -> Any:
        return invoke("monitor", "nodes", "--data", self.data, "--runs", self.runs, "--models", self.models)

    def table(self, node: str) -> Path:
        return self.data / load_bundle(self.models).study.node(node).file

    def standings(self) -> dict[str, str]:
        with Store().session() as session:
            return {node: one.status for node, one in kept_looks(session, load_bundle(self.models).version).items()}

    def alerts(self) -> list[tuple[str, str]]:
        with Store().session() as session:
            return [(state_of(one), one.about or one.error or "") for one in list_alerts(session)]

    def asked(self, node: str) -> int:
        return (self.runs / "audit" / f"{node}.jsonl").read_text().count('"evaluate"')


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_world(folder / "data", rows=3000, seed=7)
    Place(folder).train()
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return Place(shutil.copytree(trained, tmp_path / "copy"))


def test_the_same_rows_say_what_training_said_and_each_door_wrote_it_down(place: Place):
    before = place.asked("node_2")
    found = place.nodes()
    assert found.exit_code == 0, found.output
    assert place.standings() == {"node_1": "ok", "node_2": "ok", "node_3": "ok"}
    assert place.asked("node_2") == before + 1
    with Store().session() as session:
        kept = kept_looks(session, load_bundle(place.models).version)
    trained = {node["name"]: node["global"] for node in load_bundle(place.models).facts["nodes"]}
    for name, one in kept.items():
        assert one.figures["now"]["auroc"] == pytest.approx(trained[name]["auroc"], abs=1e-6)
        assert one.figures["changes"]["auroc"]["worse"] == pytest.approx(0, abs=1e-6)
        assert one.figures["expected"]["auroc"] == pytest.approx(trained[name]["auroc"], abs=0.05)


def test_a_node_whose_outcomes_no_longer_follow_is_named_until_it_is_well_again(place: Place):
    path, outcome = place.table("node_2"), load_bundle(place.models).study.outcome.name
    before = path.read_bytes()
    flipped = pl.when(pl.int_range(pl.len()) % 4 == 0).then(1 - pl.col(outcome)).otherwise(pl.col(outcome))
    pl.read_csv(path).with_columns(flipped.alias(outcome)).write_csv(path)
    found = place.nodes()
    assert found.exit_code == 2, found.output
    assert place.standings() == {"node_1": "ok", "node_2": "worse", "node_3": "ok"}
    ((state, about),) = place.alerts()
    assert (state, about.startswith("node_2 ("), "then" in about) == ("firing", True, True)
    path.write_bytes(before)
    assert (place.nodes().exit_code, place.alerts()[0][0]) == (0, "resolved")


def test_a_node_that_refuses_is_said_to_give_no_answer_and_ends_no_alert(place: Place):
    (place.data / "node_2.policy.toml").write_text('steps = ["inventory"]\n')
    found = place.nodes()
    assert found.exit_code == 0, found.output
    assert "node_2 gave no answer: node_2 refused step 'evaluate'" in found.output
    assert place.standings() == {"node_1": "ok", "node_2": "no answer", "node_3": "ok"}


def test_without_any_answer_it_was_not_checked_until_there_is_one(place: Place):
    away = place.data.rename(place.data.with_name("away"))
    found = place.nodes()
    assert (found.exit_code, place.alerts()) == (1, [("error", "no node answered")]), found.output
    away.rename(place.data)
    assert (place.nodes().exit_code, [state for state, _ in place.alerts()]) == (0, ["resolved"])


def test_a_model_with_a_privacy_budget_is_asked_with_noise_that_is_paid_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    place = Place(tmp_path)
    write_world(place.data, rows=3000, seed=7)
    for node in ("node_1", "node_2", "node_3"):
        (place.data / f"{node}.policy.toml").write_text("epsilon = 4\n")
    place.train("--epsilon", 3)

    def ledger() -> str:
        return str(invoke("node", "ledger", "node_2", "--data", place.data).output)

    spent = [ledger()]
    for _ in range(2):
        found = place.nodes()
        assert (found.exit_code, "came with noise" in found.output) == (0, True), found.output
        spent.append(ledger())
    assert spent[0] != spent[1] == spent[2]
    assert place.standings() == {"node_1": "ok", "node_2": "ok", "node_3": "ok"}
