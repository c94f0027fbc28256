"""axe-core on every page, at a desktop's and a telephone's width, light and dark; and what axe does not look for."""

import datetime as dt
from importlib import resources

import pytest
from tests.browsing import opened, settle, shoot

from .test_export import steps

pytest.importorskip("axe_playwright_python")
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
SIZES = [(width, scheme) for scheme in ("light", "dark") for width in (1280, 390)]
CHARTS = {"overview": 3, "training": 4, "privacy": 0, "models": 0, "drift": 1}
pytestmark = [pytest.mark.full, pytest.mark.timeout(420)]


def violations(page) -> list[str]:
    """What axe-core finds wrong, with where."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {node['target']} {node['html'][:200]}" for one in found for node in one["nodes"]]


def pictures_without_name(page) -> int:
    """Charts, pictures and tables that a screen reader would not name."""
    return page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stPlotlyChart], [data-testid=stDataFrame]')]
            .filter(one => !one.closest('[aria-label]') && !one.querySelector('[aria-label]')).length
        + [...document.querySelectorAll('[data-testid=stMain] img')].filter(one => !one.alt).length"""
    )


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_axe_finds_nothing_on_the_citizen_page(browser, citizen_at, width, scheme):
    with opened(browser, citizen_at, width, scheme) as page:
        page.get_by_role("button", name="Show an example person").click()
        page.get_by_text("people like you").first.wait_for()
        page.get_by_text("What the service keeps of me").click()
        settle(page)
        page.get_by_role("textbox", name="My key").fill("citizen-key")
        page.keyboard.press("Enter")
        page.get_by_text("Kept under the name").wait_for()
        settle(page)
        shoot(page, f"citizen_{scheme}", width, 0)
        assert violations(page) == []
        assert pictures_without_name(page) == 0


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_axe_finds_nothing_on_refused_and_old_readings(browser, citizen_at, width, scheme):
    day = dt.date.today() - dt.timedelta(days=10)
    export = {
        "name": "export.xml",
        "mimeType": "text/xml",
        "buffer": f"<HealthData>{steps(day, 900)}</HealthData>".encode(),
    }
    with opened(browser, citizen_at, width, scheme) as page:
        page.get_by_text("Take readings from your phone or watch").click()
        page.get_by_text("Keep my daily values on this page").click()
        settle(page)
        page.locator("input[type=file]").set_input_files(export)
        page.get_by_text("From your export, as of").wait_for()
        settle(page)
        page.get_by_role("spinbutton", name="Heart rate at rest").fill("400")
        page.keyboard.press("Enter")
        for said in ("cannot be used", "Old reading", "lies outside what can be compared", "My days"):
            page.get_by_text(said).first.wait_for()
        settle(page)
        shoot(page, f"citizen_refused_{scheme}", width, 0)
        assert violations(page) == []
        assert pictures_without_name(page) == 0


@pytest.mark.parametrize("name", list(CHARTS))
@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_axe_finds_nothing_on_the_admin_pages(browser, admin_at, name, width, scheme):
    address = admin_at if name == "overview" else f"{admin_at}/{name}"
    with opened(browser, address, width, scheme) as page:
        page.get_by_text("Signed in with the key of").wait_for()
        settle(page)
        shoot(page, f"admin_{name}_{scheme}", width, CHARTS[name])
        assert violations(page) == []
        assert pictures_without_name(page) == 0
        assert page.get_by_text(": as a table").count() >= CHARTS[name] - (name == "overview")


def test_at_200_percent_nothing_is_cut_off_and_keys_reach_the_form(browser, citizen_at):
    with opened(browser, citizen_at, 640) as page:  # 1280 px at 200 % are 640
        settle(page)
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").strip() == "Show an example person":
                break
        page.keyboard.press("Enter")
        page.get_by_text("people like you").first.wait_for()
        settle(page)
