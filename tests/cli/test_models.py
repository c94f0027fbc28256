"""The commands that change which model is served, and those that look at it."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.mirrors import without_mlflow
from tests.registry.trained import SHARDS, Registry, flipped
from typer.testing import CliRunner

from fedhealth.cli import app, monitor, promote, run_folders, train
from fedhealth.data.shard import HELD_OUT
from fedhealth.data.synthetic import write_world
from fedhealth.keys import issue_key
from fedhealth.privacy import Budget
from fedhealth.registry import challenger, history, load_bundle, load_signed, publish, rollback
from fedhealth.serving import create_app

ROOT = Path(__file__).parents[2]


def invoke(*arguments: object, models: Path):
    options = ["--models", str(models)]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", *(str(a) for a in arguments), *options])


@pytest.fixture(scope="module", autouse=True)
def unmirrored():
    with without_mlflow():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of runs, and in it: a first model, one on other rows beside it, and one made worse on purpose."""
    registry = Registry(tmp_path_factory.mktemp("trained"))
    first, _ = registry.train(SHARDS, model="logistic")
    folders = [registry.last]
    worse = [flipped(s, 0.3, 1, s.fold != HELD_OUT) for s in SHARDS]
    for shards in ([*SHARDS[:3], flipped(SHARDS[3], 0.01, 3)], worse):
        registry.train(shards, first, "logistic")
        folders.append(registry.last)
    return registry.folder / "runs", folders


@pytest.fixture
def published(runs, tmp_path):
    """A models folder to which the first and then the second model was promoted, their versions, and the runs."""
    folder, (first, second, _) = runs
    models = tmp_path / "models"
    for one in (first, second):
        result = invoke("promote", one, "--runs", folder, "--reason", "better", "-y", models=models)
        assert result.exit_code == 0, result.output
    return models, [load_bundle(one).version for one in (first, second)], folder


def test_list_shows_the_standing_of_every_version(published, runs):
    models, versions, folder = published
    lines = invoke("list", "--runs", folder, models=models).output.splitlines()
    standing = {line.split()[0]: line.split()[1] for line in lines if line.strip()}
    assert [standing[v] for v in (*versions, load_bundle(runs[1][2]).version)] == ["former", "champion", "trained"]


def test_promote_prints_the_gates_and_serves(published):
    models, versions, _ = published
    assert load_signed(models).version == versions[1]
    (first, second) = (entry["gates"] for entry in history(models))
    found = {line["gate"]: line for line in second}
    assert found["discrimination"]["passed"] is True
    assert found["discrimination"]["found"].startswith("AUROC ")
    assert {line["gate"] for line in first if line["passed"] is None} == {
        *("schema", "discrimination", "calibration", "budget")
    }


def test_the_champion_is_not_promoted_again(published, runs):
    models, versions, folder = published
    for name in ("champion", versions[1], runs[1][1]):
        result = invoke("promote", name, "--runs", folder, "--reason", "again", "-y", models=models)
        assert f"Serving {versions[1]} already" in result.output
    assert len(history(models)) == 2


def test_promote_refuses_with_the_failing_lines_and_the_history_says_so(published, runs):
    models, versions, folder = published
    result = invoke("promote", runs[1][2], "--runs", folder, "--reason", "new", "-y", models=models)
    assert result.exit_code == 1
    refusal = ("Refused: calibration: slope: found ", "; needed at most 0.1 further")
    for line in ("gate", "calibration: slope", "NO", *refusal):
        assert line in result.output
    assert load_signed(models).version == versions[1]
    last = history(models)[-1]
    assert (last["action"], last["reason"]) == ("refuse", "new")
    assert "against: calibration" in invoke("history", models=models).output


def test_an_override_serves_it_and_is_recorded(published, runs):
    models, _, folder = published
    worse = runs[1][2]
    result = invoke("promote", worse, "--runs", folder, "--reason", "new", "--override", "a drill", "-y", models=models)
    assert result.exit_code == 0, result.output
    assert "Overridden: calibration: slope: found " in result.output
    assert load_signed(models).hash == load_bundle(worse).hash
    assert history(models)[-1]["override"] == "a drill"
    shown = invoke("show", "champion", "--runs", folder, "--lineage", models=models).output
    assert "Override  a drill" in shown


def test_an_editors_file_in_models_does_not_switch_the_gates_off(published, runs):
    models, versions, folder = published
    (models / ".gates.toml.swp").write_text("")
    for command in (["promote", runs[1][2], "--runs", folder], ["rollback"]):
        result = invoke(*command, "--reason", "new", "-y", models=models)
        assert result.exit_code == 1
        assert ".gates.toml.swp: no part of the signed bundle; remove it" in result.output
    assert load_bundle(models).version == versions[1]
    assert len(history(models)) == 2


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda run, models, worse: shutil.copytree(worse, run, dirs_exist_ok=True), "changed since it was judged"),
        (lambda run, models, worse: publish(worse, models), "somebody else was quicker"),
    ],
)
def test_what_changes_while_the_question_waits_is_not_served(runs, tmp_path, monkeypatch, meanwhile, said):
    first, second, worse = runs[1]
    models, run = tmp_path / "models", shutil.copytree(second, tmp_path / "runs" / "next")
    publish(first, models)
    monkeypatch.setattr(promote, "confirm", lambda question, yes: meanwhile(run, models, worse))
    result = invoke("promote", run, "--runs", tmp_path / "runs", "--reason", "better", models=models)
    assert result.exit_code == 1
    assert said in result.output
    assert {entry["action"] for entry in history(models)} == {"publish"}


