import json
import logging
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi.testclient import TestClient

from fedhealth.registry import Bundle, publish, sign_bundle
from fedhealth.registry.bundle import write_bundle
from fedhealth.registry.history import changing
from fedhealth.serving import create_app
from fedhealth.serving.errors import Unavailable
from fedhealth.serving.models import LOOK_EVERY, Models, models_folder
from fedhealth.serving.predictor import Predictor
from fedhealth.study import Study

from .conftest import THRESHOLD


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now

    def tick(self) -> None:
        self.now += LOOK_EVERY


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedhealth.serving.models.LOOK_EVERY", 0.0)


def version(models: Models) -> str:
    return models.predictor().bundle.version


@pytest.mark.usefixtures("no_wait")
def test_without_a_bundle_all_but_health_is_unavailable_until_one_appears(tmp_path, small_models):
    client = TestClient(create_app(tmp_path / "models"))
    assert client.get("/health").json() == {"status": "ok"}
    for answer in (client.get("/ready"), client.get("/model"), client.post("/predict", json={"age": 30})):
        assert answer.status_code == 503
        said = answer.json()["detail"]
        assert "no model is loaded" in said
        assert str(tmp_path / "models" / "bundle.json") in said
        assert "train or publish" in said
        assert "FEDHEALTH_MODELS" in said
    published = publish(small_models["first"], tmp_path / "models")
    assert client.get("/ready").json() == {"ready": True, "model_version": published.version, "problem": None}
    assert client.post("/predict", json={"age": 30}).json()["model_version"] == published.version
    assert client.get("/model").status_code == 200


def test_a_new_bundle_takes_over(tmp_path, small_models, clock):
    first = publish(small_models["first"], tmp_path)
    models = Models(tmp_path, clock)
    assert version(models) == first.version
    second = publish(small_models["second"], tmp_path)
    assert version(models) == first.version  # looked less than a second ago
    clock.tick()
    assert version(models) == second.version != first.version
    assert models.state().problem is None


@pytest.mark.usefixtures("no_wait")
def test_a_bundle_of_another_study_brings_its_own_body(tmp_path, small_models):
    client = TestClient(create_app(tmp_path))
    publish(small_models["first"], tmp_path)
    assert client.post("/predict", json={"aqi": 50}).status_code == 200
    hearts = publish(small_models["hearts"], tmp_path).study
    assert client.post("/predict", json={"aqi": 50}).status_code == 422
    assert client.post("/predict", json={"chest_pain": "none"}).status_code == 200
    assert client.get("/ready").json()["problem"] is None
    described = client.get("/openapi.json").json()["components"]["schemas"]["Features"]["properties"]
    assert list(described) == list(hearts.names)


