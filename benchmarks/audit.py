"""Collecting and judging accounts whose exchange takes 100 ms for every answer, against the calls that must wait for each other,
and against a plain ccxt script that makes the same calls one after the other.

ccxt is imported beforehand: its import costs the same whatever is asked afterwards.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from auditor import collect, demo, pipeline
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.exchanges import _load, _signer
from auditor.identity import Identity
from auditor.model.evidence import Snapshot
from auditor.twin._base import TwinVenue
from benchmarks import sequential

LATENCY = 0.1
CHAINS = {"okx": 5, "binance": 5, "bybit": 4, "kraken": 3}
"""Calls that need the answer of the one before: the calling key; its sub-accounts, page by page until one brings nothing
new; their keys; the bindings of those. Counted by hand from what the twins recorded."""


class DisagreementError(AssertionError):
    """The script saw something else than we did, or asked for something else."""


def ratio() -> float:
    twins = _twins(CHAINS)
    with demo.served(twins):
        took, _ = _ours(twins)
    return took / (LATENCY * max(CHAINS[one.id] for one in twins))


def against_a_script(exchanges: Sequence[str] = tuple(CHAINS)) -> float:
    """How many times our time the script takes, for one account of each of `exchanges`. It judges nothing; we do."""
    twins = _twins(exchanges)
    with demo.served(twins):
        ours, snapshots = _ours(twins)
        asked = _taken(twins)
        begun = time.perf_counter()
        theirs = [sequential.read(one.id, one.sample_credentials(), one.url) for one in twins]
        took = time.perf_counter() - begun
    compare(theirs, snapshots)
    made = _taken(twins)
    if made.keys() != asked.keys() or made - asked:  # where we look once more whether a list ends, the script need not
        raise DisagreementError("the script made other calls, or more")
    return took / ours


def compare(theirs: Sequence[sequential.Seen], ours: Sequence[Snapshot]) -> None:
    """Raises DisagreementError unless both saw the same keys and as many addresses of each account."""
    for seen, snapshot in zip(theirs, ours, strict=True):
        labels = sorted(row.get("label", "") for row in snapshot.api_keys or [])
        if seen != sequential.Seen(labels=tuple(labels), addresses=len(snapshot.addresses or [])):
            raise DisagreementError(f"{snapshot.exchange}: the script saw {seen}, we saw {labels}")


def _twins(exchanges: Sequence[str] | dict[str, int]) -> list[TwinVenue]:
    twins = [one for one in demo.venues() if one.id in exchanges]
    for one in twins:
        one.latency = LATENCY
        _unhurried(one)
        connector = _load.connector(one.id)
        assert connector is not None
        assert connector.ccxt_class is not None
        _signer.template(connector.ccxt_class, None)
    return twins


def _taken(twins: Sequence[TwinVenue]) -> Counter[tuple[str, str, str]]:
    """Which calls the twins got since this was last asked."""
    found = Counter((one.id, request.verb, request.path) for one in twins for request in one.requests)
    for one in twins:
        one.requests.clear()
    return found


def _unhurried(one: TwinVenue) -> None:
    """Leaves one sub-account, so that no documented rate makes a call wait: what is measured is how calls overlap."""
    members = getattr(one, "members", None)
    if isinstance(members, list):
        del members[1:]


def _ours(twins: list[TwinVenue]) -> tuple[float, list[Snapshot]]:
    """Seconds from the first question to the judgement, and what was seen."""
    now, identity = datetime.now(UTC), Identity.ephemeral("benchmark")
    accounts = [demo.account(one) for one in twins]
    sources = Sources(environ=demo.environ(twins))
    begun = time.perf_counter()
    snapshots = collect.collect(accounts, stated={}, identity=identity, sources=sources, now=now)
    judged_by = pipeline.Run(rules=pipeline.rule_files(None), identity=identity, now=now)
    with Evidence(now).add(snapshot.to_document() for snapshot in snapshots) as evidence:
        pipeline.judge(evidence, judged_by)
    took = time.perf_counter() - begun
    assert not any(problem.reason == "timeout" for snapshot in snapshots for problem in snapshot.problems)
    return took, snapshots
