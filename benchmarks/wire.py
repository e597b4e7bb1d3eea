"""An exchange that costs nothing: raw HTTP on loopback, every answer 50 ms late, limits a key enforced and refusals counted.

Runs in a process of its own, so that what is measured is the client. It echoes a part of the key that asked, so that one
account's answer in another's evidence would show.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict, deque

LATENCY = 0.05
LIMIT, WINDOW = 5, 2.0
"""Calls of one key to one endpoint within these seconds: what OKX documents for its configuration."""

told = {"requests": 0, "refused": 0, "connections": 0}
spent: dict[tuple[str, str], deque[float]] = defaultdict(deque)


def answer(path: str, key: str) -> tuple[int, dict[str, object]]:
    if path == "/told":
        return 200, dict(told)
    told["requests"] += 1
    now, calls = asyncio.get_running_loop().time(), spent[key, path]
    while calls and calls[0] <= now - WINDOW:
        calls.popleft()
    calls.append(now)
    if len(calls) > LIMIT:
        told["refused"] += 1
        return 429, {"code": "50011", "msg": "Too Many Requests", "data": []}
    row = {
        "uid": f"1{key[-6:]}",
        "mainUid": "1",
        "type": "1",
        "label": f"bot-{key[-6:]}",
        "ip": "198.51.100.20",
        "perm": "read_only",
    }
    return 200, {"code": "0", "msg": "", "data": [row] if path.endswith("account/config") else []}


class Wire(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.rest = transport, b""
        told["connections"] += 1

    def data_received(self, data: bytes) -> None:
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")  # only GETs arrive here
        for head in heads:
            first, *lines = head.decode().split("\r\n")
            held = dict(line.split(": ", 1) for line in lines)
            path = first.split(" ")[1].partition("?")[0]
            status, body = answer(path, {name.lower(): value for name, value in held.items()}.get("ok-access-key", ""))
            raw = json.dumps(body).encode()
            head_out = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
            asyncio.get_running_loop().call_later(LATENCY, self.transport.write, head_out.encode() + raw)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Wire, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
