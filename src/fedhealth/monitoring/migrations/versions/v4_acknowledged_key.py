"""With which key an alert was acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "v4"
down_revision = "v3"


def upgrade() -> None:
    """Add it; of alerts that were acknowledged before it is not known."""
    op.add_column("alerts", sa.Column("acknowledged_key", sa.String(64)))
