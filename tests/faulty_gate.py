"""What can go wrong between us and an exchange, by the moment it goes wrong, and the server that makes it happen.

The gate stands before a twin and passes requests on; at the chosen endpoint it spoils the connection, the headers or the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from auditor.twin._base import TwinVenue

ALWAYS, ONCE = 10**9, 1
DEADLINE = 1.0
"""Seconds that whoever asks here should wait; what keeps silent does so twice as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, at which moment, and whether another attempt can help.

    `spoil` gets the whole true answer and gives what is sent of it; None closes the connection without a word. Before the
    next attempt this machine's clock is put forward by `jump` seconds; the venue's is not.
    """

    moment: str
    passes: bool
    spoil: Callable[[bytes], bytes] | None = None
    reset: bool = False
    stall: bool = False
    jump: float = 0.0


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


def jumped(seconds: float) -> Fault:
    return Fault(moment="between attempts", passes=False, spoil=status("503 Busy"), jump=seconds)


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
    "the clock is a second ahead": jumped(1.0),
    "an hour ahead": jumped(3600.0),
    "an hour behind": jumped(-3600.0),
    "a year ahead": jumped(86400.0 * 400),
    "a year behind": jumped(-86400.0 * 400),
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
