"""What the pages decide without Streamlit: safety, air, counts, texts, doors."""

import ast
import json
import re
import socket
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fedhealth.dashboards import svg, texts
from fedhealth.dashboards.admin import maps
from fedhealth.dashboards.admin.alerts import range_since
from fedhealth.dashboards.admin.downloads import as_csv, file_name
from fedhealth.dashboards.admin.trends import by_city, heat_map
from fedhealth.dashboards.colours import LIGHT
from fedhealth.dashboards.features import built_in, of_model, without_model
from fedhealth.dashboards.run import Unframed, port_of, refuse_taken, settings
from fedhealth.study.advice import texts as advice
from fedhealth.study.advice.air import CATEGORIES, category_of
from fedhealth.study.advice.features import group_of, unit_of
from fedhealth.study.advice.risk import Risk, count
from fedhealth.study.advice.safety import load_safety

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src/fedhealth/dashboards").rglob("*.py"))


@pytest.mark.parametrize(
    ("readings", "raised"),
    [
        ({"spo2": 92}, ["low_oxygen"]),
        ({"spo2": 92.1}, []),
        ({"heart_rate": 131}, ["fast_heart"]),
        ({"heart_rate": 130}, []),
        ({"heart_rate": 40}, ["slow_heart"]),
        ({"heart_rate": 41}, []),
        ({"heart_rate": None}, []),
        ({}, []),
        ({"heart_rate": 150, "spo2": 85}, ["low_oxygen", "fast_heart"]),
    ],
)
def test_safety_rules_hold_at_their_limits(readings, raised):
    assert [rule.name for rule in load_safety().raised(readings)] == raised


def test_safety_rules_can_be_replaced_and_await_approval(tmp_path, monkeypatch):
    assert load_safety().approved_by == ""
    text = 'approved_by = "Dr A"\nemergency_number = "999"\nemergency_place = "UK"\n'
    (tmp_path / "own.toml").write_text(text + '[[rule]]\nname = "x"\nfeature = "spo2"\nat_most = 88\n')
    monkeypatch.setenv("FEDHEALTH_SAFETY", str(tmp_path / "own.toml"))
    assert load_safety().emergency_number == "999"
    assert not load_safety().raised({"spo2": 90})
    (tmp_path / "own.toml").write_text(text + '[[rule]]\nname = "x"\nfeature = "spo2"\n')
    with pytest.raises(ValueError, match="safety rule 'x'"):
        load_safety()


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "Good"),
        (50, "Good"),
        (51, "Moderate"),
        (101, "Unhealthy for Sensitive Groups"),
        (200, "Unhealthy"),
        (201, "Very Unhealthy"),
        (301, "Hazardous"),
        (600, "Hazardous"),
    ],
)
def test_air_categories_are_those_of_the_epa(index, name):
    assert category_of(index).name == name


def test_air_categories_differ_in_symbol_colour_and_words():
    for part in ("symbol", "colour", "name"):
        assert len({getattr(one, part) for one in CATEGORIES}) == len(CATEGORIES) == len(maps.MARKS)
    assert all(one.sensitive and one.everyone for one in CATEGORIES)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "fewer than 1"), (0.005, "fewer than 1"), (0.006, "1"), (0.144, "14"), (0.999, "more than 99")],
)
def test_counts_never_promise(share, words):
    assert count(share) == words


def test_ranges_overlap_at_a_shared_end():
    own = Risk(0.1, 0.05, 0.2)
    assert own.overlaps(Risk(0.3, 0.2, 0.4))
    assert not own.overlaps(Risk(0.3, 0.21, 0.4))


def test_a_range_over_half_of_all_people_is_called_wide():
    assert Risk(0.2, 0.1, 0.7).is_wide
    assert not Risk(0.2, 0.1, 0.5).is_wide


def test_every_feature_has_words():
    features = {feature.name: feature for feature in built_in().features}
    assert unit_of(features["heart_rate"]) == "beats/min"
    assert unit_of(features["aqi"]) == ""
    assert group_of(features["steps"], 7200) == "7,200 steps a day"
    assert group_of(features["sleep_hours"], 6.5) == "6.5 hours of sleep"
    assert group_of(features["smoker"], 0) == "no smoking"


