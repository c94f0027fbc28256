"""Databases of a test's own."""

import os
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"


def own_postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL database, gone afterwards; without a server the test skips, or fails."""
    url = make_url(os.environ.get("FEDHEALTH_TEST_POSTGRES", POSTGRES))
    server = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    name = f"fedhealth_test_{uuid.uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        reason = f"needs PostgreSQL: set FEDHEALTH_TEST_POSTGRES to its address ({error.orig})"
        if os.environ.get("FEDHEALTH_REQUIRE_ALL") == "1":
            pytest.fail(f"{reason} (FEDHEALTH_REQUIRE_ALL=1 forbids skipping)")
        pytest.skip(reason)
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
