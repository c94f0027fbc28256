"""FHIR R4: real and Synthea's records in full, the same with fhir.resources as oracle, and the traps of others."""

import dataclasses
import json
from datetime import UTC, datetime

import polars as pl
import pytest
from tests.data.imports.conftest import asked_of, dropped

from fedhealth.data.files import DataError
from fedhealth.data.imports import fhir, gathered
from fedhealth.data.imports.fhir import read_fhir
from fedhealth.data.imports.fhir_codes import LOINC, OBSERVATIONS, SNOMED
from fedhealth.study import Feature, load_study

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
WHEN = "2024-05-01T08:00:00+05:00"


def with_more(study, *more):
    """The study whose first node also observes these."""
    node = study.nodes[0]
    first = dataclasses.replace(node, features=(*node.features, *(f.name for f in more)))
    return dataclasses.replace(study, features=(*study.features, *more), nodes=(first, *study.nodes[1:]))


CLINICAL = with_more(
    load_study("health-risk"),
    Feature("systolic", "Systolic", "clinic", "number", 40, 300, "mm[Hg]", loinc="8480-6", column="systolic"),
    Feature("bmi", "Body mass index", "clinic", "number", 5, 100, "kg/m2", loinc="39156-5", column="bmi"),
    Feature("fever", "Body temperature", "clinic", "number", 25, 45, "Cel", loinc="8310-5", column="fever"),
)


def observation(code, value=None, unit="", when=WHEN, person="Patient/ann", **more):
    quantity = {"valueQuantity": {"value": value, "unit": unit, "code": unit, "system": "http://unitsofmeasure.org"}}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": person},
        "effectiveDateTime": when,
        **({} if value is None else quantity),
        **more,
    }


def smoking(code, when=WHEN, system=SNOMED):
    return observation("72166-2", when=when, valueCodeableConcept={"coding": [{"system": system, "code": code}]})


def condition(system, code, onset="2020-01-01", person="Patient/ann", **more):
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": person},
        "onsetDateTime": onset,
        **more,
    }


def patient(**more):
    return {"resourceType": "Patient", "id": "ann", **more}


def lines(*resources):
    return "\n".join(json.dumps(one) for one in resources) + "\n"


def test_us_core_examples_in_full(imported, real_data):
    report, table = imported(real_data / "fhir" / "us_core", study=CLINICAL)
    assert sum(counts["Observation"] for counts in report["files"].values()) == 8
    # two of them tell the same blood pressure of the same time
    assert report["kept"] == {"8310-5": 1, "8480-6": 1, "pulse": 1, "smoker": 1, "spo2": 1}
    assert dropped(report) == {"duplicate": 1}
    first, second = table.iter_rows(named=True)
    assert (first["heart_rate"], first["spo2"], first["systolic"], first["fever"]) == (44, 99, 109, 36.5556)
    assert (second["date"], second["smoker"]) == ("2016-03-18", 1)


def test_synthea_patients_in_full(imported, real_data):
    report, table = imported(real_data / "fhir" / "synthea", study=CLINICAL)
    found = [sum(counts.get(kind, 0) for counts in report["files"].values()) for kind in ("Observation", "Condition")]
    assert found == [227, 10]
    assert report["people"] == 6
    facts = {"birth_date": 6, "chronic": 10, "city": 6, "sex": 6, "smoker": 21}
    assert report["kept"] == {"39156-5": 17, "8480-6": 21, **facts}
    assert dropped(report) == {}
    # born 1986-11-27, seen on 2012-10-04: not yet 26
    row = next(r for r in table.iter_rows(named=True) if r["date"] == "2012-10-04")
    assert (row["age"], row["sex"], row["smoker"], row["chronic"], row["city"]) == (25, 1, 0, 0, "Boston")


