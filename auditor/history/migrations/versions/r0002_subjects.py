"""One row a subject, so that a database can say what differs without anybody reading whole inventories."""

from __future__ import annotations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table; the next run of each account fills it."""
    from alembic import op
    from sqlalchemy import Column, Text

    keys = [Column(name, Text, primary_key=True) for name in ("account", "scope", "mark")]
    rest = ("label", "standing", "first_seen", "last_seen", "face", "stood", "was", "said", "refused", "covered")
    op.create_table("history_subject", *keys, *(Column(name, Text, nullable=False) for name in rest))
