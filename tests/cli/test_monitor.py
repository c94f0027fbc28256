"""``fedhealth monitor run``: the exit code tells cron, alerts tell people, a challenger is left where asked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.shipped import MODELS, shipped_model
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic.replay import replay
from fedhealth.monitoring.alerts import list_alerts, state_of
from fedhealth.monitoring.store import Store, add_readings
from fedhealth.monitoring.tables import Reading
from fedhealth.registry import load_bundle

START = datetime(2026, 4, 10, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return Store()


def fill(store: Store, faster: float = 0.0) -> None:
    version = load_bundle(MODELS).version
    rows: list[dict[str, Any]] = []
    for reading in replay(5, START, START + timedelta(days=55), 4):
        features = {**reading["features"], "heart_rate": reading["features"]["heart_rate"] + faster}
        time = datetime.fromisoformat(reading["time"])
        facts = {"features": features, "time": time, "day": time.date(), "aqi": features["aqi"], "pm25": 20.0}
        rows.append({**reading, **facts, "risk": 0.1, "high_risk": False, "model_version": version})
    with store.session() as session:
        for start in range(0, len(rows), 500):
            add_readings(session, rows[start : start + 500])


def run(*options: str) -> Any:
    return CliRunner().invoke(app, ["monitor", "run", "--models", str(MODELS), *options])


def states(store: Store) -> dict[str, str]:
    with store.session() as session:
        return {alert.rule: state_of(alert) for alert in list_alerts(session)}


def test_an_empty_store_and_one_without_drift_end_well(store: Store):
    assert (run().exit_code, states(store)) == (0, {})
    fill(store)
    found = run()
    assert (found.exit_code, states(store)) == (0, {}), found.output
    assert "heart_rate" in found.output
    assert "are to be expected" in found.output


def test_drift_ends_with_2_and_fires_until_it_is_over(store: Store):
    fill(store, faster=8.0)
    found = run()
    assert found.exit_code == 2, found.output
    assert "Alarm: Readings are not as in training: heart_rate" in found.output
    assert states(store)["drift"] == "firing"


def test_what_cannot_be_checked_ends_with_1_and_is_an_alert_until_it_can(store: Store, tmp_path: Path):
    fill(store)
    broken = CliRunner().invoke(app, ["monitor", "run", "--models", str(tmp_path / "nothing")])
    assert (broken.exit_code, states(store)) == (1, {"monitor": "error"})
    assert run().exit_code == 0
    assert states(store) == {"monitor": "resolved"}


@pytest.mark.full
def test_an_alarm_starts_a_federated_run_that_leaves_a_challenger(store: Store, tmp_path: Path):
    fill(store, faster=8.0)
    data, runs, models = tmp_path / "data", tmp_path / "runs", shipped_model(tmp_path / "models")
    assert CliRunner().invoke(app, ["data", "generate", "--out", str(data), "--rows", "2000"]).exit_code == 0
    retrain = ["--retrain", "--data", str(data), "--runs", str(runs), "--models", str(models)]
    found = run(*retrain)
    assert found.exit_code == 2, found.output
    (folder,) = [path.parent for path in runs.glob("*/bundle.json")]
    assert load_bundle(folder).version in found.output
    assert load_bundle(MODELS).version != load_bundle(folder).version
    again = run(*retrain)
    assert (again.exit_code, f"Challenger {load_bundle(folder).version} waits" in again.output) == (2, True)


def test_a_model_that_nobody_signed_is_not_watched(store: Store, tmp_path: Path):
    models = shipped_model(tmp_path / "models")
    (models / "bundle.sig").unlink()
    found = run("--models", str(models))
    assert (found.exit_code, "bundle.sig: missing" in found.output, states(store)) == (1, True, {"monitor": "error"})


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/none", "mysql://host/db"])
def test_a_store_that_is_away_is_said_to_be_in_one_line(monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("DATABASE_URL", url)
    found = run()
    assert (found.exit_code, found.output.startswith("Error: ")) == (1, True), found.exception


def readings(store: Store) -> int:
    with store.session() as session:
        return session.scalar(select(func.count()).select_from(Reading)) or 0


def test_what_is_older_than_may_be_kept_is_deleted_before_it_looks(store: Store, monkeypatch: pytest.MonkeyPatch):
    fill(store)
    before, age = readings(store), (datetime.now(UTC) - START).days
    assert run().exit_code == 0
    assert readings(store) == before
    monkeypatch.setenv("FEDHEALTH_KEEP_DAYS", str(age - 20))
    found = run()
    assert found.exit_code == 0, found.output
    assert 0 < readings(store) < before
    assert f"Deleted {before - readings(store):,} rows older than {age - 20} days" in found.output
    monkeypatch.setenv("FEDHEALTH_KEEP_DAYS", "for ever")
    found = run()
    assert (found.exit_code, states(store)) == (1, {"monitor": "error"})
    assert found.output.startswith("Error: FEDHEALTH_KEEP_DAYS: got 'for ever'; expected a whole number")