def oracle(resources):
    """Person, LOINC code, time, value and unit of every value with a unit, as ``fhir.resources`` reads them."""
    from fhir.resources.R4B.observation import Observation

    for raw in resources:
        whole = Observation.model_validate(raw)
        when = whole.effectiveDateTime or whole.effectivePeriod.start
        at = (
            when.astimezone(UTC).replace(tzinfo=None) if isinstance(when, datetime) else datetime(*when.timetuple()[:3])
        )
        for part in (whole, *(whole.component or ())):
            if part.valueQuantity is not None:
                code = part.code.coding[0].code
                told = part.valueQuantity.code or part.valueQuantity.unit
                yield (whole.subject.reference[-36:].split("/")[-1], code, at, float(part.valueQuantity.value), told)


def test_every_value_is_what_fhir_resources_reads(real_data, tmp_path):
    files = sorted((real_data / "fhir").rglob("*.json"))
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    resources = [entry["resource"] for one in documents for entry in one.get("entry", [{"resource": one}])]
    observations = [r for r in resources if r["resourceType"] == "Observation"]
    expected = {}
    for person, code, at, value, unit in oracle(observations):
        expected.setdefault((person, OBSERVATIONS.get(code, code), at), []).append((value, unit))
    wanted = {name for _, name, _ in expected}
    asked = asked_of(concepts=wanted)
    seen = 0
    for file in files:
        for batch in read_fhir(file, asked):
            for row in (
                batch.drop_nulls("value").filter(pl.col("concept").is_in(wanted - {"smoker"})).iter_rows(named=True)
            ):
                at = datetime.fromisoformat(row["start"])
                at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
                assert (row["value"], row["unit"]) in expected[row["person"], row["concept"], at], row
                seen += 1
    assert seen == sum(map(len, expected.values())) > 150


@pytest.mark.parametrize(
    ("code", "value", "unit", "feature", "expected"),
    [
        ("59408-5", 97, "%", "spo2", 97),
        ("2708-6", 97, "%O2", "spo2", 97),
        ("59408-5", 0.97, "1", "spo2", 97),
        ("93832-4", 420, "min", "sleep_hours", 7),
        ("93832-4", 7, "h", "sleep_hours", 7),
        ("8867-4", 1.2, "Hz", "heart_rate", 72),
        ("41950-7", 5000, "{steps}/(24.h)", "steps", 5000),
        ("41950-7", 5000, "{steps}", "steps", 5000),
        ("41950-7", 5, "10*3", "steps", 5000),
        ("41950-7", 5000, "steps", "steps", 5000),
        ("30525-0", 516, "mo", "age", 43),
    ],
)
def test_values_come_in_the_studys_unit(imported, write, code, value, unit, feature, expected):
    table = imported(write("a.ndjson", lines(observation(code, value, unit))))[1]
    assert table[feature].to_list() == [pytest.approx(expected, abs=0.01)]


def test_what_counts_no_steps_of_one_day_is_no_days_steps(imported, write):
    def week(end):
        return observation("41950-7", 35_000, "{steps}", None, effectivePeriod={"start": WHEN, "end": end})

    wrong = [observation("41950-7", 50, unit) for unit in ("%", "[ppm]", "{kcal}")]
    right = observation("41950-7", 5000, "{steps}", when="2024-05-02")
    report, table = imported(write("a.ndjson", lines(*wrong, week("2024-05-08T08:00:00+05:00"), right)))
    assert table.select("date", "steps").rows() == [("2024-05-02", 5000)]
    assert dropped(report) == {"unit not understood": 3, "longer than a day": 1}


def test_the_code_says_the_unit_and_must_agree_with_what_people_read(imported, write):
    def sleep(hour, unit, code):
        quantity = {"value": 7, "unit": unit, "code": code, "system": "http://unitsofmeasure.org"}
        return observation("93832-4", when=f"2024-05-0{hour}", valueQuantity=quantity)

    report, table = imported(
        write("a.ndjson", lines(sleep(1, "hours", "h"), sleep(2, "hours", "min"), sleep(3, "night", "h")))
    )
    assert table.select("date", "sleep_hours").rows() == [("2024-05-01", 7), ("2024-05-03", 7)]
    assert dropped(report) == {"unit and its code differ": 1}


