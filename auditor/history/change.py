"""What is different: a key against what was approved, an inventory against the one before it, a run against another.

Pure. Of what is unknown on one side nothing is said: neither that it changed nor that it did not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from auditor.history.ledger import Held, Ledger, Place, Reading
from auditor.model.facts import parse_time
from auditor.model.report import AccountReport, Drift, Finding, Outcome, Subject
from auditor.values import frozen

if TYPE_CHECKING:
    from auditor.history.baseline import Baseline

_RIGHTS = {
    "can_read": "may read",
    "can_trade": "may trade",
    "can_trade_derivatives": "may trade derivatives",
    "can_transfer": "may transfer",
    "can_withdraw": "may withdraw",
    "can_manage": "may manage keys",
}
_ANY = {"*", "*.*.*.*", "any", "all", "0.0.0.0", "::"}  # noqa: S104  (what venues write for everybody)
SHOWN = ("label", "permissions", "ip_bound", "ip_allowlist", "enabled", "expires_at", "never_expires", "kind",
          "symbol_restricted", "state", "skips_second_factor", "asset", "network", *_RIGHTS)  # fmt: skip
"""Facts that are compared. Of others it is never told that they changed."""
_LONGEST = 120
_MOST = 5
OPEN = {Outcome.UNKNOWN, Outcome.ERROR}
"""What mends nothing: a failure that nobody can see any more."""


def widened(approved: Mapping[str, Any], now: Mapping[str, Any]) -> bool | None:
    """Whether a key may do more than was approved; None where that cannot be told."""
    answers = [answer for answer, _ in _comparisons(approved, now)]
    return True if True in answers else None if None in answers else False


def wider(approved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, each way in which a key may do more than was approved."""
    return [words for answer, words in _comparisons(approved, now) if answer]


def _comparisons(approved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[bool | None, str]]:
    yield from _rights(approved, now)
    yield _addresses(approved, now)
    yield _lifetime(approved, now)
    if "enabled" in approved or "enabled" in now:
        yield _gained(approved.get("enabled"), now.get("enabled")), "switched on again"


def _gained(before: bool | None, now: bool | None) -> bool | None:  # noqa: FBT001  (three-valued)
    """Whether something came that was not there, in Kleene's logic."""
    if before is True or now is False:
        return False
    return True if before is False and now is True else None


def _rights(approved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[bool | None, str]]:
    """The venue's own words settle what our reading of them leaves open: with the same words nothing came."""
    before, after = approved.get("permissions"), now.get("permissions")
    known = before is not None and after is not None
    new = sorted(set(after or ()) - set(before or ())) if known else []
    gone = set(before or ()) - set(after or ()) if known else set()
    settled = known and not new
    for name, words in _RIGHTS.items():
        gained = _gained(approved.get(name), now.get(name))
        yield (False if settled and gained is None else gained), words
    if new:
        # Words that came while others went may be the same rights under another name.
        yield (None if gone else True), f"new permissions: {_listed(new)}"