def test_a_model_of_another_form_is_refused():
    with pytest.raises((KeyError, TypeError)):
        of_model({"features": [{"nothing": 1}]})
    assert without_model().version == ""


def test_icon_array_always_has_100_people():
    drawn = svg.icon_array(14, LIGHT.primary)
    assert drawn.count("<circle") == 100
    assert drawn.count(f'fill="{LIGHT.primary}"') == 14


def test_a_gap_in_a_trend_is_a_gap():
    drawn = svg.small_trend([1, 2, None, 3, 4], 10, 5, ("a", "b"))
    path = re.search(r'path d="([^"]*)"', drawn)
    assert path is not None
    assert path[1].count("M") == 2
    assert "stroke-dasharray" in drawn
    assert svg.sparkline([]).startswith("<svg")


def test_a_band_is_a_shape_for_each_run_of_days_and_a_line_for_a_single_one():
    drawn = svg.small_trend([1, 2, None, 3], 10, 5, ("a", "b"), [(0, 2), (1, 3), None, (2, 4)])
    path = re.search(r'class="band" d="([^"]*)"', drawn)
    assert path is not None
    assert [shape.count("L") for shape in path[1].split("Z")[:-1]] == [3, 1]
    assert "band" not in svg.small_trend([1, 2], 10, 5, ("a", "b"))


def test_what_is_missing_in_the_heat_map_is_hatched_and_not_zero():
    figure = heat_map(["2026-01-01", "2026-01-02"], {"A": [0.0, None], "B": [None, 5.0]})
    heat, hatched = figure.data
    assert [list(row) for row in heat.z] == [[None, 5.0], [0.0, None]]
    assert list(zip(hatched.y, hatched.base, strict=True)) == [("B", "2025-12-31T12:00"), ("A", "2026-01-01T12:00")]
    assert hatched.marker.pattern.shape == "/"
    assert hatched.name == "no or too few readings"


def test_files_are_named_after_city_range_and_time_and_hold_no_formula():
    shown = datetime(2026, 11, 23, 17, 57, tzinfo=UTC)
    name = file_name("Fine dust (PM2.5)", "All cities", "30 days", shown=shown)
    assert name == "fedhealth_Fine-dust-PM2-5_All-cities_30-days_2026-11-23T17-57Z.csv"
    rows = [{"City": "Lahore", "Risk": 22.6, "Note": "=1+1"}, {"City": "Quetta", "Risk": None, "Note": "a, b"}]
    text = as_csv(rows).decode("utf-8-sig")
    assert text.splitlines() == ["City,Risk,Note", "Lahore,22.6,'=1+1", 'Quetta,,"a, b"']


@pytest.mark.parametrize(("day", "days"), [(23, 7), (18, 7), (17, 30), (1, 30)])
def test_the_range_of_evidence_begins_before_the_alert(day, days):
    newest = datetime(2026, 11, 23, 17, 57, tzinfo=UTC)
    assert range_since(datetime(2026, 11, day, tzinfo=UTC), newest) == days
    assert range_since(datetime(2026, 1, day, tzinfo=UTC), newest) == 90


def test_days_without_a_reading_are_none_and_not_zero():
    points = [
        {"city": "A", "date": "2026-01-01", "mean_risk": 0.1},
        {"city": "A", "date": "2026-01-03", "mean_risk": None},
    ]
    days, found = by_city(points, ["A", "B"])
    assert days == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert found == {"A": [10.0, None, None], "B": [None, None, None]}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("[Sign in](http://evil.example)", "\\[Sign in\\](http:\u2060//evil.example)"),
        ("![x](data:image/png)", "!\\[x\\](data:\u2060image/png)"),
        ("ask www.evil.example, a@evil.example", "ask www\u2060.evil.example, a@\u2060evil.example"),
        ("**now** :red[x] $y$ <b>\n# z", "\\*\\*now\\*\\* :\u2060red\\[x\\] \\$y\\$ \\<b\\> \\# z"),
        ("node_2 at 12:30, health-risk-f417", "node_2 at 12:\u206030, health-risk-f417"),
    ],
)
def test_words_from_outside_cannot_be_links_pictures_or_emphasis(told, shown):
    assert texts.plain(told) == shown


