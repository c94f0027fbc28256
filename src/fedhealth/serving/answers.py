"""The answers about cities and runs, as clients see them."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fedhealth.monitoring.origin import Synthetic


class FromRecord(BaseModel):
    """An answer that is read off a record's attributes."""

    model_config = ConfigDict(from_attributes=True)


class Air(BaseModel):
    """A city's newest air; null where nothing is known."""

    city: str
    time: datetime | None
    aqi: float | None = Field(description="US EPA index")
    category: str | None
    dominant: str | None = Field(description="The pollutant that decides the index")
    averaging: str
    pm25: float | None
    source: str | None
    synthetic: bool
    stale: bool


class Stored(BaseModel):
    """How many readings were stored (those of known ids were before) and how many scored."""

    stored: int
    scored: int


class City(FromRecord):
    """A city's last 24 hours; figures about fewer than ten are null."""

    city: str
    latitude: float | None
    longitude: float | None
    time: datetime | None
    readings: int | None
    people: int | None
    mean_risk: float | None
    high_risk_share: float | None = Field(description="Null too where it would tell a count from 1 to 9")
    high_risk_readings: int | None = Field(description="The events that the share rests on")
    unstable: bool = Field(description="The share rests on 20 events or fewer")
    suppressed: bool
    aqi: float | None
    aqi_category: str | None
    pm25: float | None
    stale: bool
    synthetic: Synthetic | None = Field(description="Whether its readings were made by a computer; null without any")


class Cities(BaseModel):
    """All cities of the study."""

    as_of: datetime | None
    reporting: int
    cities: list[City]


class Point(FromRecord):
    """A city on a day."""

    city: str
    date: date
    mean_risk: float | None
    mean_risk_interval: tuple[float, float] | None = Field(description="95 %, from how people differ that day")
    aqi: float | None
    pm25: float | None
    readings: int | None
    synthetic: Synthetic = Field(description="Whether its readings were made by a computer")


class Trends(BaseModel):
    """Days that have readings, oldest first."""

    points: list[Point]


class DaysInCategory(FromRecord):
    """On how many days a city's air was in a category."""

    city: str
    category: str
    days: int


class Categories(BaseModel):
    """Days by city and category."""

    categories: list[DaysInCategory]


class RunSummary(BaseModel):
    """A finished training run."""

    id: str
    study: str
    seed: int
    model: str
    runtime: str
    finished: datetime
    nodes: list[str]
    rounds: int
    global_auroc: float | None


class Runs(BaseModel):
    """Runs, newest first."""

    runs: list[RunSummary]


class Evaluation(BaseModel):
    """How well the served model does on held-out rows."""

    model_version: str
    metrics: dict[str, Any]
    nodes: list[dict[str, Any]]
    subgroups: list[dict[str, Any]] = Field(description="By city and by what else the study tells people apart")
    threshold: dict[str, Any]
    synthetic: bool | None
    synthetic_nodes: list[str] = Field(description="Nodes with generated rows, where others have real ones")
