"""The store's tables."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import JSON, Date, DateTime, Dialect, Index, String, Text, TypeDecorator, case, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fedhealth.monitoring.retention import Retention


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept in UTC in every database, also in those that know no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, without saying so."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Table(DeclarativeBase):
    """What all tables have in common."""

    type_annotation_map = {datetime: UtcTime, date: Date, dict[str, float]: JSON, dict[str, Any]: JSON}  # noqa: RUF012


class Reading(Table):
    """What was measured of one person, or of a city's air alone, at one time, and the risk that it was given.

    ``day`` is the date of ``time`` in UTC, kept for grouping. ``features`` holds the values that were observed, in the
    study's units. ``aqi`` and ``pm25`` repeat what they say about the air.
    """

    __tablename__ = "readings"
    __table_args__ = (
        Index("readings_by_time", "time"),
        Index("readings_by_city_and_time", "city", "time"),
        Index("readings_by_person", "person"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    person: Mapped[str | None] = mapped_column(String(64))
    city: Mapped[str] = mapped_column(String(64))
    time: Mapped[datetime]
    day: Mapped[date]
    features: Mapped[dict[str, float]]
    aqi: Mapped[float | None]
    pm25: Mapped[float | None]
    risk: Mapped[float]
    high_risk: Mapped[bool]
    model_version: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))


# How many people readings are of, at least: all those without a name may be of one.
PEOPLE = func.count(Reading.person.distinct()) + func.max(case((Reading.person.is_(None), 1), else_=0))


class Outcome(Table):
    """Whether what was predicted came to be, for one reading; ``told_by`` names the key that said so."""

    __tablename__ = "outcomes"

    reading: Mapped[str] = mapped_column(String(64), primary_key=True)
    happened: Mapped[bool]
    told: Mapped[datetime]
    told_by: Mapped[str] = mapped_column(String(64))


class Consent(Table):
    """How much may be kept of a person's readings: ``full``, ``aggregate`` or ``off``."""

    __tablename__ = "consents"

    person: Mapped[str] = mapped_column(String(64), primary_key=True)
    retention: Mapped[Retention] = mapped_column(String(16))
    since: Mapped[datetime]


class Prediction(Table):
    """That a risk was asked for: no value of the person is kept, only how many were missing."""

    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime]
    model_version: Mapped[str] = mapped_column(String(64))
    risk: Mapped[float]
    missing: Mapped[int]


class Alert(Table):
    """A rule that was met from ``since`` until ``ended`` (None while it lasts), with the evidence last seen.

    ``city`` is empty where the rule is about all. ``fired`` is None while the rule was not met for long enough;
    ``acknowledged_by`` is who says to look after it, ``acknowledged_key`` the name of the key that said so;
    ``about`` says more of what is meant, ``subjects`` are those of the rule that it is about, ``error`` why the rule
    could not be checked, ``told`` what the webhook heard last.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "one_open_alert_per_city_and_rule",
            "city",
            "rule",
            unique=True,
            sqlite_where=text("ended IS NULL"),
            postgresql_where=text("ended IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str] = mapped_column(String(64))
    rule: Mapped[str] = mapped_column(String(32))
    value: Mapped[float]
    threshold: Mapped[float]
    since: Mapped[datetime]
    last_seen: Mapped[datetime]
    ended: Mapped[datetime | None]
    readings: Mapped[int]
    mean_risk: Mapped[float | None]
    aqi: Mapped[float | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(100))
    acknowledged_key: Mapped[str | None] = mapped_column(String(64))
    note: Mapped[str | None] = mapped_column(Text)
    about: Mapped[str | None] = mapped_column(Text)
    subjects: Mapped[list[str] | None] = mapped_column(JSON)
    fired: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    told: Mapped[str | None] = mapped_column(String(16))


class NodeCheck(Table):
    """How the served model did at a node when it was last asked; ``figures`` is empty where it gave no answer.

    ``figures`` has what :class:`~fedhealth.monitoring.nodes.NodeLook` holds beside status and reason; ``noisy`` says
    whether the answer had noise.
    """

    __tablename__ = "node_checks"

    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    time: Mapped[datetime]
    model_version: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    noisy: Mapped[bool]
    figures: Mapped[dict[str, Any]]
