"""The site of documentation: it builds strictly, asks no other host for anything, and its pages are of the code."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tools.reference import api, command_line, commands, settings, study_format, variables
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.serving.access import NEEDS

ROOT = Path(__file__).parents[2]
LOADS = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
ELSEWHERE = re.compile(r"(https?:)?//")


class Loaded(HTMLParser):
    """Addresses that a browser fetches by itself when it shows a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if value and name == LOADS.get(tag)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_it_builds_strictly_and_asks_no_other_host_for_anything(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > 30
    for path, text in pages.items():
        assert not [one for one in Loaded(text).addresses if ELSEWHERE.match(one)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_what_would_be_fetched_from_elsewhere_is_found() -> None:
    assert Loaded('<p><script src="https://a.example/x.js"></script><a href="https://b.example">').addresses == [
        "https://a.example/x.js"
    ]


def test_every_command_and_option_is_documented_as_its_help_tells() -> None:
    page = command_line()
    for name, command in commands():
        section = page.split(f"## `{name}`\n")[1].split("\n## ")[0]
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert all(f"`{option}`" in section for option in options), name
        if name.startswith("fedhealth"):
            told = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*name.split()[1:], "--help"]).output
            assert set(re.findall(r"(?<=[ │])--[a-z-]+", told)) - {"--help"} <= set(re.findall(r"--[a-z-]+", section))


def test_every_environment_variable_is_documented() -> None:
    assert {"FEDHEALTH_API", "FEDHEALTH_PORT", "FEDHEALTH_ALERT_AQI", "DATABASE_URL"} <= variables()
    page = settings()  # stops at one that is not described, or that nobody reads
    assert all(f"| `{name}` |" in page for name in variables())
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert set(re.findall(r"FEDHEALTH_[A-Z]+(?:_[A-Z]+)*", written)) <= variables()


def test_every_key_of_a_study_and_every_feature_is_documented() -> None:
    page = study_format()
    assert all(f"| `{key}` |" in page for key in ("threshold", "edges", "held_out", "missing_values", "policy"))
    assert "| `spo2` | Oxygen saturation | wearable | number | 60 to 100 % | 59408-5 |" in page


def test_every_route_is_documented_with_its_role() -> None:
    page = api()
    for (method, path), role in NEEDS.items():
        section = page.split(f"## `{method} {path}`\n")[1].split("\n## ")[0]
        assert f"*For: {f'role {role}' if role else 'anybody'}.*" in section
        assert "| `429` |" in section


def test_every_figure_for_prometheus_is_documented() -> None:
    page = (ROOT / "docs/operations/watch.md").read_text(encoding="utf-8")
    code = "".join((ROOT / "src/fedhealth" / one).read_text(encoding="utf-8") for one in FIGURES)
    for kind, name in re.findall(r'(Counter|Gauge|Histogram)(?:MetricFamily)?\(\s*"(fedhealth_\w+)"', code):
        assert f"`{name}_total`" in page if kind == "Counter" else f"`{name}`" in page, name


FIGURES = ("serving/metrics.py", "runtime/metrics.py")


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"\w[\w'’.-]*", prose)) < 500
    assert len(re.findall(r"!\[", text)) == 2
    linked = re.findall(r"\]\((docs/[^)#]+)", text)
    assert linked
    assert all((ROOT / path).is_file() for path in linked)
