import datetime as dt
import hashlib
import json

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from fedhealth.cli.data import data_app
from fedhealth.data.aqi import overall_aqi
from fedhealth.data.synthetic import best_reachable, draw, true_risk, write_world
from fedhealth.data.synthetic.cities import CITIES
from fedhealth.data.synthetic.files import world_hash
from fedhealth.data.synthetic.randomness import autoregression, generator
from fedhealth.data.synthetic.risk import log_odds_terms
from fedhealth.data.synthetic.weather import simulate_weather
from fedhealth.data.synthetic.world import ROWS_PER_CHUNK
from fedhealth.study import load_study

STUDY = load_study("health-risk")
NODES = [node.name for node in STUDY.nodes]


@pytest.fixture(scope="module")
def rows() -> dict[str, pl.DataFrame]:
    return {node: draw(node, 30_000, seed=7) for node in NODES}


def test_rows_hold_every_feature_and_both_risks(rows):
    for frame in rows.values():
        heading = ["user_id", "date", "city", "city_id"]
        assert frame.columns == [*heading, *STUDY.names, "true_risk", "health_risk"]
        assert frame.height == 30_000
        assert frame.null_count().sum_horizontal().item() == 0


def test_every_value_lies_in_the_range_of_the_study(rows):
    for frame in rows.values():
        outside = [f.name for f in STUDY.features if not frame[f.name].is_between(f.low, f.high).all()]
        assert outside == []
        flags = [f.name for f in STUDY.features if f.kind == "flag"]
        assert all(set(frame[name].unique()) == {0, 1} for name in flags)


def test_prevalence_is_about_12_percent_at_every_node(rows):
    for frame in rows.values():
        assert 0.11 <= frame["health_risk"].mean() <= 0.13
        assert 0.11 <= frame["true_risk"].mean() <= 0.13


def test_labels_are_drawn_from_the_risk(rows):
    risk = np.concatenate([frame["true_risk"] for frame in rows.values()])
    label = np.concatenate([frame["health_risk"] for frame in rows.values()])
    assert np.mean((label - risk) ** 2) == pytest.approx(np.mean(risk * (1 - risk)), rel=0.03)
    assert 0 < label[risk < 0.05].mean() < 0.05
    assert 0.5 < label[risk > 0.5].mean() < 1


def test_risk_follows_from_the_columns_alone(rows):
    frame = rows["node_1"]
    columns = {name: frame[name].to_numpy().astype(np.float64) for name in STUDY.names}
    np.testing.assert_array_equal(true_risk(columns), frame["true_risk"].to_numpy())
    log_odds = sum(log_odds_terms(columns).values())
    np.testing.assert_allclose(np.log(1 / frame["true_risk"] - 1), -log_odds, atol=1e-9)


def test_same_seed_same_rows_and_more_rows_begin_the_same():
    few, many = draw("node_3", 500, seed=3), draw("node_3", ROWS_PER_CHUNK + 500, seed=3)
    assert few.equals(draw("node_3", 500, seed=3))
    assert few.equals(many.head(500))
    assert not few.equals(draw("node_3", 500, seed=4))
    assert not many.head(500).drop("user_id").equals(many.tail(500).drop("user_id"))


def test_nodes_hold_disjoint_people(rows):
    people = [set(frame["user_id"]) for frame in rows.values()]
    assert len(set.union(*people)) == sum(map(len, people)) == 3_000 + 30_000 + 3_000
    ages = [frame["age"].head(100).to_list() for frame in rows.values()]
    assert ages[0] != ages[2]


def test_nodes_live_in_one_weather(rows):
    days = [frame.group_by("city", "date").agg(pl.col("pm25").unique()) for frame in rows.values()]
    both = days[0].join(days[1], on=["city", "date"])
    assert both.height > 1000
    assert both["pm25"].equals(both["pm25_right"], check_names=False)


def test_people_stay_who_they_are_and_are_seen_on_days_in_a_row(rows):
    frame = rows["node_1"]
    fixed = frame.group_by("user_id").agg(pl.col("city", "age", "sex", "smoker", "chronic").n_unique())
    assert fixed.drop("user_id").max().row(0) == (1, 1, 1, 1, 1)
    gap = frame.select(pl.col("date").diff().over("user_id").drop_nulls().dt.total_days()).to_series()
    assert set(gap.unique()) == {1, 2, 3}
    assert (gap == 1).mean() > 0.8
    assert frame["date"].is_between(dt.date(2024, 1, 1), dt.date(2025, 12, 31)).all()


