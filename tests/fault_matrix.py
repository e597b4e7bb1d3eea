"""Faults for every endpoint and every moment of an account run, and the server that makes them happen.

A gate stands before a twin and passes requests on; at the chosen endpoint it spoils the connection, the headers or the
body, always or the first time only. Run as `python -m tests.fault_matrix [VENUE ...]` it prints the matrix of the venues.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from auditor import collect, demo
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.exchanges import _transport
from auditor.identity import Identity
from auditor.model.evidence import Reason, Snapshot
from auditor.twin._base import TwinVenue
from tests import stage

ALWAYS, ONCE = 10**9, 1
DEADLINE = 1.0
OF_OKX = (
    "/api/v5/users/subaccount/list",
    "/api/v5/account/config",
    "/api/v5/users/subaccount/apikey",
    "/api/v5/asset/currencies",
)
NEVER = {Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN, Reason.VENUE_CLOSED, Reason.PERMISSION_DENIED}
"""What no fault of the wire may be taken for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, at which moment, and whether another attempt can help.

    `spoil` gets the whole true answer and gives what is sent of it; None closes the connection without a word.
    """

    moment: str
    passes: bool
    spoil: Callable[[bytes], bytes] | None = None
    reset: bool = False
    stall: bool = False


def status(line: str, body: bytes = b"<html>no</html>", *more: str) -> Callable[[bytes], bytes]:
    head = [f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", "Connection: close", *more]
    answer = "\r\n".join(head).encode() + b"\r\n\r\n" + body
    return lambda _true: answer


def body_of(true: bytes) -> tuple[bytes, bytes]:
    head, _, body = true.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def half(true: bytes) -> bytes:
    head, body = body_of(true)
    return head + body[: len(body) // 2]


def recut(true: bytes) -> bytes:
    _, body = body_of(true)
    return status("200 OK", body[: len(body) * 2 // 3])(true)


FAULTS: dict[str, Fault] = {
    "connection reset": Fault(moment="connect", passes=True, reset=True),
    "connection closed": Fault(moment="connect", passes=True),
    "no word": Fault(moment="connect", passes=True, stall=True),
    "half a status line": Fault(moment="headers", passes=True, spoil=lambda _true: b"HTTP/1.1 20"),
    "no HTTP": Fault(moment="headers", passes=True, spoil=lambda _true: b"SSH-2.0-x\r\n\r\n"),
    "headers, then silence": Fault(moment="headers", passes=True, stall=True, spoil=lambda true: true[:30]),
    "headers, then reset": Fault(moment="headers", passes=True, reset=True, spoil=lambda true: true[:30]),
    "500": Fault(moment="headers", passes=True, spoil=status("500 Oops")),
    "502 page": Fault(moment="headers", passes=True, spoil=status("502 Bad Gateway")),
    "503": Fault(moment="headers", passes=True, spoil=status("503 Busy")),
    "504": Fault(moment="headers", passes=True, spoil=status("504 Late")),
    "429": Fault(moment="headers", passes=True, spoil=status("429 Slow", b"{}", "Retry-After: 0")),
    "429 for an hour": Fault(moment="headers", passes=False, spoil=status("429 Slow", b"{}", "Retry-After: 3600")),
    "403 page": Fault(moment="headers", passes=False, spoil=status("403 Forbidden")),
    "401 page": Fault(moment="headers", passes=False, spoil=status("401 Unauthorized")),
    "404 page": Fault(moment="headers", passes=False, spoil=status("404 Not Found")),
    "redirect": Fault(
        moment="headers", passes=False, spoil=status("302 Found", b"", "Location: http://169.254.169.254/")
    ),
    "empty body": Fault(moment="body", passes=True, spoil=status("200 OK", b"")),
    "a page": Fault(moment="body", passes=True, spoil=status("200 OK")),
    "half a body": Fault(moment="body", passes=True, spoil=half),
    "half a body, then reset": Fault(moment="body", passes=True, spoil=half, reset=True),
    "half a body, then silence": Fault(moment="body", passes=True, spoil=half, stall=True),
    "a body cut by its length": Fault(moment="body", passes=True, spoil=recut),
    "a body that is NaN": Fault(moment="body", passes=True, spoil=status("200 OK", b"NaN")),
    "a bomb": Fault(
        moment="body", passes=False, spoil=status("200 OK", gzip.compress(b" " * 2**24), "Content-Encoding: gzip")
    ),
}


@dataclass(slots=True)
class FaultyGate:
    """Stands before a twin. `fault` befalls the next `times` requests of `path`; `between` is called after each of them."""

    twin: TwinVenue
    path: str = ""
    fault: Fault | None = None
    times: int = 0
    between: Callable[[], None] = lambda: None
    seen: list[str] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0.01)  # for the connections to be let go

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            sent = head + await reader.readexactly(_length(head))
            path = head.split(b" ")[1].split(b"?")[0].decode()
            self.seen.append(path)
            await self._answer(path, sent, writer)
        await _closed(writer)

    async def _answer(self, path: str, sent: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self.fault if path == self.path and self.times > 0 else None
        if fault is None:
            writer.write(await self._true(sent))
            return await writer.drain()
        self.times -= 1
        self.between()
        if fault.spoil is not None:
            writer.write(fault.spoil(await self._true(sent)))
            await writer.drain()
        if fault.stall:
            await asyncio.sleep(2 * DEADLINE)
        if fault.reset:
            plug: socket.socket = writer.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None

    async def _true(self, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.twin.port)
        writer.write(sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        answer = await reader.read(-1)
        await _closed(writer)
        return answer


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _length(head: bytes) -> int:
    named = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(named[0].split(b":")[1]) if named else 0


@contextlib.contextmanager
def gated(twin: TwinVenue) -> Iterator[FaultyGate]:
    """A twin and the gate before it, serving; pauses short, three attempts."""
    gate = FaultyGate(twin)
    deadline = mock.patch.dict(_transport.Venue.__init__.__kwdefaults__, {"deadline": DEADLINE})
    with stage.hurried(attempts=3), deadline, demo.served([twin, gate]):  # type: ignore[list-item]
        yield gate


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
    """Facts of a run with a fault that the run without one does not know, or knows otherwise. There must be none."""
    told, known = facts(faulty), facts(true)
    rows = {path.split(".")[0] for path in known}
    return [
        f"{path}: {value!r} instead of {known.get(path)!r}"
        for path, value in told.items()
        if known.get(path) != value and (path.split(".")[0] in rows or path.split(".")[0] not in {"account", "venue"})
    ]


def cell(gate: FaultyGate, path: str, fault: Fault, times: int, true: Snapshot) -> tuple[str, list[str]]:
    """What became of one run: `=` as without the fault, `?` less is known and a reason says why; and what is wrong with it."""
    gate.path, gate.fault, gate.times = path, fault, times
    gate.seen.clear()
    found = run(gate)
    hit = path in gate.seen
    gate.fault = None
    wrong = lies(found, true)
    more = [one for one in found.problems if one not in true.problems]
    wrong += [f"said {one.reason.value}: {one.detail}" for one in more if one.reason in NEVER]
    same = facts(found) == facts(true) and not more
    if not same and not more:
        wrong.append("less is known, and nothing says why")
    if times == ONCE and fault.passes and not same:
        wrong.append("another attempt would have helped")
    if not hit:
        wrong.append("the endpoint was not asked")
    return "=" if same else "?", wrong


def paths_of(gate: FaultyGate) -> list[str]:
    """Every path that an account run asks for."""
    gate.fault = None
    gate.seen.clear()
    run(gate)
    return sorted(set(gate.seen))


def matrix(
    twin: TwinVenue, chosen: Mapping[str, Fault] = FAULTS, *, waited_at: int = 100
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Path -> fault -> two marks (always, and the first time only), and everything that went wrong.

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
                for times in (ALWAYS, ONCE):
                    mark, faults = cell(gate, path, fault, times, true)
                    marks += mark
                    wrong += [f"{twin.id} {path} {name}{' once' if times == ONCE else ''}: {one}" for one in faults]
                table.setdefault(path, {})[name] = marks
    return table, wrong


def printed(tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """The matrix for people: two marks a cell (`=` nothing lost, `?` unknown with a reason), always and once."""
    lines, counts = (
        [],
        Counter("".join(mark for table in tables.values() for row in table.values() for mark in row.values())),
    )
    for venue, table in tables.items():
        lines.append(f"{venue}  (always, once)")
        for path, row in table.items():
            lines.append(f"  {path}")
            by_moment: dict[str, list[str]] = {}
            for name, marks in row.items():
                by_moment.setdefault(FAULTS[name].moment, []).append(f"{name} {marks}")
            lines += [f"    {moment}: {', '.join(cells)}" for moment, cells in by_moment.items()]
    runs, paths = sum(counts.values()), sum(map(len, tables.values()))
    lines.append(f"{runs} runs over {paths} endpoints: {counts['=']} lost nothing, {counts['?']} ended with a reason")
    return "\n".join(lines)


def main(names: list[str]) -> int:
    twins = [one for one in stage.every_twin() if one.id in names] if names else stage.every_twin()
    tables, wrong = {}, []
    for twin in twins:
        tables[twin.id], faults = matrix(twin)
        wrong += faults
    print(printed(tables), *wrong, sep="\n")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
