"""Thousands of accounts in one process: requests a second of our own CPU, memory an account, refusals we caused, mix-ups.

`python -m benchmarks.fleet` reads 10,000 accounts of four exchanges. Where an exchange counts by address its documented
windows are HURRY times shorter here, on both sides, so that what takes most of an hour takes a minute. Evidence is written to disk as
it comes, and a second run that resumes asks nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor import collect
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.exchanges import _load, _signer
from auditor.exchanges._base import Connector, Limit
from auditor.exchanges._budget import SHARE, Budgets
from auditor.identity import Identity
from auditor.journal import Journal
from auditor.model.evidence import Snapshot
from auditor.model.facts import format_time
from benchmarks import floor, plan, wire

HURRY = 10
BY_KEY, ALL = ("okx", "bybit", "kraken"), ("okx", "bybit", "kraken", "binance")
MIX = (*BY_KEY, *BY_KEY, "binance")
"""One account in seven at the exchange that counts by address: it takes longer than all others together."""
FIELDS = {"okx": ("apiKey", "secret", "password")}
LABELS = {"okx": 3, "bybit": 3, "kraken": 2, "binance": 1}
"""How many texts of an account's evidence name the account that was asked: fewer, and an answer was lost."""
ACCOUNTS, LEAST_USED, MOST_KILOBYTES = 10_000, 0.95, 150
_STRANGERS = 900_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What came of one run. `a_core` is requests for each second of this process's CPU time, all of our work included."""

    accounts: int
    requests: int
    a_core: float
    floor: float
    """The same of the bare HTTP client, to the same server in the same process."""
    refused: int
    connections: int
    kilobytes: float
    mixed_up: int
    failed: int
    used: float | None
    """The part of the share that was used at the exchange that counts by address; None where none was asked."""
    fullest: float
    """The most that was ever used of a limit within its window: the share, and what one call may cost beyond it."""
    seconds: dict[str, float]
    planned: float
    """The seconds that the model of docs/scale.md foresees for the slowest exchange."""
    asked_again: int


def measure(accounts: int = 2_000, exchanges: Sequence[str] = BY_KEY) -> Fleet:
    connectors = {one: _prepared(one) for one in exchanges}
    with tempfile.TemporaryDirectory() as folder, _hurried(connectors.values()), _wire(connectors.values()) as url:
        fleet = [_account(number, exchanges[number % len(exchanges)], url) for number in range(accounts)]
        ends: dict[str, float] = {}
        strangers = [_account(_STRANGERS + at, exchanges[at % len(exchanges)], url) for at in range(40)]
        _collected(strangers, Journal(Path(folder, "warm"), resume=False), {})  # a warm-up that does not count
        bare = floor.requests_a_core(url, 5 * min(accounts, 2_000), min(accounts, collect.MOST_AT_ONCE))
        before, warm, output = _told(url), _resident(), Path(folder, "evidence.jsonl")
        begun, started = time.process_time(), time.monotonic()
        found = _collected(fleet, Journal(output, resume=False), ends)
        took, peak, after = time.process_time() - begun, _resident(), _told(url)
        again = _collected(fleet, Journal(output, resume=True), {})
        assert [one.to_document() for one in again] == [one.to_document() for one in found]
        requests = after["requests"] - before["requests"]
        resumed = _told(url)["requests"] - after["requests"]
        planned = max(_planned(made, fleet) for made in connectors.items())
    return Fleet(
        accounts=accounts,
        requests=requests,
        a_core=requests / took,
        floor=bare,
        refused=after["refused"],
        connections=after["connections"] - before["connections"],
        kilobytes=max(0, peak - warm) / accounts,
        mixed_up=sum(not _own(number, one) for number, one in enumerate(found)),
        failed=sum(problem.reason not in _EXPECTED for one in found for problem in one.problems),
        used=max((part / SHARE for part in after["used"].values()), default=None),
        fullest=after["fullest"],
        seconds={exchange: end - started for exchange, end in ends.items()},
        planned=planned,
        asked_again=resumed,
    )


def _planned(made: tuple[str, Connector], fleet: Sequence[AccountConfig]) -> float:
    exchange, connector = made
    asked = [one for one in connector.endpoints if not one.public and one.path in wire.ANSWERS]
    return plan.simulated(connector, sum(one.exchange == exchange for one in fleet), asked)


