"""The site of documentation: it builds strictly, asks no other host for anything, and its pages are of the code."""

import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tools.reference import api, command_line, commands, settings, study_format, variables
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.serving.access import NEEDS

ROOT = Path(__file__).parents[2]
FETCHED = re.compile(
    r'<(?:script|link|img|iframe|source|video|object)\b[^>]*\b(?:src|href|data)="((?:https?:)?//[^"]+)'
)
FIGURES = ("serving/metrics.py", "runtime/metrics.py")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.full
def test_it_builds_strictly_and_asks_no_other_host_for_anything(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > 30
    for path, text in pages.items():
        assert not FETCHED.findall(text), path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.full
def test_in_a_browser_too_pages_stay_on_their_host_and_fit_a_phone(site: Path, browser: Any) -> None:
    asked: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.on("request", lambda request: asked.append(request.url))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = f"http://127.0.0.1:{server.server_port}/"
        for name in ("index", "reference/cli", "reference/api", "explanation/method", "measured"):
            page.goto(f"{own}{name}.html", wait_until="networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        server.shutdown()
    page.close()
    assert [one for one in asked if not one.startswith((own, "data:", "blob:"))] == []


def test_what_would_be_fetched_from_elsewhere_is_found() -> None:
    text = '<a href="https://a.example"><script async src="https://b.example/x.js"></script><img src="pictures/c.png">'
    assert FETCHED.findall(text) == ["https://b.example/x.js"]


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


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"\w[\w'’.-]*", prose)) < 500
    assert len(re.findall(r"!\[", text)) == 2
    linked = re.findall(r"\]\((docs/[^)#]+)", text)
    assert linked
    assert all((ROOT / path).is_file() for path in linked)
