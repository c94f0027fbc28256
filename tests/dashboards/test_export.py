"""A reader's own export on the citizen page: into the form, kept only with consent, refused in words."""

import datetime as dt

import pytest

pytest.importorskip("streamlit")
from .test_pages import page, press, words

TODAY = dt.date.today()
DAYS = [str(TODAY - dt.timedelta(days=back)) for back in range(20, 0, -1)]


def steps(day, count):
    times = "".join(
        f'{name}="{day} 08:{minute}:00 +0500" ' for name, minute in (("startDate", "00"), ("endDate", "30"))
    )
    return f'<Record type="HKQuantityTypeIdentifierStepCount" sourceName="W" unit="count" {times} value="{count}"/>'


EXPORT = (
    '<HealthData><Me HKCharacteristicTypeIdentifierDateOfBirth="1980-01-01"/>'
    + "".join(steps(day, 1000 + 100 * i) for i, day in enumerate(DAYS))
    + "</HealthData>"
).encode()


def give(shown, content=EXPORT, name="export.xml"):
    return shown.file_uploader[0].set_value((name, content, "text/xml")).run()


def test_an_export_fills_the_form_with_what_is_usual(stub):
    shown = give(page("citizen").run())
    assert not shown.exception
    assert shown.number_input(key="reading_steps").value == 2600  # the median of 2,300 to 2,900
    assert shown.number_input(key="reading_age").value == TODAY.year - 1980
    assert "Read: steps, age." in words(shown) or "Read: steps and age." in words(shown)
    assert "Of **100 people like you**" in words(shown)


def test_without_consent_no_day_stays(stub):
    shown = give(page("citizen").run())
    assert "export_days" not in shown.session_state
    assert "export_0" not in shown.session_state  # the upload field, and the file in it
    assert "Forget my days" not in [button.label for button in shown.button]


def test_with_consent_the_days_stay_until_forgotten(stub):
    shown = page("citizen").run()
    shown.checkbox(key="export_keep").check().run()
    give(shown)
    assert len(shown.session_state["export_days"]) == 20
    assert f"until you close it: {DAYS[0]} to {DAYS[-1]}" in words(shown)
    press(shown, "Forget my days")
    assert "export_days" not in shown.session_state
    assert shown.number_input(key="reading_steps").value == 2600


def test_consent_that_is_withdrawn_removes_the_days(stub):
    shown = page("citizen").run()
    shown.checkbox(key="export_keep").check().run()
    give(shown)
    shown.checkbox(key="export_keep").uncheck().run()
    assert "export_days" not in shown.session_state


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("export.xml", EXPORT[:-40], "export.xml: not valid XML: "),
        ("notes.xml", b"<notes/>", "notes.xml: not an export that is known"),
        ("export.zip", b"PK\x03\x04" + b"0" * 99, "export.zip: the zip"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(stub, name, content, message):
    shown = give(page("citizen").run(), content, name)
    assert not shown.exception
    assert message in shown.error[0].value
    assert "/tmp" not in shown.error[0].value
    assert shown.number_input(key="reading_steps").value is None


def test_it_works_while_the_service_is_down(monkeypatch):
    monkeypatch.setenv("FEDHEALTH_API", "http://127.0.0.1:9")
    shown = give(page("citizen").run())
    assert shown.number_input(key="reading_steps").value == 2600
