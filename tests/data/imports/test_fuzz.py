"""Every reader on damaged and on made-up files: no crash, no hang, no reading lost, none in a wrong unit.

``FEDHEALTH_FUZZ_EXAMPLES`` says how many files each test makes; ``make fuzz`` asks for very many.
"""

import datetime as dt
import io
import json
import math
import tempfile
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.data.imports.conftest import NOW, asked_of

from fedhealth.data.files import DataError
from fedhealth.data.imports.detect import find_exports
from fedhealth.data.imports.pseudonyms import Pseudonyms
from fedhealth.data.imports.records import GATHERED, Records
from fedhealth.data.imports.run import READERS
from fedhealth.data.imports.times import check_zone, parse_times
from fedhealth.data.imports.units import conversion

pytestmark = pytest.mark.fuzz
many = settings.get_profile("fuzz")


def canonical(name, content, **told):
    """The readings of a file that are kept, and the tally; the reader's DataError where it refuses."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in").mkdir()
        (folder / "out").mkdir()
        (folder / "in" / name).write_bytes(content)
        asked = asked_of(**told)
        tally = asked.tally
        records = Records(folder / "out", asked, Pseudonyms(folder), NOW)
        for file, kind in find_exports([folder / "in" / name], None, asked):
            for batch in READERS[kind](file, asked):
                records.add(batch)
        parts = [pl.read_parquet(part) for part in sorted((folder / "out").iterdir())]
        return pl.concat([GATHERED.to_frame(), *parts]).drop_nulls("value"), tally


def apple(*rows):
    records = "".join(
        f'<Record type="HKQuantityTypeIdentifier{kind}" sourceName="W" unit="{unit}" value="{value}" '
        f'startDate="2024-05-01 08:00:{i:02} +0500" endDate="2024-05-01 08:00:{i:02} +0500"/>\n'
        for i, (kind, unit, value) in enumerate(rows)
    )
    return f'<?xml version="1.0"?>\n<HealthData locale="en">\n{records}</HealthData>\n'.encode()


def observation(number, code, unit, value):
    quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {
        "resourceType": "Observation",
        "id": str(number),
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": "2024-05-01T08:00:00Z",
        "valueQuantity": quantity,
    }


def zipped(name, content):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return memory.getvalue()


def parquet():
    memory = io.BytesIO()
    pl.DataFrame({"user_id": ["a", "b"], "date": ["2024-05-01"] * 2, "spo2": [97.0, 96.0]}).write_parquet(memory)
    return memory.getvalue()


WALK = [("StepCount", "count", "120"), ("HeartRate", "count/min", "61"), ("OxygenSaturation", "%", "0.97")]
STEPS = json.dumps([{"dateTime": f"05/01/24 08:0{i}:00", "value": f"{i}"} for i in range(9)]).encode()
NDJSON = "\n".join(json.dumps(observation(i, "40443-4", "/min", 60 + i)) for i in range(3)).encode()
ENTRIES = [{"resource": observation(i, "59408-5", "%", 96)} for i in range(2)]
FILES = {
    "a.csv": b"user_id,date,heart_rate,spo2,steps\nann,2024-05-01,61,97,5000\nbob,2024-05-02T08:00:00+05:00,62,96,\n",
    "a.parquet": parquet(),
    "station.csv": b"year,month,day,hour,PM2.5,O3,station\n2024,5,1,0,35.5,60,X\n2024,5,1,1,NA,61,X\n",
    "air.csv": b"date,pm25_ug_per_m3,no2_ppb\n2024-05-01,35.5,12\n2024-05-02,,13\n",
    "export.xml": apple(*WALK),
    "export.zip": zipped("apple_health_export/export.xml", apple(*WALK)),
    "a.ndjson": NDJSON,
    "a.json": json.dumps({"resourceType": "Bundle", "entry": ENTRIES}, indent=1).encode(),
    "daily.csv": b"Id,ActivityDate,TotalSteps,SedentaryMinutes\n1,4/12/2016,13162,728\n2,4/13/2016,0,1440\n",
    "rates.csv": b"Id,Time,Value\n1,5/10/2016 6:55:26 AM,71\n1,5/10/2016 6:55:31 PM,70\n",
    "steps-2024-05-01.json": STEPS,
    "takeout.zip": zipped("Takeout/Fitbit/steps-2024-05-01.json", STEPS),
}
# Where, how many bytes go, what comes instead.
PIECES = (
    b"",
    b"\0",
    b"\xff",
    b'"',
    b"<",
    b"]}",
    b"\n",
    b",",
    b"-",
    b"9" * 30,
    b"1e999",
    b"NaN",
    "٣".encode(),
    b"&x;",
    b"T",
)
DAMAGE = st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=6))


def damaged(content, damage):
    for place, gone, comes in damage:
        start = int(place * len(content))
        content = content[:start] + comes + content[start + gone :]
    return content


@pytest.mark.parametrize("name", FILES)
@many
@given(st.lists(DAMAGE, min_size=1, max_size=4))
@example([(0.0, 10**6, b"")])
@example([(0.5, 10**6, b"")])
@example([(0.18231882730357188, 3, b"")])  # Polars panics at this Parquet file
def test_a_damaged_file_is_read_or_refused_and_never_crashes(name, damage):
    try:
        kept, tally = canonical(name, damaged(FILES[name], damage), city="Lahore")
    except DataError:
        return
    assert kept.height == sum(tally.kept.values())
    assert kept["value"].is_finite().all()


# By what is measured: Apple's type, LOINC code, plausible range, and how many of the study's unit each unit is.
MEASURED = {
    "heart_rate": ("HeartRate", "8867-4", (25, 220), {"count/min": 1, "/min": 1, "bpm": 1, "Hz": 60, "/h": 1 / 60}),
    "spo2": ("OxygenSaturation", "59408-5", (60, 100), {"%": 1, "1": 100, "%O2": 1}),
    "steps": ("StepCount", "55423-8", (0, 60_000), {"count": 1, "{steps}": 1, "steps": 1, "10*3": 1000}),
    "sleep": (None, "93832-4", (0, 20), {"h": 1, "min": 1 / 60, "s": 1 / 3600, "d": 24, "hours": 1}),
}
OTHERS = ("", "kg", "furlong", "mm[Hg]", "count/", "Cel", "?", "ug/m3", "10*999/min", "10*3-2", "m9.pm9.pm9")
PARTS = st.sampled_from(
    ("10*", "9", "99", "308", "m", "p", "h", "min", "s", "%", "/", ".", "{steps}", "[ppb]", "-2", "+3")
)
ZONES = st.sampled_from(("UTC", "Asia/Karachi", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "+05:00"))
VALUES = st.floats(-10, 70_000) | st.floats(0, 130) | st.integers(0, 250).map(float) | st.floats(0, 1.5)
READING = st.sampled_from(list(MEASURED)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.sampled_from((*MEASURED[kind][3], *OTHERS)), VALUES)
)


def plausible(kind, unit, value):
    """A reading in the study's unit; None where it must be dropped."""
    factor, (low, high) = MEASURED[kind][3].get(unit), MEASURED[kind][2]
    found = math.nan if factor is None else factor * value
    return found if low - 1e-9 <= found <= high + 1e-9 else None