def test_limits_from_a_file_decide(published, tmp_path):
    models, versions, folder = published
    (tmp_path / "strict.toml").write_text("[champion]\nauroc = 0\nlog_loss = 0\nslope = 0\nbias = 0\n")
    again = ["promote", versions[0], "--runs", folder, "--reason", "back", "-y"]
    assert invoke(*again, "--gates", tmp_path / "strict.toml", models=models).exit_code == 1
    (models / "gates.toml").write_text("[champion]\nAUROC = 1\n")
    result = invoke(*again, models=models)
    assert result.exit_code == 1
    assert "unknown key; expected auroc" in result.output


def test_without_a_report_nothing_is_promoted(runs, tmp_path):
    first = runs[1][0]
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("bundle.json", "model.safetensors", "MODEL_CARD.md"):
        (bare / name).write_bytes((first / name).read_bytes())
    result = invoke("promote", bare, "--runs", tmp_path, "--reason", "x", "-y", models=tmp_path / "models")
    assert result.exit_code == 1
    assert "report.json: gates need the report of the run" in result.output


def test_rollback_goes_back_and_then_there_is_no_predecessor(published):
    models, versions, _ = published
    result = invoke("rollback", "--reason", "drift", "-y", models=models)
    assert result.exit_code == 0, result.output
    assert f"Serving {versions[0]}, rolled back in " in result.output
    assert float(result.output.split()[-2]) < 1.0  # seconds
    assert load_signed(models).version == versions[0]
    result = invoke("rollback", "--reason", "drift", "-y", models=models)
    assert result.exit_code == 1
    assert "no predecessor" in result.output


def test_every_change_is_in_the_history_with_its_reason(published):
    models, versions, _ = published
    invoke("rollback", "--reason", "drift [no markup]", "-y", models=models)
    lines = [json.loads(line) for line in (models / "history.jsonl").read_text().splitlines()]
    assert [(h["action"], h["reason"]) for h in lines] == [("promote", "better")] * 2 + [
        ("rollback", "drift [no markup]")
    ]
    assert lines[-1]["before"] == versions[1]
    shown = invoke("history", models=models).output
    assert "drift [no markup]" in shown
    assert "3 changes, unbroken, each signed by a trusted key" in shown


def test_a_history_that_was_changed_is_refused(published):
    models, _, _ = published
    path = models / "history.jsonl"
    path.write_text(path.read_text().replace("better", "worse!", 1))
    result = invoke("history", models=models)
    assert result.exit_code == 1
    assert "line 1: its signature does not fit" in result.output


def test_without_a_yes_nothing_changes(published):
    models, versions, folder = published
    command = ["models", "promote", versions[0], "--runs", str(folder), "--models", str(models), "--reason", "x"]
    result = CliRunner().invoke(app, command, input="n\n")
    assert result.exit_code == 1
    assert load_bundle(models).version == versions[1]


def test_an_unknown_version_lists_the_known_ones(published):
    models, versions, folder = published
    result = invoke("promote", "zzz", "--runs", folder, "--reason", "x", "-y", models=models)
    assert result.exit_code == 1
    assert versions[0] in result.output


def test_a_challenger_can_be_named_and_promoted_by_its_alias(published, runs):
    models, versions, folder = published
    invoke("rollback", "--reason", "drift", "-y", models=models)
    options = ["--runs", folder, "--reason", "next", "-y"]
    result = invoke("promote", runs[1][1], "--to", "challenger", *options, models=models)
    assert f"Version {versions[1]} is the challenger" in result.output
    assert load_signed(models).version == versions[0]
    assert f"Version {versions[1]} (challenger)" in invoke("show", "challenger", "--runs", folder, models=models).output
    result = invoke("promote", "challenger", *options, models=models)
    assert result.exit_code == 0, result.output
    assert load_signed(models).version == versions[1]


