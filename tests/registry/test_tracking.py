"""MLflow mirrors runs, versions and charts; in SQLite, and in PostgreSQL where MLFLOW_TRACKING_URI says so."""

import json
import os

import pytest
import sqlalchemy as sa
from tests.mirrors import without_mlflow
from tests.registry.trained import SHARDS, Registry, flipped

from fedhealth.registry import challenge, publish, rollback
from fedhealth.registry.tracking import mirror_versions, track

POSTGRES = os.environ.get("FEDHEALTH_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs of a tiny study: the folder that holds them, and each one's own."""
    registry = Registry(tmp_path_factory.mktemp("trained"))
    with without_mlflow():
        folders = []
        for share in (0.0, 0.01):
            registry.train([*SHARDS[:3], flipped(SHARDS[3], share, 1)], model="logistic")
            folders.append(registry.last)
    return registry.folder / "runs", folders


def client_of(uri):
    from mlflow import MlflowClient  # takes a second, which tests of other things need not wait

    return MlflowClient(tracking_uri=uri)


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def check_mirror(client, trained, models):
    runs, (first, second) = trained
    ids = [track(report_of(folder), folder, runs) for folder in (first, second)]
    assert {file.path for file in client.list_artifacts(ids[0], "charts")} == {
        f"charts/{name}.png" for name in ("calibration", "roc", "losses", "gain")
    }
    publish(first, models)
    challenge(second, models, "next")
    mirror_versions(models, runs)
    (model,) = client.search_registered_models()
    champion, challenger = (client.get_model_version_by_alias(model.name, a) for a in ("champion", "challenger"))
    assert (model.name, champion.run_id, challenger.run_id) == ("tiny", *ids)
    assert champion.tags["hash"] == report_of(first)["bundle"]["hash"]
    publish(second, models)
    mirror_versions(models, runs)
    assert client.get_model_version_by_alias("tiny", "champion").run_id == ids[1]
    assert set(client.get_registered_model("tiny").aliases) == {"champion"}
    rollback(models, "worse")
    mirror_versions(models, runs)
    assert client.get_model_version_by_alias("tiny", "champion").run_id == ids[0]
    assert len(client.search_model_versions("name = 'tiny'")) == 2


@pytest.mark.slow
def test_runs_charts_versions_and_aliases_are_mirrored(trained, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = client_of(f"sqlite:///{trained[0] / 'mlflow.db'}")
    check_mirror(client, trained, tmp_path / "models")


@pytest.mark.slow
def test_they_are_mirrored_in_postgresql(trained, tmp_path, monkeypatch):
    address = sa.make_url(POSTGRES).set(drivername="postgresql+psycopg")
    own = f"mlflow_{os.getpid()}"
    server = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {own}"))
    try:
        uri = address.set(database=own).render_as_string(hide_password=False)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        check_mirror(client_of(uri), trained, tmp_path / "models")
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {own} WITH (FORCE)"))
        server.dispose()
