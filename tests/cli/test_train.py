import json
from pathlib import Path

import pytest
from tests.mirrors import without_mlflow
from typer.testing import CliRunner

from fedhealth import __version__
from fedhealth.cli import app
from fedhealth.cli.options import AggregationName, StrategyName
from fedhealth.cli.up import _write_network
from fedhealth.data.synthetic import write_world
from fedhealth.federation.aggregation import AGGREGATIONS
from fedhealth.federation.strategies import STRATEGIES
from fedhealth.privacy import policy_of
from fedhealth.registry import load_bundle, publish
from fedhealth.study import load_study

METRICS = {
    "auroc", "auprc", "brier", "log_loss", "ece", "calibration_slope", "calibration_intercept", "accuracy", "n",
    "prevalence",
}  # fmt: skip


def invoke(*arguments: object):
    with without_mlflow():
        return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, rows=3000, seed=7)
    return folder


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    result = invoke("train", "--data", world, "--runs", runs, "--report", runs / "report.json", "--model", "logistic")
    assert result.exit_code == 0, result.output
    return result.output, json.loads((runs / "report.json").read_text()), runs


def test_the_report_holds_everything_a_reader_expects(trained):
    _, report, _ = trained
    assert {"study", "seed", "model", "rounds", "nodes", "global", "pooled_rows", "fully_observed", "best"} <= set(
        report
    )
    assert set(report["missing"]) == {"wearable", "clinic", "environment"}
    assert report["took_part"] == ["node_1", "node_2", "node_3"]
    for node in report["nodes"]:
        assert set(node["local"]) >= METRICS
        assert set(node["global"]) >= METRICS
        assert node["rows"] == 3000
    assert "aqi" in report["nodes"][0]["features"]
    assert "aqi" not in report["nodes"][1]["features"]


def test_nodes_in_one_process_have_the_installed_version_and_their_bytes_are_not_measured(trained):
    _, report, runs = trained
    unmeasured = {"version": __version__, "received": None, "sent": None}
    assert report["network"] == dict.fromkeys(report["took_part"], unmeasured)
    facts = load_bundle(next(runs.glob("health-risk-*"))).facts
    assert "network" not in facts
    assert "version" not in facts["nodes"][0]


def test_round_zero_is_the_untrained_model_and_rounds_learn(trained):
    _, report, _ = trained
    first, last = report["rounds"][0], report["rounds"][-1]
    assert first["round"] == 0
    assert first["global"]["auroc"] == pytest.approx(0.5)
    assert last["global"]["auroc"] > 0.7
    assert last["train_loss"] < first["train_loss"]
    assert [node["name"] for node in last["nodes"]] == ["node_1", "node_2", "node_3"]


def test_the_federated_model_is_the_pooled_model(trained):
    _, report, _ = trained
    assert report["pooled_rows"]["largest_coefficient_difference"] < 1e-8


def test_without_a_terminal_every_round_is_one_line_of_keys_and_values(trained):
    output, report, _ = trained
    lines = [line for line in output.splitlines() if line.startswith("round=")]
    assert len(lines) == len(report["rounds"])
    assert all(dict(pair.split("=") for pair in line.split())["nodes"] == "3" for line in lines)


@pytest.mark.slow
def test_the_same_command_gives_the_same_bundle_and_compares_it_with_the_champion(trained, world, tmp_path):
    _, report, runs = trained
    served = publish(next(runs.glob("health-risk-*")), tmp_path / "models")
    again = ["--runs", tmp_path, "--models", tmp_path / "models", "--report", tmp_path / "again.json"]
    result = invoke("train", "--data", world, "--model", "logistic", *again)
    assert result.exit_code == 0, result.output
    folder = next(tmp_path.glob("health-risk-*"))
    assert load_bundle(folder).hash == report["bundle"]["hash"]
    beside = json.loads((tmp_path / "again.json").read_text())["champion"]
    assert (beside["version"], beside["hash"]) == (served.version, served.hash)
    assert beside["all"]["difference"]["auroc"] == pytest.approx(0, abs=1e-6)
    assert [node["name"] for node in beside["nodes"]] == report["took_part"]
    assert beside["all"]["champion"]["n"] == report["global"]["n"]
    cities = [group for group in beside["subgroups"] if group["name"].startswith("city = ")]
    assert len(cities) == 9
    told = {group["name"]: group["global"] for group in report["subgroups"]}
    assert {group["name"]: group["model"] for group in beside["subgroups"]} == told


def test_the_report_and_the_bundle_tell_each_nodes_policy_and_epsilon(trained, world):
    _, report, runs = trained
    expected = [(name, policy_of(load_study("health-risk"), name, world).hash, None) for name in report["took_part"]]
    for nodes in (report["nodes"], load_bundle(next(runs.glob("health-risk-*"))).facts["nodes"]):
        assert [(node["name"], node["policy"], node["epsilon"]) for node in nodes] == expected


def test_every_contribution_left_an_audit_line(trained):
    _, _, runs = trained
    lines = [json.loads(line) for line in (runs / "audit" / "node_1.jsonl").read_text().splitlines()]
    steps = {line["step"] for line in lines}
    assert {"inventory", "moments", "counts", "columns", "newton", "calibrate", "evaluate", "local_baseline"} <= steps
    assert all(line["node"] == "node_1" and line["rows"] >= 100 for line in lines if line["rows"])


