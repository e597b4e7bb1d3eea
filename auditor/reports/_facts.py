"""Which facts the rules asked for, and how each is known: observed, stated, policy, given, or not at all and why.

Reads the findings' evidence and gaps; knows no medium. A fact of many keys is one line that says for how many it is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from auditor.model.report import AccountReport
from auditor.reports._words import count, reason
from auditor.values import frozen

OBSERVED, STATED, POLICY, GIVEN, PARTLY, UNKNOWN = "observed", "stated", "policy", "given", "partly known", "unknown"
WAYS = (OBSERVED, STATED, POLICY, GIVEN, PARTLY, UNKNOWN)
MARKS = {OBSERVED: "●", STATED: "◐", POLICY: "◆", GIVEN: "■", PARTLY: "◔", UNKNOWN: "?"}
_BEGINNINGS = (
    ("api", OBSERVED),
    ("local", OBSERVED),
    ("history", OBSERVED),
    ("stated by", STATED),
    ("attested", STATED),
    ("config", STATED),
    ("policy of", POLICY),
    ("venue", POLICY),
)


@frozen
class Known:
    """One fact of an account. `where` are sources, or reasons where it is unknown; `rules` those that asked for it."""

    fact: str
    way: str
    known: int
    asked: int
    where: tuple[str, ...]
    rules: tuple[str, ...]


def way_of(source: str) -> str:
    """The kind of a source. What follows from a fact is known as that fact is."""
    if source.startswith("follows from ") and "(" in source:
        return way_of(source.partition("(")[2].rstrip(")"))
    return next((way for start, way in _BEGINNINGS if source.startswith(start)), GIVEN)


def matrix(account: AccountReport) -> list[Known]:
    """Every fact that a rule asked for, by name."""
    known: dict[str, dict[str, str]] = defaultdict(dict)
    missing: dict[str, dict[str, str]] = defaultdict(dict)
    rules: dict[str, set[str]] = defaultdict(set)
    for finding in account.findings:
        for line in finding.evidence:
            known[line.fact][finding.subject.fingerprint] = line.source
            rules[line.fact].add(finding.rule)
        for gap in finding.missing:
            missing[gap.fact][finding.subject.fingerprint] = gap.reason
            rules[gap.fact].add(finding.rule)
    return [_line(fact, known[fact], missing[fact], rules[fact]) for fact in sorted(rules)]


def _line(fact: str, known: dict[str, str], missing: dict[str, str], rules: set[str]) -> Known:
    open_ = {subject: why for subject, why in missing.items() if subject not in known}
    ways = {way_of(source) for source in known.values()}
    way = UNKNOWN if not known else PARTLY if open_ else min(ways, key=lambda one: -WAYS.index(one))
    where = [*dict.fromkeys(known.values()), *dict.fromkeys(reason(why) for why in open_.values())]
    return Known(
        fact=fact,
        way=way,
        known=len(known),
        asked=len(known) + len(open_),
        where=tuple(where),
        rules=tuple(sorted(rules)),
    )


def by_scope(lines: Sequence[Known]) -> list[tuple[str, list[Known]]]:
    """The facts of each scope: account, key, venue ..., in words."""
    scopes: dict[str, list[Known]] = defaultdict(list)
    for line in lines:
        scopes[line.fact.partition(".")[0].replace("_", " ")].append(line)
    return list(scopes.items())


def tally(lines: Sequence[Known]) -> str:
    """`58 facts were asked for: 12 observed, 20 stated, ...`."""
    counts = [(sum(line.way == way for line in lines), way) for way in WAYS]
    return f"{count(len(lines), 'fact was', 'facts were')} asked for: " + (
        ", ".join(f"{amount} {way}" for amount, way in counts if amount) + "." if lines else "none."
    )
