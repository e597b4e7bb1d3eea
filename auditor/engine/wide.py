"""Outcomes of very many subjects in wide form: a row a subject that fails or is unknown, a column a rule, and scores by account.

For millions of keys, where findings as objects would not fit. The same views and the same rules as `evaluate`; the score
of contract 7 in SQL. Nothing here is one Python object a subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Self

from auditor.engine import wide_bits
from auditor.engine.evaluate import IDENTITY, refused, risk, source
from auditor.engine.tables import Part
from auditor.engine.views import open_views
from auditor.engine.wide_bits import Numbered
from auditor.engine.wide_score import judged
from auditor.model.facts import LISTS, SCOPES, format_time
from auditor.model.report import Outcome
from auditor.model.rule import Rule


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
        self.numbered = wide_bits.numbered(self.rules)
        self.folder = folder
        needed = {path for rule in rules for path in rule.facts}
        needed |= {f"{scope}.{name}" for scope, of_scope in self.rules.items() if of_scope for name in IDENTITY[scope]}
        self._broken: set[str] = set()
        try:
            self.connection = open_views(parts, now, needed, venues, folder=folder)
            values = ", ".join(f"'{outcome.value}'" for outcome in Outcome)
            self.connection.execute(f"CREATE TYPE outcome AS ENUM ({values})")
            for scope, numbered in self.numbered.items():
                if numbered:
                    self._judge(scope, numbered, format_time(now))
            self.connection.execute(f"CREATE TABLE judged AS {judged(self.numbered)}")
            self.connection.execute("DROP TABLE docs; DROP TABLE known_account CASCADE; DROP TABLE known_venue CASCADE")
        except duckdb.Error as error:
            raise refused(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Raises InputError where the database gave up: it had too little memory, for one."""
        import duckdb

        self.connection.close()
        if isinstance(error, duckdb.Error):
            raise refused(error) from None

    def _judge(self, scope: str, rules: Numbered, now: str) -> None:
        """What each rule says of each subject, and the worst that it says of each account."""
        import duckdb

        said = [risk(rule, number) for number, rule in rules.items()]
        number = "n, unseen" if scope in LISTS else "0 AS n, FALSE AS unseen"
        shown = "".join(f', {scope}."{name}" AS "shown_{name}"' for name in IDENTITY[scope])
        head, tail = f"SELECT {scope}.doc, {number}{shown}", f"FROM {source(scope, now)}"
        kept = ", ".join(["doc, n, unseen", *(f'"shown_{name}"' for name in IDENTITY[scope])])
        made = f"CREATE TABLE outcome_{scope} AS SELECT {kept}{wide_bits.packed(rules)} FROM"
        try:
            self.connection.execute(f"{made} ({head}, {', '.join(said)} {tail})")
        except duckdb.Error:
            said = [self._alone(rule, number, tail) for number, rule in rules.items()]
            self.connection.execute(f"{made} ({head}, {', '.join(said)} {tail})")
        words = wide_bits.said_of(rules).items()
        if self._one_each(scope):
            same = ", ".join(f"{sql} AS {word}" for word, sql in words)
            query = f"VIEW worst_{scope} AS SELECT doc, {same} FROM outcome_{scope}"  # noqa: S608
        else:
            worst = ", ".join(f"bit_or({sql}) AS {word}" for word, sql in words)
            query = f"TABLE worst_{scope} AS SELECT doc, {worst} FROM outcome_{scope} GROUP BY doc"  # noqa: S608
        self.connection.execute(f"CREATE {query}")
        if scope in LISTS:
            self.connection.execute(f"DROP TABLE read_{scope} CASCADE")

    def _one_each(self, scope: str) -> bool:
        """Whether no account has more than one subject: of a list that none shows, the one that was not seen."""
        return scope not in LISTS or self.connection.execute(f"SELECT count(*) FROM read_{scope}").fetchone() == (0,)  # noqa: S608

    def _alone(self, rule: Rule, number: int, tail: str) -> str:
        import duckdb

        said = risk(rule, number)
        try:
            self.connection.execute(f"SELECT count(r{number}) FROM (SELECT {said} {tail})").fetchall()  # noqa: S608
        except duckdb.Error:
            self._broken.add(rule.id)
            return f"NULL::BOOLEAN AS r{number}, FALSE AS w{number}"
        return said

    def every(self) -> Iterator[tuple[int, Rule]]:
        """Every rule, with its number in `judged`."""
        return chain.from_iterable(self.numbered[scope].items() for scope in SCOPES)

    def open_(self, rule: Rule) -> Outcome:
        """What it is called that a rule cannot be decided."""
        return Outcome.ERROR if rule.id in self._broken else Outcome.UNKNOWN
