"""Collecting and judging four accounts of four venues whose every answer takes 100 ms, against the calls that must wait for each other.

ccxt is imported beforehand: its import costs the same whatever is asked afterwards.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from auditor import collect, demo, pipeline
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.exchanges import _load, _signer
from auditor.identity import Identity
from auditor.twin._base import TwinVenue

LATENCY = 0.1
CHAINS = {"okx": 5, "binance": 5, "bybit": 4, "kraken": 3}
"""Calls that need the answer of the one before: the calling key; its sub-accounts, page by page until one brings nothing
new; their keys; the bindings of those. Counted by hand from what the twins recorded."""


def ratio() -> float:
    twins = demo.venues()
    for one in twins:
        one.latency = LATENCY
        _unhurried(one)
        connector = _load.connector(one.id)
        assert connector is not None
        _signer.template(connector.ccxt_class, None)
    with demo.served(twins):
        begun = time.perf_counter()
        _audit(twins)
        took = time.perf_counter() - begun
    return took / (LATENCY * max(CHAINS[one.id] for one in twins if one.id in CHAINS))


def _unhurried(one: TwinVenue) -> None:
    """Leaves one sub-account, so that no documented rate makes a call wait: what is measured is how calls overlap."""
    members = getattr(one, "members", None)
    if isinstance(members, list):
        del members[1:]


def _audit(twins: list[TwinVenue]) -> None:
    now, identity = datetime.now(UTC), Identity.ephemeral("benchmark")
    accounts = [demo.account(one) for one in twins if one.id in CHAINS]
    snapshots = collect.collect(
        accounts, stated={}, identity=identity, sources=Sources(environ=demo.environ(twins)), now=now
    )
    assert not any(problem.reason == "timeout" for snapshot in snapshots for problem in snapshot.problems)
    judged_by = pipeline.Run(rules=pipeline.rule_files(None), identity=identity, now=now)
    with Evidence(now).add(snapshot.to_document() for snapshot in snapshots) as evidence:
        pipeline.judge(evidence, judged_by)
