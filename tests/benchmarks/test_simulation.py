"""The benchmark of simulated rounds, small and without Flower."""

import json
import sys

import pytest
from benchmarks import simulation


@pytest.mark.slow
def test_it_measures_all_three_and_writes_what_it_prints(monkeypatch, capsys, tmp_path):
    out = tmp_path / "simulation.json"
    arguments = ("--clients", "3", "20", "--rows", "40", "--repeats", "1", "--without-flower", "--json", str(out))
    monkeypatch.setattr(sys, "argv", ["simulation.py", *arguments])
    simulation.main()
    found = json.loads(out.read_text())
    assert [result["clients"] for result in found["results"]] == [3, 20]
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["torch"] in capsys.readouterr().out
    for result in found["results"]:
        best = result["best"]
        assert set(best) == {"loop", "vectorised", "bare"}
        assert result["ratios"]["loop"] == pytest.approx(best["loop"] / best["vectorised"])
        assert result["ratios"]["bare"] == pytest.approx(best["vectorised"] / best["bare"])
