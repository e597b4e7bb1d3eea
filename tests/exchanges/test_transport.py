"""The wire from our end: whatever a server does, what comes back is a reason, in bounded time and memory, and no secret."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import time
import traceback
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import pytest

from auditor.exchanges import _body, _budget, _transport, okx
from auditor.exchanges._base import Answer, Endpoint, Unavailable, by_status, failure
from auditor.exchanges._transport import ATTEMPTS, Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret

CANARIES = {
    "apiKey": "KEYCANARY-0123456789",
    "secret": "SECRETCANARY-0123456789",
    "password": "PHRASECANARY-0123456789",
}
SECRETS = {name: Secret(value) for name, value in CANARIES.items()}
FINE = json.dumps({"code": "0", "msg": "", "data": []}).encode()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


Script = Callable[["Server", asyncio.StreamWriter, str], Awaitable[None]]


class Server:
    """Sends bytes as told, so that nothing corrects them on the way. Remembers the first line of each request."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.lines: list[str] = []
        self.heads: list[str] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self.lines.append(head.splitlines()[0])
            await self.script(self, writer, head)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def __aenter__(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self.url

    async def __aexit__(self, *_exc: object) -> None:
        self.server.close()


def raw(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(*answers: bytes) -> Script:
    """The answers in turn, the last one for ever."""

    async def script(server: Server, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(answers[min(len(server.lines), len(answers)) - 1])

    return script


def code(code: str, status: str = "200 OK", *headers: str) -> bytes:
    return raw(json.dumps({"code": code, "msg": "", "data": []}).encode(), status, *headers)


def ask(
    script: Script, endpoint: Endpoint = okx.CONFIG, *, deadline: float = 2.0
) -> tuple[Any, Unavailable | None, Server]:
    """Body or refusal of one fetch, and the server."""

    async def run() -> tuple[Any, Unavailable | None, Server]:
        server = Server(script)
        async with server as url, Venue(okx, endpoint=url, deadline=deadline) as venue:
            try:
                return await venue.key(SECRETS).fetch(endpoint), None, server
            except Unavailable as refusal:
                return None, refusal, server

    return asyncio.run(run())


def refusal_of(script: Script, **options: Any) -> tuple[Unavailable, Server]:
    _, refusal, server = ask(script, **options)
    assert refusal is not None
    return refusal, server


# Bodies


def test_a_good_answer_comes_through() -> None:
    body, refusal, server = ask(says(raw(FINE)))
    assert body == json.loads(FINE) and refusal is None and len(server.lines) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_nobody_asked_for_is_read(encoding: str) -> None:
    packed = gzip.compress(FINE) if encoding == "gzip" else zlib.compress(FINE)
    body, _, _ = ask(says(raw(packed, "200 OK", f"Content-Encoding: {encoding}")))
    assert body == json.loads(FINE)


def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    brackets = b"[" * 2**20
    return b"".join(packer.compress(brackets) for _ in range(200)) + packer.flush()


BOMB = bomb()


def deep(depth: int) -> bytes:
    return b'{"code":"0","data":' + b"[" * depth + b"]" * depth + b"}"


SPOILED = {
    "html": b"<html>hello</html>",
    "empty": b"",
    "half a string": b'{"code":"0","da',
    "nan": b'{"code":"0","data":[NaN]}',
    "infinity": b'{"code":"0","data":[-Infinity]}',
    "a number without end": b'{"code":"0","data":[' + b"9" * 100_000 + b"]}",
    "deep": deep(100),
    "very deep": deep(200_000),
    "not utf-8": b'{"code":"0","data":["\xff\xfe"]}',
    "a key twice": b'{"code":"0","data":[],"data":[{}]}',
    "a key twice, deep inside": b'{"code":"0","data":[{"a":{"b":1,"b":2}}]}',
    "two documents": FINE + FINE,
    "byte order": b"\xef\xbb\xbf\xef\xbb\xbf" + FINE,
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_not_json_we_would_read_is_malformed(name: str) -> None:
    refusal, server = refusal_of(says(raw(SPOILED[name])))
    assert refusal.failure.reason is Reason.MALFORMED_RESPONSE
    assert len(server.lines) == ATTEMPTS


def test_a_huge_but_finite_number_and_64_levels_are_read() -> None:
    body, _, _ = ask(says(raw(b'{"code":"0","data":[1e308,' + b"9" * 400 + b"]}")))
    assert body["data"][1] == int("9" * 400)
    assert ask(says(raw(deep(60))))[0] is not None


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (raw(FINE[:-4], length=len(FINE)), ATTEMPTS),
        (raw(gzip.compress(FINE)[:-12], "200 OK", "Content-Encoding: gzip"), ATTEMPTS),
        (raw(gzip.compress(FINE)[:-4], "200 OK", "Content-Encoding: gzip"), ATTEMPTS),
        (raw(b"not gzip at all", "200 OK", "Content-Encoding: gzip"), ATTEMPTS),
        (raw(FINE, "200 OK", "Content-Encoding: br"), 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n", ATTEMPTS),
    ],
)
def test_an_answer_that_was_cut_off_or_mangled(answer: bytes, times: int) -> None:
    body, refusal, server = ask(says(answer))
    if times == 1:  # the header lies, the body is JSON: nothing was lost
        assert body == json.loads(FINE)
    else:
        assert refusal is not None
        assert refusal.failure.reason in {Reason.MALFORMED_RESPONSE, Reason.TIMEOUT}
    assert len(server.lines) == times


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "503 Unavailable"])
def test_a_gzip_bomb_is_bounded_and_not_asked_for_again(status: str) -> None:
    import tracemalloc

    answer = raw(BOMB, status, "Content-Encoding: gzip")
    assert len(answer) < 2**20
    tracemalloc.start()
    try:
        refusal, server = refusal_of(says(answer))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.failure.reason is Reason.MALFORMED_RESPONSE and refusal.failure.code == "size"
    assert peak < 6 * _body.LARGEST
    assert len(server.lines) == 1


def test_a_body_without_end_is_cut_at_the_limit() -> None:
    async def endless(_server: Server, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(200):
            writer.write(b"[" * 2**20)
            await writer.drain()

    refusal, server = refusal_of(endless, deadline=10)
    assert refusal.failure.code == "size" and len(server.lines) == 1


class Lasting(Server):
    """Keeps its connections open, and remembers the number of the connection that each request came by."""

    def __init__(self, *answers: tuple[bytes, ...]) -> None:
        super().__init__(says(b""))
        self.answers = answers
        self.connections = 0
        self.by: list[int] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.by.append(number)
                for piece in self.answers[min(len(self.by), len(self.answers)) - 1]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FINE)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = (HEAD + FINE,)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (WHOLE, True),
        ((HEAD, FINE), True),
        ((HEAD + FINE[:5], FINE[5:20], FINE[20:]), True),
        ((CHUNKED, b"5\r\n" + FINE[:5] + b"\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(FINE) - 5, FINE[5:])), True),
        ((CHUNKED + b"%x\r\n%b\r\n" % (len(FINE), FINE), b"0\r\n\r\n"), True),
        ((b"HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nelse",), False),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{",), False),
    ],
    ids=["whole", "apart", "in pieces", "chunked", "its end apart", "a redirect half read", "never whole"],
)
def test_a_connection_is_used_again_only_after_a_whole_answer(first: tuple[bytes, ...], again: bool) -> None:
    async def run() -> Lasting:
        server = Lasting(first, WHOLE)
        async with server as url, Venue(okx, endpoint=url, deadline=0.3) as venue:
            door = venue.key(SECRETS)
            if again:
                assert await door.fetch(okx.CONFIG) == json.loads(FINE)
            else:
                with contextlib.suppress(Unavailable):
                    await door.fetch(okx.CONFIG)
            assert await door.fetch(okx.QUOTA) == json.loads(FINE)
        return server

    server = asyncio.run(run())
    assert (server.by[1] == server.by[0]) is again
    assert server.by[2:] in ([], [server.by[1]])


def test_a_body_that_drips_ends_at_the_deadline() -> None:
    async def drip(_server: Server, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(2000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    started = time.monotonic()
    refusal, server = refusal_of(drip, deadline=0.15)
    assert refusal.failure.reason is Reason.TIMEOUT
    assert time.monotonic() - started < 3
    assert len(server.lines) == ATTEMPTS


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n"],
)
def test_what_is_not_http_is_no_connection(answer: bytes) -> None:
    refusal, server = refusal_of(says(answer))
    assert refusal.failure.reason is Reason.TIMEOUT
    assert len(server.lines) <= ATTEMPTS


def test_a_port_nobody_listens_on_is_no_connection() -> None:
    async def run() -> Unavailable:
        async with Venue(okx, endpoint="http://127.0.0.1:9", deadline=1) as venue:
            with pytest.raises(Unavailable) as caught:
                await venue.key(SECRETS).fetch(okx.CONFIG)
            return caught.value

    assert asyncio.run(run()).failure.reason is Reason.TIMEOUT


# Redirects and proxies


@pytest.mark.parametrize(
    "status",
    ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "304 Not Modified", "300 Choices"],
)
def test_a_redirect_is_refused_and_its_target_hears_nothing(status: str) -> None:
    async def run() -> tuple[Unavailable, Server, Server]:
        target = Server(says(raw(FINE)))
        async with target as elsewhere:
            page = b"" if status.startswith("304") else FINE
            server = Server(says(raw(page, status, f"Location: {elsewhere}/api/v5/account/config")))
            async with server as url, Venue(okx, endpoint=url) as venue:
                with pytest.raises(Unavailable) as caught:
                    await venue.key(SECRETS).fetch(okx.CONFIG)
        return caught.value, server, target

    refusal, server, target = asyncio.run(run())
    assert refusal.failure.reason is Reason.MALFORMED_RESPONSE and refusal.failure.code == "redirect"
    assert len(server.lines) == 1 and not target.lines


def test_proxies_and_netrc_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    async def run() -> tuple[Server, Server]:
        proxy, server = Server(says(raw(FINE))), Server(says(raw(FINE)))
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password NETRCCANARY\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        async with proxy as proxy_url, server as url:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(name, proxy_url)
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            async with Venue(okx, endpoint=url) as venue:
                await venue.key(SECRETS).fetch(okx.CONFIG)
        return proxy, server

    proxy, server = asyncio.run(run())
    assert not proxy.lines and len(server.lines) == 1
    assert "authorization" not in server.heads[0].lower()


def test_no_cookie_is_kept() -> None:
    async def run() -> Server:
        server = Server(says(raw(FINE, "200 OK", "Set-Cookie: session=abc; Path=/")))
        async with server as url, Venue(okx, endpoint=url) as venue:
            door = venue.key(SECRETS)
            await door.fetch(okx.CONFIG)
            await door.fetch(okx.QUOTA)
        return server

    assert not any("cookie" in head.lower() for head in asyncio.run(run()).heads)


# What is retried


@pytest.mark.parametrize(
    ("answer", "reason", "times"),
    [
        (code("50001", "503 Unavailable"), "venue_maintenance", ATTEMPTS),
        (code("50011", "429 Too Many"), "rate_limited", ATTEMPTS),
        (code("50011"), "rate_limited", ATTEMPTS),
        (code("50004", "400 Bad Request"), "timeout", ATTEMPTS),
        (raw(b"slow down", "429 Too Many"), "rate_limited", ATTEMPTS),
        (raw(b"<html>", "502 Bad Gateway"), "venue_incident", ATTEMPTS),
        (raw(b"<html>", "504 Gateway Timeout"), "timeout", ATTEMPTS),
        (raw(b"banned", "418 Teapot"), "rate_limited", 1),
        (raw(b"<html>", "451 Legal"), "ip_not_allowed", 1),
        (raw(b"<html>", "403 Forbidden"), "venue_incident", 1),
        (raw(b"<html>", "401 Unauthorized"), "malformed_response", 1),
        (raw(b"<html>", "404 Not Found"), "malformed_response", 1),
        (code("50111", "401 Unauthorized"), "invalid_key", 1),
        (code("50119"), "invalid_key", 1),
        (code("50119", "401 Unauthorized"), "invalid_key", 1),
        (code("50110", "401 Unauthorized"), "ip_not_allowed", 1),
        (code("50007"), "account_frozen", 1),
        (code("50120"), "permission_denied", 1),
        (code("99999"), "malformed_response", 1),
    ],
)
def test_only_what_can_succeed_is_asked_again(answer: bytes, reason: str, times: int) -> None:
    refusal, server = refusal_of(says(answer))
    assert refusal.failure.reason.value == reason
    assert len(server.lines) == times


@pytest.mark.parametrize(
    "bad", [code("50001", "503 Unavailable"), raw(b"<html>", "502 Bad"), raw(b""), code("50011"), b""]
)
def test_what_succeeds_on_the_last_attempt_has_succeeded(bad: bytes) -> None:
    body, refusal, server = ask(says(bad, bad, raw(FINE)))
    assert body == json.loads(FINE) and refusal is None and len(server.lines) == ATTEMPTS


def test_mixed_failures_up_to_the_last_attempt_end_in_the_last_reason() -> None:
    for answers, reason, times in [
        ([code("50001", "503 X"), raw(b""), code("50111", "401 X")], "invalid_key", 3),
        ([raw(b""), code("50110", "401 X"), raw(FINE)], "ip_not_allowed", 2),
        ([code("50011"), raw(b"<html>", "403 X"), raw(FINE)], "venue_incident", 2),
        ([code("50001", "503 X"), code("50001", "503 X"), code("50102", "401 X")], "clock_skew", 4),
    ]:
        refusal, server = refusal_of(says(*answers))
        assert refusal.failure.reason.value == reason
        assert len(server.lines) == times


@pytest.mark.parametrize(
    ("header", "least", "times"),
    [
        ("0", 0.0, ATTEMPTS),
        ("1", 0.9, 2),
        ("11", 0.0, 1),
        ("86400", 0.0, 1),
        ("-5", 0.0, ATTEMPTS),
        ("soon", 0.0, ATTEMPTS),
        ("²", 0.0, ATTEMPTS),
    ],
)
def test_retry_after_is_honoured_and_bounded(header: str, least: float, times: int) -> None:
    again = code("50011", "429 Too Many", f"Retry-After: {header}")
    answers = [again, raw(FINE)] if times == 2 else [again]
    started = time.monotonic()
    _, refusal, server = ask(says(*answers))
    taken = time.monotonic() - started
    assert len(server.lines) == times
    assert least <= taken < least + 2
    assert (refusal is None) is (times == 2)


def test_a_retry_whose_turn_is_far_away_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """OKX lets its status be asked once in five seconds: a quarter of that is a wait nobody should see twice."""
    monkeypatch.setattr(_budget, "SHARE", 0.25)
    started = time.monotonic()
    refusal, server = refusal_of(says(code("50001", "503 X")), endpoint=okx.STATUS)
    assert refusal.failure.reason is Reason.VENUE_MAINTENANCE
    assert len(server.lines) == 1 and time.monotonic() - started < 2


# Stops


async def _all_at_once(venue: Venue, endpoint: Endpoint, doors: int, calls: int) -> list[str]:
    keys = [venue.key({**SECRETS, "apiKey": Secret(f"another-key-{number}")}) for number in range(doors)]

    async def one(door: Any) -> str:
        try:
            await door.fetch(endpoint)
        except Unavailable as refusal:
            return refusal.failure.reason.value
        return "fine"

    return [reason for door in keys for reason in await asyncio.gather(*[one(door) for _ in range(calls)])]


def test_a_banned_address_stops_every_key_of_the_venue_and_its_public_calls() -> None:
    async def run() -> tuple[list[str], Server]:
        server = Server(says(raw(b"banned", "418 Teapot"), raw(FINE)))
        async with server as url, Venue(okx, endpoint=url) as venue:
            first = await _all_at_once(venue, okx.CONFIG, 1, 1)
            return first + await _all_at_once(venue, okx.CONFIG, 5, 2) + await _all_at_once(
                venue, okx.STATUS, 1, 1
            ), server

    reasons, server = asyncio.run(run())
    assert set(reasons) == {"rate_limited"} and len(server.lines) == 1


def test_a_refused_key_stops_itself_and_no_other() -> None:
    async def run() -> tuple[list[str], Server]:
        server = Server(says(code("50111", "401 X"), raw(FINE)))
        async with server as url, Venue(okx, endpoint=url) as venue:
            door = venue.key(SECRETS)
            reasons = []
            for endpoint in (okx.CONFIG, okx.QUOTA, okx.SUB_ACCOUNTS):
                with pytest.raises(Unavailable) as caught:
                    await door.fetch(endpoint)
                reasons.append(caught.value.failure.reason.value)
            await door.fetch(okx.STATUS)
            return reasons + await _all_at_once(venue, okx.CONFIG, 1, 1), server

    reasons, server = asyncio.run(run())
    assert reasons == ["invalid_key"] * 3 + ["fine"]
    assert len(server.lines) == 3


# An outage never accuses a key


@pytest.mark.parametrize("status", ["500 X", "502 X", "503 X", "504 X", "520 X", "599 X"])
@pytest.mark.parametrize("listed", ["50111", "50119", "50100", "50113"])
def test_an_internal_error_does_not_prove_that_a_key_is_gone(status: str, listed: str) -> None:
    refusal, _ = refusal_of(says(code(listed, status)))
    assert refusal.failure.reason in {Reason.VENUE_INCIDENT, Reason.VENUE_MAINTENANCE, Reason.TIMEOUT}


@pytest.mark.parametrize(
    "status", ["200 OK", "400 X", "401 Unauthorized", "403 Forbidden", "407 X", "429 X", "500 X", "503 X"]
)
@pytest.mark.parametrize(
    "page",
    [
        b"<html><h1>401 Unauthorized</h1><p>Invalid API key</p></html>",
        b'{"message":"Unauthorized"}',
        b'{"code":401,"msg":"Invalid OK-ACCESS-KEY"}',
        b'{"error":"invalid_key"}',
        b"50111",
        b'"50111"',
        b'[{"code":"50111"}]',
        b'{"data":{"code":"50111"}}',
        b'{"code":"50111"',
        b"",
    ],
)
def test_no_page_of_a_proxy_becomes_an_invalid_key_or_an_empty_list(status: str, page: bytes) -> None:
    body, refusal, _ = ask(says(raw(page, status)))
    assert body is None and refusal is not None
    assert refusal.failure.reason not in {Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN, Reason.IP_NOT_ALLOWED}


def test_a_page_that_classify_takes_for_a_bad_key_is_overruled() -> None:
    """A connector that reads text may be fooled by a proxy's page; the transport is not."""
    blamed = failure(Reason.INVALID_KEY, "text")
    page = Answer(status=401, body=None, text="invalid key", headers={})
    judged = _transport._judged(blamed, page, okx.CONFIG)
    assert judged is not None and judged.reason is Reason.MALFORMED_RESPONSE and not judged.lockout
    outage = Answer(status=503, body={"code": "50111"}, text="", headers={})
    judged = _transport._judged(blamed, outage, okx.CONFIG)
    assert judged is not None and judged.reason is Reason.VENUE_MAINTENANCE and judged.retry


def refused_at(hours: float) -> bytes:
    """A key that is refused, by a venue whose clock is so many hours ahead of ours."""
    return code("50111", "401 No", f"Date: {formatdate(time.time() + hours * 3600, usegmt=True)}")


@pytest.mark.parametrize("hours", [1, -1, 24 * 400, -24 * 400])
def test_no_key_is_accused_while_our_clock_is_another_than_the_venues(hours: int) -> None:
    """Some venues say the same of a wrong clock and of a deleted key: once the clock is right, what they say counts."""
    refusal, _ = refusal_of(says(refused_at(hours), code("50001", "503 X")))
    assert refusal.failure.reason is Reason.CLOCK_SKEW and "clock" in refusal.detail
    right, _ = refusal_of(says(refused_at(0.005)))
    nobody, _ = refusal_of(says(code("50111", "401 No", "Date: the day after")))
    assert right.failure.reason is nobody.failure.reason is Reason.INVALID_KEY


def test_a_key_that_is_refused_by_the_right_clock_too_is_refused() -> None:
    """The difference is learnt, the request is made anew, and now it is the key."""

    async def script(_server: Server, writer: asyncio.StreamWriter, head: str) -> None:
        learns = "/public/time" in head.splitlines()[0]
        writer.write(stamped(str(int((time.time() + 7200) * 1000))) if learns else refused_at(2))

    refusal, server = refusal_of(script)
    assert refusal.failure.reason is Reason.INVALID_KEY and refusal.failure.lockout and len(server.lines) == 3


def test_where_no_clock_can_be_learnt_nothing_more_is_sent_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(okx, "clock", None)
    refusal, server = refusal_of(says(refused_at(2)))
    assert refusal.failure.reason is Reason.CLOCK_SKEW and refusal.failure.lockout and len(server.lines) == 1


def test_a_public_call_cannot_refuse_a_key() -> None:
    refusal, _ = refusal_of(says(code("50111")), endpoint=okx.STATUS)
    assert refusal.failure.reason is Reason.IMPLAUSIBLE_RESPONSE


@pytest.mark.parametrize(
    ("status", "text", "reason", "lockout"),
    [
        (403, "<html>Request blocked. We can't connect to the server</html>", Reason.VENUE_INCIDENT, False),
        (403, "", Reason.VENUE_INCIDENT, False),
        (
            403,
            "The Amazon CloudFront distribution is configured to block access from your country.",
            Reason.IP_NOT_ALLOWED,
            True,
        ),
        (451, "", Reason.IP_NOT_ALLOWED, True),
        (418, "", Reason.RATE_LIMITED, True),
        (401, "Invalid API key", Reason.MALFORMED_RESPONSE, False),
    ],
)
def test_a_bare_status_says_no_more_than_it_knows(status: int, text: str, reason: Reason, lockout: bool) -> None:
    judged = by_status(Answer(status=status, body=None, text=text, headers={}))
    assert judged is not None
    assert (judged.reason, judged.lockout, judged.retry) == (reason, lockout, False)


@pytest.mark.parametrize("status", range(400, 600))
def test_no_status_alone_ever_says_invalid_key(status: int) -> None:
    judged = by_status(Answer(status=status, body=None, text="Invalid key. Unauthorized. Revoked.", headers={}))
    assert judged is not None
    assert judged.reason not in {Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN}


# Clocks


def clocked(answer: bytes) -> tuple[Script, dict[str, int]]:
    """A venue whose clock is two hours ahead and which answers `public/time` with `answer`."""
    from datetime import UTC, datetime

    counts = {"time": 0, "fine": 0, "skew": 0}

    async def script(_server: Server, writer: asyncio.StreamWriter, head: str) -> None:
        if "/public/time" in head.splitlines()[0]:
            counts["time"] += 1
            writer.write(answer)
            return
        stamp = next(line for line in head.splitlines() if line.upper().startswith("OK-ACCESS-TIMESTAMP"))
        ahead = datetime.fromisoformat(stamp.partition(": ")[2]).timestamp() - datetime.now(UTC).timestamp()
        known = 7000 < ahead < 7400
        counts["fine" if known else "skew"] += 1
        writer.write(raw(FINE) if known else code("50102", "401 X"))

    return script, counts


def stamped(milliseconds: Any) -> bytes:
    return raw(json.dumps({"code": "0", "data": [{"ts": milliseconds}]}).encode())


def test_the_skew_is_learnt_once_for_all_keys_even_when_all_find_out_at_once() -> None:
    async def run() -> list[str]:
        async with Server(script) as url, Venue(okx, endpoint=url) as venue:
            return await _all_at_once(venue, okx.CONFIG, 4, 5) + await _all_at_once(venue, okx.QUOTA, 3, 1)

    script, counts = clocked(stamped(str(int((time.time() + 7200) * 1000))))
    assert set(asyncio.run(run())) == {"fine"}
    assert counts["time"] == 1
    assert counts["fine"] == 23 and counts["skew"] <= 5


@pytest.mark.parametrize(
    "answer",
    [
        stamped("0"),
        stamped(str(int((time.time() + 10 * 86400) * 1000))),
        stamped("soon"),
        stamped(10**30),
        raw(b"{}"),
        code("50001", "503 X"),
        raw(FINE),
    ],
    ids=["the beginning", "in ten days", "a word", "no time at all", "nothing", "a refusal", "another answer"],
)
def test_a_clock_that_makes_no_sense_is_not_believed(answer: bytes) -> None:
    script, counts = clocked(answer)
    refusal, _ = refusal_of(script)
    assert refusal.failure.reason is Reason.CLOCK_SKEW
    assert counts["fine"] == 0 and counts["skew"] == 1


def test_a_venue_that_complains_of_the_clock_for_ever_is_asked_twice() -> None:
    async def stubborn(_server: Server, writer: asyncio.StreamWriter, head: str) -> None:
        clock = "/public/time" in head.splitlines()[0]
        writer.write(stamped(str(int(time.time() * 1000))) if clock else code("50102", "401 X"))

    async def run() -> tuple[Unavailable, Server]:
        server = Server(stubborn)
        async with server as url, Venue(okx, endpoint=url) as venue:
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(venue.key(SECRETS).fetch(okx.CONFIG), 5)
        return caught.value, server

    refusal, server = asyncio.run(run())
    assert refusal.failure.reason is Reason.CLOCK_SKEW
    assert ["/public/time" in line for line in server.lines] == [False, True, False]


# Secrets


def test_no_secret_leaves_by_repr_exception_or_log(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    scripts = [
        says(raw(FINE)),
        says(code("50111", "401 X")),
        says(raw(b"")),
        says(b""),
        says(raw(FINE, "302 Found", "Location: /x")),
        says(raw(json.dumps({"code": "7", "msg": " ".join(CANARIES.values())}).encode())),
        says(raw(json.dumps({"code": CANARIES["secret"], "msg": ""}).encode())),
        says(raw(json.dumps({"code": CANARIES["apiKey"][:12], "msg": ""}).encode())),
        says(raw(" ".join(CANARIES.values()).encode(), "500 X")),
    ]

    async def run(script: Script) -> None:
        asyncio.get_running_loop().set_debug(True)
        async with Server(script) as url, Venue(okx, endpoint=url, deadline=1) as venue:
            door = venue.key(SECRETS)
            told.extend([repr(door), repr(venue), str(door), repr(vars(venue)), repr(door._signer), repr(vars(door))])
            told.append(repr(door._signer.sign(okx.CONFIG, {})))
            for endpoint in (okx.CONFIG, okx.SUB_KEYS):
                try:
                    await door.fetch(endpoint)
                except Unavailable as refusal:
                    told.append("".join(traceback.format_exception(refusal)))
                    told.extend([str(refusal), repr(refusal), refusal.detail, repr(refusal.failure)])

    with caplog.at_level(logging.DEBUG):
        for name in ("asyncio", "aiohttp", "aiohttp.client", "aiohttp.access", "ccxt", "ccxt.base.exchange"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        for script in scripts:
            asyncio.run(run(script))
    everything = "\n".join([*told, caplog.text])
    assert len(told) > 50
    assert "CANARY" not in everything


def test_a_key_with_a_line_break_is_not_sent_and_says_so() -> None:
    async def run() -> tuple[Unavailable, Server]:
        server = Server(says(raw(FINE)))
        async with server as url, Venue(okx, endpoint=url) as venue:
            door = venue.key({**SECRETS, "apiKey": Secret("KEYCANARY\r\nX-Injected: 1")})
            with pytest.raises(Unavailable) as caught:
                await door.fetch(okx.CONFIG)
            with pytest.raises(Unavailable):
                await door.fetch(okx.QUOTA)
            return caught.value, server

    refusal, server = asyncio.run(run())
    assert refusal.failure.reason is Reason.INVALID_KEY and not server.lines
    assert "CANARY" not in "".join(traceback.format_exception(refusal)) + refusal.detail


@pytest.mark.parametrize("answer", [raw(FINE), code("50001", "503 X")])
def test_what_is_the_same_for_all_is_asked_once_even_by_all_at_once(answer: bytes) -> None:
    async def run(doors: int, calls: int) -> tuple[set[str], int]:
        server = Server(says(answer))
        async with server as url, Venue(okx, endpoint=url) as venue:
            told = await _all_at_once(venue, okx.STATUS, doors, calls)
        assert len(told) == doors * calls
        return set(told), len(server.lines)

    assert asyncio.run(run(3, 5)) == asyncio.run(run(1, 1))


def test_no_timer_outlives_what_it_was_set_for() -> None:
    """Neither is an answer that came in time ended later, nor does anything wake up after the venue was closed."""
    faults: list[dict[str, Any]] = []

    async def run() -> list[asyncio.TimerHandle]:
        loop: Any = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: faults.append(context))
        async with Server(says(raw(FINE))) as url, Venue(okx, endpoint=url, deadline=0.1) as venue:
            for _ in range(3):
                await venue.key(SECRETS).fetch(okx.CONFIG)
            assert not venue._deadlines._ends
            await asyncio.sleep(0.25)
            await venue.key(SECRETS).fetch(okx.CONFIG)
        return [one for one in loop._scheduled if not one.cancelled()]

    assert asyncio.run(run()) == []
    assert faults == []


def test_a_cancelled_caller_leaves_the_shared_question_to_the_next() -> None:
    async def run() -> Any:
        async def slow_then_fine(server: Server, writer: asyncio.StreamWriter, _head: str) -> None:
            await asyncio.sleep(0.3 if len(server.lines) == 1 else 0)
            writer.write(raw(FINE))

        async with Server(slow_then_fine) as url, Venue(okx, endpoint=url) as venue:
            first = asyncio.create_task(venue.key(SECRETS).fetch(okx.STATUS))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(venue.key(SECRETS).fetch(okx.STATUS))
            await asyncio.sleep(0.05)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await asyncio.wait_for(second, 2)

    assert asyncio.run(run()) == json.loads(FINE)
