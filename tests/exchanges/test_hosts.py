"""No setting, variable, answer or name server moves a request of any connector to another host, and no connector can reach a client.

Every name that is looked up and every address that is connected to is noted by an audit hook, for all connectors.
"""

from __future__ import annotations

import ast
import asyncio
import ipaddress
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from auditor.exchanges import _budget, _hosts, _signer, _transport, _venue
from auditor.exchanges._base import Connector, Endpoint, Unavailable
from auditor.exchanges._gate import GateError
from auditor.exchanges._load import connector
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret

HELD = {
    "apiKey": "account-KEYCANARY0123",
    "secret": "U0VDUkVUQ0FOQVJZU0VDUkVUQ0FOQVJZU0VDUkVUQ0E=",
    "password": "PASSCANARY0123",
    "walletAddress": "0x" + "a1" * 20,
}
METADATA = "169.254.169.254"
EVIL = "evil.example"


def _connectors() -> dict[str, Connector]:
    named = {exchange: _venue.load(exchange).connector for exchange in _venue.ids()}
    return {exchange: found for exchange, name in named.items() if name and (found := connector(exchange))}


CONNECTORS = _connectors()
each = pytest.mark.parametrize("exchange", CONNECTORS)

_asked: list[str] | None = None
_connected: list[tuple[str, int]] | None = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _asked is not None and event == "socket.getaddrinfo":
        _asked.append(str(args[0]))
    if _connected is not None and event == "socket.connect" and isinstance(args[1], tuple):
        _connected.append((args[1][0], args[1][1]))


sys.addaudithook(_hook)


@contextmanager
def noted() -> Iterator[tuple[list[str], list[tuple[str, int]]]]:
    """Names looked up and addresses connected to while inside."""
    global _asked, _connected
    _asked, _connected = [], []
    try:
        yield _asked, _connected
    finally:
        _asked = _connected = None


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1e6)
    monkeypatch.setattr(_transport, "ATTEMPTS", 1)


class Listener:
    """A server on this machine that answers every request so, and keeps what it heard: requests, or a TLS greeting."""

    def __init__(self, answer: bytes = b"", tls: ssl.SSLContext | None = None) -> None:
        self.answer, self.tls, self.heard = answer, tls, []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append(await reader.read(65536))
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()


def answer(status: str, *headers: str, body: bytes = b"{}") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def lying(address: str, port: int) -> Callable[..., list[Any]]:
    """A name server that says of every name that it is `address`."""

    def getaddrinfo(_host: str, _port: int, *_args: object, **_options: object) -> list[Any]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port, *((0, 0) if ":" in address else ())))]

    return getaddrinfo


def held(module: Connector) -> dict[str, Secret]:
    return {name: Secret(HELD[name]) for name in module.credentials}


def simple(module: Connector) -> list[Endpoint]:
    """Endpoints that need no parameter in their path: one that carries a key, and one that does not where there is one."""
    plain = [one for one in module.endpoints if "{" not in one.path]
    return [*[one for one in plain if not one.public][:1], *[one for one in plain if one.public][:1]]


async def ask(venue: Venue, endpoint: Endpoint) -> Exception | None:
    """What one fetch ended with."""
    try:
        await venue.key(held(venue.connector)).fetch(endpoint)
    except Exception as error:  # noqa: BLE001  (whatever it is, what counts is that nothing went elsewhere)
        return error
    return None


# Settings of ccxt


def _everywhere(leaf: Any, url: str) -> Any:
    return {name: _everywhere(value, url) for name, value in leaf.items()} if isinstance(leaf, dict) else url


def _testnet(ccxt: Any) -> None:
    try:
        ccxt.set_sandbox_mode(True)
    except Exception:  # noqa: BLE001  (a class without a testnet says so)
        ccxt.urls = {**ccxt.urls, "api": _everywhere(ccxt.urls["api"], f"https://testnet.{EVIL}")}


def setting(**values: Any) -> Callable[[Any], None]:
    def change(ccxt: Any) -> None:
        for name, value in values.items():
            setattr(ccxt, name, value)

    return change


def option(**values: Any) -> Callable[[Any], None]:
    return lambda ccxt: ccxt.options.update(values)


