"""Outcomes as findings: on whom, on what evidence, what was missing and how to supply it, what to do at this venue."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from auditor.engine import score
from auditor.engine.derived import DERIVED, of_all, roots
from auditor.engine.evaluate import SubjectOutcomes
from auditor.engine.state import of_row, state
from auditor.model.evidence import Problem, Reason, Snapshot
from auditor.model.facts import COMPLETENESS, LISTS, catalogue
from auditor.model.normalise import short_id
from auditor.model.report import BY_ANSWER, EvidenceLine, Finding, FindingFix, Missing, Outcome, Subject
from auditor.model.rule import Rule
from auditor.model.venue import VenueFile, age, stale
from auditor.redaction import shortened

Fingerprint = Callable[..., str]

_OPEN = (Outcome.UNKNOWN, Outcome.ERROR)
_ORDER = (Outcome.FAIL, Outcome.ERROR, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)
_SAID = {
    Outcome.PASS: "Checked, and not so: {}",
    Outcome.UNKNOWN: "Could not be told: {}",
    Outcome.NOT_APPLICABLE: "Does not apply: {}",
    Outcome.ERROR: "Could not be evaluated: {}",
}
"""What is said where the rule's own message, which states the fault, would claim too much."""
_MENUS = "The menus may have other names by now"
_PLACEHOLDER = re.compile(r"\{([a-z_]+\.[a-z_0-9]+)\}")
_UNSEEN = {
    "api_key": "any API key that could not be listed",
    "address": "any withdrawal address that could not be listed",
    "event": "anything the security log did not show",
    "withdrawal": "any withdrawal that could not be listed",
    "vendor": "any third party that is not listed",
}
_LIST_OF = {COMPLETENESS.get(scope, "account.events_cover_from"): key for scope, key in LISTS.items()}
"""The fact that says a list is whole -> the list."""
_TOLD = ("label", "masked_id", "sub_account", "asset", "network", "kind", "at", "name", "amount")
_SCIENTIFIC = 1e20  # whole numbers from here on are shown as powers
_UNLISTED = "unseen"
_LONGEST_MARK = 64
_STAYING = {Reason.NOT_EXPOSED, Reason.PERMISSION_DENIED, Reason.NOT_COLLECTED, Reason.ATTESTATION_EXPIRED}
"""Reasons that another run alone does not lift: then the owner's word is what is left."""
_NOT_ASKED = "Not asked for: {}"
_BY_HISTORY = "approve the inventory with `auditor keys approve`: every audit after that compares with it"
_REMEDIES = {
    Reason.PERMISSION_DENIED: "the key may not read this; see `auditor exchanges` for what a reading key needs",
    Reason.IP_NOT_ALLOWED: "add the address this audit runs from to the key's IP list, or run it from an address on the list",
    Reason.INVALID_KEY: "check the key, its secret and the regional site it belongs to; if it was deleted, make a new read-only key",
    Reason.VENUE_MAINTENANCE: "run the audit again when the exchange is back",
    Reason.VENUE_INCIDENT: "run the audit again when the exchange answers normally; do not delete keys because of this answer",
    Reason.RATE_LIMITED: "run the audit again later, or from another address",
    Reason.CLOCK_SKEW: "set this machine's clock, and use a key that no other program uses",
    Reason.TIMEOUT: "run the audit again; check the network if it stays so",
    Reason.MALFORMED_RESPONSE: "run the audit again; if it stays so, the exchange changed its answers: please report it",
    Reason.IMPLAUSIBLE_RESPONSE: "compare with the exchange's own pages before believing either",
    Reason.ACCOUNT_FROZEN: "ask the exchange why the account is frozen",
    Reason.VENUE_CLOSED: "the exchange is closed: withdraw what is left and delete the keys",
}


def of_document(
    snapshot: Snapshot,
    subjects: Iterable[SubjectOutcomes],
    rules: Mapping[str, Rule],
    venue: VenueFile | None,
    fingerprint: Fingerprint,
) -> list[Finding]:
    """Every outcome of every rule for one account, worst first. A rule without a subject is not_applicable to the account."""
    told = _Account(snapshot, venue, fingerprint)
    findings: list[Finding] = []
    counted: Counter[str] = Counter([_UNLISTED])
    for subject in sorted(subjects, key=lambda one: (one.scope, sorted(map(str, one.facts.items())), one.number)):
        whom, row = told.subject(subject, counted), _row(snapshot, subject)
        findings += [
            told.finding(rules[rule], outcome, whom, subject.facts, row) for rule, outcome in subject.outcomes.items()
        ]
    account = told.subject(SubjectOutcomes(scope="account", number=0, unseen=False, facts={}, outcomes={}), counted)
    seen = {finding.rule for finding in findings}
    findings += [
        told.finding(rule, Outcome.NOT_APPLICABLE, account, {}) for id_, rule in rules.items() if id_ not in seen
    ]
    return sorted(findings, key=_worst_first)


