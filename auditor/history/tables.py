"""The columns of a history as they are at the newest revision; how they came about is in `migrations/`.

history_record: the chain. history_part: what a record says, by account and kind, as the hash of a body. history_body: what
is said, once however often. history_head: one row, the signed end of the chain. history_subject: see `inventory`.
A record is never changed. Its parts may be pruned, and then a later record says so. There is nothing in these columns
that is neither signed nor hashed, but for the compression of a body.
"""

from __future__ import annotations

from collections.abc import Sequence

REVISIONS = ("0001", "0002")
"""Every revision this version knows, oldest first. A test holds it against `migrations/versions`."""

RECORD = ("seq", "history", "kind", "at", "content", "previous", "signer", "signature")
PART = ("seq", "account", "kind", "sha256")
BODY = ("sha256", "body")
HEAD = ("id", "history", "seq", "hash", "signer", "signature")


def insert(table: str, columns: Sequence[str]) -> str:
    """The statement that adds a row, its values named as the columns are."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"  # noqa: S608  (our own names)
