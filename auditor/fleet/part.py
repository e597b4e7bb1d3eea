"""What one piece of judging brings back: what all its accounts sum up to, and the accounts themselves, or the worst of them.

Accounts travel packed, some hundred together: their texts are much the same, and side by side they would fill the memory.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor import pipeline
from auditor.model.report import AccountReport, Finding, Outcome
from auditor.model.rule import Severity
from auditor.pipeline import Sum
from auditor.spool import Gathering
from auditor.values import frozen

Place = tuple[Any, ...]
"""Where an account stands among others: `pipeline.worst_first` of it."""
_QUICK = 1


@dataclass(slots=True, kw_only=True)
class Tally:
    """What is said of all accounts, shown or not: their sum, the severities of failures that nobody accepted, and the
    findings that some waiver names, whatever came of them.
    """

    sum: Sum = field(default_factory=Sum)
    floors: set[Severity] = field(default_factory=set)
    waived: list[Finding] = field(default_factory=list)

    def add(self, account: AccountReport, known: set[str]) -> None:
        """Counts an account in. `known` are the ids that some waiver names."""
        self.sum.add(account)
        failing = {one.severity for one in account.findings if one.outcome is Outcome.FAIL and not one.waiver}
        self.floors |= failing
        self.waived += [one for one in account.findings if one.id in known]

    def join(self, other: Tally) -> None:
        """Counts others in."""
        self.sum.join(other.sum)
        self.floors |= other.floors
        self.waived += other.waived


@frozen
class Part:
    """One part, judged. `table` is its Parquet file, where that comes back."""

    tally: Tally
    packed: tuple[bytes, ...]
    table: bytes | None = None

    def accounts(self) -> Iterator[AccountReport]:
        """The accounts that came in full, some hundred in memory at a time."""
        for one in self.packed:
            yield from _unpacked(one)


class Keeping:
    """Accounts in full as long as there are no more than `most`; from then on the `few` worst of them."""

    def __init__(self, most: int, few: int) -> None:
        self._most, self._few = most, few
        self._seen = 0
        self._packed: list[bytes] = []

    def add(self, accounts: Sequence[AccountReport]) -> None:
        """Takes in some hundred accounts. Equals stay in the order in which they come."""
        self._seen += len(accounts)
        self._packed.append(_pack(accounts))
        if self._seen > self._most:
            every = [account for one in self._packed for account in _unpacked(one)]
            self._packed = [_pack(sorted(every, key=pipeline.worst_first)[: self._few])]

    def packed(self) -> tuple[bytes, ...]:
        """What is kept."""
        return tuple(self._packed)


class Whole:
    """The parts of a run as they come, in any order, put together in the order of their numbers."""

    def __init__(self, most: int, few: int) -> None:
        self.tally = Tally()
        self.cutoff: Place | None = None
        """Who is better than this cannot be among those that are kept any more."""
        self._most, self._few = most, few
        self._kept = _gathering()

    def add(self, number: int, part: Part) -> None:
        """Takes in a part."""
        self.tally.join(part.tally)
        for account in part.accounts():
            self._kept.add((number, account))
        if self.tally.sum.accounts > self._most:
            worst, self._kept = self._kept.done()[: self._few], _gathering()
            for pair in worst:
                self._kept.add(pair)
            self.cutoff = pipeline.worst_first(worst[-1][1]) if len(worst) == self._few else None

    def accounts(self) -> Iterable[AccountReport]:
        """What is kept in full, worst first."""
        return (account for _, account in self._kept.done())


def _gathering() -> Gathering[tuple[int, AccountReport]]:
    return Gathering(lambda pair: (*pipeline.worst_first(pair[1]), pair[0]))


def _pack(accounts: Sequence[AccountReport]) -> bytes:
    return zlib.compress(pickle.dumps(tuple(accounts), pickle.HIGHEST_PROTOCOL), _QUICK)


def _unpacked(packed: bytes) -> tuple[AccountReport, ...]:
    found: tuple[AccountReport, ...] = pickle.loads(zlib.decompress(packed))  # noqa: S301  (as all that workers send)
    return found
