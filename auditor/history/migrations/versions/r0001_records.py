"""The chain: records, their parts and what these say, and the head."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the four tables, and the indexes by which the newest part of an account and a part of a body are found."""
    from alembic import op
    from sqlalchemy import Column, Integer, LargeBinary, Text

    def texts(*names: str) -> list[Column[str]]:
        return [Column(name, Text, nullable=False) for name in names]

    op.create_table(
        "history_record",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        *texts("history", "kind", "at", "content", "previous", "signer", "signature"),
    )
    op.create_table(
        "history_part",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("account", Text, primary_key=True),
        Column("kind", Text, primary_key=True),
        Column("sha256", Text, nullable=False),
    )
    op.create_index("history_part_by_account", "history_part", ["kind", "account", "seq"])
    op.create_index("history_part_by_body", "history_part", ["sha256"])
    op.create_table(
        "history_body",
        Column("sha256", Text, primary_key=True),
        Column("body", LargeBinary, nullable=False),
    )
    op.create_table(
        "history_head",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("history", Text, nullable=False),
        Column("seq", Integer, nullable=False),
        *texts("hash", "signer", "signature"),
    )
