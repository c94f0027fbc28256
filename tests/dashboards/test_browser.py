"""Both pages in Debian's Chromium, as typed, at a desktop's and a telephone's width. Screenshots: ``screenshots/``."""

import re
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from tests.browsing import expect, opened, settle, shoot

from .test_export import EXPORT

WIDTHS = (1280, 390)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_citizen_page(browser, citizen_at):
    for width in WIDTHS:
        with opened(browser, citizen_at, width) as page:
            page.get_by_role("button", name="Show an example person").click()
            page.get_by_text("people like you").first.wait_for()
            settle(page)
            page.get_by_role("combobox", name="City").click()
            page.keyboard.type("Lahore", delay=30)
            page.wait_for_timeout(500)
            page.keyboard.press("Enter")
            page.get_by_text("The air in Lahore is Very Unhealthy").wait_for()
            oxygen = page.get_by_role("spinbutton", name="Oxygen").or_(page.get_by_role("textbox", name="Oxygen"))
            settle(page)
            oxygen.fill("91")
            oxygen.press("Enter")
            expect(page.get_by_text("Your oxygen reading is 91 %").last).to_be_in_viewport()
            assert page.get_by_alt_text("100 circles for 100 people").count() >= 1
            shoot(page, "citizen", width, 0)


def test_admin_page(browser, admin_at):
    for width in WIDTHS:
        with opened(browser, admin_at, width) as page:
            page.get_by_text("9 of 9 cities reporting").wait_for()
            page.get_by_text("Mean risk is high").first.wait_for()
            expect(page.get_by_role("img", name="Lahore: mean risk")).to_have_count(1, timeout=30000)
            shoot(page, "admin", width, 3)
            expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=30000)
            expect(page.locator(".st-key-chart_heat .barlayer .pattern_filled")).to_have_count(12)
            for city in ("Karachi", "Islamabad", "Rawalpindi", "Quetta"):
                expect(page.locator(".js-plotly-plot .annotation", has_text=city)).to_have_count(1, timeout=30000)


def test_the_address_keeps_city_and_range(browser, admin_at):
    with opened(browser, admin_at, 1280) as page:
        page.get_by_text("9 of 9 cities reporting").wait_for()
        page.get_by_role("radio", name="7 days").click()
        page.wait_for_url("**days=7**")
        kept = page.url
    with opened(browser, kept, 1280) as page:
        page.get_by_text("9 of 9 cities reporting").wait_for()
        assert page.get_by_role("radio", name="7 days").get_attribute("aria-checked") == "true"


def test_the_address_keeps_the_chosen_run_version_and_feature(browser, admin_at):
    chosen = {"training": ("Run", "run", "health-risk-0a1b2c3d4e5f"), "models": ("Look at", "version", "9c8b7a6d5e4f")}
    chosen["drift"] = ("Compare one feature", "feature", "Steps")
    for name, (label, key, value) in chosen.items():
        with opened(browser, f"{admin_at}/{name}", 1280) as page:
            page.wait_for_url(f"**{key}=**")  # also what nobody has chosen is in the address
            page.get_by_role("combobox", name=label).click()
            page.get_by_role("option", name=value).click()
            page.wait_for_url(f"**{key}={value}**")
            settle(page)
            kept = page.url
        with opened(browser, kept, 1280) as page:
            expect(page.get_by_role("combobox", name=label)).to_have_value(value, timeout=30000)
            assert page.url == kept


def test_a_city_opens_from_map_table_and_alert_and_its_file_says_so(browser, admin_at):
    def on_map(page) -> None:
        karachi = page.locator(".st-key-chart_map_ path.point").first
        karachi.scroll_into_view_if_needed()
        box = karachi.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def in_table(page) -> None:
        page.locator(".st-key-cities").scroll_into_view_if_needed()
        box = page.locator(".st-key-cities").bounding_box()
        page.mouse.click(box["x"] + 18, box["y"] + 3.5 * 35)  # rows are 35 px high; the third is Faisalabad's

    def in_alert(page) -> None:
        page.get_by_role("button", name="Evidence: Multan, 7 days").click()

    for choose, address, shown in (
        (on_map, "?city=Karachi", "Karachi"),
        (in_table, "?city=Faisalabad", "Faisalabad"),
        (in_alert, "?city=Multan&days=7+days", "Multan"),
    ):
        with opened(browser, admin_at, 1280) as page:
            page.get_by_text("9 of 9 cities reporting").wait_for()
            expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=60000)
            settle(page)
            choose(page)
            page.wait_for_url(f"**/{address}")
            settle(page)
            with page.expect_download() as kept:
                page.get_by_role("button", name="Cities, last 24 h as CSV").click()
            assert re.fullmatch(rf"fedhealth_Cities-last-24-h_{shown}_[-\dT]+Z.csv", kept.value.suggested_filename)
            rows = Path(kept.value.path()).read_text("utf-8-sig").splitlines()
            assert [row.split(",")[0] for row in rows] == ["City", shown]


def test_an_export_is_read_on_the_page(browser, citizen_at):
    for width in WIDTHS:
        with opened(browser, citizen_at, width) as page:
            page.get_by_text("Take readings from your phone or watch").click()
            page.get_by_text("Keep my daily values on this page").click()
            settle(page)
            page.locator("input[type=file]").set_input_files(
                {"name": "export.xml", "mimeType": "text/xml", "buffer": EXPORT}
            )
            page.get_by_text("what was usual over the last 7 days").wait_for()
            page.get_by_text("people like you").first.wait_for()
            settle(page)
            assert page.get_by_alt_text("Steps by day, from 1,000 to 2,900").count() == 1
            shoot(page, "citizen_export", width, 0)


def test_a_new_readers_walk_from_a_risk_to_another_model(browser, citizen_at, admin_at):
    """Read a risk, acknowledge an alert, see a federated run, promote a model."""
    with opened(browser, citizen_at, 1280) as page:
        page.get_by_role("button", name="Show an example person").click()
        page.get_by_text("people like you").first.wait_for()
    with opened(browser, admin_at, 1280) as page:
        page.get_by_role("button", name="Acknowledge").first.click()
        page.get_by_role("textbox", name="Your name").fill("Dr A")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Acknowledge")).to_have_count(2, timeout=30000)
        page.get_by_role("link", name="Training").click()
        page.get_by_role("heading", name="Training loss at each client").wait_for()
        settle(page)
        page.get_by_role("link", name="Models").click()
        page.get_by_role("heading", name="Serve this version").wait_for()
        settle(page)
        page.get_by_role("textbox", name="Reason").first.fill("better in Lahore")
        page.get_by_text("I want 0a1b2c3d4e5f served").click()
        page.get_by_role("button", name="Promote").click()
        page.get_by_text("is served now, instead of").wait_for()


def test_scripts_come_compressed(citizen_at):
    script = httpx.get(f"{citizen_at}/", trust_env=False).text.split('src="./')[1].split('"')[0]
    answer = httpx.get(f"{citizen_at}/{script}", trust_env=False)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "run", ["[Sign in](http://evil.example/) ![x](http://evil.example/p.png)", "http://evil.example www.evil.example"]
)
def test_an_address_brings_no_link_and_no_picture_of_its_own(browser, admin_at, run):
    with opened(browser, f"{admin_at}/training?{urlencode({'run': run})}", 1280) as page:
        page.get_by_text("is not there any more").wait_for()
        settle(page)
        assert page.locator("[href*=evil], [src*=evil]").count() == 0