def truncate(folder: Path) -> None:
    whole = (folder / "bundle.json").read_bytes()
    (folder / "bundle.json").write_bytes(whole[: len(whole) // 2])


def not_text(folder: Path) -> None:
    (folder / "bundle.json").write_bytes(b"\xff\xfe\x00")


def other_json(folder: Path) -> None:
    (folder / "bundle.json").write_text("[]")


def edited(folder: Path) -> None:
    text = (folder / "bundle.json").read_text().replace('"value": 0.2', '"value": 0.9')
    (folder / "bundle.json").write_text(text)


def other_arrays(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not arrays")
    (folder / "bundle.json").touch()


def gone(folder: Path) -> None:
    (folder / "bundle.json").unlink()


def added(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(b"")


def renamed(folder: Path) -> None:
    (folder / "MODEL_CARD.md").rename(folder / "CARD.md")


def signed_by_a_stranger(folder: Path) -> None:
    sign_bundle(folder, Ed25519PrivateKey.generate())


def not_signed(folder: Path) -> None:
    (folder / "bundle.sig").unlink()


DAMAGES = [
    *(truncate, not_text, other_json, edited, other_arrays, gone),
    *(added, renamed, signed_by_a_stranger, not_signed),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_keeps_the_old_model_in_force(tmp_path, small_models, clock, caplog, damage):
    published = publish(small_models["first"], tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    models = Models(tmp_path, clock)
    damage(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.tick()
            assert version(models) == published.version
    problem = models.state().problem
    assert problem is not None
    assert f"still serving model {published.version}" in problem
    assert str(tmp_path) in problem
    assert len(caplog.records) == 1  # told once, not every second
    for path in tmp_path.iterdir():
        if path.is_file() and path not in whole:
            path.unlink()
    for path, content in whole.items():
        path.write_bytes(content)
    clock.tick()
    assert models.state().problem is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_not_served_at_all_without_an_older_one(tmp_path, small_models, clock, damage):
    publish(small_models["first"], tmp_path)
    damage(tmp_path)
    models = Models(tmp_path, clock)
    with pytest.raises(Unavailable, match="no model is loaded"):
        models.predictor()


@pytest.mark.usefixtures("no_wait")
def test_ready_tells_of_a_damaged_bundle(tmp_path, small_models):
    publish(small_models["first"], tmp_path)
    client = TestClient(create_app(tmp_path))
    truncate(tmp_path)
    answer = client.get("/ready")
    assert answer.status_code == 200
    assert "bundle.json: changed since it was signed" in answer.json()["problem"]
    assert client.post("/predict", json={"age": 30}).status_code == 200


def rewrite(bundle: Bundle, folder: Path, facts: dict, calibration: float) -> None:
    arrays = bundle.model.arrays() | {"calibration": np.array([calibration, 1.0])}
    model = type(bundle.model).from_arrays(bundle.study, arrays)
    write_bundle(folder, bundle.study, model, {}, facts, "card")
    sign_bundle(folder)


@pytest.mark.parametrize(
    ("facts", "calibration"),
    [({"threshold": THRESHOLD}, np.nan), ({}, 0.0), ({"threshold": THRESHOLD, "metrics": {"auroc": np.nan}}, 0.0)],
)
def test_a_bundle_that_cannot_answer_is_not_served(tmp_path, bundle, clock, facts, calibration):
    rewrite(bundle, tmp_path, facts, calibration)
    with pytest.raises(Unavailable, match="no model is loaded"):
        Models(tmp_path, clock).predictor()


def test_a_bundle_whose_golden_rows_are_scored_otherwise_here_is_not_served(tmp_path, small_models, clock, monkeypatch):
    publish(small_models["first"], tmp_path)
    monkeypatch.setattr(Predictor, "golden_difference", lambda _: 1e-6)
    with pytest.raises(Unavailable, match=r"scored differently here: golden rows are off by 1\.0e-06"):
        Models(tmp_path, clock).predictor()


def test_while_somebody_publishes_nothing_is_loaded(tmp_path, small_models, clock):
    first = publish(small_models["first"], tmp_path)
    models = Models(tmp_path, clock)
    with changing(tmp_path):
        for name in ("bundle.sig", "model.safetensors"):
            (tmp_path / name).write_bytes(b"half a change")
        clock.tick()
        assert version(models) == first.version
        assert models.state().problem is None


def test_an_unchanged_bundle_is_loaded_once(folder, bundle, clock, monkeypatch):
    models = Models(folder, clock)
    monkeypatch.setattr("fedhealth.serving.models.load_signed", lambda _: pytest.fail("loaded again"))
    for _ in range(3):
        clock.tick()
        assert version(models) == bundle.version


def test_before_any_bundle_the_health_risk_study_is_described(tmp_path, study: Study):
    document = TestClient(create_app(tmp_path)).get("/openapi.json").json()
    assert list(document["components"]["schemas"]["Features"]["properties"]) == list(study.names)


def test_models_folder_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("FEDHEALTH_MODELS", "elsewhere")
    assert models_folder() == Path("elsewhere")
    monkeypatch.setenv("FEDHEALTH_MODELS", "")
    assert models_folder() == Path("models")
    monkeypatch.delenv("FEDHEALTH_MODELS")
    assert models_folder() == Path("models")


def test_what_is_refused_is_said_in_valid_json(tmp_path):
    answer = TestClient(create_app(tmp_path)).get("/ready")
    assert isinstance(json.loads(answer.content)["detail"], str)
