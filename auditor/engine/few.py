"""Runs rules over a few documents in plain Python, in less time than a database takes to start.

The same face and the same answers as `Evaluation`; a test holds the two against each other. What Python might compute in
another way than the database (sums of numbers, constants of many digits) is left to the latter, as is all that is large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Self

from auditor.engine.derived import DERIVED
from auditor.engine.evaluate import Evaluation, SubjectOutcomes, facts_of
from auditor.engine.follows import FOLLOWS
from auditor.engine.intake import Evidence
from auditor.engine.rows import LOOK_BACK_DAYS
from auditor.engine.subject import Beside, Document, Facts, Subject, known
from auditor.model.facts import COMPLETENESS, LISTS, SCOPES, catalogue
from auditor.model.normalise import UNKNOWN_MARK
from auditor.model.report import Outcome
from auditor.model.rule import Rule
from auditor.ruleset import kleene, prepared
from auditor.ruleset.kleene import Condition
from auditor.ruleset.plain import Node

MOST_DOCUMENTS, MOST_ROWS, MOST_BYTES = 64, 1000, 2**20
"""Beyond so many documents, rows and bytes of a row the database is the better of the two."""
_MOST_DIGITS = 15  # of a constant: a floating number holds them all
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Venues = Mapping[str, Mapping[str, Any]]


def evaluation(
    evidence: Evidence, rules: Sequence[Rule], venues: Venues, *, also: Iterable[str] = ()
) -> Evaluation | Few:
    """The evaluation of these rules, by whatever costs least. `also` are facts that `rows` will be asked for."""
    few = _few(evidence)
    if few is None or not all(map(plain, rules)):
        return Evaluation(evidence, rules, venues, also=also)
    return Few(few, evidence.now, rules, venues)


def _few(evidence: Evidence) -> list[dict[str, Any]] | None:
    """The documents, if they are few and small; of those that are not no more is held than it takes to know."""
    if len(evidence) > MOST_DOCUMENTS or any(part.longest > MOST_BYTES for part in evidence.parts):
        return None
    found, rows = [], 0
    for one in evidence.documents():
        rows += sum(len(one.get(key) or ()) for key in LISTS.values())
        if rows > MOST_ROWS:
            return None
        found.append(one)
    return found


def plain(rule: Rule) -> bool:
    """Whether Python surely computes what this rule says as the database does. What no checker saw it does not read."""
    parts = [part for part in (rule.when, rule.require) if part is not None]
    return all((rule.file or prepared.tree(one.sql)) and _is_plain(kleene.tree(one)) for one in parts)


def _is_plain(node: Node) -> bool:
    if node[0] == "number":
        return len(node[1]) <= _MOST_DIGITS
    if node[0] in {"+", "-"}:
        return bool(node[2][0] == "interval") and _is_plain(node[1])
    return all(_is_plain(part) for part in node[1:] if isinstance(part, list))


@dataclass(slots=True, kw_only=True)
class _Told:
    """One subject and everything known of it, its account and its venue."""

    subject: Subject
    facts: Facts


class Few:
    """Rules evaluated over normalised documents. A context manager like `Evaluation`, though there is nothing to close."""

    def __init__(
        self, documents: Sequence[Mapping[str, Any]], now: datetime, rules: Sequence[Rule], venues: Venues
    ) -> None:
        self.rules = {scope: [rule for rule in rules if rule.applies_to == scope] for scope in SCOPES}
        self._facts = {scope: facts_of(scope, of_scope) for scope, of_scope in self.rules.items()}
        self._now = now
        self._told = [_told(Document(one, now), venues) for one in documents]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        return

    def counts(self) -> dict[str, dict[Outcome, int]]:
        """How many subjects each rule says what of, over all documents."""
        found: dict[str, Counter[Outcome]] = {
            rule.id: Counter() for of_scope in self.rules.values() for rule in of_scope
        }
        for subjects in self.documents():
            for subject in subjects:
                for rule, outcome in subject.outcomes.items():
                    found[rule][outcome] += 1
        return {rule: dict(counted) for rule, counted in found.items()}

    def rows(self, scope: str, facts: Sequence[str]) -> Iterator[tuple[int, bool, tuple[Any, ...]]]:
        """The rows of a scope, as `Evaluation.rows` gives them."""
        for number, told in enumerate(self._told, 1):
            for one in told[scope]:
                yield number, one.subject.unseen, tuple(_counted(one.facts.get(path)) for path in facts)

    def documents(self) -> Iterator[list[SubjectOutcomes]]:
        """For each document in order, its subjects with their outcomes, account and venue first."""
        asked = {scope: [_Asked.of(rule) for rule in rules] for scope, rules in self.rules.items() if rules}
        for told in self._told:
            yield [self._judged(scope, one, rules) for scope, rules in asked.items() for one in told[scope]]

    def _judged(self, scope: str, one: _Told, rules: Sequence[_Asked]) -> SubjectOutcomes:
        held = ((path, one.facts.get(path)) for path in self._facts[scope])
        return SubjectOutcomes(
            scope=scope,
            number=one.subject.number,
            unseen=one.subject.unseen,
            facts={path: _shown(value) for path, value in held if value is not None},
            outcomes={rule.id: rule.outcome(one.facts, self._now) for rule in rules},
        )


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A rule as two conditions."""

    id: str
    when: Condition
    require: Condition

    @classmethod
    def of(cls, rule: Rule) -> Self:
        when = kleene.condition(rule.when) if rule.when else kleene.ALWAYS
        return cls(id=rule.id, when=when, require=kleene.condition(rule.require))

    def outcome(self, facts: Facts, now: datetime) -> Outcome:
        about = self.when.value(facts, now)
        if about is False:
            return Outcome.NOT_APPLICABLE
        holds = self.require.value(facts, now)
        if holds:
            return Outcome.PASS
        return Outcome.UNKNOWN if about is None or holds is None else Outcome.FAIL


