"""What an alert is about, by name: its words tell figures too."""

import sqlalchemy as sa
from alembic import op

revision = "v5"
down_revision = "v4"


def upgrade() -> None:
    """Add it; of alerts that are open it is known with the next finding."""
    op.add_column("alerts", sa.Column("subjects", sa.JSON))
