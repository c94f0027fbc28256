"""A new user's walk: ``fedhealth up`` from nothing, then both pages in a browser."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.browsing import opened, settle, shoot

from fedhealth.data.synthetic import write_world
from fedhealth.runtime.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
EXAMPLE = {
    "heart_rate": 88,
    "spo2": 97,
    "steps": 4500,
    "sleep_hours": 6,
    "age": 30,
    "smoker": 0,
    "chronic": 0,
    "aqi": 60,
}

WIDER = "[champion]\nauroc = 0.03\nlog_loss = 5.0\n[local]\nauroc = 0.03\nlog_loss = 5.0\n"


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A running ``fedhealth up`` in a folder with data alone: its folder and its three ports."""
    folder = tmp_path_factory.mktemp("up")
    write_world(folder / "data", rows=3000, seed=7)
    ports = [free_port() for _ in range(3)]
    flags = ("--port", "--citizen-port", "--admin-port")
    options = [part for flag, port in zip(flags, ports, strict=True) for part in (flag, str(port))]
    log = folder / "up.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "fedhealth", "up", *options]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Sent " in log.read_text() or process.poll() is not None, 240, log)
        assert process.poll() is None, log.read_text()
        yield folder, ports
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert process.returncode == 0, log.read_text()
    assert "Stopping" in log.read_text()
    for port in ports:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}", trust_env=False)


def wait_until(true, seconds: float, log: Path) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.3)


def last_run(folder: Path) -> dict:
    return json.loads(next((folder / "runs").glob("*/report.json")).read_text())


def test_the_api_answers_the_example_with_the_model_just_trained(up):
    folder, (api, _, _) = up
    answer = httpx.post(f"http://127.0.0.1:{api}/predict", json=EXAMPLE, trust_env=False).json()
    assert answer["model_version"] == last_run(folder)["bundle"]["version"]
    assert 0.005 < answer["risk_score"] < 0.2
    assert answer["high_risk"] is False
    worse = {**EXAMPLE, "spo2": 84, "chronic": 1, "smoker": 1, "age": 78, "aqi": 320}
    sick = httpx.post(f"http://127.0.0.1:{api}/predict", json=worse, trust_env=False).json()
    assert sick["risk_score"] >= 4 * answer["risk_score"]


def test_whatever_is_stored_needs_the_key(up):
    folder, (api, _, _) = up
    assert httpx.get(f"http://127.0.0.1:{api}/cities", trust_env=False).status_code == 401
    assert (folder / ".fedhealth" / "api_key").stat().st_mode & 0o077 == 0


def test_a_citizen_reads_a_risk(up, browser):
    _, (_, citizen, _) = up
    with opened(browser, f"http://127.0.0.1:{citizen}", 1280) as page:
        page.get_by_role("button", name="Show an example person").click()
        page.get_by_text("people like you").first.wait_for()
        settle(page)
        assert re.search(r"[Oo]f 100 people like you", page.inner_text("body"))
        shoot(page, "up_citizen", 1280, 0)


def test_public_health_sees_cities_an_alert_and_the_run_just_made(up, browser):
    folder, (_, _, admin) = up
    report = last_run(folder)
    with opened(browser, f"http://127.0.0.1:{admin}", 1280) as page:
        page.get_by_text("9 of 9 cities reporting").wait_for(timeout=60000)
        settle(page)
        text = page.inner_text("body")
        for city in ("Karachi", "Lahore", "Islamabad", "Quetta", "Peshawar", "Multan", "Faisalabad", "Rawalpindi"):
            assert city in text
        assert page.get_by_role("button", name=re.compile("Acknowledge")).count() >= 1
        assert f"{report['global']['auroc']:.3f}" in text
        page.get_by_role("link", name="Training").click()
        page.get_by_role("heading", name="Training loss at each client").wait_for(timeout=60000)
        settle(page)
        text = page.inner_text("body")
        for node in report["nodes"]:
            assert node["name"] in text or node["title"] in text


def test_a_second_model_is_judged_and_promoted_on_the_page(up, browser):
    folder, (api, _, admin) = up
    first = last_run(folder)["bundle"]["version"]
    since = httpx.get(f"http://127.0.0.1:{api}/model", trust_env=False).json()["published"]
    assert since is not None
    command = [sys.executable, "-m", "fedhealth", "train", "--model", "logistic"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=200)
    with opened(browser, f"http://127.0.0.1:{admin}/models", 1280) as page:
        page.get_by_role("heading", name="Serve this version").wait_for(timeout=60000)
        settle(page)
        assert page.get_by_role("button", name="Roll back").count() == 0
        assert page.get_by_text("The gates cannot be asked").count() == 0
        page.get_by_role("textbox", name="Reason").first.fill("straight lines are enough")
        page.get_by_text(re.compile(f"I want .* served instead of {first}")).click()
        page.get_by_role("button", name="Promote").click()
        page.get_by_text("the gates refuse version").wait_for(timeout=60000)  # of so few people intervals are wide
        (folder / "models/gates.toml").write_text(WIDER)
        page.get_by_role("button", name="Promote").click()
        page.get_by_text("is served now, instead of").wait_for(timeout=60000)
        page.get_by_role("heading", name="Go back").wait_for(timeout=60000)
    history = [json.loads(line) for line in (folder / "models" / "history.jsonl").read_text().splitlines()]
    assert [one["action"] for one in history] == ["publish", "refuse", "promote"]