PROXY = f"http://{EVIL}:3128"
SETTINGS: dict[str, Callable[[Any], None]] = {
    "hostname": setting(hostname=EVIL),
    "a hostname with a path": setting(hostname=f"{EVIL}/"),
    "a hostname with a user": setting(hostname=f"x@{EVIL}"),
    "urls": lambda ccxt: setattr(ccxt, "urls", {**ccxt.urls, "api": _everywhere(ccxt.urls["api"], f"https://{EVIL}")}),
    "urls to the metadata": lambda ccxt: setattr(
        ccxt, "urls", {**ccxt.urls, "api": _everywhere(ccxt.urls["api"], f"http://{METADATA}/latest")}
    ),
    "urls changed in place": lambda ccxt: ccxt.urls.update(api=_everywhere(ccxt.urls["api"], f"https://{EVIL}")),
    "test urls": lambda ccxt: ccxt.urls.update(test=_everywhere(ccxt.urls["api"], f"https://{EVIL}")),
    "sandbox": _testnet,
    "sandbox option": option(sandboxMode=True, sandbox=True, test=True, testnet=True, demo=True),
    "sandbox attribute": setting(isSandboxModeEnabled=True, sandbox=True, test=True, testnet=True),
    "proxy": setting(proxy=PROXY + "/"),
    "proxyUrl": setting(proxyUrl=PROXY + "/", proxy_url=PROXY + "/"),
    "proxy callbacks": setting(
        proxyUrlCallback=lambda *_: PROXY,
        proxy_url_callback=lambda *_: PROXY,
        httpProxyCallback=lambda *_: PROXY,
        httpsProxyCallback=lambda *_: PROXY,
        socksProxyCallback=lambda *_: PROXY,
    ),
    "httpProxy": setting(httpProxy=PROXY, http_proxy=PROXY),
    "httpsProxy": setting(httpsProxy=PROXY, https_proxy=PROXY),
    "socksProxy": setting(socksProxy=f"socks5://{EVIL}:1080", socks_proxy=f"socks5://{EVIL}:1080"),
    "wsProxy": setting(wsProxy=PROXY, wssProxy=PROXY, wsSocksProxy=PROXY),
    "proxies": setting(proxies={"http": PROXY, "https": PROXY}, aiohttp_proxy=PROXY, aiohttp_socks_proxy=PROXY),
    "trust_env": setting(aiohttp_trust_env=True, requests_trust_env=True, trust_env=True),
    "origin": setting(origin=f"https://{EVIL}"),
    "no verification": setting(verify=False, validateServerSsl=False, ssl=False),
    "headers": setting(headers={"Host": EVIL, "X-Forwarded-Host": EVIL, ":authority": EVIL}),
    "options of hosts": option(hostname=EVIL, url=f"https://{EVIL}", api=f"https://{EVIL}", baseUrl=f"https://{EVIL}"),
    "a session of its own": setting(session=object(), own_session=True, open=lambda: None),
    "a fetch of its own": setting(fetch=lambda *_: {}, request=lambda *_: {}),
}


