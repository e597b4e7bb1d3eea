"""A venue that wishes the auditor ill: whatever it sends, an account takes bounded time and memory, ends with a reason of
the closed list, and gives no fact.

The attacks are made by this process on one that reads accounts, whose memory is measured anew for each.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auditor import collect
from auditor.exchanges import _load, _transport
from auditor.model.evidence import Reason
from auditor.redaction import Secret

MEGABYTE = 2**20
MOST_MEMORY = 200 * MEGABYTE
"""Beyond what the reader needs when nothing is wrong: what a few bodies of the largest size that is read take decoded."""
MOST_SECONDS = 20
Attack = Callable[[socket.socket], None]


def head(status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, "", ""]).encode()


def whole(body: bytes, *headers: str, status: str = "200 OK") -> Attack:
    answer = head(status, f"Content-Length: {len(body)}", "Connection: close", *headers) + body
    return lambda peer: peer.sendall(answer)


def without_end(start: bytes, piece: bytes, times: int = 10**9, pause: float = 0.0) -> Attack:
    def attack(peer: socket.socket) -> None:
        peer.sendall(start)
        for _ in range(times):
            peer.sendall(piece)
            time.sleep(pause)

    return attack


def bomb(levels: int) -> bytes:
    packed = b"[" * (64 * MEGABYTE)
    for _ in range(levels):
        packed = gzip.compress(packed)
    return packed


CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
ATTACKS: dict[str, Attack] = {
    "a gigabyte": without_end(head("200 OK", f"Content-Length: {2**30}"), b"[" * MEGABYTE, 1024),
    "chunks without end": without_end(CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"),
    "a chunk that says it is huge": without_end(CHUNKED + b"FFFFFFFFFFFFFFF\r\n", b"[" * MEGABYTE),
    "headers without end": without_end(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1000 + b"\r\n"),
    "a drip": without_end(head("200 OK", "Content-Length: 100000"), b" ", pause=0.02),
    "silence": without_end(b"", b"", 1, pause=30),
    "a gzip bomb": whole(bomb(1), "Content-Encoding: gzip"),
    "a bomb in a bomb": whole(bomb(2), "Content-Encoding: gzip, gzip"),
    "ten thousand levels": whole(b'{"code":"0","data":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "a million levels": whole(b'{"a":' * 10**6),
    "a key twice": whole(b'{"code":"0","data":[],"code":"0"}'),
    "NaN": whole(b'{"code":"0","data":[NaN]}'),
    "a number of ten thousand digits": whole(b'{"code":"0","data":[' + b"9" * 10_000 + b"]}"),
    "a page": whole(b"<html>Just a moment</html>"),
    "a picture": whole(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "a redirect to the metadata": whole(b"", "Location: http://169.254.169.254/latest/meta-data/", status="302 Found"),
    "many strings": whole(json.dumps({"code": "0", "data": ["x" * 100] * 75_000}).encode()),
    "empty tables without number": whole(b'{"code":"0","data":[' + b"{}," * (8 * MEGABYTE // 3 - 20) + b"{}]}"),
    "empty lists in lists": whole(b'{"code":"0","data":[' + b"[[],[]]," * (MEGABYTE - 10) + b"[]]}"),
    "very many keys": whole(json.dumps({str(number): 0 for number in range(600_000)}).encode()),
}
READER = """
import asyncio, json, sys, time
import ccxt.async_support, aiohttp
from auditor import collect
from auditor.exchanges import _budget, _load, _transport
from auditor.redaction import Secret
_transport.FIRST_PAUSE, _transport.ATTEMPTS, _budget.SHARE = 0.01, 2, 1e6
_transport.Venue.__init__.__kwdefaults__["deadline"] = 1.0
held = {"apiKey": Secret("K" * 36), "secret": Secret("S" * 32), "password": Secret("P" * 12)}

def peak():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

for line in sys.stdin:
    open("/proc/self/clear_refs", "w").write("5")
    before, started = peak(), time.monotonic()
    sheet = asyncio.run(collect.one_key(_load.connector("okx"), held, endpoint=line.strip()))
    told = {
        "reasons": sorted({problem.reason.value for problem in sheet.problems}),
        "keys": [sorted(row) for row in sheet.rows["api_key"] or []],
        "facts": sorted(sheet.account), "grown": peak() - before, "seconds": time.monotonic() - started,
    }
    print(json.dumps(told), flush=True)
"""


@contextmanager
def serving(attack: Attack) -> Iterator[str]:
    """An address at which every request is answered so."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while b"\r\n\r\n" not in self.request.recv(65536):
                    pass
                attack(self.request)
            except OSError:
                return  # the reader has seen enough

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


@pytest.fixture(scope="module")
def reader() -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        yield process
        process.stdin.close()


def read(reader: subprocess.Popen[str], url: str) -> dict[str, Any]:
    reader.stdin.write(f"{url}\n")
    reader.stdin.flush()
    return json.loads(reader.stdout.readline())


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_costs_little_and_ends_with_a_reason(reader, name):
    with serving(ATTACKS[name]) as url:
        told = read(reader, url)
    print(f"{name}: {told['grown'] / MEGABYTE:.0f} MB, {told['seconds']:.1f} s, {', '.join(told['reasons'])}")  # noqa: T201
    assert told["reasons"]
    assert set(told["reasons"]) <= {reason.value for reason in Reason} - {
        "invalid_key",
        "venue_closed",
        "account_frozen",
    }
    assert not told["facts"]
    assert all(set(row) <= {"is_audit_key", "public_id", "kind"} for row in told["keys"])
    assert told["grown"] < MOST_MEMORY
    assert told["seconds"] < MOST_SECONDS


def certificate(folder: Path, *, name: str, days: int) -> ssl.SSLContext:
    """A server's certificate that nobody vouches for, for `name`, ending in `days`."""
    key = ec.generate_private_key(ec.SECP256R1())
    whom = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(days=30)
    made = (
        x509.CertificateBuilder()
        .subject_name(whom)
        .issuer_name(whom)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30 + days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "both.pem").write_bytes(private + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.mark.parametrize(
    ("name", "days", "trusted", "spoken"),
    [
        pytest.param("localhost", 30, True, True, id="it fits"),
        pytest.param("localhost", 30, False, False, id="nobody vouches for it"),
        pytest.param("evil.example", 30, True, False, id="for another name"),
        pytest.param("localhost", -1, True, False, id="run out"),
    ],
)
def test_a_certificate_that_does_not_fit_gets_no_request(tmp_path, monkeypatch, name, days, trusted, spoken):
    """The connection is given up before a word of ours is said."""
    context = certificate(tmp_path, name=name, days=days)
    if trusted:
        trust = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trust)  # what the system trusts, made at import
    heard: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as wrapped:
                heard.append(wrapped.recv(65536))

    monkeypatch.setattr(_transport, "ATTEMPTS", 1)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        held = {name: Secret("K" * 32) for name in ("apiKey", "secret", "password")}
        connector = _load.connector("okx")
        endpoint = f"https://localhost:{server.server_address[1]}"
        sheet = asyncio.run(collect.one_key(connector, held, endpoint=endpoint))
        end = time.monotonic() + 5
        while spoken and not any(heard) and time.monotonic() < end:
            time.sleep(0.02)  # the server writes down what it heard in a thread of its own
        server.shutdown()
    assert {problem.reason for problem in sheet.problems} == {Reason.TIMEOUT}
    assert (b"GET /api/v5" in b"".join(heard)) is spoken
    assert bool(b"".join(heard)) is spoken
