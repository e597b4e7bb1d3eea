"""The inventory as rows: each subject as it is now, as it was at the run before and as it was approved, side by side, so that a
database finds what differs in one pass.

The rows are no second truth. Every record that touches an account names the hash of its rows as the part `subjects`, and
the database computes that hash again before a row is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from auditor.history import change
from auditor.history.baseline import Approval, Baseline
from auditor.history.chain import canonical
from auditor.history.connection import Connection, Lite, listed
from auditor.history.ledger import Held, Ledger, Place, Strength
from auditor.history.store import SUBJECTS, Body
from auditor.values import frozen

HEAD = ""
"""The scope of the one row about the account itself."""
NONE, SAME = "-", ""
"""In `was` and `said`: there is none, and it is the same as now."""
FIRST, ABSENT = "first", "absent"
"""In `stood`: there was no run before, and it was not there at that run."""
_AT_ONCE = 20_000


@frozen
class Row:
    """A subject of an account. All fields are ASCII; texts that others wrote stand in them as JSON spells them.

    `standing` is there, away (its list was not seen), doubted, unlisted or gone; `stood` the same at the run before. `face`
    is the JSON of the facts that are compared, `was` that of the run before, `said` that of its approval. `refused` is when it
    was said not to be the owner's. `covered` is "1" where the owner said anything about its scope. Of the head, `label` is
    the exchange and `face` says how the lists were seen.
    """

    account: str
    scope: str
    mark: str
    label: str
    standing: str
    first_seen: str
    last_seen: str
    face: str
    stood: str
    was: str
    said: str
    refused: str
    covered: str


COLUMNS = tuple(one.name for one in fields(Row))
_LINE = tuple(name for name in COLUMNS if name != "account")
_BETWEEN = "\x1f"
"""Between the fields of a spelled row. None can hold it, so no other row is spelled the same, not even one that does."""


def escaped(text: str) -> str:
    """A text as ASCII that every database can hold: NUL and half characters too. Different texts stay different."""
    return json.dumps(text)[1:-1]


def plain(text: str) -> str:
    return str(json.loads(f'"{text}"'))


def rows(ledger: Ledger, before: Ledger | None, said: Baseline) -> list[Row]:
    """The rows of an account: the head, then its subjects."""
    earlier = {one.place: one for one in before.held} if before else {}
    covers = {scope: said.covers(scope) for scope in {"api_key", *(one.scope for one in ledger.held)}}
    face = {"at": ledger.at, "complete": ledger.complete, "doubted": bool(ledger.doubted)}
    head = Row(
        account=ledger.account, scope=HEAD, mark="", label=escaped(ledger.exchange), standing="there",
        first_seen=ledger.begun, last_seen="", face=canonical(face).decode(), stood="there" if before else FIRST,
        was=NONE, said=NONE, refused="", covered="1" if covers["api_key"] else "",
    )  # fmt: skip
    missed = {scope: (set(ledger.doubted.get(scope, ())), set(ledger.unlisted.get(scope, ()))) for scope in covers}
    unlisted = {scope: set(before.unlisted.get(scope, ())) if before else set() for scope in covers}
    found = [head]
    for one in ledger.held:
        last = earlier.get(one.place)
        mine = said.approvals.get(one.place)
        shown = _face(one.facts)
        standing = _standing(one, ledger, *missed[one.scope])
        found.append(
            Row(
                account=ledger.account,
                scope=one.scope,
                mark=escaped(one.mark),
                label=escaped(one.label),
                standing=standing,
                first_seen=one.first_seen_at,
                last_seen="" if standing == "there" else one.last_seen_at,
                face=shown,
                stood=_stood(last, before, unlisted[one.scope]),
                was=beside(last.facts, shown) if last else NONE,
                said=beside(mine.facts, shown) if mine and mine.mine else NONE,
                refused=mine.at if mine and not mine.mine else "",
                covered="1" if covers[one.scope] else "",
            )
        )
    return found


def _face(facts: Mapping[str, Any]) -> str:
    return canonical({name: facts[name] for name in change.SHOWN if name in facts}).decode()


def beside(facts: Mapping[str, Any], now: str) -> str:
    """Other facts of a subject, beside its face."""
    face = _face(facts)
    return SAME if face == now else face


def _standing(one: Held, ledger: Ledger, doubted: Collection[str], unlisted: Collection[str]) -> str:
    if not one.present:
        return "gone"
    if one.mark in doubted:
        return "doubted"
    if one.mark in unlisted:
        return "unlisted"
    return "there" if ledger.seen(one) else "away"


def _stood(last: Held | None, before: Ledger | None, unlisted: Collection[str]) -> str:
    if last is None:
        return ABSENT if before else FIRST
    return "gone" if not last.present else "unlisted" if last.mark in unlisted else "there"


def body(found: Iterable[Row]) -> Body:
    """The part that names the rows of an account: their hash, without their bytes. Their order says nothing."""
    return Body(sha256=digest(map(_line, found)), packed=None)


_fields = attrgetter(*_LINE)


def _line(row: Row) -> str:
    return _BETWEEN.join(_fields(row))


def digest(lines: Iterable[str]) -> str:
    """The hash of rows in their spelled form. `_DIGESTS` computes the same inside a database."""
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(line.encode()).digest() for line in lines))).hexdigest()


class Digest:
    """`digest` as an aggregate function of SQLite."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def step(self, line: str) -> None:
        self._lines.append(line)

    def finalize(self) -> str:
        return digest(self._lines)