def test_the_map_has_an_outline_and_a_label_place_for_every_city():
    assert maps.outlines()["country"]
    assert set(maps.LABELS) == set(built_in().cities)


def catalogue_keys(entry, prefix=""):
    for name, value in entry.items():
        yield from catalogue_keys(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


def test_the_code_says_nothing_the_catalogue_lacks():
    known = set(catalogue_keys(texts.catalogue("en")))
    said = {key for source in SOURCES for key in re.findall(r'\bsay\(\s*"([^"{]+)"', source.read_text())}
    assert said
    assert said <= known


BANNED = (
    r"\b1 in \d|\btimes (?:as|more|less) likely|\btwice as|relative risk|\bdoubles?\b|\bguarantee|\bsafe\b"
    r"|will prevent|% (?:higher|lower|more|less)|you will\b"
)


def test_no_banned_phrase_in_the_catalogue():
    for folder in (texts.FOLDER, advice.FOLDER):
        text = (folder / "texts_en.toml").read_text(encoding="utf-8")
        assert not re.findall(BANNED, text, re.IGNORECASE)


@pytest.mark.parametrize("door", ["citizen_app", "admin_app"])
def test_doors_hold_no_logic(door):
    text = (ROOT / f"dashboard/{door}.py").read_text()
    tree = ast.parse(text)
    logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    assert [ast.unparse(node.test) for node in ast.walk(tree) if isinstance(node, ast.If)] == ["__name__ == '__main__'"]
    assert len(text.splitlines()) <= 10


def test_streamlit_is_set_to_keep_to_itself():
    config = tomllib.loads((ROOT / "dashboard/.streamlit/config.toml").read_text())
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"]["address"] == "127.0.0.1"
    own = ROOT / "src/fedhealth/dashboards/streamlit.toml"
    assert tomllib.loads(own.read_text()) == config
    assert settings()["browser.gatherUsageStats"] is False
    assert settings()["theme.dark.primaryColor"] == config["theme"]["dark"]["primaryColor"]


def test_a_taken_port_is_named_with_the_way_to_change_it(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"port {port}.*FEDHEALTH_CITIZEN_PORT="):
            refuse_taken("127.0.0.1", port, "citizen")
    monkeypatch.setenv("FEDHEALTH_ADMIN_PORT", "no")
    with pytest.raises(SystemExit, match="FEDHEALTH_ADMIN_PORT: got 'no'"):
        port_of("admin")


def test_no_other_page_may_show_these_in_a_frame():
    app = Starlette([Route("/", lambda _: PlainTextResponse("a page"))], middleware=[Middleware(Unframed)])
    headers = TestClient(app).get("/").headers
    assert (headers["X-Frame-Options"], headers["Content-Security-Policy"]) == ("DENY", "frame-ancestors 'none'")


def test_the_outline_names_its_source():
    text = (ROOT / "src/fedhealth/dashboards/admin/outline.json").read_text()
    assert "Natural Earth" in json.loads(text)["source"]


def grade(text: str) -> float:
    """Flesch-Kincaid grade level (Kincaid et al. 1975); syllables are counted as groups of vowels."""
    plain = re.sub(r"\{\w+\}", "ten", re.sub(r"[*`_#-]", " ", text))
    sentences = [one for one in re.split(r"[.!?:]\s|\n", plain) if re.search(r"[a-z]", one)]
    found = re.findall(r"[A-Za-z']+", plain)
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e\b", "", one.lower())))) for one in found)
    return 0.39 * len(found) / len(sentences) + 11.8 * syllables / len(found) - 15.59


def test_what_citizens_read_is_below_grade_8():
    sections = ("form", "origin", "export", "citizen", "about", "mine", "safety", "compare", "group")
    told = [texts.catalogue("en")[section] for section in sections]
    sentences = [text for section in told for text in section.values() if isinstance(text, str) and " " in text]
    assert grade("\n".join(sentences)) < 8
