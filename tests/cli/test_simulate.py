import json

import pytest
from typer.testing import CliRunner

from fedhealth.cli import app


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["simulate", *(str(a) for a in arguments)])


def report(path, *arguments):
    result = invoke(*arguments, "--report", path)
    assert result.exit_code == 0, result.output
    return result.output, json.loads(path.read_text())


def without_clock(found):
    return {k: v for k, v in found.items() if k not in ("seconds", "client_rounds_per_second", "peak_memory_bytes")}


def test_a_simulation_learns_and_says_how_fast(tmp_path):
    output, found = report(tmp_path / "deep" / "report.json", "--nodes", 40, "--rows", 100, "--rounds", 3)
    lines = [dict(p.split("=") for p in line.split()) for line in output.splitlines() if line.startswith("round=")]
    assert [int(line["round"]) for line in lines] == [0, 1, 2, 3]
    assert float(lines[-1]["train_loss"]) < float(lines[0]["train_loss"])
    assert float(lines[-1]["client_rounds_per_second"]) > 0
    assert "AUROC on 800 held-out rows" in output
    assert found["synthetic"] is True
    assert (found["nodes"], found["rows_per_node"], found["held_out"]["n"]) == (40, 100, 800)
    assert found["held_out"]["auroc"] > 0.6
    assert found["peak_memory_bytes"] > 1e7


@pytest.mark.parametrize("model", ["mlp", "logistic"])
def test_the_same_command_gives_the_same_model(model, tmp_path):
    arguments = ("--nodes", 12, "--rows", 50, "--rounds", 1, "--model", model, "--seed", 5)
    first, second = (report(tmp_path / name, *arguments)[1] for name in ("a.json", "b.json"))
    assert without_clock(first) == without_clock(second)


def test_without_two_labels_it_says_so(tmp_path):
    result = invoke("--nodes", 1, "--rows", 10, "--model", "logistic")
    assert result.exit_code == 1
    assert "expected both 0 and 1" in result.output
    assert "Traceback" not in result.output