def compare(kept, expected):
    assert sorted(kept["value"]) == pytest.approx(sorted(v for v in expected if v is not None), rel=1e-9, abs=1e-9)


@many
@given(st.lists(READING.filter(lambda r: r[0] != "sleep"), max_size=30))
def test_apples_units(readings):
    # Apple writes a share as "%"; a body that has but 1 % of oxygen does not carry a watch
    told = [(kind, "1" if (kind, unit) == ("spo2", "%") and v <= 1 else unit, v) for kind, unit, v in readings]
    kept, tally = canonical("a.xml", apple(*((MEASURED[k][0], u, v) for k, u, v in readings)))
    compare(kept, [plausible(*one) for one in told])
    assert kept.height + tally.dropped.total() == len(readings)


@many
@given(st.lists(READING, min_size=1, max_size=30))
def test_units_of_fhir(readings):
    rows = [json.dumps(observation(i, MEASURED[k][1], u, v)) for i, (k, u, v) in enumerate(readings)]
    kept, tally = canonical("a.ndjson", "\n".join(rows).encode())
    compare(kept, [plausible(*one) for one in readings])
    assert kept.height + tally.dropped.total() == len(readings)


@many
@given(READING.filter(lambda r: r[0] != "steps"), st.lists(VALUES, min_size=1, max_size=20))
def test_units_of_a_column(told, values):
    kind, unit, _ = told
    feature = {"sleep": "sleep_hours"}.get(kind, kind)
    text = "user_id,date,x\n" + "".join(f"a,2024-05-01T08:00:{i:02},{v!r}\n" for i, v in enumerate(values))
    expected = [plausible(kind, unit or {"heart_rate": "/min", "spo2": "%", "sleep": "h"}[kind], v) for v in values]
    try:
        kept, tally = canonical("a.csv", text.encode(), columns={feature: f"x@{unit}"})
    except DataError:
        # another unit, or one that most values deny
        assert unit not in MEASURED[kind][3] or expected.count(None) > 0.2 * len(expected)
    else:
        compare(kept, expected)
        assert kept.height + tally.dropped.total() == len(values)