def test_a_bundles_own_addresses_lead_to_the_patient(imported, write):
    address = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    entries = [observation("40443-4", 60, "/min", person=address), patient(birthDate="1980-05-01", gender="female")]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": entries[0]}, {"fullUrl": address, "resource": entries[1]}],
    }
    table = imported(write("a.json", json.dumps(bundle, indent=2)))[1]
    assert table.select("heart_rate", "age", "sex").rows() == [(60, 44, 0)]


@pytest.mark.parametrize(("born", "age"), [("1980-05-01", 44), ("1980-05-02", 43), ("1980-05", 43), ("1980", 43)])
def test_age_is_that_of_the_day_of_the_observation(imported, write, born, age):
    file = write("a.ndjson", lines(patient(birthDate=born), observation("40443-4", 60, "/min")))
    assert imported(file)[1]["age"].to_list() == [age]


@pytest.mark.parametrize(
    ("code", "system", "smoker"),
    [("449868002", SNOMED, 1), ("230063004", SNOMED, 1), ("8517006", SNOMED, 0), ("LA18978-9", LOINC, 0)],
)
def test_smoking_status(imported, write, code, system, smoker):
    assert imported(write("a.ndjson", lines(smoking(code, system=system))))[1]["smoker"].to_list() == [smoker]


def test_a_smoking_status_that_says_nothing_is_not_taken_for_no(imported, write):
    report, table = imported(
        write("a.ndjson", lines(observation("40443-4", 60, "/min"), smoking("266927001"), smoking("12345")))
    )
    assert table["smoker"].to_list() == [None]
    assert dropped(report) == {"not known": 1, "answer not understood": 1}


@pytest.mark.parametrize(
    ("found", "chronic"),
    [
        (condition(SNOMED, "84114007"), [0, 1]),
        (condition(ICD, "J44.9"), [0, 1]),
        (condition(ICD, "J961"), [0, 1]),
        (condition(ICD, "I21.4"), [0, 1]),
        (condition(SNOMED, "401314000"), [0, 1]),
        (condition(SNOMED, "401314000", onset="2018-01-01", abatementDateTime="2018-02-01"), [1, 1]),
        (condition(ICD, "I21.4", onset="2018-01-01", clinicalStatus={"coding": [{"code": "resolved"}]}), [1, 1]),
        (condition(SNOMED, "4104290000", onset="2018-01-01", abatementDateTime="2018-02-01"), [0, 0]),
        (condition("urn:oid:2.16.840.1.113883.6.90", "J44.9"), [0, 1]),
        (condition("http://hl7.org/fhir/sid/icd-9-cm", "428.0"), [0, 1]),
        (condition("http://hl7.org/fhir/sid/icd-9-cm", "401.9"), [0, 0]),
        (condition("urn:oid:2.16.840.1.113883.6.96", "426979002"), [0, 1]),
        (condition("http://hospital.example/codes", "17"), [None, None]),
        (condition(SNOMED, "") | {"code": {"text": "COPD, severe"}}, [None, None]),
        (condition(ICD, "J20.9"), [0, 0]),
        (condition(SNOMED, "84114007", onset="2020"), [0, 1]),
        (condition(SNOMED, "195967001", onset="1990-01-01", abatementDateTime="2019-07-01"), [1, 0]),
        (condition(SNOMED, "84114007", onset="in her fifties"), [1, 1]),
        (condition(SNOMED, "84114007", onset=None, onsetString="as a child", recordedDate="2020"), [1, 1]),
        (condition(SNOMED, "84114007", onset=None, recordedDate="2020-05-01"), [0, 1]),
        (condition(SNOMED, "84114007", onset=None), [1, 1]),
        (condition(SNOMED, "84114007", verificationStatus={"coding": [{"code": "confirmed"}]}), [0, 1]),
        (condition(SNOMED, "84114007", verificationStatus={"coding": [{"code": "differential"}]}), [None, None]),
        (condition(SNOMED, "84114007", verificationStatus={"coding": [{"code": "unconfirmed"}]}), [None, None]),
        (condition(SNOMED, "84114007", verificationStatus={"coding": [{"code": "refuted"}]}), [None, None]),
        (condition(SNOMED, "84114007", clinicalStatus={"coding": [{"code": "resolved"}]}), [None, None]),
    ],
)
def test_chronic_disease_holds_from_its_beginning_to_its_end(imported, write, found, chronic):
    rates = (observation("40443-4", 60, "/min", when=day) for day in ("2019-01-01", "2024-01-01"))
    assert imported(write("a.ndjson", lines(found, *rates)))[1]["chronic"].to_list() == chronic


