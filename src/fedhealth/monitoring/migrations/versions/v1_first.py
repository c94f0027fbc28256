"""Readings, predictions and alerts, as the first stores had them."""

import sqlalchemy as sa
from alembic import op

revision = "v1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _readings()
    op.create_table(
        "predictions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("risk", sa.Double(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
    )
    _alerts()


def _readings() -> None:
    op.create_table(
        "readings",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(64)),
        sa.Column("city", sa.String(64), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("aqi", sa.Double()),
        sa.Column("pm25", sa.Double()),
        sa.Column("risk", sa.Double(), nullable=False),
        sa.Column("high_risk", sa.Boolean(), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
    )
    op.create_index("readings_by_time", "readings", ["time"])
    op.create_index("readings_by_city_and_time", "readings", ["city", "time"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("city", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(32), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("last_seen", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.DateTime()),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("mean_risk", sa.Double()),
        sa.Column("aqi", sa.Double()),
        sa.Column("acknowledged_at", sa.DateTime()),
        sa.Column("acknowledged_by", sa.String(100)),
        sa.Column("note", sa.Text()),
    )
    still_open = sa.text("ended IS NULL")
    op.create_index(
        "one_open_alert_per_city_and_rule",
        "alerts",
        ["city", "rule"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
