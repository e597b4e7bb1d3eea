"""The demo: starts a twin for every venue that has one, and sends the real pipeline at them.

Only the host is replaced. Nothing leaves this machine, and no credential of the user's is read.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from auditor import attestations, collect, pipeline, twin
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.identity import Identity
from auditor.model.evidence import Source
from auditor.model.report import Report
from auditor.twin._base import TwinVenue

_ANSWERED, _EXPIRES = "2026-11-01", "2099-12-31"


def venues() -> list[TwinVenue]:
    """The twins that the demo shows, sample accounts inside."""
    names = sorted(found.name for found in pkgutil.iter_modules(twin.__path__) if not found.name.startswith("_"))
    found = [importlib.import_module(f"auditor.twin.{name}").Twin for name in names]
    return [made() for made in found if made.in_demo]


@contextmanager
def served(twins: list[TwinVenue]) -> Iterator[None]:
    """The twins, answering in a thread of their own until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        for one in twins:
            asyncio.run_coroutine_threadsafe(one.start(), loop).result(10)
        yield
    finally:
        for one in twins:
            asyncio.run_coroutine_threadsafe(one.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def run(now: datetime | None = None) -> Report:
    """The report on the sample accounts. `now` makes it repeatable."""
    moment = now or datetime.now(UTC)
    identity = Identity.ephemeral("demo")
    twins = venues()
    with served(twins):
        accounts = [account(one) for one in twins]
        snapshots = collect.collect(
            accounts,
            stated={one.account_name: _stated(one) for one in twins},
            identity=identity,
            sources=Sources(environ=environ(twins)),
            now=moment,
        )
    judged_by = pipeline.Run(rules=pipeline.rule_files(None), identity=identity, now=moment, sample=True)
    with Evidence(moment).add(snapshot.to_document() for snapshot in snapshots) as evidence:
        return pipeline.judge(evidence, judged_by)


def _variable(one: TwinVenue, field: str) -> str:
    return f"DEMO_{one.id}_{field}".upper()


def environ(twins: list[TwinVenue]) -> dict[str, str]:
    """An environment of its own: the demo reads nothing of the user's."""
    return {_variable(one, field): value for one in twins for field, value in one.sample_credentials().items()}


def account(one: TwinVenue) -> AccountConfig:
    block = {field: f"env:{_variable(one, field)}" for field in one.credentials}
    return AccountConfig(
        name=one.account_name, exchange=one.id, credentials=(block,), endpoint=one.url, address_confirmed=True
    )


def _stated(one: TwinVenue) -> attestations.Attestation:
    """What the sample owner answered."""
    facts = one.attested().get("account", {})
    source = Source(by="attest", at=_ANSWERED, expires=_EXPIRES)
    return attestations.Attestation(
        account_name=one.account_name,
        exchange=one.id,
        account=facts,
        sources={f"account.{fact}": source for fact in facts},
    )