def test_another_disease_does_not_tell_that_one_in_doubt_is_none(imported, write):
    cold = condition(SNOMED, "36971009")
    over, doubt = (
        {"clinicalStatus": {"coding": [{"code": "remission"}]}},
        {"verificationStatus": {"text": "unconfirmed"}},
    )
    unclear = [
        condition(SNOMED, "13645005", **over),
        condition(SNOMED, "13645005", id="1", **doubt),
        condition(SNOMED, "") | {"code": {"text": "COPD, severe"}},
    ]
    clear = [condition(SNOMED, "36971009", **doubt), condition(SNOMED, "13645005", onset="2025-01-01")]
    rate = observation("40443-4", 60, "/min")
    for one in unclear:
        report, table = imported(write("a.ndjson", lines(one, cold, rate)))
        assert table["chronic"].to_list() == [None]
        assert (report["kept"]["chronic"], sum(dropped(report).values())) == (1, 1)
    assert imported(write("a.ndjson", lines(*clear, rate)))[1]["chronic"].to_list() == [0]
    ill = condition(SNOMED, "195967001")
    assert imported(write("a.ndjson", lines(ill, *unclear, rate)))[1]["chronic"].to_list() == [1]


def test_what_cannot_be_used_is_dropped_and_counted(imported, write):
    absent = observation("40443-4", dataAbsentReason={"text": "unknown"})
    at_most = observation("59408-5", valueQuantity={"value": 60, "comparator": "<", "unit": "%"})
    file = write(
        "a.ndjson",
        lines(
            observation("40443-4", 60, "/min"),
            observation("40443-4", 61, "/min", status="entered-in-error"),
            observation("40443-4", 61, "/min", person="Group/7"),
            observation("40443-4", 61, "/min", when="2024-05"),
            observation("40443-4", 61, "/min", when="2099-01-01"),
            observation("40443-4", 61, "kg"),
            observation("59408-5", 0.97, "%"),
            observation("40443-4", 6100, "/min"),
            observation("40443-4", "many", "/min"),
            absent,
            at_most,
        ),
    )
    report, table = imported(file)
    assert table.select("heart_rate", "spo2").rows() == [(60, None)]
    assert dropped(report) == {
        "withdrawn, or not yet measured": 1,
        "not about a patient": 1,
        "time not readable": 1,
        "in the future": 1,
        "unit not understood": 1,
        "impossible value": 2,
        "not valid FHIR": 1,
        "without a value": 1,
        "not an exact value": 1,
    }


def test_a_record_with_the_same_id_counts_once_as_it_was_last(imported, write):
    file = write(
        "a.ndjson", lines(observation("40443-4", 60, "/min", id="1"), observation("40443-4", 70, "/min", id="1"))
    )
    report, table = imported(file)
    assert table["heart_rate"].to_list() == [70]
    assert dropped(report) == {"duplicate": 1}


def test_each_reading_counts_on_the_day_of_its_own_clock(imported, write):
    late, away = "2024-05-01T23:30:00+05:00", "2024-05-02T23:30:00-07:00"
    file = write("a.ndjson", lines(observation("41950-7", 9, "/d", late), observation("41950-7", 8, "/d", away)))
    report, table = imported(file)
    assert table.select("date", "steps").rows() == [("2024-05-01", 9), ("2024-05-02", 8)]
    assert report["clocks"]["offsets"] == {"+05:00": 1, "-07:00": 1}