CELLS = st.sampled_from(["", "NA", "many", "-5", "1e9", "nan"]) | st.floats(0, 1200).map(repr)


@many
@given(st.lists(CELLS, min_size=1, max_size=24))
def test_hours_of_a_station(cells):
    rows = "".join(f"2024,5,1,{hour},{cell},X\n" for hour, cell in enumerate(cells))
    text = f"year,month,day,hour,PM2.5,station\n{rows}".encode()
    kept, tally = canonical("s.csv", text, node="node_2")
    known = [cell for cell in cells if cell not in ("", "NA")]
    numbers = [float(cell) for cell in known if cell not in ("many", "nan")]
    compare(kept, [value if 0 <= value <= 1000 else None for value in numbers])
    assert kept.height + tally.dropped.total() == len(known)


MINUTE = st.tuples(st.integers(0, 1439), st.integers(-5, 70_000) | st.sampled_from(["", "many"]))


@many
@given(st.lists(MINUTE, max_size=30))
def test_minutes_of_a_fitbit_archive(minutes):
    found = [{"dateTime": f"05/01/24 {m // 60:02}:{m % 60:02}:00", "value": f"{v}"} for m, v in minutes]
    kept, tally = canonical("steps-2024-05-01.json", json.dumps(found).encode(), zone="Asia/Karachi")
    compare(kept, [float(v) if isinstance(v, int) and 0 <= v <= 60_000 else None for _, v in minutes])
    assert kept.height + tally.dropped.total() == len(minutes)
    assert set(kept["offset"]) <= {300}


@many
@given(st.lists(PARTS, max_size=8).map("".join), st.lists(PARTS, max_size=8).map("".join))
@example("10*308", "%")  # more of one in the other than a number can tell
def test_made_up_units(unit, target):
    found = conversion(unit, target)
    assert found is None or (0 < found.factor < math.inf and math.isfinite(found.shift))


TIMES = st.sampled_from(("", "Z", "+05:00", "-09:30", "+14:00", "+99:00", "+0500", " +0500", "+٣٣:00"))


@many
@given(ZONES, st.datetimes().map(lambda time: f"{time:%Y-%m-%dT%H:%M:%S}"), TIMES)
def test_a_time_is_what_python_reads(zone, text, offset):
    found = parse_times(pl.Series([text + offset]), zone).row(0, named=True)
    try:
        told = dt.datetime.fromisoformat(text + offset)
    except ValueError:
        told = None
    if told and told.tzinfo and abs(told.utcoffset()) <= dt.timedelta(hours=14) and 1 < told.year < 9999:
        assert found["utc"] == told.astimezone(dt.UTC).replace(tzinfo=None)
        assert found["zoned"] == (offset != "Z")
    assert found["utc"] is None or abs(found["offset"]) <= 14 * 60


@many
@given(st.text(max_size=12) | ZONES)
def test_any_zone_is_read_in_or_refused(zone):
    try:
        check_zone(zone)
    except DataError:
        return
    parse_times(pl.Series(["2024-05-01", "2024-05-01T08:00:00Z"]), zone)
