"""The store's tables through time: what each version adds, and how an older store is brought up to date."""

from typing import Any

from sqlalchemy import Connection, inspect, text

HEAD = "v5"
FIRST = "v1"


class TooNew(Exception):
    """The store was made by a newer FedHealth."""


def migrate(connection: Connection) -> None:
    """Bring the store behind ``connection`` to the newest version; an empty one is made, an old one keeps its rows.

    Raises:
        TooNew: the store was made by a newer FedHealth.
    """
    tables = inspect(connection).get_table_names()
    found = connection.scalar(text("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else None
    if found == HEAD:
        return
    from alembic import command  # takes a while to import, and is needed once in a store's life
    from alembic.util import CommandError

    config = _config(connection)
    if found is None and "readings" in tables:  # made before there were versions
        command.stamp(config, FIRST)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise TooNew(f"it has version {found}, which this FedHealth does not know ({error}); update it") from None


def _config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "fedhealth.monitoring:migrations")
    return config
