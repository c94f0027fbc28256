"""The JSON files of a Fitbit account: heart rate, heart rate at rest, steps by the minute, sleep."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec import Struct

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.raw import RAW, as_raw
from fedhealth.data.imports.times import on_clock

ARCHIVE = "Fitbit archive"  # in the report, for its many files
UTC_TIME, DAY = "%m/%d/%y %H:%M:%S", "%m/%d/%y"


class Beats(Struct, gc=False):
    """``confidence`` is 0 where the watch did not feel a pulse; ``bpm`` is then a stand-in."""

    bpm: float
    confidence: float = 1.0


class HeartRate(Struct, gc=False):
    """A moment's heart rate."""

    dateTime: str
    value: Beats


class AtRest(Struct, gc=False):
    """``value`` is 0 without a date where the day has none."""

    value: float
    date: str | None = None


class RestingHeartRate(Struct, gc=False):
    """A day's heart rate at rest."""

    value: AtRest


class Steps(Struct, gc=False):
    """Steps of a minute."""

    dateTime: str
    value: str | float


class Sleep(Struct, gc=False):
    """One sleep, on the clock where it was slept."""

    logId: int
    startTime: str
    endTime: str
    minutesAsleep: float


def _heart_rates(found: list[HeartRate], asked: Asked) -> pl.DataFrame:
    felt = [one for one in found if one.value.confidence > 0]
    asked.tally.drop("no pulse felt (confidence 0)", len(found) - len(felt))
    times = pl.Series([one.dateTime for one in felt], dtype=pl.String)
    return _frame(on_clock(times, UTC_TIME, asked.zone), [one.value.bpm for one in felt])


def _at_rest(found: list[RestingHeartRate], asked: Asked) -> pl.DataFrame:
    known = [one.value for one in found if one.value.date and one.value.value > 0]
    asked.tally.drop("no heart rate at rest that day", len(found) - len(known))
    days = pl.Series([one.date for one in known], dtype=pl.String).str.to_date(DAY, strict=False)
    return _frame(days.dt.to_string("%Y-%m-%d"), [one.value for one in known])


def _steps(found: list[Steps], asked: Asked) -> pl.DataFrame:
    times = pl.Series([one.dateTime for one in found], dtype=pl.String)
    counts = pl.Series([str(one.value) for one in found], dtype=pl.String).cast(pl.Float64, strict=False)
    start, end = (on_clock(times, UTC_TIME, asked.zone, minutes) for minutes in (0, 1))
    return _frame(start, counts, end)


def _sleeps(found: list[Sleep], asked: Asked) -> pl.DataFrame:
    start, end = (
        pl.Series(times, dtype=pl.String) for times in zip(*((s.startTime, s.endTime) for s in found), strict=True)
    )
    return _frame(start, [s.minutesAsleep for s in found], end, [str(s.logId) for s in found])


def _frame(start: pl.Series, value: Any, end: pl.Series | None = None, own: list[str] | None = None) -> pl.DataFrame:
    none = pl.Series([None] * len(start), dtype=pl.String)
    columns = {"start": start, "end": none if end is None else end, "value": pl.Series(value, dtype=pl.Float64)}
    return pl.DataFrame(columns | {"id": none if own is None else pl.Series(own, dtype=pl.String)})


Build = Callable[[list[Any], Asked], pl.DataFrame]
# By the beginning of a file's name: what it holds, concept and unit, and how it becomes readings.
FILES: Mapping[str, tuple[type[Struct], str, str, Build]] = {
    "heart_rate": (HeartRate, "heart_rate", "/min", _heart_rates),
    "resting_heart_rate": (RestingHeartRate, "resting_heart_rate", "/min", _at_rest),
    "steps": (Steps, "steps", "{steps}", _steps),
    "sleep": (Sleep, "sleep_duration", "min", _sleeps),
}


def read_json(path: Path, person: str, asked: Asked) -> pl.DataFrame:
    """Readings of one file of the person's account.

    Raises:
        DataError: the file has another name than those that are known, or is not JSON (and where).
    """
    name = path.name.partition("-")[0]
    if name not in FILES:
        expected = ", ".join(f"{known}-YYYY-MM-DD.json" for known in FILES)
        raise DataError(f"{path}: not a file of a Fitbit archive that is read; expected {expected}")
    kind, concept, unit, build = FILES[name]
    found = _decoded(path, kind, asked)
    asked.tally.found(ARCHIVE, name, len(found))
    if concept not in asked.concepts or not found:
        return RAW.to_frame()
    told = {"person": person, "city": asked.city, "concept": concept, "unit": unit, "source": f"Fitbit {name}"}
    own = (pl.lit(f"{person} ") + pl.col("id")).alias("id")
    return as_raw(build(found, asked).with_columns(own, *(pl.lit(v).alias(k) for k, v in told.items())))


def _decoded(path: Path, kind: type[Struct], asked: Asked) -> list[Any]:
    """What a file holds, without (but counted) what is not as expected."""
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        try:
            return msgspec.json.decode(text, type=list[kind])  # type: ignore[valid-type]
        except msgspec.ValidationError:
            parts = msgspec.json.decode(text, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}; expected a list, as Fitbit writes it") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}; the export may be cut off, export it again") from None
    found = [_one(part, kind, path, asked) for part in parts]
    return [one for one in found if one is not None]


def _one(part: msgspec.Raw, kind: type[Struct], path: Path, asked: Asked) -> Struct | None:
    try:
        return msgspec.json.decode(part, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        asked.tally.drop("not as Fitbit writes it", 1, f"{path.name}: {error}")
        return None
