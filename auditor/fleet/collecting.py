"""Which accounts are read by whom: one lane for each exchange and address, so that what an exchange counts by address
is counted in one place.

Two processes behind one address would each keep to the whole limit. So at any moment one alone reads an exchange from an
address, and who comes after it waits until nothing the other sent counts any more.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from auditor import collect, snapshots
from auditor.attestations import Attestation
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.exchanges import _load
from auditor.exchanges._budget import SHARE
from auditor.fleet import errand
from auditor.fleet.answer import Failed
from auditor.fleet.crew import Job, Member
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.facts import LISTS

AT_MOST = 20_000
"""Accounts of one exchange that are given to a worker at once."""
ATTEMPTS = 3
_FRUITLESS = 12
"""Trips to one exchange, one after the other, that told nothing: after so many it is no single account's fault."""
_LOST = (Reason.TIMEOUT, "each worker that was to read this account was lost")


@dataclass(slots=True, kw_only=True)
class _Trip(Job):
    """A job, with whose accounts it reads, by exchange, under which address, and of which exchanges it told anything."""

    names: dict[str, list[str]]
    egress: str
    told: set[str] = field(default_factory=set)


class Collecting:
    """The plan of a collection: accounts by exchange, and what was had of them so far.

    Accounts with which two workers were lost before they told of any are suspects: they are read apart from others, fewer
    at a time, until one alone has cost three workers. Nobody else's evidence is lost with it.
    """

    def __init__(
        self,
        accounts: Sequence[AccountConfig],
        stated: Mapping[str, Attestation],
        now: datetime,
        progress: collect.Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.had: dict[str, Snapshot] = {}
        self.given_up: dict[str, tuple[Reason, str]] = {}
        self._accounts = {one.name: one for one in accounts}
        self._stated, self._now, self._progress, self._clock = stated, now, progress, clock
        self._left: dict[str, list[str]] = {}
        self._suspects: dict[str, list[list[str]]] = {}
        self._strikes: Counter[str] = Counter()
        self._fruitless: Counter[str] = Counter()
        self._free_at: dict[tuple[str, str], float] = {}
        self._reading: dict[str, _Trip] = {}
        for one in accounts:
            self._left.setdefault(one.exchange, []).append(one.name)
            self._suspects[one.exchange] = []

    def unfinished(self) -> bool:
        return any(self._left.values()) or any(self._suspects.values())

    def take(self, member: Member, idle: Collection[Member], present: Collection[Member]) -> Job | None:
        """Its share of the exchanges that nobody reads from its address now."""
        now, egress = self._clock(), member.egress
        free = [name for name in self._left if self._free_at.get((name, egress), 0.0) <= now]
        suspect = next((name for name in free if self._suspects[name]), None)
        if suspect is not None:
            return self._trip({suspect: self._suspects[suspect].pop(0)}, egress)
        free = sorted((name for name in free if self._left[name]), key=lambda name: (-len(self._left[name]), name))
        peers = sum(one.egress == egress for one in idle)
        addresses = len({one.egress for one in present})
        return self._trip({name: self._some(name, addresses) for name in free[::peers]}, egress) if free else None

    def _trip(self, names: dict[str, list[str]], egress: str) -> _Trip:
        every = [name for some in names.values() for name in some]
        stated = {name: self._stated[name] for name in every if name in self._stated}
        accounts = tuple(self._accounts[name] for name in every)
        trip = _Trip(work=errand.collect, arguments=(accounts, stated), names=names, egress=egress)
        self._free_at |= {(exchange, egress): math.inf for exchange in names}
        self._reading |= dict.fromkeys(every, trip)
        return trip

    def _some(self, exchange: str, addresses: int) -> list[str]:
        """The next accounts of an exchange, an equal part for each address that does not read it yet."""
        reading = sum(at == math.inf for (name, _), at in self._free_at.items() if name == exchange)
        left = self._left[exchange]
        count = min(AT_MOST, math.ceil(len(left) / max(1, addresses - reading)))
        self._left[exchange] = left[count:]
        return left[:count]

    def told(self, said: Any) -> None:
        """An account's evidence. Whoever was thought lost may still tell of what it had: the first word stands."""
        snapshot = of_document(json.loads(said), self._now)
        name, trip = snapshot.name, self._reading.get(snapshot.name)
        if trip is None or name in self.had:
            return
        trip.told.add(snapshot.exchange)
        self.had[name] = snapshot
        self._progress(name, len(self.had), len(self._accounts))

    def done(self, job: Job, value: Any) -> None:  # noqa: ARG002  (how many there were says nothing of which)
        self._close(job, _LOST)

    def lost(self, job: Job) -> None:
        self._close(job, _LOST)

    def failed(self, job: Job, why: Failed, where: str) -> None:
        """A bug costs accounts their evidence after some attempts; what the owner can mend ends the run, as anywhere."""
        if not why.ours:
            why.throw(where)
        self._close(job, (Reason.MALFORMED_RESPONSE, f"our reader {why.message}"))

    def _close(self, job: Job, why: tuple[Reason, str]) -> None:
        """The lanes of a trip are free after a while, and what it did not tell of is left to be done."""
        assert isinstance(job, _Trip)
        for name in (name for names in job.names.values() for name in names):
            del self._reading[name]
        now = self._clock()
        for exchange, names in job.names.items():
            self._free_at[exchange, job.egress] = now + pause(exchange)
            missing = [name for name in names if name not in self.had]
            if exchange in job.told or not missing:
                self._fruitless[exchange] = 0
                self._left[exchange] += missing
            else:
                self._doubt(exchange, missing, why)

    def _doubt(self, exchange: str, names: list[str], why: tuple[Reason, str]) -> None:
        """Nothing was told of any of these: they are read again, from the second time on in quarters, or given up."""
        self._fruitless[exchange] += 1
        self._strikes.update(names)
        least = min(self._strikes[name] for name in names)
        if (len(names) == 1 and least >= ATTEMPTS) or self._fruitless[exchange] >= _FRUITLESS:
            self.given_up |= dict.fromkeys(names, why)
        elif least == 1:  # machines are lost, as a rule without anybody's fault
            self._left[exchange] += names
        else:
            size = math.ceil(len(names) / 4)
            self._suspects[exchange] += [names[at : at + size] for at in range(0, len(names), size)]


def pause(exchange: str) -> float:
    """Seconds after which nothing counts any more that was sent to an exchange from one address."""
    connector = _load.connector(exchange)
    limits = [one.limit for one in connector.endpoints if one.limit.per != "key"] if connector else []
    return max((limit.seconds * max(1.0, 1 / limit.calls / SHARE) for limit in limits), default=0.0)


def of_document(document: Mapping[str, Any], now: datetime) -> Snapshot:
    """The snapshot that a worker told of: what `Snapshot.to_document` made of it, undone."""
    lists: dict[str, Any] = {key: document.get(key) for key in LISTS.values()}
    return Snapshot(
        collected_at=now,
        account=document["account"],
        venue=document.get("venue", {}),
        sources={path: Source(**source) for path, source in document.get("sources", {}).items()},
        problems=tuple(
            Problem(
                endpoint=one["endpoint"],
                reason=Reason(one["reason"]),
                detail=one["detail"],
                facts=tuple(one.get("facts", ())),
            )
            for one in document["problems"]
        ),
        **lists,
    )


def unread(
    accounts: Iterable[AccountConfig],
    why: Mapping[str, tuple[Reason, str]],
    stated: Mapping[str, Attestation],
    identity: Identity,
    now: datetime,
) -> dict[str, Snapshot]:
    """Snapshots of accounts that nobody could read, with the reason: what their owners stated still counts."""
    bare = [replace(one, credentials=()) for one in accounts if one.name in why]
    found: dict[str, Snapshot] = {}

    def keep(one: Snapshot) -> None:
        reason, detail = why[one.name]
        problems = tuple(
            replace(problem, reason=reason, detail=detail)
            if problem.endpoint in {"credentials", "include"}
            else problem
            for problem in one.problems
        )
        found[one.name] = replace(one, problems=problems)

    collect.collect(bare, stated=stated, identity=identity, sources=Sources(environ={}), now=now, keep=keep)
    return found


def in_order(accounts: Sequence[AccountConfig], found: Mapping[str, Snapshot]) -> list[Snapshot]:
    """All snapshots as one process would have had them: what several accounts say of an exchange is judged over all."""
    return snapshots.suspect_incidents([found[one.name] for one in accounts])