def _told(document: Document, venues: Venues) -> dict[str, list[_Told]]:
    """Everything known of a document's subjects, by scope: given, else from the venue file, else following from the rest."""
    value, subject = document.value, Subject(document=document)
    exchange = value["account"]["exchange"]
    policies = {"venue.id": exchange, **venues.get(exchange, {})}
    marks = set(value.get(UNKNOWN_MARK) or ())
    facts: Facts = {}
    for scope in ("venue", "account"):
        facts |= {**_policies(scope, policies, marks), **known(scope, value.get(scope) or {})}
        _follow(scope, facts, marks, subject)
    whole = [_Told(subject=subject, facts=facts)]
    return {"venue": whole, "account": whole} | {scope: list(_rows(scope, document, facts)) for scope in LISTS}


def _policies(scope: str, policies: Mapping[str, Any], marks: set[str]) -> Facts:
    named = (path for path in policies if path.partition(".")[0] == scope and path not in marks)
    kept = {path: policies[path] for path in named if path in catalogue() and "venue" in catalogue()[path].by}
    return known(scope, {path.partition(".")[2]: value for path, value in kept.items()})


def _rows(scope: str, document: Document, account: Facts) -> Iterator[_Told]:
    """The unseen row where a list is not known to be whole, and those that were seen."""
    if _holds_unseen(scope, document, account):
        facts = dict(account)
        if scope == "api_key" and _not_the_caller(document):
            facts["api_key.is_audit_key"] = False
        subject = Subject(document=document, unseen=True)
        _follow(scope, facts, (), subject)
        yield _Told(subject=subject, facts=facts)
    rows = document.rows(scope) or ()
    given = [known(scope, row) for row in rows]
    beside = Beside(given)
    for number, (row, own) in enumerate(zip(rows, given, strict=True), 1):
        facts = {**account, **own}
        marks = {f"{scope}.{name}" for name in row.get(UNKNOWN_MARK) or ()}
        subject = Subject(document=document, number=number, beside=beside)
        _follow(scope, facts, marks, subject)
        yield _Told(subject=subject, facts=facts)


def _holds_unseen(scope: str, document: Document, account: Facts) -> bool:
    """Whether a list may hold more than was seen (engine/views.py says the same)."""
    seen = document.rows(scope) is not None
    if scope == "event":
        since, made = account.get("account.events_cover_from"), account.get("account.created_at")
        reaches = document.now - timedelta(days=LOOK_BACK_DAYS)
        return not seen or since is None or since > max(reaches, made or reaches)
    incomplete = account.get(COMPLETENESS[scope]) is not True
    if scope == "withdrawal":
        return incomplete and (seen or document.trouble(LISTS[scope], asked=True))
    return not seen or incomplete


def _not_the_caller(document: Document) -> bool:
    """Whether the key that made the calls was seen, and no list of keys failed."""
    calls = any(row.get("is_audit_key") for row in document.rows("api_key") or ())
    return calls and not document.trouble(LISTS["api_key"])


def _follow(scope: str, facts: Facts, marks: Iterable[str], subject: Subject) -> None:
    """Adds what follows, where a fact is absent and was not given as null."""
    for path in _order(scope):
        if path not in facts and path not in marks:
            found = FOLLOWS[path](facts, subject)
            if found is not None:
                facts[path] = found


@cache
def _order(scope: str) -> tuple[str, ...]:
    """The derived facts of a scope, each after those it follows from."""
    waiting = [path for path in DERIVED if catalogue()[path].scope == scope]
    ordered: list[str] = []
    while waiting:
        ready = [path for path in waiting if not set(waiting) & set(DERIVED[path].inputs)]
        ordered += ready
        waiting = [path for path in waiting if path not in ready]
    return tuple(ordered)


def _shown(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def _counted(value: Any) -> Any:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value