def test_a_folder_of_a_bulk_export_is_one(imported, write):
    write("bulk/Patient.ndjson", lines(patient(birthDate="1980-05-01")))
    write("bulk/Observation.ndjson", lines(*(observation("40443-4", 60 + i, "/min", id=str(i)) for i in range(3))))
    write("bulk/notes.txt", "exported on Monday")
    folder = write("bulk/Encounter.ndjson", lines({"resourceType": "Encounter", "class": {"code": "AMB"}})).parent
    report, table = imported(folder)
    assert table.select("heart_rate", "age").rows() == [(61, 44)]
    assert report["files"]["Encounter.ndjson"] == {"Encounter": 1}


AGES = (
    {"onsetAge": {"value": 42, "unit": "years", "code": "a"}},
    {"onsetRange": {"low": {"value": 42, "unit": "a"}, "high": {"value": 45, "unit": "a"}}},
)


@pytest.mark.parametrize("told", AGES)
def test_the_age_at_which_a_disease_began_tells_the_day_whatever_is_read_first(imported, write, told):
    ill = condition(SNOMED, "84114007", onset=None, **told)
    rates = (observation("40443-4", 60, "/min", when=day) for day in ("2021-04-01", "2022-06-01"))
    write("bulk/Condition.ndjson", lines(ill))
    write("bulk/Observation.ndjson", lines(*rates))
    folder = write("bulk/Patient.ndjson", lines(patient(birthDate="1980-01-01"))).parent
    assert imported(folder)[1]["chronic"].to_list() == [0, 1]


def test_what_was_withdrawn_does_not_count_wherever_it_stands(imported, write):
    def rate(value, changed=None, **more):
        meta = {} if changed is None else {"meta": {"lastUpdated": changed}}
        return observation("40443-4", value, "/min", **meta, **more)

    wrong = {"status": "entered-in-error"}
    write("bulk/1.ndjson", lines(rate(170, id="1"), rate(60, id="2"), rate(70, "2024-05-03T00:00:00Z", id="3")))
    more = lines(rate(170, id="1", **wrong), rate(99, "2024-05-02T12:00:00+14:00", id="3"))
    again = lines(rate(40, "2024-05-01T00:00:00Z", id="4", **wrong), rate(80, "2024-05-02T00:00:00Z", id="4"))
    report, table = imported(write("bulk/2.ndjson", more + again).parent)
    assert table["heart_rate"].to_list() == [70]  # of 60, 70 and 80
    assert dropped(report) == {"withdrawn, or not yet measured": 2, "withdrawn later": 1, "duplicate": 1}
    assert report["kept"] == {"resting_heart_rate": 3}


NEWER = [
    observation("40443-4", 7200, "/min"),
    observation("40443-4", 72, "kg"),
    observation("40443-4") | {"dataAbsentReason": {"text": "unknown"}},
    observation("40443-4", 72, "/min", status="registered"),
    observation("40443-4", 72, "/min", when="2024-05"),
    observation("59408-5", 97, "%"),
]


@pytest.mark.parametrize("newer", NEWER)
@pytest.mark.parametrize("together", [True, False])
def test_the_last_version_of_a_record_counts_though_it_cannot_be_used(imported, write, newer, together):
    def version(found, day):
        return found | {"id": "1", "meta": {"lastUpdated": f"2024-06-0{day}T00:00:00Z"}}

    old = version(observation("40443-4", 72, "/min"), 1)
    rows = [version(newer, 2), old, observation("40443-4", 60, "/min", when="2024-05-03")]
    files = [rows] if together else [rows[1:], rows[:1]]
    report, table = imported(*(write(f"{i}.ndjson", lines(*found)) for i, found in enumerate(files)))
    assert table["heart_rate"].drop_nulls().to_list() == [60]
    assert report["kept"].get("spo2", 0) == (newer is NEWER[-1])
    assert report["kept"]["resting_heart_rate"] == 1


