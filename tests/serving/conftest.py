from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fedhealth.data import synthetic
from fedhealth.data.shard import Shard
from fedhealth.data.tables import shard_from_table
from fedhealth.federation import exchange_within, fit
from fedhealth.registry import Bundle, sign_bundle, write_bundle
from fedhealth.serving import create_app
from fedhealth.study import Feature, Study, load_study

ROOT = Path(__file__).parents[2]
THRESHOLD = {"value": 0.2, "sensitivity": 0.6, "specificity": 0.8}


def train(folder: Path, study: Study, shards: list[Shard]) -> Bundle:
    """Train on the shards, write the bundle and sign it."""
    fitted = fit(study, exchange_within(shards, study), penalty=(30.0, 3.0))
    facts = {"threshold": THRESHOLD, "metrics": {"auroc": 0.8, "ece": None}, "synthetic": True}
    bundle = write_bundle(folder, study, fitted.model, fitted.reference, facts, "# Model card\n")
    sign_bundle(folder)
    return bundle


def random_shards(study: Study, seed: int, rows: int = 300) -> list[Shard]:
    """Rows drawn evenly over each feature's range, labels by the first feature: any study, in no time."""
    rng = np.random.default_rng(seed)
    shards = []
    for site, node in enumerate(study.nodes):
        x = np.column_stack([_draw(feature, rng, rows) for feature in study.features])
        observed = np.array([[name in node.features for name in study.names]] * rows)
        y = (rng.random(rows) < x[:, 0] / study.features[0].high).astype(np.float64)
        fold = (np.arange(rows) % 4 - 1).astype(np.int8)
        site_of, stratum = np.full(rows, site, dtype=np.int16), np.full(rows, -1, dtype=np.int16)
        shards.append(Shard(node.name, x * observed, observed, y, fold, site_of, stratum))
    return shards


def _draw(feature: Feature, rng: np.random.Generator, rows: int) -> np.ndarray:
    if feature.kind == "number":
        return rng.uniform(feature.low, feature.high, rows)
    return rng.integers(0, int(feature.high) + 1, rows).astype(np.float64)


@pytest.fixture(scope="session")
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}",
        "FEDHEALTH_API_KEY": "a key for tests",
        "FEDHEALTH_KEYS_FILE": str(tmp_path_factory.mktemp("keys") / "issued_keys.jsonl"),
        "FEDHEALTH_RATE": "1e6",
        "FEDHEALTH_RUNS": str(tmp_path_factory.mktemp("runs")),
    }


@pytest.fixture(scope="module", autouse=True)
def own_store(own_settings: dict[str, str]) -> Iterator[None]:
    """Apps under test store nothing where people work; tests elsewhere know nothing of these settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own_settings.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def study() -> Study:
    return load_study("health-risk")


@pytest.fixture(scope="session")
def shards(study: Study) -> list[Shard]:
    return [
        shard_from_table(study, node, synthetic.draw(node.name, 3_000, seed=1), 1, node.name) for node in study.nodes
    ]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def bundle(folder: Path, study: Study, shards: list[Shard]) -> Bundle:
    return train(folder, study, shards)


@pytest.fixture(scope="module")
def app(folder: Path, bundle: Bundle) -> FastAPI:
    return create_app(folder)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of three bundles: two of the health-risk study, one of the heart-disease study."""
    folders = {}
    for name, of, seed in (("first", "health-risk", 1), ("second", "health-risk", 2), ("hearts", "heart-disease", 3)):
        folders[name] = tmp_path_factory.mktemp(name)
        train(folders[name], load_study(of), random_shards(load_study(of), seed))
    return folders
