"""The audit of leakage as its operator runs it."""

import json

import pytest
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world


@pytest.mark.parametrize(("options", "promise"), [((), "none"), (("--epsilon", "3"), "epsilon 3 at delta 1e-05")])
def test_an_audit_attacks_a_released_model_and_says_what_it_found(tmp_path, options, promise):
    data, runs, out = tmp_path / "data", tmp_path / "runs", tmp_path / "audit.json"
    write_world(data, rows=1500, seed=7)
    run = CliRunner().invoke
    trained = run(app, ["train", "--model", "logistic", "--data", str(data), "--runs", str(runs), *options])
    assert trained.exit_code == 0, trained.output
    bundle = next(runs.glob("health-risk-*"))
    few = ("--shadows", "8", "--canary-runs", "50")
    told = run(app, ["audit", "privacy", str(bundle), "--data", str(data), "--report", str(out), *few])
    assert told.exit_code == 0, told.output
    assert "4,500 synthetic rows" in told.output
    assert f"promise: {promise}" in told.output
    found = json.loads(out.read_text())
    assert found["membership"]["targets"] == 4500
    assert 0.3 < found["membership"]["auc"] < 0.8
    assert found["rebuilt_by_differencing"] == (0.0 if options else 1.0)
    assert (found["canaries"] is None) == (not options)
    if options:
        assert found["canaries"]["epsilon_low"] <= 3