def test_of_versions_without_a_date_the_last_that_was_read_counts(imported, write):
    bad = observation("40443-4", 7200, "/min", id="1")
    good = observation("40443-4", 72, "/min", id="1")
    after = observation("40443-4", 60, "/min", when="2024-05-03")
    assert imported(write("a.ndjson", lines(bad, good, after)))[1]["heart_rate"].to_list() == [72, 60]
    assert imported(write("a.ndjson", lines(good, bad, after)))[1]["heart_rate"].to_list() == [60]


def test_one_part_of_a_record_that_cannot_be_used_leaves_the_others(imported, write):
    parts = [{"code": {"coding": [{"system": LOINC, "code": code}]}} for code in ("8480-6", "39156-5")]
    parts[0]["valueQuantity"], parts[1]["valueQuantity"] = {"value": 120, "unit": "mm[Hg]"}, {"value": 25, "unit": "kg"}
    both = observation("55418-8", component=parts, id="1")
    report, table = imported(write("a.ndjson", lines(both)), study=CLINICAL)
    assert table.select("systolic", "bmi").rows() == [(120, None)]
    assert dropped(report) == {"unit not understood": 1}


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_versions_of_a_patient_the_last_changed_counts_in_whatever_order(imported, write, newest_first):
    def version(day, born, gender, city):
        meta = {"lastUpdated": f"2024-01-0{day}T00:00:00+0{9 - day}:00"}
        return patient(birthDate=born, gender=gender, address=[{"city": city}], meta=meta)

    versions = [version(1, "1950-01-01", "male", "Karachi"), version(2, "1990-01-01", "female", "Lahore")]
    ill = condition(SNOMED, "84114007", onset=None, onsetAge={"value": 30, "unit": "a"})
    rates = [observation("40443-4", 60, "/min", when=day) for day in ("2019-05-01", "2024-05-01")]
    file = write("a.ndjson", lines(*(versions[::-1] if newest_first else versions), ill, *rates))
    report, table = imported(file)
    row = table.row(1, named=True)
    assert (row["age"], row["sex"], row["city"]) == (34, 0, "Lahore")
    assert table["chronic"].to_list() == [0, 1]
    assert dropped(report) == {"duplicate": 3}
    assert imported(write("a.ndjson", lines(versions[1], rates[0])))[1]["city"].to_list() == ["Lahore"]


@pytest.mark.parametrize("status", [{"clinicalStatus": "resolved"}, {"verificationStatus": "differential"}])
def test_a_disease_that_is_later_over_or_in_doubt_is_no_longer_known(imported, write, status):
    ill = condition(SNOMED, "13645005", id="1")
    newer = ill | {name: {"coding": [{"code": code}]} for name, code in status.items()}
    rate = observation("40443-4", 60, "/min")
    assert imported(write("a.ndjson", lines(ill, newer, rate)))[1]["chronic"].to_list() == [None]


@pytest.mark.parametrize("at_once", [1, 10**6])
def test_a_corrected_day_counts_however_many_readings_are_looked_at_together(imported, write, monkeypatch, at_once):
    monkeypatch.setattr(gathered, "SLICE", at_once)
    days = [observation("40443-4", 60 + d, "/min", when=f"2024-05-0{d}") for d in range(1, 5)]
    assert imported(write("a.ndjson", lines(*days)))[1]["heart_rate"].to_list() == [61, 62, 63, 64]
    moved = [observation("40443-4", 70, "/min", when=f"2024-06-0{d}", id="1") for d in (1, 2)]
    table = imported(write("a.ndjson", lines(*days, *moved)))[1]
    assert table["date"].to_list()[4:] == ["2024-06-02"]


