"""A city publishes its air by city and day; a hospital pulls all of it and joins it inside."""

import functools
import http.server
import threading
from collections.abc import Iterator

import polars as pl
import pytest
from tests.data.imports.conftest import NOW
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.aqi import overall_aqi
from fedhealth.data.files import DataError
from fedhealth.data.imports.context import city_days, pull_context, read_context, write_context
from fedhealth.data.imports.run import import_files
from fedhealth.data.synthetic import write_world
from fedhealth.privacy import policy_file
from fedhealth.study import load_study

STUDY = load_study("health-risk")
AIR = (
    "city,date,pm25,pm10,no2,o3,temperature,humidity,wind_speed\n"
    "Lahore,2024-03-01,35.5,60,20,30,25,40,2\nLahore,2024-03-01,35.9,60,20,30,25,40,2\nQuetta,2024-03-01,9.0,,,,10,30,3\n"
)
PLACES = {"a": "Lahore", "b": "Quetta", "c": "Multan", "d": ""}
PEOPLE = "user_id,date,steps,city\n" + "".join(
    f"{who},2024-03-01,{10 * ord(who) - 960},{city}\n" for who, city in PLACES.items()
)


@pytest.fixture
def city(tmp_path):
    """A city's node that has its table."""
    table = tmp_path / "city" / "node_2" / "env_weather.csv"
    table.parent.mkdir(parents=True)
    table.write_text(AIR)
    return tmp_path / "city"


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, list[str]]]:
    """A web server over a folder, and what it was asked."""
    asked: list[str] = []

    noted = {"log_message": lambda self, *_: asked.append(self.requestline)}
    kind = type("Handler", (http.server.SimpleHTTPRequestHandler,), noted)
    (tmp_path / "web").mkdir()
    handler = functools.partial(kind, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{opened.server_port}", asked
        opened.shutdown()
        thread.join()


def test_from_the_city_over_the_web_into_the_hospitals_table(city, server, tmp_path, write):
    address, asked = server
    told = ["--node", "node_2", "--data", str(city), "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, ["context", "publish", *told, "--out", str(tmp_path / "web" / "air.csv")])
    assert (done.exit_code, done.output.count("2 days of 2 cities")) == (0, 1), done.output
    hospital = tmp_path / "hospital"
    done = CliRunner().invoke(
        app, ["context", "pull", f"{address}/air.csv", "--node", "node_1", "--data", str(hospital)]
    )
    assert done.exit_code == 0, done.output
    assert asked == ["GET /air.csv HTTP/1.1"]  # the same whoever asks, and nothing else
    report = import_files(STUDY, "node_1", [write("people.csv", PEOPLE)], None, hospital, NOW)
    table = pl.read_csv(hospital / "node_1" / "wearables.csv").sort("steps")
    assert table["aqi"].to_list() == [101, 50, None, None]
    assert report["context"] == {"rows": 2, "unknown_cities": ["Multan"], "without_city": 1}
    page = (hospital / "node_1" / "wearables.import.html").read_text()
    assert "found for 2 of 4 rows; 1 rows have no city; it does not know Multan." in page


def test_publishing_is_on_record_without_a_value(city, tmp_path):
    told = ["--node", "node_2", "--data", str(city), "--runs", str(tmp_path / "runs")]
    CliRunner().invoke(app, ["context", "publish", *told, "--out", str(tmp_path / "air.csv")])
    done = CliRunner().invoke(app, ["node", "audit", "show", "node_2", "--runs", str(tmp_path / "runs")])
    assert "context" in done.output
    assert "35" not in (tmp_path / "runs" / "audit" / "node_2.jsonl").read_text().split('"arrays"')[1].split("hash")[0]


def test_publishing_is_on_record_where_the_owner_wants_it(city, tmp_path):
    log = tmp_path / "own" / "log.jsonl"
    policy_file(city, "node_2").write_text(f'audit = "{log}"\n')
    told = ["--node", "node_2", "--data", str(city), "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, ["context", "publish", *told, "--out", str(tmp_path / "air.csv")])
    assert done.exit_code == 0, done.output
    assert '"context"' in log.read_text()
    assert not (tmp_path / "runs" / "audit").exists()


def test_the_index_is_that_of_the_pollutants_of_the_day(city):
    days = city_days(STUDY, "node_2", city).sort("city")
    expected = overall_aqi({"pm25_24h": 35.7, "pm10_24h": 60, "no2_1h_ppb": 20, "o3_8h_ppm": 0.030})
    assert days.select("city", "pm25", "aqi").rows() == [
        ("Lahore", pytest.approx(35.7), expected),
        ("Quetta", 9.0, 50),
    ]


def test_the_synthetic_city_publishes_too(tmp_path):
    write_world(tmp_path, rows=3000, seed=3)
    days = city_days(STUDY, "node_2", tmp_path)
    assert days["city"].n_unique() == 9
    assert days["aqi"].null_count() == 0
    assert "health_risk" not in days.columns


def test_units_in_the_header_are_converted_and_what_is_written_reads_back(tmp_path):
    source = tmp_path / "air.csv"
    source.write_text("city,date,pm25@mg/m3,temperature@[degF]\nLahore,2024-03-01,0.0355,77\nLahore,2024-03-02,oops,\n")
    days = pull_context(STUDY, "node_1", tmp_path, str(source))
    assert days.select("pm25", "temperature").rows() == [(pytest.approx(35.5), pytest.approx(25)), (None, None)]
    write_context(STUDY, days, tmp_path / "node_1" / "context.csv")
    assert read_context(STUDY, tmp_path / "node_1" / "wearables.csv").equals(
        days.with_columns(pl.selectors.float().round(4))
    )


def test_own_air_goes_before_what_was_pulled(imported, write, tmp_path):
    write_context(
        STUDY,
        pl.DataFrame({"city": ["Lahore"] * 2, "date": ["2024-03-01", "2024-03-02"], "aqi": [7.0, 8.0]}),
        tmp_path / "data" / "node_1" / "context.csv",
    )
    air = write("pm25.csv", "date,pm25_ug_per_m3\n2024-03-01,9.0\n")
    people = write("p.csv", "user_id,date,steps,city\na,2024-03-01,10,Lahore\na,2024-03-02,20,Lahore\n")
    assert imported(people, air, city="Lahore")[1]["aqi"].to_list() == [50, 8]


def test_cities_that_own_air_does_not_know_are_told(imported, write, tmp_path):
    air = write("air.csv", "date,pm25_ug_per_m3\n2024-03-01,9.0\n")
    rows = "a,2024-03-01,10,lahore\nb,2024-03-01,20,Lahore\nc,2024-03-01,20,Quetta\n"
    people = write("p.csv", f"user_id,date,steps,city\n{rows}")
    assert imported(people)[0]["context"] is None
    report, table = imported(people, air, city="Lahore")
    assert report["context"] == {"rows": 1, "unknown_cities": ["Quetta", "lahore"], "without_city": 0}
    context = pl.DataFrame({"city": ["Quetta"], "date": ["2024-03-01"], "aqi": [7.0]})
    write_context(STUDY, context, tmp_path / "data" / "node_1" / "context.csv")
    report, table = imported(people, air, city="Lahore")
    assert report["context"] == {"rows": 2, "unknown_cities": ["lahore"], "without_city": 0}
    assert table["aqi"].null_count() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "air.csv: got columns none; expected city, date and NAME@UNIT"),
        ("city,pm25@ug/m3\nLahore,9\n", "got columns city, pm25@ug/m3; expected city, date"),
        ("city,date,pm25@ug/m3\n", "no rows; expected a row per city and day"),
        ("city,date,pm25\nLahore,2024-01-01,9\n", "column 'pm25': unit '' does not become 'ug/m3'"),
        ("city,date,pm25@kg\nLahore,2024-01-01,9\n", "column 'pm25@kg': unit 'kg' does not become"),
        ("city,date,steps@{steps}/d\nLahore,2024-01-01,9\n", "'steps@.*' is no environment feature of study"),
        ("city,date,pm25@ug/m3\nLahore,01.01.2024,9\n", "a row for city 'Lahore' has no date; expected YYYY-MM-DD"),
        ("city,date,pm25@ug/m3\nLahore,2024-01-01,9\nLahore,2024-01-01,8\n", "Lahore, 2024-01-01 occurs twice"),
        ("city,date,pm25@ug/m3\nLahore,2024-01-01\n", "air.csv: line 2: got 2 cells; expected 3"),
    ],
)
def test_a_refused_table_leaves_the_one_before_in_place(tmp_path, text, message):
    good, bad = tmp_path / "good.csv", tmp_path / "air.csv"
    good.write_text("city,date,pm25@ug/m3\nLahore,2024-01-01,9\n")
    pull_context(STUDY, "node_1", tmp_path, str(good))
    bad.write_text(text)
    with pytest.raises(DataError, match=message):
        pull_context(STUDY, "node_1", tmp_path, str(bad))
    assert [p.name for p in (tmp_path / "node_1").iterdir()] == ["context.csv"]
    assert (tmp_path / "node_1" / "context.csv").read_text() == good.read_text()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", "nowhere.csv: cannot be read: .*No such file"),
        ("ftp://127.0.0.1/a.csv", "expected a path, or an address that begins with http:// or https://"),
        ("file:///etc/passwd", "expected a path, or an address"),
        ("http://127.0.0.1:9/a.csv", "a.csv: cannot be read: .*refused"),
        ("http://exa mple/a.csv", "exa mple/a.csv: cannot be read"),
        ("http://[::1/a.csv", "a.csv: cannot be read: Invalid IPv6"),
        ("http://127.0.0.1:abc/a.csv", "a.csv: cannot be read: nonnumeric port"),
        ("a\0b.csv", "cannot be read: .*null"),
    ],
)
def test_a_source_that_is_not_there(tmp_path, source, message):
    with pytest.raises(DataError, match=message):
        pull_context(STUDY, "node_1", tmp_path, source)


def test_a_node_of_people_publishes_nothing(tmp_path):
    with pytest.raises(DataError, match="node_1 holds rows of people; only a node of places"):
        city_days(STUDY, "node_1", tmp_path)
