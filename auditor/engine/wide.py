"""Outcomes of very many subjects in wide form: a row a subject that fails or is unknown, a column a rule, and scores by account.

For millions of keys, where findings as objects would not fit. The same views and the same rules as `evaluate`; the score
of contract 7 in SQL. Nothing here is one Python object a subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from auditor.engine import wide_bits
from auditor.engine.evaluate import IDENTITY, refused, risk, source
from auditor.engine.tables import Part
from auditor.engine.views import open_views
from auditor.engine.wide_score import judged, name_of
from auditor.model.facts import LISTS, SCOPES, catalogue, format_time
from auditor.model.normalise import short_id
from auditor.model.report import Outcome
from auditor.model.rule import Rule
from auditor.redaction import shortened

_LONGEST = 200
WORST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account among many: `failing` are the rules that it fails, worst first."""

    name: str
    exchange: str
    low: float | None
    high: float | None
    grade: str | None
    failing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is said of all accounts together. `rules`: rule id -> how many accounts it says what of; `subjects`: scope ->
    how many were seen. `thin` are accounts that show too little to be graded. `coverage` is the lowest of any account, None where nothing is weighted.
    """

    accounts: int
    incomplete: int
    thin: int
    subjects: Mapping[str, int]
    rules: Mapping[str, Mapping[Outcome, int]]
    grades: Mapping[str, int]
    coverage: float | None
    worst: tuple[Standing, ...]


class Wide:
    """All rules over all subjects of an evidence file. Holds a locked DuckDB connection; use as a context manager."""

    def __init__(
        self,
        parts: Sequence[Part],
        now: datetime,
        rules: Sequence[Rule],
        venues: Mapping[str, Mapping[str, Any]],
        folder: Path,
    ) -> None:
        """`folder` is the only one that may be written to. Raises InputError."""
        import duckdb

        self.rules = {scope: [rule for rule in rules if rule.applies_to == scope] for scope in SCOPES}
        self._folder = folder
        needed = {path for rule in rules for path in rule.facts}
        needed |= {f"{scope}.{name}" for scope, of_scope in self.rules.items() if of_scope for name in IDENTITY[scope]}
        self._broken: set[str] = set()
        try:
            self._connection = open_views(parts, now, needed, venues, folder=folder)
            values = ", ".join(f"'{outcome.value}'" for outcome in Outcome)
            self._connection.execute(f"CREATE TYPE outcome AS ENUM ({values})")
            for scope, of_scope in self.rules.items():
                if of_scope:
                    self._judge(scope, of_scope, format_time(now))
            self._connection.execute(f"CREATE TABLE judged AS {judged(self.rules)}")
            self._connection.execute(
                "DROP TABLE docs; DROP TABLE known_account CASCADE; DROP TABLE known_venue CASCADE"
            )
        except duckdb.Error as error:
            raise refused(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def _judge(self, scope: str, rules: Sequence[Rule], now: str) -> None:
        """What each rule says of each subject, and the worst that it says of each account."""
        import duckdb

        said = [risk(rule, number) for number, rule in enumerate(rules)]
        number = "n, unseen" if scope in LISTS else "0 AS n, FALSE AS unseen"
        shown = "".join(f', {scope}."{name}" AS "shown_{name}"' for name in IDENTITY[scope])
        head, tail = f"SELECT {scope}.doc, {number}{shown}", f"FROM {source(scope, now)}"
        kept = ", ".join(["doc, n, unseen", *(f'"shown_{name}"' for name in IDENTITY[scope])])
        words = f"CREATE TABLE outcome_{scope} AS SELECT {kept}{wide_bits.packed(rules)} FROM"
        try:
            self._connection.execute(f"{words} ({head}, {', '.join(said)} {tail})")
        except duckdb.Error:
            said = [self._alone(rule, number, tail) for number, rule in enumerate(rules)]
            self._connection.execute(f"{words} ({head}, {', '.join(said)} {tail})")
        if scope in LISTS:
            self._connection.execute(f"DROP TABLE IF EXISTS read_{scope} CASCADE")
        self._connection.execute(
            f"CREATE TABLE worst_{scope} AS SELECT doc, {wide_bits.worst(rules)} FROM outcome_{scope} GROUP BY doc"  # noqa: S608
        )

    def _alone(self, rule: Rule, number: int, tail: str) -> str:
        import duckdb

        said = risk(rule, number)
        try:
            self._connection.execute(f"SELECT count(r{number}) FROM (SELECT {said} {tail})").fetchall()  # noqa: S608
        except duckdb.Error:
            self._broken.add(rule.id)
            return f"NULL::BOOLEAN AS r{number}, FALSE AS w{number}"
        return said

    def tally(self, floor: float) -> Tally:
        """What is said of all accounts together. Of less coverage than `floor` no grade is counted."""
        ask = self._connection.execute
        rules = [rule for scope in SCOPES for rule in self.rules[scope]]
        counted = f"count(*), count_if(incomplete), count_if(coverage < {floor!r}), min(coverage)"
        accounts, incomplete, thin, coverage = ask(f"SELECT {counted} FROM judged").fetchone()  # noqa: S608
        graded = f"SELECT grade, count(*) FROM judged WHERE coverage >= {floor!r} GROUP BY 1 ORDER BY 1"  # noqa: S608
        grades = ask(graded).fetchall()
        subjects = {
            scope: ask(f"SELECT count(*) FROM outcome_{scope} WHERE NOT unseen").fetchone()[0]  # noqa: S608
            for scope in SCOPES
            if self.rules[scope]
        }
        return Tally(
            accounts=accounts,
            incomplete=incomplete,
            thin=thin,
            subjects=subjects,
            rules=self._by_rule(accounts),
            grades=dict(grades),
            coverage=coverage,
            worst=self._worst(sorted(rules, key=lambda rule: (rule.severity.rank, rule.id))),
        )

    def _numbered(self) -> Iterator[tuple[Rule, str, int]]:
        """Every rule, what its words begin with in `judged`, and its number there."""
        for scope, rules in self.rules.items():
            for number, rule in enumerate(rules):
                yield rule, f"{scope}_", number

    def _by_rule(self, accounts: int) -> dict[str, dict[Outcome, int]]:
        """How many of the accounts each rule says what of."""
        counted = [
            f"count_if({wide_bits.said(kind, number, scope)})"
            for _, scope, number in self._numbered()
            for kind in wide_bits.KINDS
        ]
        found = self._connection.execute(f"SELECT {', '.join(counted) or 0} FROM judged").fetchone()  # noqa: S608
        each, said = iter(found), {}
        for (rule, *_), fail, open_, passed in zip(self._numbered(), each, each, each, strict=False):
            of_rule = {Outcome.FAIL: fail, self._open(rule): open_, Outcome.PASS: passed}
            of_rule[Outcome.NOT_APPLICABLE] = accounts - fail - open_ - passed
            said[rule.id] = {outcome: count for outcome, count in of_rule.items() if count}
        return said

    def _open(self, rule: Rule) -> Outcome:
        """What it is called that a rule cannot be decided."""
        return Outcome.ERROR if rule.id in self._broken else Outcome.UNKNOWN

    def _worst(self, rules: Sequence[Rule]) -> tuple[Standing, ...]:
        fails = {rule.id: wide_bits.said("fail", number, scope) for rule, scope, number in self._numbered()}
        said = ", ".join(fails[rule.id] for rule in rules)
        rows = self._connection.execute(
            f"SELECT shown_account, shown_exchange, low, high, grade, {said} FROM judged "  # noqa: S608
            f"WHERE low IS NOT NULL ORDER BY low, high, shown_account, doc LIMIT {WORST}"
        ).fetchall()
        return tuple(
            Standing(
                name=shortened(name, limit=_LONGEST),
                exchange=shortened(exchange, limit=_LONGEST),
                low=low,
                high=high,
                grade=grade,
                failing=tuple(rule.id for rule, failed in zip(rules, fails, strict=True) if failed),
            )
            for name, exchange, low, high, grade, *fails in rows
        )

    def write(self) -> list[Path]:
        """Parquet files: `accounts` with a score and an outcome a rule, and one a list, of the subjects that fail or are
        unknown. No personal data, no whole public id.
        """
        spelled = "".join(f", {self._outcome(*one, 'pass')} AS {name_of(one[0])}" for one in self._numbered())
        self._mask("judged", ("account", "exchange"))
        written = [
            self._copy(
                "accounts",
                f"SELECT shown_account AS account, shown_exchange AS exchange, low, high, grade, coverage, "  # noqa: S608
                f"incomplete{spelled} FROM (SELECT * FROM judged ORDER BY doc)",
            )
        ]
        for scope, key in LISTS.items():
            if not self.rules[scope]:
                continue
            texts = [name for name in IDENTITY[scope] if catalogue()[f"{scope}.{name}"].kind == "text"]
            self._mask(f"outcome_{scope}", texts)
            names = "".join(f', o."shown_{name}" AS "{name}"' for name in IDENTITY[scope])
            said = "".join(
                f", {self._outcome(rule, 'o.', number, 'beside')} AS {name_of(rule)}"
                for number, rule in enumerate(self.rules[scope])
            )
            some = " OR ".join(f"o.fail_{word} | o.open_{word} <> 0" for word in wide_bits.words(self.rules[scope]))
            query = (
                f"SELECT shown_account AS account, shown_exchange AS exchange, o.unseen{names}{said} "  # noqa: S608
                f"FROM outcome_{scope} o JOIN judged USING (doc) WHERE {some}"
            )
            written.append(self._copy(key, query))
        return written

    def _outcome(self, rule: Rule, prefix: str, number: int, third: str) -> str:
        """What a rule says of a row by its words: those that fail, those that are open and a `third` kind."""
        named = {"pass": Outcome.PASS, "beside": Outcome.NOT_APPLICABLE}
        said = {"fail": Outcome.FAIL, "open": self._open(rule), third: named.pop(third)}
        cases = [
            f"WHEN {wide_bits.said(kind, number, prefix)} THEN '{one.value}'::outcome" for kind, one in said.items()
        ]
        (rest,) = named.values()
        return f"CASE {' '.join(cases)} ELSE '{rest.value}'::outcome END"

    def _copy(self, table: str, query: str) -> Path:
        path = self._folder / f"{table}.parquet"
        place = str(path).replace("'", "''")
        self._connection.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet)")
        return path

    def _mask(self, table: str, names: Sequence[str]) -> None:
        """Rewrites the texts that may hold an address, a number or a whole public id; few do."""
        for name in names:
            column = f'"shown_{name}"'
            odd = f"contains({column}, '@') OR contains({column}, '+') OR length({column}) > {_LONGEST}"
            odd = f"length({column}) > 11" if name == "masked_id" else odd
            found = self._connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {odd}")  # noqa: S608
            while batch := found.fetchmany(10_000):
                shown = [_shown(name, text) for (text,) in batch]
                self._connection.cursor().execute(
                    f"UPDATE {table} SET {column} = m.shown FROM (SELECT unnest($1) AS given, unnest($2) AS shown) m "  # noqa: S608
                    f"WHERE {column} = m.given",
                    [[text for (text,) in batch], shown],
                )


def _shown(name: str, text: str) -> str:
    return short_id(text) if name == "masked_id" else shortened(text, limit=_LONGEST)