def source_of(snapshot: Snapshot, venue: VenueFile | None) -> Callable[[str], str]:
    """Says in words where a fact of this account came from."""
    return _Account(snapshot, venue, lambda *_parts: "")._source  # noqa: SLF001  (our own)


def _row(snapshot: Snapshot, subject: SubjectOutcomes) -> dict[str, Any] | None:
    """What stands in the list of a subject that is seen in one."""
    rows = snapshot.rows(subject.scope) if subject.scope in LISTS and not subject.unseen else None
    return rows[subject.number - 1] if rows else None


def _worst_first(finding: Finding) -> tuple[Any, ...]:
    place = (_ORDER.index(finding.outcome), finding.severity.rank, finding.rule)
    return (*place, finding.subject.unseen, finding.subject.label, finding.id)


class _Account:
    """What all findings of one account share."""

    def __init__(self, snapshot: Snapshot, venue: VenueFile | None, fingerprint: Fingerprint) -> None:
        self.snapshot = snapshot
        self.venue = venue
        self.fingerprint = fingerprint
        self._lacks: dict[tuple[str, tuple[str, ...]], Missing] = {}
        self._sources: dict[str, str] = {}  # a fact has one source, and is in a hundred findings
        self._problems = sorted(snapshot.problems, key=lambda one: (one.reason, one.endpoint, one.detail, one.facts))

    def subject(self, one: SubjectOutcomes, counted: Counter[str]) -> Subject:
        """Whom a finding is about. Equal subjects are told apart by a running number over sorted content."""
        if one.scope in {"account", "venue"}:
            name = self.snapshot.name if one.scope == "account" else self.snapshot.exchange
            label = name if one.scope == "account" or self.venue is None else self.venue.name
            return Subject(type=one.scope, fingerprint=self.fingerprint(one.scope, name), label=shortened(label))
        if one.unseen:
            return Subject(type=one.scope, fingerprint=_UNLISTED, label=_UNSEEN[one.scope], unseen=True)
        mark = identity(one.scope, self.snapshot, one.facts, self.fingerprint)
        counted[mark] += 1
        mark = mark if counted[mark] == 1 else f"{mark}-{counted[mark]}"
        return Subject(type=one.scope, fingerprint=mark, label=label_of(one.scope, one.facts))

    def finding(
        self,
        rule: Rule,
        outcome: Outcome,
        subject: Subject,
        facts: Mapping[str, Any],
        row: Mapping[str, Any] | None = None,
    ) -> Finding:
        missing = self._missing(rule, subject, facts) if outcome in _OPEN else ()
        evidence = [self._evidence(path, facts[path], row or {}) for path in rule.facts if path in facts]
        named = (rule.id, self.snapshot.name, subject.fingerprint)
        return Finding(
            id=hashlib.sha256("\n".join(named).encode("utf-8", "replace")).hexdigest()[:16],
            rule=rule.id,
            title=rule.title,
            severity=rule.severity,
            outcome=outcome,
            subject=subject,
            message=self._message(rule, outcome, subject, facts),
            why=rule.why,
            how_we_know=rule.how_we_know,
            missing=missing,
            evidence=tuple(evidence),
            fix=FindingFix(effort=rule.fix.effort, text=rule.fix.text, steps=self._steps(rule)),
            gain=score.gain(rule.severity) if outcome in {Outcome.FAIL, *_OPEN} else None,
            controls=rule.controls,
            incidents=rule.incidents,
            state=state(rule, facts, of_row(subject.type, row)) if outcome is Outcome.FAIL else None,
        )

    def _message(self, rule: Rule, outcome: Outcome, subject: Subject, facts: Mapping[str, Any]) -> str:
        if outcome is Outcome.NOT_APPLICABLE and self._not_asked(rule, facts):
            return _NOT_ASKED.format(rule.title)
        return _SAID[outcome].format(rule.title) if outcome in _SAID else _message(rule, subject, facts)

    def _not_asked(self, rule: Rule, facts: Mapping[str, Any]) -> bool:
        """Whether a rule has nothing to look at because what it is about is opt-in, and nobody opted in."""
        if rule.applies_to == "withdrawal":
            return self.snapshot.withdrawals is None
        return "account.balance_asked_for" in rule.facts and facts.get("account.balance_asked_for") is False

    def _steps(self, rule: Rule) -> tuple[str, ...]:
        own = rule.fix.steps.get(self.snapshot.exchange)
        remedy = self.venue.remedies.get(rule.fix.remedy or "") if self.venue else None
        if own or remedy is None:
            return own or rule.fix.steps.get("default", ())
        read, now = remedy.origin.as_of, self.snapshot.collected_at
        return (*remedy.steps, f"({_MENUS}: {age(read, now)}.)") if stale(read, now) else remedy.steps

    def _evidence(self, path: str, value: Any, row: Mapping[str, Any]) -> EvidenceLine:
        shown = shortened(value) if isinstance(value, str) else value
        source = self._source(path)
        for said in of_all(path) if path.partition(".")[2] not in row else ():
            # What holds for a whole list was not shown by whatever listed the row.
            if self.snapshot.account.get(said.partition(".")[2]) is not None or (
                self.venue and self.venue.policy(said)
            ):
                source = f"follows from {said} ({self._source(said)})"
        return EvidenceLine(fact=path, value=shown, source=source)

    def _source(self, path: str) -> str:
        if path not in self._sources:
            self._sources[path] = self._source_of(path)
        return self._sources[path]

    def _source_of(self, path: str) -> str:
        scope = path.partition(".")[0]
        source = self.snapshot.sources.get(path) or self.snapshot.sources.get(LISTS.get(scope, ""))
        if source is not None and source.by == "attest":
            return f"stated by the owner on {(source.at or 'an unknown day')[:10]}"
        if source is not None:
            return f"{source.by}: {shortened(source.ref)}" if source.ref else source.by
        if path in DERIVED and DERIVED[path].inputs:
            inputs = [root for root in DERIVED[path].inputs if not root.startswith("venue.")]
            if inputs:
                return f"follows from {inputs[0]} ({self._source(inputs[0])})"
        policy = self.venue.policy(path) or self.venue.policy(_venue_twin(path)) if self.venue else None
        if self.venue and policy:
            return f"policy of {self.venue.name}, {age(policy.as_of, self.snapshot.collected_at)}"
        return "evidence document"

    def _missing(self, rule: Rule, subject: Subject, facts: Mapping[str, Any]) -> tuple[Missing, ...]:
        """The facts whose absence left the rule open. All unseen subjects of a list share one cause: the list itself."""
        wanted = [path for path in rule.facts if path not in facts]
        if subject.unseen:
            whole = COMPLETENESS.get(subject.type, "account.events_cover_from")
            spoken = dict.fromkeys(stand for path in wanted for stand in of_all(path))
            wanted = [path for path in wanted if not path.startswith(subject.type + ".")]
            problem = self._problem(whole)
            listed = () if spoken and problem is None else (whole,)
            answers = tuple(spoken) if problem is None or problem.reason in _STAYING else ()
            return tuple(self._lack(path, facts) for path in (*listed, *answers, *wanted))
        return tuple(self._lack(path, facts) for path in wanted)

    def _lack(self, path: str, facts: Mapping[str, Any]) -> Missing:
        """What is missing where `path` is. Where the first thing that is asked for it is known, it is what else is open."""
        every = roots(path)
        settles = tuple(root for root in every if not self._known(root, facts)) or every
        if (path, settles) not in self._lacks:  # thousands of keys lack the same
            self._lacks[path, settles] = self._lack_of(path, every, settles)
        return self._lacks[path, settles]

    def _lack_of(self, path: str, every: tuple[str, ...], settles: tuple[str, ...]) -> Missing:
        first, asked = (next((root for root in listed if catalogue()[root].ask), None) for listed in (every, settles))
        if first is not None and first != asked:
            path = asked or settles[0]
        problem = next((found for root in settles if (found := self._problem(root))), None)
        reason = problem.reason if problem else Reason.NOT_EXPOSED
        return Missing(fact=path, reason=reason.value, how=self._how(path, settles, reason))

    def _known(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Whether a fact is known, or was said never to have happened."""
        scope, _, name = path.partition(".")
        if path in facts or (scope == "account" and self.snapshot.account.get(name) is not None):
            return True
        never = name.replace("_changed_at", "_ever_changed") if name.endswith("_changed_at") else None
        since = name.replace("_ever_changed", "_changed_at") if name.endswith("_ever_changed") else None
        held = self.snapshot.account
        return bool((never and held.get(never) is False) or (since and held.get(since) is not None))

    def _problem(self, path: str) -> Problem | None:
        """Why a fact is missing: the problem that names it or its list; else, of a fact that only an API shows, one that
        names nothing and may be the reason. Where several fit, content decides and not their order.
        """
        names = {path, LISTS.get(path.partition(".")[0], path), _LIST_OF.get(path, path)}
        told = [problem for problem in self._problems if names & set(problem.facts)]
        if not told and catalogue()[path].by == {"api"}:
            told = [problem for problem in self._problems if not problem.facts]
        return told[0] if told else None

    def _how(self, path: str, settles: tuple[str, ...], reason: Reason) -> str:
        if path == COMPLETENESS["api_key"] and reason is Reason.NOT_EXPOSED:
            where = self._where("account.keys_counted")
            return f"audit every key of the account and state how many there are (`expected_keys`){where}"
        own = next((root for root in settles if root in (self.venue.needs_more if self.venue else {})), None)
        if reason is Reason.PERMISSION_DENIED and own and self.venue:
            return self.venue.needs_more[own]
        asked = next((root for root in settles if catalogue()[root].ask), None)
        if asked and reason in _STAYING:
            return f"{BY_ANSWER}{catalogue()[asked].ask}{self._where(asked)}"
        if reason is Reason.NOT_EXPOSED and any("history" in catalogue()[root].by for root in settles):
            return _BY_HISTORY
        return _REMEDIES.get(reason, "no read-only key of this exchange shows it, and nobody can answer it")

    def _where(self, path: str) -> str:
        place = self.venue.where.get(path) if self.venue else None
        return f" (look at: {place})" if place else ""


def _venue_twin(path: str) -> str:
    inputs = DERIVED[path].inputs if path in DERIVED else ()
    return inputs[0] if inputs else path


def identity(scope: str, snapshot: Snapshot, facts: Mapping[str, Any], fingerprint: Fingerprint) -> str:
    """The fingerprint of a row: its own if it was collected with one, else of what tells it apart best (contract 8)."""
    given = facts.get(f"{scope}.fingerprint")
    if isinstance(given, str) and given:  # ours is short; what a stranger's file has there may be anything
        return given if len(given) <= _LONGEST_MARK else fingerprint(scope, given)
    parts = {
        "api_key": ("sub_account", "label", "created_at", "kind"),
        "address": ("asset", "network", "label"),
        "event": ("kind", "at", "ip", "text"),
        "withdrawal": ("at", "asset", "amount", "destination"),
        "vendor": ("name",),
    }[scope]
    owner = (snapshot.exchange, snapshot.name) if scope == "api_key" else ()
    return fingerprint(scope, *owner, *[str(facts.get(f"{scope}.{part}", "")) for part in parts])


def label_of(scope: str, facts: Mapping[str, Any]) -> str:
    """What a person calls this row. Attacker-written, free of personal data and of whole public ids."""
    told = {name: shortened(_plain(facts.get(f"{scope}.{name}") or "")) for name in _TOLD}
    if scope == "api_key":
        name = told["label"] or (f"(no label) {short_id(told['masked_id'])}" if told["masked_id"] else "(no label)")
        label = f"{told['sub_account']}/{name}" if told["sub_account"] else name
    else:
        parts = ("asset", "network", "label") if scope == "address" else ("name", "kind", "asset", "amount", "at")
        label = " ".join(told[part] for part in parts if told[part])
    return label or f"({scope} without a name)"


def _message(rule: Rule, subject: Subject, facts: Mapping[str, Any]) -> str:
    """The rule's message about this subject; a fact that is not known is said to be unknown."""

    def fill(found: re.Match[str]) -> str:
        if found[1].endswith((".label", ".name")) and found[1].startswith(subject.type + "."):
            return subject.label
        value = facts.get(found[1])
        if value is not None:
            return shortened(_plain(value))
        before = rule.message[: found.start()]
        return "unknown" if before.count("(") > before.count(")") else "(unknown)"

    return _PLACEHOLDER.sub(fill, rule.message)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < _SCIENTIFIC else f"{value:.12g}"
    return str(value)