@pytest.mark.slow
def test_the_run_is_mirrored_in_mlflow(world, tmp_path):
    import mlflow

    runs = tmp_path / "runs"
    told = ["--data", world, "--runs", runs, "--report", runs / "report.json", "--model", "logistic"]
    assert CliRunner().invoke(app, ["train", *map(str, told)]).exit_code == 0
    report = json.loads((runs / "report.json").read_text())
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("health-risk")
    (run,) = client.search_runs([experiment.experiment_id])
    losses = client.get_metric_history(run.info.run_id, "node_1.loss")
    assert [m.value for m in losses] == [
        n["loss"] for r in report["rounds"] for n in r["nodes"] if n["name"] == "node_1"
    ]
    assert run.data.metrics["global.node_2.auroc"] == report["nodes"][1]["global"]["auroc"]
    assert "bundle.json" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--study", "heart"), "no such study"),
        (("--data", "nowhere"), "python data/generate_synthetic_data.py"),
        (("--outcome", "gout"), "it has health_risk"),
        (("--strategy", "scaffold", "--norm-bound", "1"), "--strategy, --norm-bound needs --model mlp"),
    ],
)
def test_what_cannot_be_trained_says_why_in_one_line(arguments, message, tmp_path):
    result = invoke("train", "--runs", tmp_path, *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_networks_strategy_is_chosen_and_reported(tmp_path):
    write_world(tmp_path, rows=600, seed=1)
    settings = ("--model", "mlp", "--strategy", "fedprox", "--aggregation", "trimmed-mean", "--norm-bound", "5")
    folders = ("--data", tmp_path, "--runs", tmp_path / "runs", "--models", tmp_path / "models")
    result = invoke("train", *settings, *folders)
    assert result.exit_code == 1
    assert "only a study of the research policy goes without" in result.output  # of secure aggregation
    open_study = tmp_path / "open.toml"
    builtin = Path("src/fedhealth/study/builtin/health-risk.toml").read_text(encoding="utf-8")
    open_study.write_text('policy = "research"\n' + builtin, encoding="utf-8")
    result = invoke("train", "--study", open_study, *settings, *folders, "--report", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["strategy"] == {"name": "fedprox", "aggregation": "trimmed-mean", "norm_bound": 5.0}


def test_every_strategy_and_aggregation_can_be_chosen():
    assert {name.value for name in StrategyName} == set(STRATEGIES)
    assert {name.value for name in AggregationName} == set(AGGREGATIONS)


def test_too_few_rows_are_refused_by_the_nodes_policy(tmp_path):
    write_world(tmp_path, rows=60, seed=1)
    result = invoke("train", "--data", tmp_path, "--runs", tmp_path / "runs")
    assert result.exit_code == 1
    assert "node_1 refused" in result.output
    assert "at least 100" in result.output


@pytest.mark.slow
def test_interactions_are_named_in_the_report(tmp_path):
    write_world(tmp_path, rows=1000, seed=7)
    folders = ("--data", tmp_path, "--runs", tmp_path / "runs", "--report", tmp_path / "r.json")
    told = invoke("train", *folders, "--interactions", "--model", "logistic")
    assert told.exit_code == 0, told.output
    pairs = json.loads((tmp_path / "r.json").read_text())["interactions"]
    assert all(len(pair) == 2 for pair in pairs)


def test_a_network_has_no_interactions_to_choose(world, tmp_path):
    told = invoke("train", "--data", world, "--runs", tmp_path, "--model", "mlp", "--interactions")
    assert told.exit_code == 1
    assert "--interactions needs --model additive or logistic" in told.output


@pytest.mark.slow
def test_under_differential_privacy_the_run_says_what_it_promises_and_the_nodes_limit_holds(tmp_path):
    data, runs = tmp_path / "data", tmp_path / "runs"
    write_world(data, rows=1000, seed=7)
    for node in ("node_1", "node_2", "node_3"):
        (data / f"{node}.policy.toml").write_text("epsilon = 4\n")
    options = ("--data", data, "--runs", runs, "--model", "logistic")
    result = invoke("train", *options, "--epsilon", 3, "--report", runs / "report.json")
    assert result.exit_code == 0, result.output
    assert "Differential privacy: epsilon 3 at delta 1e-05 for one row of a node's table" in result.output
    report = json.loads((runs / "report.json").read_text())
    told = report["privacy"]
    assert sum(step["times"] * step["mu"] ** 2 for step in told["steps"]) == pytest.approx(told["mu"] ** 2)
    assert report["pooled_rows"] is None
    assert all(node["local"]["auroc"] is None for node in report["nodes"])
    card = (Path(report["bundle"]["folder"]) / "MODEL_CARD.md").read_text()
    assert "Differential privacy: epsilon 3 at delta 1e-05" in card
    assert "epsilon 3 at delta 1e-05 spent" in invoke("node", "ledger", "node_2", "--data", data).output
    refused = invoke("train", *options, "--epsilon", 3)
    assert refused.exit_code == 1
    assert "node_1 refused step 'private_" in refused.output
    without = invoke("train", *options)
    assert without.exit_code == 1
    assert "it has no noise, and its owner's limit is epsilon 4" in without.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--interactions",), "--epsilon goes without --interactions"),
        (("--delta", "2"), "expected --epsilon above 0 and --delta between 0 and 1; got 1 and 2"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(options, said):
    result = invoke("train", "--epsilon", "1", *options)
    assert result.exit_code == 1
    assert said in result.output


@pytest.mark.slow
def test_where_nodes_allow_no_network_up_goes_on_without_one(tmp_path, capsys):
    pytest.importorskip("torch")
    write_world(tmp_path, rows=600, seed=1)
    (tmp_path / "world.json").unlink()  # real rows, for all that anybody knows
    _write_network(tmp_path, tmp_path / "models", tmp_path / "runs")
    assert "Neural net: none; node_1 refused step 'average'" in capsys.readouterr().out
    assert not (tmp_path / "models").exists()
