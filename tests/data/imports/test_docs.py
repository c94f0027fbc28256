"""``docs/imports.md`` names every field that a reader reads, and no other."""

from pathlib import Path

from fedhealth.cli.imports import Kind
from fedhealth.data.aqi import SUBSTANCES
from fedhealth.data.imports import air_quality, apple_health, fhir_codes, fitbit_archive, fitbit_tables
from fedhealth.data.imports.concepts import CONCEPTS, concepts_of
from fedhealth.data.imports.run import READERS
from fedhealth.data.imports.units import conversion
from fedhealth.study import load_study

DOCS = Path(__file__).parents[3] / "docs" / "imports.md"
STUDY = load_study("health-risk")


def apple():
    for name, concept in apple_health.TYPES.items():
        yield f"Record `{name.split('Identifier')[1]}`", concept, "its `unit`"
    yield f"Me `{apple_health.BIRTH}`", "birth_date", ""
    yield f"Me `{apple_health.SEX}`", "sex", ""


def fhir():
    for code, concept in fhir_codes.OBSERVATIONS.items():
        coded = "SNOMED CT or LOINC answer" if concept == "smoker" else "UCUM `code`, else `unit`"
        yield f"Observation LOINC {code}", concept, coded
    yield (
        "Observation, or a component, of any other LOINC code",
        "the feature with that code",
        "UCUM `code`, else `unit`",
    )
    yield "Condition `code`, onset to abatement", "chronic", "SNOMED CT, ICD-10 or ICD-9-CM"
    yield "Patient `birthDate`", "birth_date", ""
    yield "Patient `gender`", "sex", ""
    yield "Patient `address.city`", "city", ""


def fitbit():
    for table in (*fitbit_tables.TABLES, *fitbit_tables.OF_ARCHIVE):
        for column, (concept, unit) in table.values.items():
            yield f"CSV `{table.time}`, `{column}`", concept, unit
    for name, (_, concept, unit, _) in fitbit_archive.FILES.items():
        yield f"`{name}-YYYY-MM-DD.json`", concept, unit
    yield "`Profile.csv` `date_of_birth`", "birth_date", ""
    yield "`Profile.csv` `gender`", "sex", ""


def air():
    for column, (concept, unit) in air_quality.STATION_COLUMNS.items():
        yield f"hourly `{column}`", concept, unit
    yield "hourly `TEMP`, `DEWP`", "humidity", "%"
    for concept in SUBSTANCES:
        found = CONCEPTS[concept]
        units = ", ".join(t for t, u in air_quality.UNITS.items() if conversion(u, found.unit, found.molar_mass))
        yield f"daily `{concept}_UNIT`, `{concept}_concentration_UNIT`", concept, units


def feeds(concept):
    """The features of the built-in study that a concept feeds."""
    found = [f.name for f in STUDY.features if concept in {c.name for c in concepts_of(f)}]
    if concept in SUBSTANCES:
        found.append("aqi")
    return ", ".join(dict.fromkeys(found)) or "–"


def table(rows):
    lines = ["| field | becomes | unit | in `health-risk` |", "|---|---|---|---|"]
    for field, concept, unit in rows:
        name = f"LOINC {concept}" if concept[0].isdigit() else concept
        lines.append(f"| {field} | {name} | {unit} | {feeds(concept)} |")
    return "\n".join(lines)


def test_the_tables_of_fields_are_those_of_the_readers():
    text = DOCS.read_text(encoding="utf-8")
    for rows in (apple(), fhir(), fitbit(), air()):
        expected = table(rows)
        assert expected in text, f"docs/imports.md should hold:\n\n{expected}"


def test_every_kind_and_every_rule_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    assert set(Kind) == set(READERS)
    assert [kind for kind in Kind if f"`{kind}`" not in text] == []
    assert [name for name in CONCEPTS if f"`{name}`" not in text] == []
