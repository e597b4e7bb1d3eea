"""What the owner states about an account: dated, expiring, and only what an owner may state.

An attestation file is an evidence document (contract 5) held to the facts whose catalogue row names `attest`. This
module reads and writes it; whether an API knows better, and what has expired, is decided where the snapshot is made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from auditor import files, yamlio
from auditor.errors import Fault, InputError
from auditor.model.evidence import SCHEMA, Source
from auditor.model.facts import LISTS, Fact, catalogue, format_time, of_scope, parse_time, suggestion
from auditor.redaction import printable
from auditor.values import frozen

MATCHED_BY = {
    "api_key": ("fingerprint", "masked_id", "label"),
    "address": ("fingerprint", "label"),
    "event": ("fingerprint",),
    "withdrawal": ("fingerprint",),
}
"""Row scope -> how the owner says which row is meant. All of what is given must match."""

USUAL_DAYS, MOST_DAYS = 90, 400
_SLACK = timedelta(days=1)  # somebody east of Greenwich may write tomorrow's date
_LARGEST = 2**20
_MOST_GUESSES = 200
_KEYS = {"schema", "collected_at", "attested_at", "account", "venue", "sources", "problems", *LISTS.values()}
_SOURCE_KEYS = {"by", "ref", "at", "expires"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_ONLY = {
    "api": "only an API can show it",
    "derived": "it follows from other facts",
    "venue": "the exchange fixes it",
    "history": "it comes from earlier runs",
    "local": "it is checked on this machine",
    "config": "it comes from auditor.yaml",
}


@frozen
class Row:
    """What is stated about one key, address, event or withdrawal."""

    match: Mapping[str, str]
    facts: Mapping[str, Any]


@frozen
class Attestation:
    """All an owner states about one account. Times are UTC text.

    `sources` has an entry for every stated fact: `account.<fact>`, `<row scope>.<fact>` for all rows of it, and
    `vendors` for the list of third parties and their names (None: not stated; empty: stated to be none).
    """

    account_name: str
    exchange: str
    account: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    vendors: tuple[Mapping[str, Any], ...] | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)


def load(path: Path, *, account_name: str, exchange: str, now: datetime) -> Attestation:
    """The attestation in `path`. Raises InputError with every fault. What has expired is still in it."""
    reading = _Reading(yamlio.read(path, max_bytes=_LARGEST), now)
    attestation = reading.attestation(account_name, exchange)
    if reading.faults:
        raise InputError(reading.faults)
    return attestation


def value_fault(fact: Fact, value: Any, now: datetime) -> str | None:
    """What is wrong with a stated value: its type, a negative count or duration, or a day that is still to come."""
    wrong = fact.check(value)
    if wrong:
        return wrong
    if fact.kind in {"int", "number"} and value < 0:
        return "expected 0 or more"
    moment = parse_time(value) if fact.kind == "time" else None
    return "lies in the future" if moment and moment > now + _SLACK else None


@dataclass(slots=True)
class _Reading:
    """One pass over one document; it goes on after a fault."""

    document: yamlio.Document
    now: datetime
    faults: list[Fault] = field(default_factory=list)

    def fault(self, message: str, *path: str | int, hint: str | None = None) -> None:
        self.faults.append(self.document.fault(message, *path, hint=hint))

    def attestation(self, account_name: str, exchange: str) -> Attestation:
        table = self.table(self.document.value, "an attestation")
        if table.get("schema") != SCHEMA:
            self.fault(f"schema must be {SCHEMA}", "schema")
        for key in table.keys() - _KEYS:
            self.fault(f"unknown key {printable(key, limit=40)}", key, hint=f"the keys are: {', '.join(sorted(_KEYS))}")
        for key in ("venue", "problems"):
            if table.get(key):
                self.fault(f"{key} cannot be attested", key, hint="leave it out")
        account = self.account(table.get("account"), account_name, exchange)
        rows = {scope: self.rows(scope, table.get(LISTS[scope])) for scope in MATCHED_BY}
        vendors = self.vendors(table.get("vendors"))
        return Attestation(
            account_name=account_name,
            exchange=exchange,
            account=account,
            rows={scope: found for scope, found in rows.items() if found},
            vendors=vendors,
            sources=self.sources(table, _stated(account, rows, vendors)),
        )

    def table(self, value: Any, what: str, *path: str | int) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.fault(f"{what} must be a mapping", *path)
        return {}

    def account(self, value: Any, account_name: str, exchange: str) -> dict[str, Any]:
        table = self.table({} if value is None else value, "account", "account")
        for key, expected in (("name", account_name), ("exchange", exchange)):
            if table.get(key) is not None and table[key] != expected:
                hint = "is this the file of another account?"
                self.fault(f"account.{key} is not {expected}", "account", key, hint=hint)
        return self.facts("account", {key: table[key] for key in table if key not in {"name", "exchange"}}, "account")

    def facts(self, scope: str, table: Mapping[str, Any], *path: str | int) -> dict[str, Any]:
        """The facts in a table that are stated (null states nothing) and may be."""
        found = {}
        for name, value in table.items():
            problem, hint = self.refused(f"{scope}.{name}", value)
            if problem:
                self.fault(problem, *path, name, hint=hint)
            elif value is not None:
                moment = parse_time(value) if catalogue()[f"{scope}.{name}"].kind == "time" else None
                found[name] = format_time(moment) if moment else value
        return found

    def refused(self, path: str, value: Any) -> tuple[str | None, str | None]:
        fact = catalogue().get(path)
        if fact is None:
            guess = suggestion(path[:80]) if len(self.faults) < _MOST_GUESSES else ""
            return f"unknown fact {printable(path, limit=80)}{guess}", None
        if "attest" not in fact.by:
            return f"{path} cannot be attested: {' or '.join(_ONLY[by] for by in sorted(fact.by))}", "leave it out"
        wrong = None if value is None else value_fault(fact, value, self.now)
        return (f"{path}: {wrong}" if wrong else None), fact.ask

    def rows(self, scope: str, value: Any) -> tuple[Row, ...]:
        key = LISTS[scope]
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            hint = "leave it out; how many keys there are is stated by account.keys_counted"
            self.fault(f"{key} must be a list of rows: that a list is empty cannot be attested", key, hint=hint)
            return ()
        found = [self.row(scope, row, key, at) for at, row in enumerate(value)]
        times = Counter(tuple(sorted(row.match.items())) for row in found)
        for at, row in enumerate(found):
            if row.match and times[tuple(sorted(row.match.items()))] > 1:
                self.fault("two rows are about the same one", key, at, hint="put their facts into one row")
        return tuple(found)

    def row(self, scope: str, value: Any, *path: str | int) -> Row:
        table = self.table(value, f"each of {path[0]}", *path)
        given = {name: table[name] for name in MATCHED_BY[scope] if table.get(name) is not None}
        match = {name: text for name, text in given.items() if _identifies(name, text)}
        for name in given.keys() - match.keys():
            self.fault(f"this is not a {name}", *path, name, hint="copy it from the report")
        if not given:
            self.fault(f"say which one is meant, by {' or '.join(MATCHED_BY[scope])}", *path)
        facts = self.facts(scope, {name: table[name] for name in table if name not in MATCHED_BY[scope]}, *path)
        if not facts and isinstance(value, dict):
            self.fault("states nothing", *path, hint="leave the row out")
        return Row(match=match, facts=facts)

    def vendors(self, value: Any) -> tuple[Mapping[str, Any], ...] | None:
        if value is None:
            return None
        if not isinstance(value, list):
            self.fault("vendors must be a list", "vendors", hint="[] states that there are none")
            return None
        found = []
        for at, row in enumerate(value):
            facts = self.facts("vendor", self.table(row, "each of vendors", "vendors", at), "vendors", at)
            if isinstance(row, dict) and not str(facts.get("name", "")).strip():
                self.fault("a vendor needs a name", "vendors", at)
            found.append(facts)
        times = Counter(str(facts.get("name", "")).strip().casefold() for facts in found)
        for at, facts in enumerate(found):
            if "name" in facts and times[str(facts["name"]).strip().casefold()] > 1:
                self.fault("this vendor stands twice", "vendors", at)
        return tuple(found)

    def sources(self, table: dict[str, Any], stated: tuple[str, ...]) -> dict[str, Source]:
        if "collected_at" in table and "attested_at" in table:
            self.fault("collected_at and attested_at say the same", "attested_at", hint="keep one of them")
        key = "attested_at" if "attested_at" in table else "collected_at"
        usual = (self.day(table[key], key) or format_time(self.now)) if key in table else None
        given = self.table({} if table.get("sources") is None else table["sources"], "sources", "sources")
        for path in given.keys() - set(stated):
            guess = suggestion(path[:80]) if path not in catalogue() and len(self.faults) < _MOST_GUESSES else ""
            hint = "a source belongs to a fact that is stated in this file"
            self.fault(f"{printable(path, limit=80)} is not stated here{guess}", "sources", path, hint=hint)
        found = {path: self.source(given.get(path), usual, path) for path in stated}
        return {path: source for path, source in found.items() if source}

    def source(self, value: Any, usual: str | None, path: str) -> Source | None:
        here = ("sources", path)
        table = self.table({} if value is None else value, f"the source of {path}", *here)
        for key in table.keys() - _SOURCE_KEYS:
            self.fault(f"unknown key {printable(key, limit=40)} in a source", *here, key)
        if table.get("by", "attest") != "attest":
            self.fault(f"{path} is stated by its owner: by must be attest", *here, "by")
        if not isinstance(table.get("ref", ""), str):
            self.fault("ref must be text", *here, "ref")
        at = self.day(table["at"], *here, "at") if "at" in table else usual
        if at is None:
            if "at" not in table:
                hint = f"say when: `attested_at: DATE` for all, or under sources `{path}: {{at: DATE}}`"
                place = here if value is not None else (LISTS.get(path.partition(".")[0], path.partition(".")[0]),)
                self.fault(f"{path} has no date", *place, path.partition(".")[2], hint=hint)
            return None
        usual_end = _later(at, USUAL_DAYS)
        expires = self.day(table["expires"], *here, "expires") if "expires" in table else usual_end
        if expires and not timedelta(0) < _moment(expires) - _moment(at) <= timedelta(days=MOST_DAYS):
            hint = "what was true a year ago has to be looked at again"
            self.fault(f"expires must be later than at, by at most {MOST_DAYS} days", *here, "expires", hint=hint)
        return Source(by="attest", ref=table.get("ref"), at=at, expires=expires)

    def day(self, value: Any, *path: str | int) -> str | None:
        """A day stays a day (it lasts until its end), a time is spelled in UTC."""
        moment = parse_time(value)
        if moment is None:
            self.fault(f"{path[-1]} must be a date such as 2026-11-20", *path)
            return None
        if path[-1] != "expires" and moment > self.now + _SLACK:
            self.fault(f"{path[-1]} lies in the future", *path)
        return value if _DAY.fullmatch(value) else format_time(moment)


def _moment(text: str) -> datetime:
    moment = parse_time(text)
    assert moment is not None
    return moment


def _later(at: str, days: int) -> str:
    later = _moment(at) + timedelta(days=days)
    return later.date().isoformat() if _DAY.fullmatch(at) else format_time(later)


def _identifies(name: str, text: Any) -> bool:
    if not isinstance(text, str) or not 0 < len(text) <= 200:  # noqa: PLR2004  (longer than any venue allows)
        return False
    return name != "fingerprint" or bool(_FINGERPRINT.fullmatch(text))


def _stated(
    account: Mapping[str, Any], rows: Mapping[str, tuple[Row, ...]], vendors: tuple[Mapping[str, Any], ...] | None
) -> tuple[str, ...]:
    """The source path of everything that is stated, in the order of the catalogue."""
    of_rows = {f"{scope}.{name}" for scope, found in rows.items() for row in found for name in row.facts}
    of_vendors = {f"vendor.{name}" for row in vendors or () for name in row if name != "name"}
    paths = {f"account.{name}" for name in account} | of_rows | of_vendors
    return (*(path for path in catalogue() if path in paths), *(() if vendors is None else ("vendors",)))


def write(path: Path, attestation: Attestation) -> None:
    """Writes the attestation whole or not at all, mode 0600, facts in the order of the catalogue. Raises OSError."""
    lines = [
        f"# What the owner of {attestation.account_name} states, because no API shows it. Written by `auditor attest`, which",
        "# keeps every answer and no comment. After its `expires` date an answer counts as unknown; answer it again.",
        f"schema: {SCHEMA}",
        "account:",
        *_lines({"name": attestation.account_name, "exchange": attestation.exchange}, "  "),
    ]
    for name, fact in of_scope("account").items():
        if name in attestation.account:
            lines += [f"  # {fact.ask}"] if fact.ask else []
            lines += _lines({name: attestation.account[name]}, "  ")
    for scope in MATCHED_BY:
        rows = [{**row.match, **row.facts} for row in attestation.rows.get(scope, ())]
        lines += [f"{LISTS[scope]}:", *_items(rows, scope)] if rows else []
    if attestation.vendors is not None:
        lines += ["vendors:", *_items(attestation.vendors, "vendor")] if attestation.vendors else ["vendors: []"]
    paths = _stated(attestation.account, attestation.rows, attestation.vendors)
    lines += ["sources:", *(f"  {name}: {_source(attestation.sources[name])}" for name in paths)] if paths else []
    files.write(path, ("\n".join(lines) + "\n").encode())


def _source(source: Source) -> str:
    shown = {"by": source.by, "ref": source.ref, "at": source.at, "expires": source.expires}
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in shown.items() if value is not None) + "}"


def _lines(table: Mapping[str, Any], indent: str) -> list[str]:
    return [f"{indent}{key}: {_scalar(value)}" for key, value in table.items()]


def _items(rows: Iterable[Mapping[str, Any]], scope: str) -> list[str]:
    order = list(dict.fromkeys((*MATCHED_BY.get(scope, ()), *of_scope(scope))))
    listed = []
    for row in rows:
        first, *rest = _lines({name: row[name] for name in order if name in row}, "    ")
        listed += ["  - " + first.lstrip(), *rest]
    return listed


def _scalar(value: Any) -> str:
    """A value so that the reader gets back exactly this: text that could be read as anything else is quoted."""
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if re.fullmatch(r"[a-z][a-z0-9_-]*|\d{4}-\d\d-\d\d", value) and value not in {"true", "false", "null"}:
        return str(value)
    return '"' + "".join(_escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else f"\\U{ord(char):08x}"