_EXPECTED = {"not_collected", "not_exposed", "permission_denied"}


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


def _prepared(exchange: str) -> Connector:
    connector = _load.connector(exchange)
    assert connector is not None
    assert connector.ccxt_class is not None
    _signer.template(connector.ccxt_class, None)
    return connector


@contextmanager
def _hurried(connectors: Iterator[Connector] | Any) -> Iterator[None]:
    """Shortens the windows of what is counted by address, for as long as the block lasts."""
    limits = {id(one.limit): one.limit for made in connectors for one in made.endpoints if one.limit.per != "key"}
    before = [(limit, limit.seconds) for limit in limits.values()]
    for limit, seconds in before:
        object.__setattr__(limit, "seconds", seconds / HURRY)
    try:
        yield
    finally:
        for limit, seconds in before:
            object.__setattr__(limit, "seconds", seconds)


def _account(number: int, exchange: str, url: str) -> AccountConfig:
    held = {field: f"env:{field}{number}" for field in FIELDS.get(exchange, ("apiKey", "secret"))}
    name = f"account-{number}"
    return AccountConfig(name=name, exchange=exchange, credentials=(held,), endpoint=url, address_confirmed=True)


def _collected(fleet: list[AccountConfig], journal: Journal, ends: dict[str, float]) -> list[Snapshot]:
    environ, exchange_of = {}, {one.name: one.exchange for one in fleet}
    for at in (int(one.name.partition("-")[2]) for one in fleet):
        environ[f"apiKey{at}"] = f"00000000-0000-0000-0000-{at:012d}"
        environ[f"secret{at}"] = b64encode(b"secret" * 6 + b"%06d" % at).decode()
        environ[f"password{at}"] = f"passphrase-{at:06d}"

    def done(name: str, _done: int, _all: int) -> None:
        ends[exchange_of[name]] = time.monotonic()

    now = datetime.now(UTC)
    with journal:
        return collect.collect(
            fleet,
            stated={},
            identity=Identity.ephemeral("benchmark"),
            sources=Sources(environ=environ),
            now=now,
            progress=done,
            keep=journal.keep,
            had=journal.had(exchange_of, now),
        )


def _own(number: int, one: Snapshot) -> bool:
    """Whether an account's evidence is what the exchange said to its key and to no other."""
    rows = [*(one.api_keys or []), *(one.addresses or [])]
    texts = [str(row["label"]) for row in rows if "label" in row]
    made = format_time(datetime.fromtimestamp(wire.MADE + number, UTC))
    dated = one.exchange != "binance" or (one.api_keys or [{}])[0].get("created_at") == made
    named = [text.endswith(f"{number:06d}") for text in texts]
    return one.name == f"account-{number}" and all(named) and len(named) == LABELS[one.exchange] and dated


@contextmanager
def _wire(connectors: Any) -> Iterator[str]:
    told = {
        one.path: (one.limit.calls, one.limit.seconds, one.limit.per, one.limit.pool or one.path)
        for made in connectors
        for one in made.endpoints
    }
    command = [sys.executable, "-m", "benchmarks.wire"]
    here = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def _told(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/told", timeout=60) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _resident() -> int:
    """Kilobytes this process holds at most since it began."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Ten thousand accounts, and what became of each claim."""
    found = measure(ACCOUNTS, MIX)
    for one in fields(found):
        print(f"{one.name:12} {getattr(found, one.name)}")
    sound(found)
    assert found.used is not None
    assert found.used >= LEAST_USED
    assert found.kilobytes <= MOST_KILOBYTES


def sound(found: Fleet) -> Fleet:
    """A refusal we caused, an account with another's answer, a failure or a question asked twice ends the measurement."""
    if found.refused or found.mixed_up or found.failed or found.asked_again:
        raise AssertionError(found)
    return found


def ratio() -> float:
    """Requests for each second of CPU, where limits are counted by key and none binds."""
    return sound(measure()).a_core


def against_the_floor() -> float:
    """How many times the CPU of the bare HTTP client."""
    found = sound(measure())
    return found.floor / found.a_core


if __name__ == "__main__":
    main()
