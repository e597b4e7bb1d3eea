"""Thousands of accounts in one process: requests a second of our own CPU, memory an account, refusals we caused, mix-ups.

And how much of an allowed rate is used where a limit binds, which needs no network: the budget alone decides.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auditor import collect
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.exchanges import _signer
from auditor.exchanges._base import Limit
from auditor.exchanges._budget import SHARE, Budgets
from auditor.identity import Identity
from auditor.model.evidence import Snapshot

ACCOUNTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What came of one run. `a_core` is requests for each second of this process's CPU time, all of our work included."""

    accounts: int
    requests: int
    a_core: float
    refused: int
    connections: int
    kilobytes: float
    mixed_up: int


def measure(accounts: int = ACCOUNTS) -> Fleet:
    _signer.template("okx", None)
    fleet = [_account(number) for number in range(accounts)]
    with _wire() as url:
        fleet = [_at(one, url) for one in fleet]
        _collected(fleet[:50])  # a warm-up that does not count
        before, warm = _told(url), _resident()
        begun = time.process_time()
        found = _collected(fleet)
        took, peak, after = time.process_time() - begun, _resident(), _told(url)
    requests = after["requests"] - before["requests"]
    return Fleet(
        accounts=accounts,
        requests=requests,
        a_core=requests / took,
        refused=after["refused"],
        connections=after["connections"] - before["connections"],
        kilobytes=max(0, peak - warm) / accounts,
        mixed_up=sum(not _own(number, one) for number, one in enumerate(found)),
    )


async def rate_used(limit: Limit, seconds: float) -> float:
    """The part of the allowed rate that callers who never rest get through one window."""
    budgets, done = Budgets(), 0
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def caller() -> None:
        nonlocal done
        while loop.time() < end:
            await budgets.take("one", limit, "key")
            done += loop.time() < end

    callers = [asyncio.ensure_future(caller()) for _ in range(20)]
    await asyncio.sleep(seconds)
    for one in callers:
        one.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    return done / (SHARE * limit.calls / limit.seconds * seconds)


def _account(number: int) -> AccountConfig:
    held = {"apiKey": f"env:K{number}", "secret": "env:S", "password": "env:P"}
    return AccountConfig(name=f"account-{number}", exchange="okx", credentials=(held,), endpoint="http://127.0.0.1:1")


def _at(one: AccountConfig, url: str) -> AccountConfig:
    return AccountConfig(name=one.name, exchange=one.exchange, credentials=one.credentials, endpoint=url)


def _collected(fleet: list[AccountConfig]) -> list[Snapshot]:
    environ = {
        "S": "S" * 32,
        "P": "P" * 12,
        **{f"K{at}": f"00000000-0000-0000-0000-{at:012d}" for at in range(len(fleet))},
    }
    return collect.collect(
        fleet,
        stated={},
        identity=Identity.ephemeral("benchmark"),
        sources=Sources(environ=environ),
        now=datetime.now(UTC),
    )


def _own(number: int, one: Snapshot) -> bool:
    """Whether an account's evidence is what the exchange said to its key and to no other."""
    return [row.get("label") for row in one.api_keys or []] == [f"bot-{number:06d}"] and one.name == f"account-{number}"


@contextmanager
def _wire() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.wire"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def _told(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/told", timeout=10) as response:
        found: dict[str, int] = json.load(response)
    return found


def _resident() -> int:
    """Kilobytes this process holds at most since it began."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def ratio() -> float:
    """Requests for each second of CPU; a refusal we caused or an account that got another's answer ends the measurement."""
    found = measure()
    if found.refused or found.mixed_up:
        raise AssertionError(found)
    return found.a_core
