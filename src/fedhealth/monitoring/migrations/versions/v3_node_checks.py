"""How the served model does at each node."""

import sqlalchemy as sa
from alembic import op

revision = "v3"
down_revision = "v2"


def upgrade() -> None:
    """Add it."""
    op.create_table(
        "node_checks",
        sa.Column("node", sa.String(64), primary_key=True),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noisy", sa.Boolean(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
    )