def test_after_an_alarm_one_challenger_is_trained_as_the_champion_was(published, runs, monkeypatch, capsys):
    models, versions, folder = published
    trained, inputs_known = [], set()
    monkeypatch.setattr(run_folders, "remember_inputs", lambda _, inputs: inputs_known.add(inputs))
    monkeypatch.setattr(run_folders, "finished_run", lambda _, inputs: inputs in inputs_known)

    def alarm(rows, gives):
        def run_training(study, data, outcome, training):
            trained.append((training.model, training.seed, training.interactions, training.budget))
            return load_bundle(gives), {}, gives

        monkeypatch.setattr(run_folders, "inputs_hash", lambda *_: rows)
        monkeypatch.setattr(train, "run_training", run_training)
        monitor._retrain(load_signed(models), Path("data"), models, folder)
        return capsys.readouterr().out

    _, second, other = runs[1]
    version = load_bundle(other).version
    assert alarm("the same rows", second).startswith("Trained again, it is the model that is served")
    assert alarm("the same rows", second).startswith("Nothing is trained: the nodes' rows are those of the last time")
    assert alarm("newer rows", other).startswith(f"Challenger {version} in ")
    assert challenger(models) == version
    assert alarm("yet newer rows", other).startswith(f"Challenger {version} waits; nothing is trained before")
    assert load_signed(models).version == versions[1]
    rollback(models, "to one that nobody challenges yet")
    assert alarm("yet newer rows", other).startswith(f"Challenger {version} in ")
    assert trained == [("logistic", 0, False, None)] * 3


def test_what_is_trained_after_an_alarm_has_the_champions_settings(published, tmp_path):
    bundle = load_signed(published[0])
    facts = {**bundle.facts, "model": "additive", "seed": 3, "privacy": {"epsilon": 2.0, "delta": 1e-6}}
    pairs = np.array([[0.0, 1.0]])
    design = dataclasses.replace(bundle.model.design, pairs=pairs)
    asked = monitor._as_before(
        dataclasses.replace(bundle, facts=facts, model=dataclasses.replace(bundle.model, design=design)),
        tmp_path / "models",
        tmp_path / "runs",
    )
    assert (asked.model, asked.seed, asked.interactions, asked.budget) == ("additive", 3, True, Budget(2.0, 1e-6))


def test_diff_shows_two_versions_side_by_side(published):
    models, versions, folder = published
    result = invoke("diff", "champion", versions[0], "--runs", folder, models=models)
    assert result.exit_code == 0, result.output
    for said in (*versions, "auroc", "calibration_slope", "pulse, lead, smoker, pain", "made-up people differ by 0."):
        assert said in result.output


def test_lineage_goes_back_to_gates_run_nodes_policies_and_epsilon(published, runs):
    models, versions, folder = published
    result = invoke("show", "champion", "--runs", folder, "--lineage", models=models)
    assert result.exit_code == 0, result.output
    report = json.loads((runs[1][1] / "report.json").read_text())
    needed = [versions[1], "Signature made here", "Promote", "better", runs[1][1].name, "discrimination", "golden rows"]
    needed += ["none: answers without noise", *(node["name"] for node in report["nodes"])]
    needed += [node["policy"][:12] for node in report["nodes"]]
    for said in (*needed, "Every link holds"):
        assert said in result.output
    assert len({node["policy"] for node in report["nodes"]} - {None}) == 1


def damage_report(models, version):
    (models / "versions" / version / "report.json").write_text("{}")


def cut_history(models, version):
    path = models / "history.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def change_bundle(models, version):
    (models / "versions" / version / "MODEL_CARD.md").write_text("better")
    (models / "MODEL_CARD.md").write_text("better")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_report, "report.json: not the report that the history's lines were written on"),
        (cut_history, "one of them was changed from outside"),
        (change_bundle, "MODEL_CARD.md: changed since it was signed"),
    ],
)
def test_a_broken_link_of_the_lineage_is_named(published, damage, said):
    models, versions, folder = published
    damage(models, versions[1])
    result = invoke("show", versions[1], "--runs", folder, "--lineage", models=models)
    assert result.exit_code == 1
    assert said in result.output


def test_nothing_to_list_says_how_to_train(tmp_path):
    assert "fedhealth train" in invoke("list", "--runs", tmp_path, models=tmp_path).output


@pytest.mark.slow
def test_a_private_model_whose_rows_only_its_nodes_have_counted_is_shown_and_served(tmp_path, monkeypatch):
    data, runs, models = (tmp_path / name for name in ("data", "runs", "models"))
    write_world(data, rows=1500, seed=7)
    invoke = CliRunner().invoke
    folders = ["--runs", str(runs), "--models", str(models)]
    trained = invoke(app, ["train", "--model", "logistic", "--epsilon", "3", "--data", str(data), *folders])
    assert trained.exit_code == 0, trained.output
    version = load_bundle(next(runs.glob("health-risk-*"))).version
    promoted = invoke(
        app, ["models", "promote", version, "--reason", "first", "--override", "a test", "--yes", *folders]
    )
    assert promoted.exit_code == 0, promoted.output
    for command in (["show"], ["show", "--lineage"], ["diff", "champion", version], ["list"]):
        shown = invoke(app, ["models", *command, *folders], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, shown.output
    assert "that only their node has counted" in invoke(app, ["models", "show", *folders]).output
    monkeypatch.setenv("FEDHEALTH_RUNS", str(runs))
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    headers = {"X-API-Key": issue_key("viewer", "viewer", None)}
    with TestClient(create_app(models)) as api:
        for path in ("/models", f"/models/{version}", "/nodes", "/privacy"):
            assert api.get(path, headers=headers).status_code == 200, path
        assert [one["rows"] for one in api.get("/models", headers=headers).json()["versions"]] == [None]
