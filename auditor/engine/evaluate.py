"""Runs rules over evidence: every rule of a subject type is one column of one SELECT, in Kleene's logic, in DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

from auditor.engine.intake import Evidence
from auditor.engine.views import open_views
from auditor.errors import Fault, InputError
from auditor.model.facts import LISTS, SCOPES, catalogue, format_time
from auditor.model.report import Outcome
from auditor.model.rule import Rule
from auditor.redaction import printable

IDENTITY = {
    "api_key": ("label", "masked_id", "fingerprint", "sub_account", "created_at", "kind"),
    "address": ("label", "fingerprint", "asset", "network"),
    "event": ("kind", "at", "ip", "text"),
    "withdrawal": ("at", "asset", "amount", "destination"),
    "vendor": ("name",),
    "account": (),
    "venue": (),
}
"""Facts that name a subject, read whether or not a rule needs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectOutcomes:
    """One subject of one document: its facts (only known ones, as JSON values) and the outcome of every rule about its type.

    `number` is its place in the list, from 1; 0 is the unseen one, or the account or venue itself.
    """

    scope: str
    number: int
    unseen: bool
    facts: dict[str, Any]
    outcomes: dict[str, Outcome]


class Evaluation:
    """Rules evaluated over an evidence file. Holds a locked DuckDB connection; use as a context manager."""

    def __init__(
        self,
        evidence: Evidence,
        rules: Sequence[Rule],
        venues: Mapping[str, Mapping[str, Any]],
        *,
        also: Iterable[str] = (),
    ) -> None:
        """`also` are facts that no rule reads and `rows` will be asked for."""
        import duckdb

        self.rules = {scope: [rule for rule in rules if rule.applies_to == scope] for scope in SCOPES}
        self._broken: set[str] = set()
        self._facts = {scope: facts_of(scope, of_scope) for scope, of_scope in self.rules.items()}
        self._from = {scope: source(scope, format_time(evidence.now)) for scope in SCOPES}
        needed = {path_ for facts in self._facts.values() for path_ in facts} | set(also)
        try:
            self._connection = open_views(evidence.parts, evidence.now, needed, venues)
            for scope, of_scope in self.rules.items():
                if of_scope:
                    self._evaluate(scope, of_scope)
        except duckdb.Error as error:  # a document that none of our checks foresaw, or too little memory
            raise refused(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def _evaluate(self, scope: str, rules: Sequence[Rule]) -> None:
        """One table of what the rules say. If the one query fails, each rule runs alone and the one at fault is an error."""
        import duckdb

        columns = [risk(rule, number) for number, rule in enumerate(rules)]
        try:
            self._create(scope, columns)
        except duckdb.Error:
            alone = []
            for number, (rule, column) in enumerate(zip(rules, columns, strict=True)):
                try:
                    self._connection.execute(f"SELECT {column} FROM {self._from[scope]}").fetchall()  # noqa: S608
                    alone.append(column)
                except duckdb.Error:
                    alone.append(f"NULL::BOOLEAN AS r{number}, FALSE AS w{number}")
                    self._broken.add(rule.id)
            self._create(scope, alone)

    def _create(self, scope: str, columns: Iterable[str]) -> None:
        listed = ", ".join(columns)
        number = "n, unseen" if scope in LISTS else "0 AS n, FALSE AS unseen"
        self._connection.execute(
            f"CREATE TABLE outcome_{scope} AS SELECT {scope}.doc, {number}, {listed} FROM {self._from[scope]}"  # noqa: S608
        )

    def counts(self) -> dict[str, dict[Outcome, int]]:
        """How many subjects each rule says what of, over the whole file."""
        found: dict[str, dict[Outcome, int]] = {}
        for scope, rules in self.rules.items():
            for number, rule in enumerate(rules):
                query = f"SELECT r{number}, w{number}, count(*) FROM outcome_{scope} GROUP BY ALL"  # noqa: S608
                of_rule = found[rule.id] = dict.fromkeys(Outcome, 0)
                for risk, beside, count in self._connection.execute(query).fetchall():
                    of_rule[self._outcome(rule, (risk, beside))] += count
        return {id_: {outcome: count for outcome, count in seen.items() if count} for id_, seen in found.items()}

    def _outcome(self, rule: Rule, said: tuple[bool | None, bool | None]) -> Outcome:
        """Contract 6: of whether a subject is at risk, and whether the rule is known not to be about it."""
        risk, beside = said
        if risk is None:
            return Outcome.ERROR if rule.id in self._broken else Outcome.UNKNOWN
        if risk:
            return Outcome.FAIL
        return Outcome.NOT_APPLICABLE if beside else Outcome.PASS

    def rows(self, scope: str, facts: Sequence[str]) -> Iterator[tuple[int, bool, tuple[Any, ...]]]:
        """The rows of a scope over the whole file: document (from 1), whether it is the unseen row, and those facts of it.

        Facts are as rules see them, unknown ones None; a time is in microseconds since 1970.
        """
        unseen, order = ("unseen", "n") if scope in LISTS else ("FALSE", "doc")
        times = {path for path in facts if catalogue()[path].kind == "time"}
        columns = [f'"{catalogue()[path].name}"' for path in facts]
        shown = [f"epoch_us({one})" if path in times else one for path, one in zip(facts, columns, strict=True)]
        found = self._connection.cursor().execute(
            f"SELECT {', '.join(['doc', unseen, *shown])} FROM {scope} ORDER BY doc, {order}"  # noqa: S608  (our own names)
        )
        while batch := found.fetchmany(1000):
            for doc, is_unseen, *values in batch:
                yield doc, is_unseen, tuple(values)

    def documents(self) -> Iterator[list[SubjectOutcomes]]:
        """For each document in order, its subjects with their outcomes, account and venue first."""
        streams = [self._subjects(scope) for scope in SCOPES if self.rules[scope]]
        total = self._connection.execute("SELECT count(*) FROM docs").fetchone()[0]
        groups = [groupby(stream, key=lambda pair: pair[0]) for stream in streams]
        heads = [next(group, None) for group in groups]
        for doc in range(1, total + 1):
            subjects: list[SubjectOutcomes] = []
            for place, head in enumerate(heads):
                if head is not None and head[0] == doc:
                    subjects += [subject for _, subject in head[1]]
                    heads[place] = next(groups[place], None)
            yield subjects

    def _subjects(self, scope: str) -> Iterator[tuple[int, SubjectOutcomes]]:
        rules, facts = self.rules[scope], self._facts[scope]
        shown = ", ".join(["", *[_shown(path) for path in facts]])
        codes = "".join(f", o.r{number}, o.w{number}" for number in range(len(rules)))
        rows = self._connection.cursor().execute(
            f"SELECT o.doc, o.n, o.unseen{codes}{shown} FROM outcome_{scope} o JOIN {self._from[scope]} "  # noqa: S608
            f"ON o.doc = {scope}.doc{' AND o.n = ' + scope + '.n' if scope in LISTS else ''} ORDER BY o.doc, o.n"
        )
        while batch := rows.fetchmany(1000):
            for doc, number, unseen, *values in batch:
                said = values[: 2 * len(rules)]
                outcomes = {
                    rule.id: self._outcome(rule, pair)
                    for rule, pair in zip(rules, zip(said[::2], said[1::2], strict=True), strict=True)
                }
                known = {
                    path: value for path, value in zip(facts, values[len(said) :], strict=True) if value is not None
                }
                yield doc, SubjectOutcomes(scope=scope, number=number, unseen=unseen, facts=known, outcomes=outcomes)


def refused(error: Exception) -> InputError:
    first = printable((str(error).splitlines() or [""])[0], limit=160)
    hint = "evaluate the documents one by one to find the one at fault, and please report it"
    return InputError([Fault(file="evidence", line=0, message=f"cannot be evaluated: {first}", hint=hint)])


def facts_of(scope: str, rules: Sequence[Rule]) -> list[str]:
    named = [f"{scope}.{name}" for name in IDENTITY[scope]] if rules else []
    placeholders = [path for rule in rules for path in _placeholders(rule)]
    return list(dict.fromkeys([*named, *(path for rule in rules for path in rule.facts), *placeholders]))


def _placeholders(rule: Rule) -> list[str]:
    from string import Formatter

    parsed = Formatter().parse(rule.message)
    return [name for _, name, _, _ in parsed if name in catalogue()]


def risk(rule: Rule, number: int) -> str:
    """Whether a subject is at risk, and whether the rule is not about it."""
    when = f"({rule.when.sql})" if rule.when else "TRUE"
    beside = f"NOT {when}" if rule.when else "FALSE"
    return f"({when} AND NOT ({rule.require.sql}))::BOOLEAN AS r{number}, ({beside})::BOOLEAN AS w{number}"


def source(scope: str, now: str) -> str:
    """What a rule about `scope` reads. The clock is a constant and no column, so that `now - INTERVAL` is computed once."""
    tables = {scope: scope, "venue": "venue"}
    tables["account"] = f"(SELECT * REPLACE (TIMESTAMPTZ '{now}' AS now_) FROM account) AS account"  # noqa: S608
    joined = [f" JOIN {tables[other]} ON {other}.doc = {scope}.doc" for other in ("account", "venue") if other != scope]
    return tables[scope] + "".join(joined)


def _shown(path: str) -> str:
    fact = catalogue()[path]
    column = f'{fact.scope}."{fact.name}"'
    return f"strftime({column}, '%Y-%m-%dT%H:%M:%SZ')" if fact.kind == "time" else column