_SPELLED = f"convert_to(concat_ws(chr(31), {', '.join(_LINE)}), 'UTF8')"
_DIGESTS = {
    "sqlite": f"auditor_digest({' || char(31) || '.join(_LINE)})",
    "postgresql": f"encode(sha256(string_agg(sha256({_SPELLED}), CAST('' AS bytea) ORDER BY sha256({_SPELLED}))), 'hex')",
}


def digests(connection: Connection, names: Sequence[str] = ()) -> dict[str, str]:
    """Account -> digest of the rows as they are there, of these accounts or of all: computed where the rows are."""
    if isinstance(connection, Lite):
        raw: Any = connection.raw
        raw.create_aggregate("auditor_digest", 1, Digest)
    query = f"SELECT account, {_DIGESTS[connection.dialect]} FROM history_subject WHERE TRUE"  # noqa: S608  (our own names)
    return dict(connection.rows(*about(query, names, "GROUP BY account")))


def about(query: str, accounts: Sequence[str], after: str = "") -> tuple[str, dict[str, Any]]:
    """A statement that ends in its WHERE, about these accounts or about all."""
    names, values = listed("account", accounts)
    return f"{query} {f'AND account IN ({names})' if accounts else ''} {after}", values


def write(
    connection: Connection, accounts: Iterable[str], made: Callable[[str], list[Row]]
) -> dict[tuple[str, str], Body]:
    """Makes the rows of these accounts what `made` says, and gives the parts that name them.

    Rows that are so already are not written again. What `made` gives is held for some accounts at a time.
    """
    counts: dict[str, int] = {}
    parts: dict[tuple[str, str], Body] = {}
    waiting: list[Row] = []
    for account in accounts:
        mine = made(account)
        counts[account], parts[account, SUBJECTS] = len(mine), body(mine)
        waiting += mine
        if len(waiting) >= _AT_ONCE:
            _upsert(connection, waiting)
            waiting = []
    _upsert(connection, waiting)
    there = list(connection.rows("SELECT account, count(*) FROM history_subject GROUP BY account"))
    for account in [account for account, count in there if counts.get(account, count) != count]:
        # rows of another identity key, or of a run that is not believed any more
        connection.write("DELETE FROM history_subject WHERE account = :account", {"account": account})
        _upsert(connection, made(account))
    return parts


def _upsert(connection: Connection, wanted: Sequence[Row]) -> None:
    """Inserts or changes rows. PostgreSQL takes them as columns in one statement: a statement a row would be thirty times slower."""
    names, keys = ", ".join(COLUMNS), ("account", "scope", "mark")
    rest = [name for name in COLUMNS if name not in keys]
    changed = ", ".join(f"{name} = excluded.{name}" for name in rest)
    differs = " OR ".join(f"history_subject.{name} <> excluded.{name}" for name in rest)
    grown = connection.dialect == "postgresql"
    marks = ", ".join(f"CAST(:{name} AS text[])" if grown else f":{name}" for name in COLUMNS)
    source = f"SELECT * FROM unnest({marks})" if grown else f"VALUES ({marks})"  # noqa: S608  (our own names)
    statement = (
        f"INSERT INTO history_subject ({names}) {source} ON CONFLICT ({', '.join(keys)}) "
        f"DO UPDATE SET {changed} WHERE {differs}"
    )
    given: Any = (
        {name: [getattr(row, name) for row in wanted] for name in COLUMNS}
        if grown
        else [{name: getattr(row, name) for name in COLUMNS} for row in wanted]
    )
    if wanted:
        connection.write(statement, given)


def approval_of(row: Row, place: Place) -> Approval | None:
    """What a row says of its subject's approval."""
    if row.refused:
        return Approval(place=place, label="", facts={}, mine=False, by="", at=row.refused)
    if row.said == NONE:
        return None
    facts = json.loads(row.face if row.said == SAME else row.said)
    return Approval(place=place, label="", facts=facts, mine=True, by="", at="")


def held_of(row: Row, *, before: bool = False) -> Held:
    """The subject of a row as it is now, or as it was at the run before."""
    facts = row.was if before and row.was not in {NONE, SAME} else row.face
    return Held(
        scope=row.scope, mark=plain(row.mark), label=plain(row.label), strength=Strength.ID, first_seen_at=row.first_seen,
        last_seen_at=row.last_seen, present=(row.stood if before else row.standing) != "gone", facts=json.loads(facts),
    )  # fmt: skip
