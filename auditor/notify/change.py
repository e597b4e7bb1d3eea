"""What is worth a notice: the difference between a report and what was told before. Pure.

What was told is remembered as ids and hashes. An outage makes a failure invisible, not mended: what cannot be seen any
more stays told, so that it is neither called mended nor told again when the exchange is back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.model.report import AccountReport, Drift, Finding, Outcome, Report
from auditor.model.rule import Severity
from auditor.values import frozen

_OPEN = {Outcome.UNKNOWN, Outcome.ERROR}
_CHANGED = {None, "new", "updated"}


@frozen
class Told:
    """What was told of one account: failing finding id -> state, marks of drift, whether it was said to be incomplete."""

    failing: Mapping[str, str]
    drift: frozenset[str] = frozenset()
    incomplete: bool = False


@frozen
class Change:
    """What a notice is about, worst first. `mended` counts failures that were told and are seen to be gone."""

    new: tuple[tuple[AccountReport, Finding], ...] = ()
    drift: tuple[tuple[AccountReport, Drift], ...] = ()
    incomplete: tuple[AccountReport, ...] = ()
    mended: int = 0

    def __bool__(self) -> bool:
        return bool(self.new or self.drift or self.incomplete or self.mended)


@dataclass(slots=True)
class _Found:
    new: list[tuple[AccountReport, Finding]] = field(default_factory=list)
    drift: list[tuple[AccountReport, Drift]] = field(default_factory=list)
    incomplete: list[AccountReport] = field(default_factory=list)
    mended: int = 0


def between(report: Report, told: Mapping[str, Told] | None, floor: Severity) -> Change:
    """What changed for the worse, and what was mended, at or above `floor`.

    `told` is what was told before, by `name_of` an account. Where nothing is remembered the run before, as the history
    set it into the report, stands in its place; where there is none, all that fails is new.
    """
    found, incomplete = _Found(), frozenset(report.summary.incomplete_accounts)
    for account in report.accounts:
        before = None if told is None else told.get(name_of(account), Told(failing={}))
        found.new += [(account, one) for one in _failing(account, floor) if _is_new(one, before)]
        found.drift += [
            (account, one) for one in account.drift or () if before is None or mark(one) not in before.drift
        ]
        if account.name in incomplete and not (before and before.incomplete):
            found.incomplete.append(account)
        found.mended += len(_mended(account, before, incomplete)) if before else 0
    found.new.sort(key=lambda pair: (pair[1].severity.rank, not pair[1].on_path, pair[0].name, pair[1].rule))
    return Change(
        new=tuple(found.new), drift=tuple(found.drift), incomplete=tuple(found.incomplete), mended=found.mended
    )


def after(report: Report, told: Mapping[str, Told] | None, floor: Severity) -> dict[str, Told]:
    """What is told once a notice about this report is out. Accounts that are not in it stay as they were."""
    kept, incomplete = dict(told or {}), frozenset(report.summary.incomplete_accounts)
    for account in report.accounts:
        before = kept.get(name_of(account))
        gone = _mended(account, before, incomplete) if before else set()
        unseen = {id_: state for id_, state in (before.failing if before else {}).items() if id_ not in gone}
        now = {one.id: one.state or "" for one in _failing(account, floor)}
        kept[name_of(account)] = Told(
            failing={**unseen, **now},
            drift=frozenset(map(mark, account.drift)) if account.drift is not None else _drift(before),
            incomplete=account.name in incomplete,
        )
    return kept


def name_of(account: AccountReport) -> str:
    """How an account is remembered."""
    return f"{account.exchange}/{account.name}"


def mark(drift: Drift) -> str:
    """How a difference is remembered: the same one has the same mark in every run."""
    parts = (drift.kind, drift.subject.type, drift.subject.fingerprint, drift.what)
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def to_document(told: Mapping[str, Told]) -> dict[str, Any]:
    """As JSON values."""
    return {
        name: {"failing": dict(one.failing), "drift": sorted(one.drift), "incomplete": one.incomplete}
        for name, one in sorted(told.items())
    }


def from_document(document: Any) -> dict[str, Told] | None:
    """What `to_document` made, or None for anything else: to tell twice is better than never."""
    try:
        return {
            str(name): Told(
                failing={str(id_): str(state) for id_, state in row["failing"].items()},
                drift=frozenset(map(str, row["drift"])),
                incomplete=row["incomplete"] is True,
            )
            for name, row in document.items()
        }
    except (AttributeError, KeyError, TypeError):
        return None


def _failing(account: AccountReport, floor: Severity) -> list[Finding]:
    return [
        one
        for one in account.findings
        if one.outcome is Outcome.FAIL and not one.waiver and one.severity.rank <= floor.rank
    ]


def _is_new(finding: Finding, before: Told | None) -> bool:
    if before is None:
        return finding.baseline in _CHANGED
    return before.failing.get(finding.id) != (finding.state or "")


def _mended(account: AccountReport, before: Told, incomplete: frozenset[str]) -> set[str]:
    """Failures that were told and are known not to be there any more, or to be accepted."""
    now = {one.id: one for one in account.findings}
    whole = account.name not in incomplete
    return {id_ for id_ in before.failing if _is_mended(now.get(id_), whole=whole)}


def _is_mended(finding: Finding | None, *, whole: bool) -> bool:
    if finding is None:
        return whole
    return finding.outcome not in {*_OPEN, Outcome.FAIL} or finding.waiver is not None


def _drift(before: Told | None) -> frozenset[str]:
    return before.drift if before else frozenset()