def _addresses(approved: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[bool | None, str]:
    before, after = approved.get("ip_bound"), now.get("ip_bound")
    if before is False:
        return False, ""
    if after is False:
        return (True if before else None), "no longer bound to addresses"
    if before is None or after is None:
        return None, ""
    allowed, listed = approved.get("ip_allowlist"), now.get("ip_allowlist")
    if allowed is None or listed is None:
        return None, ""
    covered = {entry: [_within(entry, one) for one in allowed] for entry in listed}
    new = [entry for entry, found in covered.items() if not any(found) and None not in found]
    open_ = any(None in found and True not in found for found in covered.values())
    return (True if new else None if open_ else False), f"new addresses: {_listed(new)}"


def _within(entry: str, allowed: str) -> bool | None:
    """Whether an entry of an IP list lets in nobody whom `allowed` does not; None where `allowed` cannot be read."""
    inner, outer = entry.strip().lower(), allowed.strip().lower()
    if inner == outer or outer in _ANY:
        return True
    try:
        block = ipaddress.ip_network(outer, strict=False)
    except ValueError:
        return None
    try:
        mine = ipaddress.ip_network(inner, strict=False)
    except ValueError:
        return False
    return mine.version == block.version and mine.subnet_of(block)  # type: ignore[arg-type]


def _lifetime(approved: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[bool | None, str]:
    """An expiry that went, or moved away. Of an exchange that shows none on either side, there is nothing to compare."""
    if approved.get("never_expires"):
        return False, ""
    before, after = parse_time(approved.get("expires_at")), parse_time(now.get("expires_at"))
    if now.get("never_expires"):
        return (True if before else None), "no longer expires"
    if before is None and after is None:
        shown = "never_expires" in approved or "never_expires" in now
        return (None if shown else False), ""
    if before is None or after is None:
        return None, ""
    return after > before, f"expires later: {now.get('expires_at')}"


def _listed(words: list[str]) -> str:
    shown = ", ".join(word[:_LONGEST] for word in words[:_MOST])
    return shown + (f" and {len(words) - _MOST} more" if len(words) > _MOST else "")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what is known on both sides and not the same."""
    return [
        f"{name.replace('_', ' ')}: {_said(before[name])} -> {_said(now[name])}"
        for name in SHOWN
        if name in before and name in now and before[name] != now[name]
    ]


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _listed([str(one) for one in value]) or "none" if isinstance(value, list) else str(value)[:_LONGEST]


def drift(reading: Reading, before: Ledger | None, baseline: Baseline) -> tuple[Drift, ...]:
    """What is new, removed, widened, changed or doubted: against what the owner approved of a scope, or against the run
    before where nothing of it was approved.
    """
    earlier = {one.place: one for one in before.held} if before else {}
    lost = {one.place for one in reading.lost}
    found = [
        one
        for held in reading.ledger.held
        if (one := _of(held, reading.ledger, earlier.get(held.place), before, baseline, lost=held.place in lost))
    ]
    ranks = {"widened": 0, "new": 1, "doubted": 2, "removed": 3, "changed": 4}
    return tuple(
        sorted(found, key=lambda one: (ranks[one.kind], one.subject.type, one.subject.label, one.subject.fingerprint))
    )


def _of(
    held: Held, ledger: Ledger, earlier: Held | None, before: Ledger | None, baseline: Baseline, *, lost: bool
) -> Drift | None:
    against, said = baseline.covers(held.scope), baseline.approved(held.place)
    was_there = earlier is not None and earlier.present
    unlisted = held.mark in ledger.unlisted.get(held.scope, ())
    kind, what = "", ""
    if lost:
        kind, what = "doubted", f"not listed any more, last seen {held.last_seen_at}"
    elif not held.present:
        # The removal of what was approved is told until the owner approves what is left; of anything else once.
        if said or (was_there and not against):
            kind, what = "removed", f"gone, last seen {held.last_seen_at}"
    elif unlisted and said is None:
        # As with a removal: of what was not approved once, against the run that still listed it.
        if not against and before is not None and held.mark not in before.unlisted.get(held.scope, ()):
            kind, what = "doubted", _unlisted(held)
    elif said is None and (against or (before is not None and not was_there)):
        kind, what = "new", _first(held, baseline)
    elif (reference := said.facts if said else earlier.facts if earlier and not against else None) is not None:
        kind, what = _differs(held, reference)
        if unlisted and not kind:
            kind, what = "doubted", _unlisted(held)
    subject = Subject(type=held.scope, fingerprint=held.mark, label=held.label)
    # What the owner approved as it is now is no difference, so none that is told is approved.
    return Drift(kind=kind, subject=subject, what=what) if kind else None


def _unlisted(held: Held) -> str:
    return f"not listed any more, last seen {held.last_seen_at}; the list is not known to be whole"


def _differs(held: Held, reference: Mapping[str, Any]) -> tuple[str, str]:
    more = wider(reference, held.facts) if held.scope == "api_key" else []
    if more:
        return "widened", "; ".join(more)
    other = differences(reference, held.facts)
    return ("changed", "; ".join(other)) if other else ("", "")


def _first(held: Held, baseline: Baseline) -> str:
    said = baseline.approvals.get(held.place)
    refused = f"; said on {said.at[:10]} not to be the owner's" if said and not said.mine else ""
    return f"first seen {held.first_seen_at}{refused}"


def unchanged(reading: Ledger, drifts: tuple[Drift, ...]) -> tuple[Held, ...]:
    """The subjects that were there at the last run and of which there is nothing to tell."""
    told: set[Place] = {(one.subject.type, one.subject.fingerprint) for one in drifts}
    return tuple(one for one in reading.held if reading.seen(one) and one.place not in told)


def compared(account: AccountReport, before: Iterable[Mapping[str, Any]] | None) -> AccountReport:
    """The report of an account with each finding marked new, unchanged, updated or absent (it failed, and is known not to
    any more) against the findings stored of the run before. Without one nothing is marked.
    """
    if before is None:
        return account
    known = {row["id"]: row for row in before}
    marked = tuple(replace(one, baseline=_mark(one, known.get(one.id))) for one in account.findings)
    return replace(account, findings=marked)


def _mark(finding: Finding, before: Mapping[str, Any] | None) -> str:
    if before is None:
        return "new"
    failed, fails = before["outcome"] == Outcome.FAIL.value, finding.outcome is Outcome.FAIL
    if fails != failed and finding.outcome not in OPEN:
        return "new" if fails else "absent"
    held = {line["fact"]: line["value"] for line in before["evidence"]}
    same = before["outcome"] == finding.outcome.value and before["message"] == finding.message
    return "unchanged" if same and held == {line.fact: line.value for line in finding.evidence} else "updated"


@frozen
class Turn:
    """How the failing findings of an account differ between two runs. Each row is (severity, rule, label, id).

    `by_rules` are those that came or went because other rules judged. `unseen` failed, and are undecided now: what cannot
    be seen is not mended. `only_in` names the run, "a" or "b", if the other did not look at the account: then nothing else
    is said.
    """

    account: str
    new: tuple[tuple[str, str, str, str], ...] = ()
    fixed: tuple[tuple[str, str, str, str], ...] = ()
    unseen: tuple[tuple[str, str, str, str], ...] = ()
    unchanged: tuple[tuple[str, str, str, str], ...] = ()
    new_by_rules: tuple[tuple[str, str, str, str], ...] = ()
    fixed_by_rules: tuple[tuple[str, str, str, str], ...] = ()
    only_in: str | None = None


Failing = Mapping[str, tuple[str, str, str, str]]
"""Finding id -> (severity, rule, label, id)."""


def turn(
    account: str,
    before: Failing,
    after: Failing,
    same_rules: tuple[Failing, Failing] | None = None,
    undecided: Collection[str] = (),
) -> Turn:
    """What came and went. `same_rules` are both runs judged by one and the same rules: what does not differ there differs by
    the rules alone. `undecided` are the failures of `before` that `after` leaves open.
    """
    came, went = after.keys() - before.keys(), before.keys() - after.keys()
    old, new = same_rules or (before, after)
    came_here, went_here = new.keys() - old.keys(), old.keys() - new.keys()
    unseen = went & went_here & set(undecided)

    def rows(ids: set[str], held: Failing) -> tuple[tuple[str, str, str, str], ...]:
        return tuple(sorted(held[one] for one in ids))

    return Turn(
        account=account,
        new=rows(came & came_here, after),
        fixed=rows((went & went_here) - unseen, before),
        unseen=rows(unseen, before),
        unchanged=rows(set(before.keys() & after.keys()), after),
        new_by_rules=rows(came - came_here, after),
        fixed_by_rules=rows(went - went_here, before),
    )


def undecided(failed: Failing, findings: Iterable[Mapping[str, Any]]) -> set[str]:
    """Those of `failed` that the findings of another report, as JSON, leave open: undecided there, or about a subject that is
    not among those the rule saw, where it could not see all of them.
    """
    rows = {row["id"]: row for row in findings}
    left = [row for row in rows.values() if Outcome(row["outcome"]) in OPEN]
    partly = {row["rule"] for row in left if row["subject"]["unseen"]}
    open_ = {row["id"] for row in left}
    return {id_ for id_, row in failed.items() if id_ in open_ or (id_ not in rows and row[1] in partly)}
