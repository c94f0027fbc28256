"""Pages in Debian's Chromium. Screenshots: ``screenshots/``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

SHOTS = Path(__file__).parents[1] / "screenshots"
CHROMIUM = Path("/usr/bin/chromium")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGS += ["--disable-component-update", "--disable-sync"]


@contextmanager
def chromium() -> Iterator[object]:
    if not CHROMIUM.exists():
        reason = "needs Debian's chromium: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("FEDHEALTH_REQUIRE_ALL") == "1" else pytest.skip(reason)
    with playwright.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        yield opened
        opened.close()


@contextmanager
def opened(browser, url: str, width: int, scheme: str = "light") -> Iterator[object]:
    """The page at that width; at the end it has asked no other machine and needs no sideways scroll."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    own = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
    assert [one for one in asked if not one.startswith(own)] == []
    page.close()


def settle(page) -> None:
    """Wait until Streamlit has drawn everything that the last action asked for."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(500)


def shoot(page, name: str, width: int, charts: int) -> None:
    """Write the whole page as a picture once all its charts are drawn."""
    SHOTS.mkdir(exist_ok=True)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(height + 20, 12000)})
    page.wait_for_timeout(1000)
    expect(page.locator(".js-plotly-plot .main-svg:first-child")).to_have_count(charts, timeout=60000)
    page.wait_for_timeout(1500)
    page.screenshot(path=str(SHOTS / f"{name}_{width}.png"))
