"""The citizen page by keyboard, in the browser: the order of the keys, a refused number, the ends of a control."""

import pytest
from tests.browsing import expect, opened, settle

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]
STOP = """() => {
    const stop = document.activeElement, scrolled = document.querySelector('[data-testid=stMain]').scrollTop
    const part = stop.closest('[data-testid=stElementContainer], [data-testid=stExpander]')
    if (!part) return null
    const {top, left} = part.getBoundingClientRect()
    return [Math.round(top + scrolled), Math.round(left), stop.ariaLabel || stop.textContent]
}"""
FIELDS = ["Heart rate", "Oxygen", "Steps", "Sleep", "Age", "No", "No", "City", "Air quality index"]


@pytest.fixture
def example(browser, citizen_at, request):
    """The page at the width that the test asks for (200 % zoom of 1280 px is 640 px), showing the example person."""
    with opened(browser, citizen_at, getattr(request, "param", 1280)) as page:
        settle(page)
        page.get_by_role("button", name="Show an example person").click()
        page.get_by_text("people like you").first.wait_for()
        settle(page)
        yield page


def stops(page) -> list[tuple[int, int, str]]:
    """Where each press of Tab leads: top and left of the part of the page, and what it is called there."""
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Tab")
    found = []
    while (stop := page.evaluate(STOP)) is not None and len(found) < 100:
        found.append(tuple(stop))
        page.keyboard.press("Tab")
    return found


@pytest.mark.parametrize("example", [1280, 640, 390], indirect=True)
def test_keys_go_through_the_page_in_its_order_from_the_first_field_to_the_result(example):
    page, width = example, example.viewport_size["width"]
    found = stops(page)
    names = [name for _, _, name in found]
    result = next(i for i, name in enumerate(names) if "100 circles for 100 people" in name)
    fields = [name for name in names[:result] if not name.startswith(("Help for", "Show", "Clear"))]
    assert len(fields) == 2 + len(FIELDS)
    assert all(name.startswith(start) for name, start in zip(fields[1:], FIELDS, strict=False))
    places = [(top // 20, left) for top, left, _ in found]
    assert places[:result] == sorted(places[:result])
    columns = [[one for one in places[result:-1] if (2 * one[1] > width) is right] for right in (False, True)]
    assert places[result:-1] == [*sorted(columns[0]), *sorted(columns[1])]
    assert "What the service keeps of me" in names[-1]


def test_a_number_out_of_range_stays_in_its_field_and_is_answered(example):
    for name, given in (("Heart rate at rest", "400"), ("Sleep", "-3")):
        field = example.get_by_role("spinbutton", name=name)
        field.fill(given)
        field.press("Enter")
        example.get_by_text(f"{name}: {given}").wait_for()
        settle(example)
        expect(field).to_have_value(f"{float(given):.1f}" if name == "Sleep" else given)
    expect(example.get_by_role("alert").filter(has_text="Allowed: 25 – 220 beats/min")).to_have_count(1)
    expect(example.get_by_role("alert").filter(has_text="Allowed: 0 – 20 hours")).to_have_count(1)
    expect(example.get_by_role("spinbutton", name="Age")).to_have_value("30")
    assert example.get_by_alt_text("100 circles for 100 people").count() >= 1


@pytest.mark.parametrize(("end", "further", "value"), [("End", "ArrowRight", "15,000"), ("Home", "ArrowLeft", "1,000")])
def test_a_control_cannot_leave_what_people_of_the_training_data_have(example, end, further, value):
    control = example.get_by_role("slider", name="Steps")
    for key in (end, further, further):
        control.press(key)
        settle(example)
    example.get_by_text(f"{value} steps a day", exact=False).first.wait_for()
    expect(control).to_have_value(value.replace(",", ""))
    assert (control.get_attribute("min"), control.get_attribute("max")) == ("1000", "15000")
