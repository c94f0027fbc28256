"""The audit of leakage as its operator runs it."""

import json

import numpy as np
import pytest
from tests.mirrors import without_mlflow
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world
from fedhealth.registry import load_bundle


@pytest.mark.slow
@pytest.mark.parametrize(("options", "promise"), [((), "none"), (("--epsilon", "3"), "epsilon 3 at delta 1e-05")])
@without_mlflow()
def test_an_audit_attacks_a_released_model_and_says_what_it_found(tmp_path, options, promise):
    data, runs, out = tmp_path / "data", tmp_path / "runs", tmp_path / "audit.json"
    write_world(data, rows=1500, seed=7)
    run = CliRunner().invoke
    trained = run(app, ["train", "--model", "logistic", "--data", str(data), "--runs", str(runs), *options])
    assert trained.exit_code == 0, trained.output
    bundle = next(runs.glob("health-risk-*"))
    few = ("--shadows", "8", "--canary-runs", "50")
    told = run(app, ["audit", "privacy", str(bundle), "--data", str(data), "--report", str(out), "--card", *few])
    assert told.exit_code == 0, told.output
    assert "4,500 synthetic rows" in told.output
    assert f"promise: {promise}" in told.output
    found = json.loads(out.read_text())
    assert found["membership"]["targets"] == 4500
    assert 0.3 < found["membership"]["auc"] < 0.8
    assert found["rebuilt_by_differencing"] == (0.0 if options else 1.0)
    assert (found["canaries"] is None) == (not options)
    assert "with these figures in its card" in told.output
    audited = max(runs.glob("health-risk-*"), key=lambda folder: folder.stat().st_mtime)
    assert audited != bundle
    again = load_bundle(audited)
    assert again.facts["leakage"]["membership"]["targets"] == 4500
    np.testing.assert_array_equal(again.model.coefficients, load_bundle(bundle).model.coefficients)
    written = (audited / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Membership (LiRA, 8 shadow models, 4,500 targets): AUC 0." in written
    assert json.loads((audited / "report.json").read_text())["bundle"]["version"] == again.version
    if options:
        assert found["canaries"]["epsilon_low"] <= 3