def test_a_disease_that_was_an_error_is_none(imported, write):
    ill = condition(SNOMED, "84114007", id="1")
    error = ill | {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    file = write("a.ndjson", lines(ill, error, condition(SNOMED, "36971009"), observation("40443-4", 60, "/min")))
    assert imported(file)[1]["chronic"].to_list() == [0]


def hour(code, value, unit, device, start="2024-05-01T08:00:00+05:00", end="2024-05-01T09:00:00+05:00"):
    period = {"start": start, "end": end}
    named = {} if device is None else {"device": device}
    return observation(code, value, unit, when=None, effectivePeriod=period, **named)


def test_devices_that_count_the_same_steps_count_once(imported, write):
    phone = hour("55423-8", 500, "{steps}", {"reference": "Device/1"})
    watch = hour("55423-8", 520, "{steps}", {"display": "Watch"})
    assert imported(write("a.ndjson", lines(phone, watch)))[1]["steps"].to_list() == [520]


def test_a_night_and_a_nap_in_two_files_are_one_days_sleep(imported, write):
    nap = ("2024-05-01T14:00:00+05:00", "2024-05-01T15:00:00+05:00")
    write("bulk/1.ndjson", lines(hour("93832-4", 7, "h", None, "2024-04-30T23:00:00+05:00")))
    file = write("bulk/2.ndjson", lines(hour("93832-4", 1, "h", None, *nap)))
    assert imported(file.parent)[1]["sleep_hours"].to_list() == [8]


def test_two_records_of_one_night_count_once(imported, write):
    night = ("2024-04-30T23:00:00+05:00", "2024-05-01T06:30:00+05:00")
    later = ("2024-05-01T02:45:00+05:00", "2024-05-01T10:15:00+05:00")
    same = [hour("93832-4", h, "h", None, *night) for h in (7, 7.2)]
    assert imported(write("a.ndjson", lines(*same)))[1]["sleep_hours"].to_list() == [7.2]
    half = hour("93832-4", 7, "h", None, *later)
    assert imported(write("a.ndjson", lines(same[0], half)))[1]["sleep_hours"].to_list() == [7 + 3.5]


def test_utc_is_a_moment_and_no_clock_of_the_wearer(imported, write):
    slept = hour("93832-4", 7, "h", None, "2024-05-01T13:00:00Z", "2024-05-01T20:30:00Z")
    report, table = imported(write("a.ndjson", lines(slept)), zone="Asia/Karachi")
    assert table["date"].to_list() == ["2024-05-02"]
    assert report["clocks"]["offsets"] == {"none": 1}
    assert imported(write("a.ndjson", lines(slept)))[1]["date"].to_list() == ["2024-05-01"]


def test_what_was_always_so_makes_no_day_of_1899(imported, write, tmp_path):
    old = hour("30525-0", 43, "a", None, "1900-01-01", None)
    file = write("a.ndjson", lines(old, observation("40443-4", 60, "/min")))
    assert imported(file, zone="Asia/Karachi")[1]["date"].to_list() == ["2024-05-01"]


def test_the_city_is_where_someone_lives_and_not_where_they_did(imported, write, tmp_path):
    past = [{"use": "old", "city": "Quetta"}, {"use": "home", "city": "Multan", "period": {"end": "2020"}}]
    file = write("a.ndjson", lines(patient(address=[*past, {"city": "Lahore"}]), observation("40443-4", 60, "/min")))
    assert imported(file)[1]["city"].to_list() == ["Lahore"]


WHO = {"system": "http://hospital.example", "value": "BOB-1"}


def test_a_record_of_somebody_else_is_not_booked_to_the_person_told(imported, write):
    def rate(subject, **more):
        return observation("40443-4", 60, "/min", **more) | {"subject": subject}

    nobody = {k: v for k, v in rate(None).items() if k != "subject"}
    inside = {"contained": [{"resourceType": "Device", "identifier": {}}, patient(id="p", identifier=[WHO])]}
    bob = [rate({"identifier": WHO}), rate({"reference": "#p"}, when="2024-05-02", **inside)]
    unnamed = [rate({"display": "Bob"}), rate({"reference": "#q"}, **inside)]
    report, table = imported(write("a.ndjson", lines(nobody, *bob, *unnamed)), person="ann")
    assert sorted(table.group_by("user_id").len()["len"]) == [1, 2]
    assert dropped(report) == {"not about a patient": 2}


def test_an_identifier_leads_to_the_patient_who_has_it(imported, write):
    rate = observation("40443-4", 60, "/min") | {"subject": {"identifier": WHO}}
    table = imported(write("a.ndjson", lines(patient(identifier=[WHO], birthDate="1980-05-01"), rate)))[1]
    assert table.select("heart_rate", "age").rows() == [(60, 44)]


def test_numbers_that_no_computer_holds_are_counted(imported, write):
    huge = observation("40443-4") | {"valueInteger": 10**400}
    scaled = observation("40443-4", 60, "10*999/min")
    report, table = imported(write("a.ndjson", lines(observation("40443-4", 60, "/min"), huge, scaled)))
    assert table["heart_rate"].to_list() == [60]
    assert dropped(report) == {"not valid FHIR": 1, "unit not understood": 1}


def test_no_name_and_no_id_is_in_what_is_written(imported, write, tmp_path):
    device = {"device": {"display": "Annas Watch"}}
    rates = [observation("40443-4", 60, "/min", id=f"obs-{i}", person="Patient/anna", **device) for i in range(2)]
    report, _ = imported(write("x.ndjson", lines(*rates, patient(id="anna", birthDate="1980-05-01"))))
    folder = tmp_path / "data" / "node_1"
    records = pl.read_parquet(folder / "wearables.records.parquet")
    texts = [p.read_text() for p in folder.iterdir() if p.suffix in (".csv", ".json", ".html")]
    written = "\n".join([*texts, records.write_csv()]).lower()
    assert [word for word in ("anna", "obs-", "1980-05-01", "x.ndjson line") if word in written] == []
    assert records["feature"].to_list() == ["resting_heart_rate"]  # the duplicate is not there
    assert dropped(report) == {"duplicate": 1}


GOOD = lines(*(observation("40443-4", 60, "/min", when=f"2024-05-0{day}") for day in range(1, 6)))
BUNDLE = json.dumps({"resourceType": "Bundle", "entry": [{"resource": observation("40443-4", 60, "/min")}]}, indent=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD[:-60], r"a.json: line 5, not valid JSON: Input data was truncated; the export may be cut off"),
        (GOOD.replace('"status"', '"sta', 1), r"a.json: line 1, not valid JSON: .*\(byte \d+\)"),
        (GOOD[:90] + "\n" + GOOD, r"a.json: line 1, not valid JSON: Input data was truncated"),
        (GOOD + "oops\n", r"a.json: line 6, not valid JSON: JSON is malformed: invalid character \(byte 0\)"),
        (BUNDLE[:-20], r"a.json: not valid JSON: Input data was truncated"),
        (BUNDLE.replace("}", "]", 1), r"a.json: not valid JSON: JSON is malformed: .*\(byte \d+\)"),
        ('{"resourceType": 5}', r"not valid FHIR"),
        ("{}", r"a.json: not an export that is known; .* FHIR R4 .JSON, NDJSON."),
        ("[" * 100_000, r"not an export that is known"),
        ('{"resourceType": "Bundle", "entry":' + "[" * 100_000, r"not valid JSON"),
    ],
)
def test_broken_json_is_refused_with_the_place(imported, write, content, message):
    with pytest.raises(DataError, match=message):
        imported(write("a.json", content))


def test_blank_lines_of_ndjson_are_passed_over(imported, write):
    assert imported(write("a.ndjson", "\n \r\n" + GOOD.replace("\n", "\n\n")))[1].height == 5


def test_the_line_is_told_however_far_down_it_stands(imported, write, monkeypatch):
    monkeypatch.setattr(fhir, "CHUNK", 1000)
    with pytest.raises(DataError, match=r"a.json: line 43, not valid JSON: .*\(byte 0\)"):
        imported(write("a.json", "\ufeff" + (GOOD + "\n") * 7 + "oops\n" + GOOD))
