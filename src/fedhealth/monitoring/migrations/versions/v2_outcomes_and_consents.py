"""Outcomes and consents; alerts that pend, fail and are told; readings found by person."""

import sqlalchemy as sa
from alembic import op

revision = "v2"
down_revision = "v1"


def upgrade() -> None:
    """Add them; alerts that are there have fired and were told to nobody who needs telling again."""
    op.create_table(
        "outcomes",
        sa.Column("reading", sa.String(64), primary_key=True),
        sa.Column("happened", sa.Boolean(), nullable=False),
        sa.Column("told", sa.DateTime(), nullable=False),
        sa.Column("told_by", sa.String(64), nullable=False),
    )
    op.create_table(
        "consents",
        sa.Column("person", sa.String(64), primary_key=True),
        sa.Column("retention", sa.String(16), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
    )
    op.create_index("readings_by_person", "readings", ["person"])
    op.add_column("alerts", sa.Column("about", sa.Text()))
    op.add_column("alerts", sa.Column("fired", sa.DateTime()))
    op.add_column("alerts", sa.Column("error", sa.Text()))
    op.add_column("alerts", sa.Column("told", sa.String(16)))
    op.execute("UPDATE alerts SET fired = since, told = CASE WHEN ended IS NULL THEN 'firing' ELSE 'resolved' END")
