"""The tables of a history as SQLAlchemy knows them, for tests that edit what nobody should."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from auditor.history import alchemy, database

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table


def engine(url: str) -> Engine:
    """A way to a history of either kind."""
    file = database.file_of(url)
    return alchemy.of_server(url) if file is None else alchemy.of_file(file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """record: the chain; part: what a record says, by account and kind, as the hash of a body; body: what is said, once
    however often; head: one row, the signed end of the chain; subject: the inventory as it is now, see `inventory`.
    """

    record: Table
    part: Table
    body: Table
    head: Table
    subject: Table


@cache
def tables() -> Tables:
    from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

    data = MetaData()
    record = Table(
        "history_record",
        data,
        Column("seq", Integer, primary_key=True, autoincrement=False),
        *(
            Column(name, Text, nullable=False)
            for name in ("history", "kind", "at", "content", "previous", "signer", "signature")
        ),
    )
    part = Table(
        "history_part",
        data,
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("account", Text, primary_key=True),
        Column("kind", Text, primary_key=True),
        Column("sha256", Text, nullable=False),
    )
    body = Table(
        "history_body",
        data,
        Column("sha256", Text, primary_key=True),
        Column("body", LargeBinary, nullable=False),
    )
    head = Table(
        "history_head",
        data,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("history", Text, nullable=False),
        Column("seq", Integer, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("hash", "signer", "signature")),
    )
    keys = [Column(name, Text, primary_key=True) for name in ("account", "scope", "mark")]
    rest = ("label", "standing", "first_seen", "last_seen", "face", "stood", "was", "said", "refused", "covered")
    subject = Table("history_subject", data, *keys, *(Column(name, Text, nullable=False) for name in rest))
    return Tables(record=record, part=part, body=body, head=head, subject=subject)
