"""Ten promotions and rollbacks under load."""

import json
import statistics
import sys

import pytest
from benchmarks import hot_swap


@pytest.mark.full
def test_nobody_is_failed_and_no_score_is_another_versions(monkeypatch, capsys, tmp_path):
    for name in ("FEDHEALTH_SIGNING_KEY_FILE", "FEDHEALTH_TRUSTED_KEYS_FILE"):
        monkeypatch.setenv(name, "")  # set by the benchmark; put back afterwards
    out = tmp_path / "hot_swap.json"
    monkeypatch.setattr(sys, "argv", ["hot_swap.py", "--changes", "10", "--clients", "4", "--json", str(out)])
    hot_swap.main()
    found = json.loads(out.read_text())
    assert found["failed"] == found["foreign"] == []
    assert [one["action"] for one in found["changes"]] == ["promote", "rollback"] * 5
    assert statistics.median(one["seconds"] for one in found["changes"]) < 1
    assert statistics.median(one["served"] for one in found["changes"]) < 3
    assert found["requests"] > 500
    assert "failed: 0; answers whose score is not their version's: 0" in capsys.readouterr().out
