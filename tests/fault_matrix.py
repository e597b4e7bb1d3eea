"""An account run under every fault of `faulty_gate`, at every endpoint of every venue, and what became of it.

The twin and the gate before it run in a thread of their own, so that this machine's clock may jump and theirs does not.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from auditor import collect, demo
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.exchanges import _load, _transport
from auditor.exchanges._base import Answer
from auditor.identity import Identity
from auditor.model.evidence import Reason, Snapshot
from auditor.twin._base import TwinVenue
from tests import stage
from tests.faulty_gate import ALWAYS, DEADLINE, FAULTS, ONCE, Fault, FaultyGate, body_of

OF_OKX = (
    "/api/v5/users/subaccount/list",
    "/api/v5/account/config",
    "/api/v5/users/subaccount/apikey",
    "/api/v5/asset/currencies",
)
NEVER = {Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN, Reason.VENUE_CLOSED, Reason.PERMISSION_DENIED}
"""What no fault of the wire may be taken for."""


@contextlib.contextmanager
def gated(twin: TwinVenue) -> Iterator[FaultyGate]:
    """A twin and the gate before it, serving; pauses short, three attempts."""
    gate = FaultyGate(twin)
    deadline = mock.patch.dict(_transport.Venue.__init__.__kwdefaults__, {"deadline": DEADLINE})
    with stage.hurried(attempts=3), deadline, demo.served([twin, gate]):  # type: ignore[list-item]
        yield gate


@contextlib.contextmanager
def our_clock(ahead: list[float]) -> Iterator[None]:
    """This machine's clock, so many seconds ahead of the venue's: the thread that audits reads it, the twin's does not."""
    ours, usual = threading.get_ident(), {name: getattr(time, name) for name in ("time", "time_ns")}

    def shown(name: str, unit: float) -> float:
        read: float = usual[name]()
        return read + type(read)(ahead[0] * unit) if threading.get_ident() == ours else read

    with (
        mock.patch.object(time, "time", functools.partial(shown, "time", 1)),
        mock.patch.object(time, "time_ns", functools.partial(shown, "time_ns", 10**9)),
    ):
        yield


def run(gate: FaultyGate) -> Snapshot:
    """One account, collected through the gate."""
    twin = gate.twin
    one = demo.account(twin)
    asked = AccountConfig(
        name=one.name, exchange=one.exchange, credentials=one.credentials, endpoint=gate.url, address_confirmed=True
    )
    [snapshot] = collect.collect(
        [asked],
        stated={},
        identity=Identity.ephemeral("m"),
        sources=Sources(environ=demo.environ([twin])),
        now=stage.NOW,
    )
    return snapshot


def facts(snapshot: Snapshot) -> dict[str, Any]:
    """All that a snapshot says, by path; a row is named by its content that cannot change."""
    told = {f"account.{name}": value for name, value in snapshot.account.items()}
    told |= {f"venue.{name}": value for name, value in snapshot.venue.items()}
    for name in ("api_keys", "addresses", "events", "withdrawals"):
        for row in getattr(snapshot, name) or []:
            told |= {f"{name}/{row.get('fingerprint') or row.get('at')}.{key}": value for key, value in row.items()}
    return told


ABOUT_LISTS = (
    "key_inventory_complete",
    "addresses_complete",
    "withdrawals_complete",
    "keys_counted",
    "events_cover_from",
)


def lies(faulty: Snapshot, true: Snapshot) -> list[str]:
    """Facts of a run with a fault that the run without one does not know, or knows otherwise. There must be none.

    Where the names of sub-accounts are said not to be known, ids stand in their place.
    """
    told, known = facts(faulty), facts(true)
    rows = {path.split(".")[0] for path in known}
    if any("api_key.sub_account" in one.facts for one in faulty.problems):
        told = {path: value for path, value in told.items() if not path.endswith(".sub_account")}
    return [
        f"{path}: {value!r} instead of {known.get(path)!r}"
        for path, value in told.items()
        if known.get(path) != value and (path.split(".")[0] in rows or path.split(".")[0] not in {"account", "venue"})
    ]


def passing(twin: TwinVenue, fault: Fault) -> bool:
    """Whether another attempt may help: not where the venue locks out whoever goes on asking."""
    connector = _load.connector(twin.id)
    assert connector is not None
    if not fault.passes or fault.spoil is None or not (sent := fault.spoil(b"\r\n\r\n")).startswith(b"HTTP/1.1 429"):
        return fault.passes
    answer = Answer(status=429, body={}, text=body_of(sent)[1].decode(), headers={})
    meant = connector.classify(answer, connector.endpoints[0])
    return meant is None or not (meant.lockout or meant.address)


def cell(gate: FaultyGate, path: str, fault: Fault, times: int, true: Snapshot) -> tuple[str, list[str]]:
    """What became of one run: `=` as without the fault, `?` less is known and a reason says why; and what is wrong with it."""
    ahead = [0.0]
    gate.path, gate.fault, gate.times = path, fault, times
    gate.between = lambda: ahead.__setitem__(0, fault.jump)
    gate.seen.clear()
    with our_clock(ahead):
        found = run(gate)
    hit = path in gate.seen
    gate.fault, gate.between = None, lambda: None
    wrong = lies(found, true)
    more = [one for one in found.problems if one not in true.problems]
    wrong += [f"said {one.reason.value}: {one.detail}" for one in more if one.reason in NEVER]
    same = facts(found) == facts(true) and not more
    if not same and not more:
        wrong.append("less is known, and nothing says why")
    if times == ONCE and passing(gate.twin, fault) and not same:
        wrong.append("another attempt would have helped")
    if times == ALWAYS and fault.passes and same:
        wrong.append("an endpoint that never answers is not missed")
    if not hit:
        wrong.append("the endpoint was not asked")
    return "=" if same else "?", wrong


def jumping(twin: TwinVenue, path: str, fault: Fault) -> tuple[str, list[str]]:
    """A cell at a twin of its own: a venue that counts nonces remembers a clock that was ahead."""
    with gated(type(twin)()) as gate:
        return cell(gate, path, fault, ONCE, run(gate))


def paths_of(gate: FaultyGate) -> list[str]:
    """Every path that an account run asks for."""
    gate.fault = None
    gate.seen.clear()
    run(gate)
    return sorted(set(gate.seen))


def matrix(
    twin: TwinVenue, chosen: Mapping[str, Fault] = FAULTS, *, waited_at: int = 100
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Path -> fault -> two marks (always, and the first time only; a clock jumps once), and everything that went wrong.

    Faults that keep silent cost seconds: they are tried at the first `waited_at` paths.
    """
    table: dict[str, dict[str, str]] = {}
    wrong: list[str] = []
    with gated(twin) as gate:
        true = run(gate)
        for number, path in enumerate(paths_of(gate)):
            for name, fault in chosen.items():
                if fault.stall and number >= waited_at:
                    continue
                marks = ""
                for times in (ONCE,) if fault.jump else (ALWAYS, ONCE):
                    mark, faults = jumping(twin, path, fault) if fault.jump else cell(gate, path, fault, times, true)
                    marks += mark
                    wrong += [f"{twin.id} {path} {name}{' once' if times == ONCE else ''}: {one}" for one in faults]
                table.setdefault(path, {})[name] = marks
    return table, wrong
