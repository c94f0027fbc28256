"""What readers are told while the service fails, and that the pages come back by themselves."""

import pytest

pytest.importorskip("streamlit")
from tests.browsing import expect, opened, settle

from fedhealth.dashboards import api

from .started import dashboard
from .stub import OPENED
from .test_admin import change
from .test_pages import admin_at, page, press, words


@pytest.mark.parametrize("path", ["/predict", "/model", "/explain"])
def test_the_citizen_page_comes_back_from_whatever_failed(stub, path):
    shown = press(page("citizen").run(), "Show an example person")
    stub.once.add(path)
    text = words(shown.run())
    assert not stub.once
    assert "cannot do this now" not in text
    assert "Of **100 people like you**" in text


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/cities", "/alerts", "/trends", "/aqi", "/evaluation", "/me"])
def test_the_overview_comes_back_from_whatever_failed(with_key, path):
    with_key.once.add(path)
    text = words(admin_at("overview").run())
    assert not with_key.once
    assert "cannot do this now" not in text
    assert "9 of 9 cities reporting" in text


def test_what_failed_is_said_in_the_services_own_words(with_key):
    with_key.status = 503
    assert "The service cannot do this now: the stub was told to fail." in words(page("citizen").run())
    with pytest.raises(api.ApiProblem, match=r"^The service cannot do this now: the stub was told to fail\.$"):
        api.change("POST", "/models/promote", "stub-key")


def test_a_change_that_is_not_answered_may_have_been_made_and_the_page_says_so(with_key, monkeypatch):
    shown = admin_at("models").run()
    monkeypatch.setattr(api, "PATIENCE", 0.4)
    with_key.slow, with_key.delay = {"/models/promote"}, 0.8
    text = words(change(shown, "promote", "Promote", "better", True))
    assert "It may have been done: look before you repeat it." in text
    assert "tries again by itself" not in text


def test_a_change_that_is_not_answered_silences_nobody_else(with_key, monkeypatch):
    monkeypatch.setattr(api, "PATIENCE", 0.4)
    with_key.slow, with_key.delay = {"/models/promote"}, 0.8
    with pytest.raises(api.ApiProblem, match="may have been done"):
        api.change("POST", "/models/promote", "stub-key", {"version": "x"})
    assert api.get("/health") == {"status": "ok"}


@pytest.mark.usefixtures("no_api")
def test_a_change_that_was_never_sent_is_told_from_one_that_was():
    with pytest.raises(api.ApiProblem, match="Nothing was changed"):
        api.change("DELETE", "/people/p-17", "any")


def test_a_page_asks_for_each_thing_once(with_key):
    admin_at("overview").run()
    assert sorted(with_key.asked) == sorted(set(with_key.asked))


def test_refreshed_is_when_the_figures_came(with_key):
    def refreshed(shown) -> str:
        return next(one.value for one in shown.caption if "refreshed" in one.value).split("refreshed ")[1]

    shown = admin_at("overview").run()
    before = refreshed(shown)
    with_key.status = 500
    shown.run()
    assert refreshed(shown) == before
    assert f"Shown is what came at {before}" in words(shown)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_warning_does_not_wait_for_a_slow_service(browser, stub):
    with dashboard("citizen", api.address()) as url, opened(browser, url, 390) as shown:
        settle(shown)
        stub.delay = 8.0
        oxygen = shown.get_by_role("spinbutton", name="Oxygen")
        oxygen.evaluate("field => field.scrollIntoView()")  # so that the top of the page is out of sight
        oxygen.fill("85")
        oxygen.press("Enter")
        expect(shown.get_by_text("Your oxygen reading is 85 %").last).to_be_in_viewport(timeout=3500)
        stub.delay = 0.0


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["/predict", "/model"])
def test_an_open_citizen_page_comes_back_by_itself(browser, stub, path):
    with dashboard("citizen", api.address()) as url, opened(browser, url, 1280) as shown:
        stub.broken.add(path)
        shown.get_by_role("button", name="Show an example person").click()
        shown.get_by_text("had a problem").first.wait_for()
        settle(shown)
        stub.broken.clear()
        expect(shown.get_by_text("had a problem")).to_have_count(0, timeout=30000)
        shown.get_by_text("people like you").first.wait_for()


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["/cities", "/alerts", "/trends", "/aqi"])
def test_an_open_overview_comes_back_by_itself(browser, stub, path):
    stub.broken.add(path)
    with dashboard("admin", api.address(), **OPENED) as url, opened(browser, url, 1280) as shown:
        shown.get_by_text("had a problem").first.wait_for()
        settle(shown)
        stub.broken.clear()
        expect(shown.get_by_text("had a problem")).to_have_count(0, timeout=30000)
        shown.get_by_text("9 of 9 cities reporting").wait_for()