@pytest.mark.parametrize("signal", ["heart_rate", "spo2", "steps", "sleep_hours"])
def test_signals_resemble_the_day_before_within_a_person(rows, signal):
    deviation = pl.col(signal) - pl.col(signal).mean().over("user_id")
    pairs = rows["node_1"].select(today=deviation, before=deviation.shift(1).over("user_id")).drop_nulls()
    assert np.corrcoef(pairs["today"], pairs["before"])[0, 1] > 0.2


@pytest.mark.parametrize("quantity", ["temperature", "humidity", "wind_speed", "pm25", "pm10", "no2", "o3"])
def test_weather_resembles_the_day_before_and_the_neighbour(quantity):
    # Two worlds share their seasons, so their difference is pure deviation.
    deviation = np.log(simulate_weather(1)[quantity] + 20) - np.log(simulate_weather(2)[quantity] + 20)
    assert np.corrcoef(deviation[1:].ravel(), deviation[:-1].ravel())[0, 1] > 0.4
    position = {city.name: i for i, city in enumerate(CITIES)}
    between = np.corrcoef(deviation.T)
    assert between[position["Lahore"], position["Faisalabad"]] > 0.35
    assert abs(between[position["Lahore"], position["Karachi"]]) < 0.3


def test_seasons_are_those_of_pakistan():
    weather = simulate_weather(7)
    position = {city.name: i for i, city in enumerate(CITIES)}
    lahore, quetta = weather["pm25"][:, position["Lahore"]], weather["pm25"][:, position["Quetta"]]
    assert 80 < lahore.mean() < 120
    assert quetta.mean() < lahore.mean() / 2
    june, december = slice(152, 182), slice(335, 366)
    assert (weather["temperature"][june].mean(axis=0) > weather["temperature"][december].mean(axis=0) + 8).all()
    assert (weather["o3"][june].mean(axis=0) > weather["o3"][december].mean(axis=0)).all()
    assert lahore[december].mean() > 2 * lahore[june].mean()


def test_there_are_nine_cities():
    assert len({city.city_id for city in CITIES}) == 9


def test_aqi_is_what_a_station_would_publish(rows):
    frame = rows["node_2"]
    expected = overall_aqi(
        {
            "pm25_24h": frame["pm25"].to_numpy(),
            "pm10_24h": frame["pm10"].to_numpy(),
            "no2_1h_ppb": frame["no2"].to_numpy(),
            "o3_8h_ppm": frame["o3"].to_numpy() / 1000,
        }
    )
    np.testing.assert_array_equal(frame["aqi"].to_numpy(), expected)


def test_signals_go_with_age_illness_and_air(rows):
    frame = rows["node_3"]
    ill, well = frame.filter(pl.col("chronic") == 1), frame.filter(pl.col("chronic") == 0)
    assert ill["spo2"].mean() < well["spo2"].mean() - 0.5
    assert ill["heart_rate"].mean() > well["heart_rate"].mean() + 2
    assert ill["steps"].mean() < well["steps"].mean()
    assert ill["breathless_flag"].mean() > 2 * well["breathless_flag"].mean()
    smog = frame.filter(pl.col("pm25") > 150)
    clean = frame.filter(pl.col("pm25") < 40)
    assert smog["cough_flag"].mean() > clean["cough_flag"].mean()
    assert smog["spo2"].mean() < clean["spo2"].mean()


def example(**changed: float) -> float:
    usual = {"sex": 0.5, "pm25": 14, "pm10": 60, "no2": 20, "o3": 40, "temperature": 25, "humidity": 50}
    usual |= {"wind_speed": 3, "cough_flag": 0, "breathless_flag": 0}
    given = {f.name: f.example for f in STUDY.features if f.example is not None}
    columns = {**usual, **given, **changed}
    return float(true_risk({name: np.array([columns[name]], dtype=np.float64) for name in STUDY.names})[0])


def test_example_risks():
    assert 0.02 < example() < 0.08
    assert example(spo2=84, chronic=1, smoker=1, age=78, aqi=320, pm25=235) > 0.9


