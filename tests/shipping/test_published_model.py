"""The model in ``models/`` is there, is what its hash says, and answers the README's example."""

import json
import re
from pathlib import Path

from starlette.testclient import TestClient

from fedhealth.registry import load_bundle
from fedhealth.serving import create_app

ROOT = Path(__file__).parents[2]


def test_it_is_verified_and_says_that_it_is_synthetic() -> None:
    bundle = load_bundle(ROOT / "models")
    assert re.fullmatch("[0-9a-f]{64}", bundle.hash)
    assert bundle.facts["synthetic"] is True
    assert "Synthetic data" in (ROOT / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_it_answers_the_example_of_the_readme() -> None:
    body = re.search(r"/predict.*?-d '(\{.*?\})'", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert body is not None
    answer = TestClient(create_app(ROOT / "models")).post("/predict", json=json.loads(body[1]))
    assert answer.status_code == 200, answer.text
    low, high = answer.json()["risk_interval"]
    assert 0 < low < answer.json()["risk_score"] < high < 1
    assert answer.json()["model_version"] == load_bundle(ROOT / "models").version