@each
def test_no_setting_of_ccxt_moves_a_request(exchange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the real hosts: names that are looked up are declared ones, and what is connected to is where they lead."""
    module = CONNECTORS[exchange]
    declared = {one.host for one in module.endpoints}

    async def run() -> tuple[int, list[bytes]]:
        refused = 0
        async with Listener(answer("200 OK")) as there:
            monkeypatch.setattr(socket, "getaddrinfo", _noting(lying("127.0.0.1", there.port)))
            for change in SETTINGS.values():
                async with Venue(module, deadline=2.0) as venue:
                    door = venue.key(held(module))
                    for signer in (door._signer, venue.unsigned):
                        if isinstance(signer, _signer.Signer):
                            change(signer._ccxt)
                    for endpoint in simple(module):
                        ended = await ask(venue, endpoint)
                        assert ended is not None
                        refused += isinstance(ended, GateError)
            return refused, [raw for raw in there.heard if b"HTTP/1.1" in raw]

    with noted() as (asked, connected):
        refused, spoken = asyncio.run(run())
    assert set(asked) <= declared
    assert {host for host, _ in connected} <= {"127.0.0.1"}
    assert spoken == []  # all there is, is a TLS greeting, which carries no request
    if module.ccxt_class is not None:
        assert refused >= 2 * len(simple(module)), "changed addresses were noticed by the gate"


def _noting(lie: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def getaddrinfo(host: str, *args: object, **options: object) -> list[Any]:
        if _asked is not None:
            _asked.append(str(host))
        return lie(host, *args, **options)

    return getaddrinfo


# The environment

VARIABLES = ["http", "https", "all", "ftp", "socks", "ws", "wss", "socks_http"]
NAMES = [
    spelled
    for name in VARIABLES
    for spelled in (f"{name}_proxy", f"{name}_PROXY", f"{name}_proxy".upper(), f"{name.title()}_Proxy")
]


@each
def test_no_variable_of_the_environment_moves_a_request(
    exchange: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxies in every spelling, with and without exceptions, a netrc, and the variables of libraries underneath."""
    module = CONNECTORS[exchange]
    (tmp_path / ".netrc").write_text("default login somebody password NETRCCANARY\n")
    (tmp_path / ".netrc").chmod(0o600)

    async def run() -> tuple[list[bytes], list[bytes], int]:
        async with Listener(answer("200 OK")) as proxy, Listener(answer("200 OK")) as server:
            for name in NAMES:
                monkeypatch.setenv(name, proxy.url)
            for name in ("NETRC", "HOME"):
                monkeypatch.setenv(name, str(tmp_path / ".netrc") if name == "NETRC" else str(tmp_path))
            for name in ("CCXT_PROXY", "AIOHTTP_PROXY", "PROXY", "HOSTALIASES", "REQUEST_METHOD", "RES_OPTIONS"):
                monkeypatch.setenv(name, proxy.url)
            sent = 0
            for exceptions in (None, "", "*", "nothing.example", "127.0.0.1"):
                for name in ("no_proxy", "NO_PROXY"):
                    monkeypatch.delenv(name, raising=False)
                    if exceptions is not None:
                        monkeypatch.setenv(name, exceptions)
                async with Venue(module, endpoint=server.url, deadline=2.0) as venue:
                    for endpoint in simple(module):
                        await ask(venue, endpoint)
                        sent += 1
            return proxy.heard, server.heard, sent

    with noted() as (_, connected):
        through, heard, sent = asyncio.run(run())
    assert through == []
    assert len(heard) == sent == len(connected)
    assert not any(b"NETRCCANARY" in raw or b"Authorization: Basic c29tZWJvZHk6" in raw for raw in heard)
    assert not any(raw.split(b" ")[1].startswith(b"http") or raw.startswith(b"CONNECT") for raw in heard)


# Redirects

ELSEWHERE = [
    f"http://{METADATA}/latest/meta-data/iam/security-credentials/",
    "http://[fd00:ec2::254]/latest/",
    "http://metadata.google.internal/computeMetadata/v1/",
    f"//{EVIL}/x",
    "/api/v5/account/config",
    "file:///etc/passwd",
    "http://127.0.0.1:{port}/other",
]


@each
def test_no_answer_moves_a_request(exchange: str) -> None:
    """Every status from 300 to 399 with a target in it, and other statuses with headers that some clients follow."""
    module = CONNECTORS[exchange]
    [endpoint] = simple(module)[:1]

    async def run() -> tuple[int, list[bytes], list[bytes], list[str]]:
        wrong: list[str] = []
        tried = 0
        async with Listener(answer("200 OK")) as elsewhere, Listener() as server:  # noqa: SIM117
            async with Venue(module, endpoint=server.url, deadline=2.0) as venue:
                for status in range(300, 400):
                    target = ELSEWHERE[status % len(ELSEWHERE)].format(port=elsewhere.port)
                    body = b"" if status == 304 else b'{"x":1}'
                    server.answer = answer(
                        f"{status} Moved", f"Location: {target}", f"Refresh: 0; url={target}", body=body
                    )
                    ended = await ask(venue, endpoint)
                    tried += 1
                    told = isinstance(ended, Unavailable) and ended.failure.code == "redirect"
                    if not told or ended.failure.reason is not Reason.MALFORMED_RESPONSE:
                        wrong.append(f"{status}: {ended!r}")
                for status in ("200 OK", "201 Created", "401 No", "407 Proxy", "503 Busy"):
                    target = ELSEWHERE[-1].format(port=elsewhere.port)
                    headers = (
                        "Location",
                        "Content-Location",
                        "Alt-Svc",
                        "Link",
                        "Proxy-Authenticate",
                        "X-Accel-Redirect",
                    )
                    server.answer = answer(status, *[f"{name}: {target}" for name in headers])
                    venue._doors.clear()
                    venue.shut = None
                    await ask(venue, endpoint)
                    tried += 1
        return tried, server.heard, elsewhere.heard, wrong

    with noted() as (asked, connected):
        tried, heard, elsewhere, wrong = asyncio.run(run())
    assert wrong == []
    assert elsewhere == [] and set(asked) <= {"127.0.0.1"}
    assert len(heard) == len(connected) == tried
    assert {raw.split(b" ")[1].split(b"?")[0].decode() for raw in heard} == {endpoint.path}


# Names


@each
def test_no_name_server_moves_a_request(exchange: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who is led to another machine finds nobody there who can prove to be the exchange, and says nothing."""
    from tests.exchanges.test_hostile_venues import certificate

    module = CONNECTORS[exchange]
    contexts = [
        None,
        certificate(tmp_path, name=EVIL, days=30),
        certificate(tmp_path, name=module.endpoints[0].host, days=30),
    ]

    async def run() -> list[bytes]:
        heard: list[bytes] = []
        for context in contexts:
            async with Listener(answer("200 OK"), context) as there:
                monkeypatch.setattr(socket, "getaddrinfo", _noting(lying("127.0.0.1", there.port)))
                async with Venue(module, deadline=2.0) as venue:
                    for endpoint in simple(module):
                        ended = await ask(venue, endpoint)
                        assert isinstance(ended, Unavailable) and ended.failure.reason is Reason.TIMEOUT
                heard += there.heard
        return heard

    with noted() as (asked, _):
        heard = asyncio.run(run())
    assert set(asked) <= {one.host for one in module.endpoints}
    assert not any(b"HTTP/1.1" in raw for raw in heard)


@pytest.mark.parametrize("said", ["203.0.113.7", METADATA, "10.0.0.1", "0.0.0.0", "2001:db8::7", "fe80::1"])
def test_localhost_is_this_machine_whatever_a_name_server_says(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> Exception | None:
        monkeypatch.setattr(socket, "getaddrinfo", _noting(lying(said, 80)))
        async with Venue(CONNECTORS["okx"], endpoint="http://localhost:8123", deadline=2.0) as venue:
            return await ask(venue, simple(CONNECTORS["okx"])[0])

    with noted() as (_, connected):
        ended = asyncio.run(run())
    assert isinstance(ended, Unavailable) and ended.failure.reason is Reason.TIMEOUT
    assert connected == []


@pytest.mark.parametrize("spelled", ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3"])
def test_this_machine_is_reached_under_its_names(spelled: str) -> None:
    async def run() -> list[bytes]:
        async with Listener(answer("200 OK")) as server:
            endpoint = f"http://{spelled}:{server.port}"
            async with Venue(CONNECTORS["okx"], endpoint=endpoint, deadline=2.0) as venue:
                await ask(venue, simple(CONNECTORS["okx"])[0])
            return server.heard

    heard = asyncio.run(run())
    assert spelled == "127.1.2.3" or len(heard) == 1  # the server listens on one of these addresses


@each
def test_a_connection_can_be_made_to_declared_names_only(exchange: str) -> None:
    """The session itself, asked for another host behind the gate's back, finds no name."""
    module = CONNECTORS[exchange]

    async def run() -> None:
        async with Venue(module, deadline=2.0) as venue:
            for url in (
                f"https://{EVIL}/",
                f"https://{module.endpoints[0].host}.{EVIL}/",
                "https://metadata.google.internal/",
            ):
                request = _signer.SignedRequest(verb="GET", url=url, headers={}, body=None)
                with pytest.raises(Unavailable):
                    await venue.send(request)

    with noted() as (asked, connected):
        asyncio.run(run())
    assert asked == [] and connected == []


def test_the_hosts_of_a_venue() -> None:
    assert _hosts.of(["a.example", "b.example"], None) == {"a.example", "b.example"}
    assert _hosts.of(["a.example"], "https://Proxy.example:8443/x") == {"proxy.example"}
    assert _hosts.of(["a.example"], "http://[::1]:1") == {"::1"}


@each
def test_declared_hosts_are_public_names(exchange: str) -> None:
    for endpoint in CONNECTORS[exchange].endpoints:
        assert endpoint.host == endpoint.host.lower() and endpoint.host.count(".") >= 1
        with pytest.raises(ValueError, match="does not appear to be"):
            ipaddress.ip_address(endpoint.host)


# What a connector can reach

CODE = sorted(
    path
    for path in Path(_transport.__file__).parent.glob("*.py")
    if path.stem
    not in {
        "_transport",
        "_http",
        "_body",
        "_hosts",
        "_ccxt",
        "_signer",
        "_gate",
        "_load",
        "_venue",
        "_budget",
        "_deadline",
    }
)
ALLOWED = {
    "__future__",
    "asyncio",
    "base64",
    "binascii",
    "collections",
    "collections.abc",
    "contextlib",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "itertools",
    "ipaddress",
    "json",
    "math",
    "operator",
    "re",
    "time",
    "types",
    "typing",
    "urllib.parse",
}
WAYS_ROUND = {"getattr", "setattr", "vars", "eval", "exec", "compile", "open", "globals", "locals", "__import__", "dir", "breakpoint", "input"}  # fmt: skip
OF_ASYNCIO = {"gather", "sleep", "Semaphore", "Lock", "timeout", "TaskGroup", "Event", "create_task", "wait_for"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_the_code_of_a_connector_knows_no_way_round_its_door(path: Path) -> None:
    """Nothing private is touched, nothing is looked up by name, and no module that can open a socket or a file is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Attribute):
            own = ast.unparse(node.value) in {"self", "cls", "super()"}
            assert own or not node.attr.startswith("_"), f"{where}: {node.attr}"
            if isinstance(node.value, ast.Name) and node.value.id == "asyncio":
                assert node.attr in OF_ASYNCIO, f"{where}: asyncio.{node.attr}"
            if isinstance(node.value, ast.Name) and node.value.id == "door":
                assert node.attr == "fetch", f"{where}: door.{node.attr}"
        if isinstance(node, ast.Name):
            assert node.id not in WAYS_ROUND, f"{where}: {node.id}"
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= ALLOWED, f"{where}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom):
            ours = (node.module or "").startswith("auditor.")
            assert ours or node.module in ALLOWED, f"{where}: {ast.unparse(node)}"
            if ours:
                assert not {alias.name for alias in node.names} & {"_transport", "_body", "_hosts", "_load"}, where
                assert "_transport" not in str(node.module), where


@each
def test_the_door_offers_fetch_and_nothing_else(exchange: str) -> None:
    """Whatever can be reached from the door by public names, at any depth, holds no client, signer, session or secret."""

    async def run() -> tuple[list[str], list[str]]:
        async with Venue(CONNECTORS[exchange], endpoint="http://127.0.0.1:9") as venue:
            door = venue.key(held(venue.connector))
            return [name for name in dir(door) if not name.startswith("_")], _reached(door)

    offered, reached = asyncio.run(run())
    assert offered == ["fetch"]
    assert reached == []


def _reached(door: object) -> list[str]:
    forbidden = (
        "aiohttp",
        "ccxt",
        "socket",
        "auditor.redaction",
        "auditor.exchanges._transport",
        "auditor.exchanges._signer",
    )
    found, seen, level = [], set(), [("door", door)]
    for _ in range(4):
        further: list[tuple[str, object]] = []
        for name, value in level:
            for attribute in (one for one in dir(value) if not one.startswith("_")):
                child = getattr(value, attribute, None)
                if id(child) in seen or child is None:
                    continue
                seen.add(id(child))
                owner = type(child).__module__ or ""
                if owner.startswith(forbidden):
                    found.append(f"{name}.{attribute}: {owner}.{type(child).__name__}")
                further.append((f"{name}.{attribute}", child))
        level = further
    return found


def test_the_walk_would_find_a_client() -> None:
    async def run() -> list[str]:
        async with Venue(CONNECTORS["okx"], endpoint="http://127.0.0.1:9") as venue:
            door = venue.key(held(venue.connector))

            class Open:
                pass

            leaking = Open()
            leaking.venue = door._venue  # type: ignore[attr-defined]
            return _reached(leaking)

    assert "door.venue: auditor.exchanges._transport.Venue" in asyncio.run(run())


# The endpoint of a configuration, as seen by the transport

TRICKS = [
    f"http://127.0.0.1@{EVIL}",
    f"http://{EVIL}#127.0.0.1",
    f"http://{EVIL}?127.0.0.1",
    f"http://127.0.0.1.{EVIL}",
    f"http://localhost.{EVIL}",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://127.1",
    f"http://{METADATA}",
    "http://0.0.0.0:8123",
    "http://[::ffff:169.254.169.254]",
    f"https://{METADATA}",
    "ftp://127.0.0.1",
    "http://127.0.0.1\\@evil.example",
    "http://127.0.0.1:80\r\nHost: evil.example",
    "http://127.0.0.1/../../x",
    "http://127.0.0.1%2eevil.example",
    "http://ⓛocalhost",
    "http://localhost。evil.example",
    "unix:///var/run/docker.sock",
    "//127.0.0.1",
    "",
    " http://127.0.0.1",
]


@pytest.mark.parametrize("trick", TRICKS)
def test_no_endpoint_of_a_configuration_leads_elsewhere(trick: str) -> None:
    from auditor import endpoints

    assert endpoints.fault(trick, frozenset()) is not None
    assert endpoints.fault(trick, frozenset({"allowed.example"})) is not None