def test_interactions_and_curves():
    def odds(**changed):
        return example(**changed) / (1 - example(**changed))

    smog = {"pm25": 300}
    assert odds(chronic=1, **smog) / odds(chronic=1) > 1.5 * odds(**smog) / odds()
    assert odds(sleep_hours=4) > odds(sleep_hours=7.3) < odds(sleep_hours=10.6)
    assert odds(spo2=92) / odds(spo2=94) > 1.5 > odds(spo2=97) / odds(spo2=99)
    assert odds(pm25=100) / odds(pm25=50) > odds(pm25=300) / odds(pm25=250)


def test_autoregression_by_hand():
    series = autoregression(generator(1, "x"), 0.9, (2, 200_000))
    np.testing.assert_allclose(np.cov(series), [[1, 0.9], [0.9, 1]], atol=0.02)
    assert generator(1, "x").random() == generator(1, "x").random() != generator(1, "y").random()


def test_files_hold_the_columns_of_the_study_and_the_drawn_rows(tmp_path, rows):
    write_world(tmp_path, rows=1_000, seed=7)
    anchors = {"node_1": {"sex"}, "node_2": {"age", "sex"}, "node_3": {"sex"}}
    for node in STUDY.nodes:
        table = pl.read_csv(tmp_path / node.file, try_parse_dates=True)
        who = "user_id" if node.person else "city_id"
        assert set(table.columns) == {who, "date", "city", "health_risk", *node.features} | anchors[node.name]
        assert table.equals(rows[node.name].head(1_000).select(table.columns))


def test_same_seed_same_bytes_and_the_summary_tells_the_truth(tmp_path):
    done = []
    world = write_world(tmp_path / "a", rows=ROWS_PER_CHUNK + 1, seed=5, progress=done.append)
    write_world(tmp_path / "b", rows=ROWS_PER_CHUNK + 1, seed=5)
    assert sum(done) == 3 * (ROWS_PER_CHUNK + 1)
    files = sorted(p.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == sorted([*world["sha256"], "world.json"])
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert json.loads((tmp_path / "a" / "world.json").read_text()) == world
    assert (world["synthetic"], world["seed"], world["rows"]) == (True, 5, ROWS_PER_CHUNK + 1)
    for name, digest in world["sha256"].items():
        assert hashlib.sha256((tmp_path / "a" / name).read_bytes()).hexdigest() == digest


def test_an_interrupted_write_changes_nothing(tmp_path):
    write_world(tmp_path, rows=10, seed=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_world(tmp_path, rows=10, seed=2, progress=interrupt)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="rows: got 0; expected at least 1"):
        draw("node_1", 0, seed=1)


def test_best_reachable_was_measured_in_this_world():
    assert best_reachable()["world"] == world_hash(), "the world changed: run benchmarks/best_reachable.py"


def test_best_reachable_has_the_promised_signal():
    best = best_reachable()["subsets"]
    auroc = {name: scores["auroc"] for name, scores in best.items()}
    missing = {f"without_{modality}" for modality in STUDY.modalities}
    assert set(best) == {"all", "citizen", *NODES, *missing}
    assert max(auroc.values()) == auroc["all"]
    assert 0.80 <= auroc["all"] <= 0.84
    assert auroc["citizen"] >= 0.78
    assert 0.69 <= auroc["node_2"] <= 0.73
    assert all(scores["brier"] >= best["all"]["brier"] for scores in best.values())


def test_best_reachable_agrees_with_fresh_draws():
    risk = np.sort(draw("node_2", 100_000, seed=99)["true_risk"].to_numpy())
    auroc = risk @ (np.cumsum(1 - risk) - (1 - risk) / 2) / (risk.sum() * (1 - risk).sum())
    assert auroc == pytest.approx(best_reachable()["subsets"]["all"]["auroc"], abs=0.01)


def run_generate(*options):
    app = typer.Typer()
    app.add_typer(data_app, name="data")
    return CliRunner().invoke(app, ["data", "generate", *options])


def test_generate_says_what_it_wrote_and_that_it_is_synthetic(tmp_path):
    result = run_generate("--out", str(tmp_path), "--rows", "50", "--seed", "2")
    assert result.exit_code == 0
    assert "Synthetic world" in result.output
    assert "best reachable AUROC" in result.output
    assert str(tmp_path / "node_2" / "env_weather.csv") in result.output
    assert pl.read_csv(tmp_path / "node_1" / "wearables.csv").height == 50


def test_generate_says_why_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run_generate("--out", str(tmp_path / "file" / "below"), "--rows", "50")
    assert result.exit_code == 1
    assert result.output.startswith("Error: cannot write to")
