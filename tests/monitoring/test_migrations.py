"""Stores of every age come up to date and keep their rows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, select, text

from fedhealth.monitoring.alerts import list_alerts, state_of
from fedhealth.monitoring.migrations import HEAD
from fedhealth.monitoring.store import Store, StoreError
from fedhealth.monitoring.tables import Reading, Table

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
# What stores had before there were versions, as SQLAlchemy's create_all made it.
OLD = """
CREATE TABLE readings (id VARCHAR(64) NOT NULL, person VARCHAR(64), city VARCHAR(64) NOT NULL,
    time {moment} NOT NULL, day DATE NOT NULL, features JSON NOT NULL, aqi {real}, pm25 {real}, risk {real} NOT NULL,
    high_risk BOOLEAN NOT NULL, model_version VARCHAR(64) NOT NULL, source VARCHAR(64) NOT NULL, PRIMARY KEY (id));
CREATE INDEX readings_by_city_and_time ON readings (city, time);
CREATE INDEX readings_by_time ON readings (time);
CREATE TABLE predictions (id {serial}, time {moment} NOT NULL, model_version VARCHAR(64) NOT NULL,
    risk {real} NOT NULL, missing INTEGER NOT NULL, PRIMARY KEY (id));
CREATE TABLE alerts (id {serial}, city VARCHAR(64) NOT NULL, rule VARCHAR(32) NOT NULL, value {real} NOT NULL,
    threshold {real} NOT NULL, since {moment} NOT NULL, last_seen {moment} NOT NULL, ended {moment},
    readings INTEGER NOT NULL, mean_risk {real}, aqi {real}, acknowledged_at {moment}, acknowledged_by VARCHAR(100),
    note TEXT, PRIMARY KEY (id));
CREATE UNIQUE INDEX one_open_alert_per_city_and_rule ON alerts (city, rule) WHERE ended IS NULL;
INSERT INTO readings VALUES ('a', 'p', 'Lahore', '2026-01-10 12:00:00.000000', '2026-01-10', '{{"age": 40.0}}', 80, 20,
    0.1, {false}, 'm', 'synthetic');
INSERT INTO alerts VALUES (1, 'Lahore', 'aqi', 250, 200, '2026-01-10 12:00:00.000000', '2026-01-10 12:00:00.000000',
    NULL, 12, 0.1, 250, NULL, NULL, NULL);
"""


def make_old(store: Store) -> None:
    postgres = store.url.get_backend_name() == "postgresql"
    words = {"serial": "INTEGER NOT NULL", "false": "0", "real": "DOUBLE", "moment": "DATETIME"}
    if postgres:
        words = {"serial": "SERIAL NOT NULL", "false": "false", "real": "DOUBLE PRECISION", "moment": "TIMESTAMP"}
    engine = create_engine(store.url)
    if not postgres:
        Path(store.url.database or "").parent.mkdir()
    with engine.begin() as connection:
        for statement in OLD.format(**words).split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def check_is_as_the_code_has_it(connection: Connection) -> None:
    assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD


def test_a_new_store_has_the_tables_that_the_code_has(store: Store):
    with store.session() as session:
        check_is_as_the_code_has_it(session.connection())


def test_a_store_from_before_there_were_versions_keeps_its_rows(store: Store):
    make_old(store)
    with store.session() as session:
        check_is_as_the_code_has_it(session.connection())
        reading = session.scalars(select(Reading)).one()
        assert (reading.id, reading.time, reading.features) == ("a", NOON, {"age": 40.0})
        (alert,) = list_alerts(session)
        assert (state_of(alert), alert.fired) == ("firing", NOON)


def test_a_store_of_a_newer_fedhealth_is_left_alone(store: Store, address: str):
    with store.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'v99'"))
    again = Store(address)
    with pytest.raises(StoreError, match=r"version v99.*update it"), again.session():
        pass
    again.close()
