"""How long readers of the admin page wait, with nine cities and a year of hourly readings, in Debian's Chromium.

The API and the page run in processes of their own over the demo model and a fresh store. Measured is: a browser that
never saw the page until its first chart (the course of the mean risk) and until the map is drawn; a change of the time
range until the page stands still again; and what a live tick sends to the browser.

    python benchmarks/dashboards.py --repeats 5 --json dashboards.json
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from fedhealth.runtime.ports import free_port

ROOT = Path(__file__).parents[1]
CHROMIUM = "/usr/bin/chromium"
KEY = "a key for the benchmark"
PER_DAY = 24  # readings of each city
LIMITS = {"first chart, s": 3.0, "map, s": None, "change of range, s": 1.0, "live tick, KB": 5.0}
STILL = "[data-testid=stApp][data-test-script-state=notRunning]"
TICKS = 2


@contextmanager
def running(command: list[str], url: str, env: dict[str, str]) -> Iterator[None]:
    """A process that answers at ``url``; it ends with the block."""
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **env}, cwd=ROOT, start_new_session=True)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{command}: ended with {process.returncode}")
            try:
                if httpx.get(url, trust_env=False).is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def fill(api: str, days: int) -> int:
    """Send synthetic readings of the last ``days`` to the API; how many."""
    from fedhealth.data.synthetic.replay import replay

    now = datetime.now(UTC).replace(microsecond=0)
    readings = list(replay(0, now - timedelta(days=days), now, PER_DAY))
    with httpx.Client(trust_env=False, headers={"X-API-Key": KEY}, timeout=120) as client:
        for start in range(0, len(readings), 1000):
            answer = client.post(f"{api}/readings", json={"readings": readings[start : start + 1000]})
            answer.raise_for_status()
    return len(readings)


def look(browser: Any, url: str) -> dict[str, float]:
    """One visit by a browser with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, received = context.new_page(), [0]
    page.on("websocket", lambda one: one.on("framereceived", lambda frame: _count(received, frame)))
    start = time.perf_counter()
    page.goto(url)
    page.locator("[data-testid=stImage] img").first.wait_for(timeout=60_000)
    first = time.perf_counter() - start
    page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)
    drawn = time.perf_counter() - start
    page.locator(STILL).wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    start = time.perf_counter()
    page.get_by_role("radio", name="7 days").click()
    page.wait_for_url("**days=7**")
    page.locator(STILL).wait_for(timeout=60_000)
    change = time.perf_counter() - start
    page.get_by_text("Live (every 10 s)").click()
    page.locator(STILL).wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    received[0] = 0
    page.wait_for_timeout(10_000 * TICKS)
    context.close()
    return dict(zip(LIMITS, (first, drawn, change, received[0] / TICKS / 1024), strict=True))


def _count(received: list[int], frame: str | bytes) -> None:
    received[0] += len(frame)


def measure(days: int, repeats: int) -> dict[str, Any]:
    """The median and all figures of each measure."""
    from playwright.sync_api import sync_playwright

    api_port, port = free_port(), free_port()
    api, page = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        own = {"DATABASE_URL": f"sqlite:///{folder}/store.db", "FEDHEALTH_API_KEY": KEY, "FEDHEALTH_RUNS": folder}
        own |= {
            "FEDHEALTH_ADMIN_OPENED": "1",
            "FEDHEALTH_API": api,
            "FEDHEALTH_ADMIN_PORT": str(port),
            "FEDHEALTH_RATE": "1e6",
        }
        serve = ["-m", "fedhealth", "serve", "--port", str(api_port)]
        with running(serve, f"{api}/health", own):
            sent = fill(api, days)
            admin = ["-m", "fedhealth.dashboards.admin"]
            with running(admin, f"{page}/_stcore/health", own), sync_playwright() as tool:
                browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                look(browser, page)  # the page's own first start is not a reader's
                seen = [look(browser, page) for _ in range(repeats)]
                browser.close()
    figures = {name: [one[name] for one in seen] for name in LIMITS}
    return {"readings": sent, "repeats": repeats, "cores": os.cpu_count(), "figures": figures}


def main() -> None:
    """Measure, print a table, write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365, help="days of readings, hourly, in nine cities")
    parser.add_argument("--repeats", type=int, default=5, help="visits, each by a browser with an empty cache")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    asked = parser.parse_args()
    found = measure(asked.days, asked.repeats)
    print(f"{found['readings']:,} readings, {found['cores']} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':22} {'median':>8} {'lowest':>8} {'highest':>8} {'limit':>8}")
    for name, values in found["figures"].items():
        shown = (statistics.median(values), min(values), max(values))
        print(f"{name:22} " + " ".join(f"{one:8.2f}" for one in shown) + f" {LIMITS[name] or '–':>8}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
