"""Nothing but what was declared, exactly as asked for, ever reaches a socket."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _signer, _venue
from auditor.exchanges._base import Connector, Endpoint, Limit, Unavailable
from auditor.exchanges._load import connector
from auditor.exchanges._signer import SealedError, SignedRequest, Signer, signer_of
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin.okx import Twin

CREDENTIALS = {
    "apiKey": "account-KEYCANARY0123",  # Gemini's account keys begin so
    "secret": "U0VDUkVUQ0FOQVJZU0VDUkVUQ0FOQVJZU0VDUkVUQ0E=",  # text, Base64, and as long as an Ed25519 seed
    "password": "PASSCANARY0123",
}
SECRETS = {name: Secret(value) for name, value in CREDENTIALS.items()}
ENOUGH = 60_000
"""Calls over all classes: a fuzz that finds fewer methods than there were has lost its way in."""

_touched: list[str] | None = None


def _watch(event: str, _args: tuple[Any, ...]) -> None:
    ways_out = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
    if _touched is not None and event in (*ways_out, "subprocess.Popen", "os.system", "urllib.Request"):
        _touched.append(event)


sys.addaudithook(_watch)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Every attempt to leave the process while inside."""
    global _touched
    _touched = []
    try:
        yield _touched
    finally:
        _touched = None


def connectors() -> list[Connector]:
    """Those that exist; a venue file whose connector is not written yet is nobody's declared endpoint."""
    return [found for exchange in _venue.ids() if _venue.load(exchange).connector and (found := connector(exchange))]


CLASSES = sorted({module.ccxt_class for module in connectors() if module.ccxt_class})
DECLARED = [(module, endpoint) for module in connectors() for endpoint in module.endpoints]
NAMES = [f"{module.ccxt_class or endpoint.host} {endpoint.name}" for module, endpoint in DECLARED]

PLAUSIBLE = {
    "symbol": "BTC/USDT",
    "symbols": ["BTC/USDT"],
    "code": "BTC",
    "path": "account/config",
    "api": "private",
    "method": "GET",
    "params": {},
    "timeframe": "1m",
    "id": "1",
    "ids": ["1"],
    "amount": 1,
    "price": 1,
    "side": "buy",
    "type": "limit",
    "address": "TInventedAddr00000000000000000001",
    "orders": [],
    "currency": "USDT",
    "fromAccount": "spot",
    "toAccount": "swap",
    "enable": True,
}


def _call(attribute: Any, url: str) -> Any:
    known = {**PLAUSIBLE, "url": url}
    needed = [
        parameter
        for parameter in inspect.signature(attribute).parameters.values()
        if parameter.default is parameter.empty and parameter.kind.name.startswith("POSITIONAL")
    ]
    return attribute(*[known.get(parameter.name, "1") for parameter in needed])


async def _exercise(instance: Any, url: str) -> tuple[dict[str, int], list[str]]:
    """Calls everything callable. How often each outcome came, and the names of coroutines that ran to their end."""
    outcomes = {"sealed": 0, "local": 0, "refused": 0}
    ran: list[str] = []
    for name in dir(instance):
        attribute = getattr(instance, name)
        if name.startswith("__") or not callable(attribute) or isinstance(attribute, type):
            continue
        try:
            result = _call(attribute, url)
            if inspect.isawaitable(result):
                await asyncio.wait_for(result, 1)
                ran.append(name)
            outcomes["local"] += 1
        except SealedError:
            outcomes["sealed"] += 1
        except Exception:  # noqa: BLE001  (a pure computation that does not like "1")
            outcomes["refused"] += 1
    return outcomes, ran


async def _exercise_all() -> tuple[dict[str, dict[str, int]], list[str], list[str], int]:
    twin = Twin()
    ran: list[str] = []
    outcomes: dict[str, dict[str, int]] = {}
    async with twin:
        with watched() as touched:
            for ccxt_class in CLASSES:
                instance = Signer(ccxt_class, SECRETS, twin.url)._ccxt
                outcomes[ccxt_class], finished = await _exercise(instance, twin.url + "/api/v5/public/time")
                ran += finished
                instance.socks_proxy_sessions = None
        await asyncio.sleep(0)
    return outcomes, ran, touched, len(twin.requests)


def test_the_watch_notices_a_way_out() -> None:
    import socket

    with watched() as touched, socket.socket() as plug:
        assert plug.connect_ex(("127.0.0.1", 9)) != 0
        socket.getaddrinfo("127.0.0.1", 9)
    assert touched == ["socket.connect", "socket.getaddrinfo"]


def test_no_method_of_ccxt_whatsoever_reaches_a_socket(record_property: Callable[[str, str], None]) -> None:
    outcomes, ran, touched, arrived = asyncio.run(_exercise_all())
    calls = sum(sum(counts.values()) for counts in outcomes.values())
    record_property("told", f"{calls} methods of {len(CLASSES)} ccxt classes called: {len(touched)} left the process")
    assert touched == []
    assert arrived == 0
    assert set(ran) <= {"throttler"}  # waits in memory for a turn
    assert calls > ENOUGH
    assert all(counts["sealed"] > 500 for counts in outcomes.values())


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_the_ways_out_that_matter_are_sealed_by_name(ccxt_class: str) -> None:
    async def run() -> None:
        instance = Signer(ccxt_class, SECRETS, "http://127.0.0.1:9")._ccxt
        for name in (
            "fetch",
            "request",
            "fetch2",
            "load_markets",
            "loadMarkets",
            "fetch_currencies",
            "fetch_balance",
            "close",
        ):
            with pytest.raises(SealedError):
                await _call(getattr(instance, name), "http://127.0.0.1:9/")
        for name in ("open", "get_session", "fetch_fees", "get_socks_proxy_session"):
            with pytest.raises(SealedError):
                _call(getattr(instance, name), "http://127.0.0.1:9/")
        with pytest.raises(SealedError):
            async with instance:
                raise AssertionError("entered")
        instance.session = object()
        assert instance.session is None

    with watched() as touched:
        asyncio.run(run())
    assert touched == []


def _implicit(instance: Any) -> list[str]:
    from ccxt.base.types import Entry

    return [name for name in dir(type(instance)) if isinstance(inspect.getattr_static(type(instance), name), Entry)]


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_every_implicit_method_is_sealed_the_reading_ones_too(ccxt_class: str) -> None:
    async def run() -> int:
        instance = Signer(ccxt_class, SECRETS, "http://127.0.0.1:9")._ccxt
        names = _implicit(instance)
        for name in names:
            with pytest.raises(SealedError):
                await getattr(instance, name)({"subAcct": "x"})
        return len(names)

    assert asyncio.run(run()) > 1


# Declarations


def test_there_is_something_declared() -> None:
    assert {module.ccxt_class for module, _ in DECLARED} >= {"okx"}


def _other(value: Any) -> Any:
    """Something of the same kind that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple):
        return (*value, "x")
    if isinstance(value, frozenset):
        return value | {"x"}
    assert isinstance(value, Limit)
    return replace(value, calls=value.calls + 1)


@pytest.mark.parametrize(("module", "endpoint"), DECLARED, ids=NAMES)
def test_an_endpoint_that_differs_in_one_field_is_not_declared(module: Connector, endpoint: Endpoint) -> None:
    _gate.check_declared(endpoint, module.endpoints)
    for field in fields(endpoint):
        near = replace(endpoint, **{field.name: _other(getattr(endpoint, field.name))})
        with pytest.raises(_gate.GateError):
            _gate.check_declared(near, module.endpoints)


@pytest.mark.parametrize(("module", "endpoint"), DECLARED, ids=NAMES)
def test_an_endpoint_that_is_not_declared_is_neither_signed_nor_sent(module: Connector, endpoint: Endpoint) -> None:
    async def run() -> None:
        async with Venue(module, endpoint="http://127.0.0.1:9") as venue:
            door = venue.key(SECRETS)
            for change in ({"verb": "DELETE"}, {"path": "/api/v5/asset/withdrawal"}, {"host": "evil.example"}):
                with pytest.raises(_gate.GateError):
                    await door.fetch(replace(endpoint, **change))

    with watched() as touched:
        asyncio.run(run())
    assert touched == []


@pytest.mark.parametrize(("module", "endpoint"), DECLARED, ids=NAMES)
def test_what_is_declared_is_what_ccxt_signs(module: Connector, endpoint: Endpoint) -> None:
    """Host, path and verb of the declaration against the signed URL of the real venue."""
    signer = signer_of(module, {} if endpoint.public else SECRETS, None)
    placed = dict.fromkeys(re.findall(r"\{(\w+)\}", endpoint.path), "20990001")
    request = signer.sign(endpoint, placed)
    _gate.check_signed(request, endpoint, placed, None)
    assert request.url.startswith(f"https://{endpoint.host}{_gate.placed_in(endpoint.path, placed)}")
    ours = {"host", "user-agent", "accept-encoding", "content-length", "transfer-encoding", "connection", "cookie"}
    said_twice = ours & {
        name.lower() for name in request.headers.keys() - {"User-Agent"}
    }  # that one takes the place of ours
    assert not said_twice
    if endpoint.public:
        assert not any(value in f"{request.url} {request.headers} {request.body}" for value in CREDENTIALS.values())


# What the gate says of a signed request


ENDPOINT = next(endpoint for module, endpoint in DECLARED if module.ccxt_class == "okx" and not endpoint.public)
GOOD = f"https://{ENDPOINT.host}{ENDPOINT.path}"
ASKED = GOOD + "?subAcct=a"


def _signed(url: str, *, verb: str = "GET", body: str | None = None) -> SignedRequest:
    return SignedRequest(verb=verb, url=url, headers={}, body=body)


@pytest.mark.parametrize(
    "url",
    [
        ASKED.replace("https", "http"),
        ASKED.replace(ENDPOINT.host, "evil.example"),
        ASKED.replace(ENDPOINT.host, f"{ENDPOINT.host}.evil.example"),
        ASKED.replace(ENDPOINT.host, f"{ENDPOINT.host}:444"),
        ASKED.replace(ENDPOINT.host, f"user@{ENDPOINT.host}"),
        ASKED.replace(ENDPOINT.host, f"evil.example@{ENDPOINT.host}"),
        GOOD + "/../withdrawal?subAcct=a",
        GOOD + "/?subAcct=a",
        GOOD + "%2F..?subAcct=a",
        GOOD + ";x?subAcct=a",
        GOOD + "?extra=1",
        GOOD + "?subAcct=b",
        GOOD + "?subAcct=a&subAcct=b",
        GOOD + "?subAcct=b&subAcct=a",
        GOOD + "?subAcct=a&subAcct=a",
        GOOD + "?subAcct=a&other=b",
        GOOD + "?subAcct=a#frag",
        GOOD + "#",
        GOOD + "?subAcct=a b",
        GOOD + "?subAcct=a\r\nX: 1",
        GOOD + "?subAcct=a\\b",
        GOOD + "?subAcct=é",
        GOOD + "?subAcct=a&" + "x" * 9000,
        GOOD + "?",
        GOOD,
        ASKED.upper(),
        ASKED + "&timestamp=1&timestamp=2",
    ],
)
def test_a_signed_url_that_is_another_request_is_refused(url: str) -> None:
    with pytest.raises(_gate.GateError):
        _gate.check_signed(_signed(url), ENDPOINT, {"subAcct": "a"}, None)


@given(
    st.lists(st.sampled_from(["a", "b", "=", "&", "%41", "%", "+", ";", "é", "&&", "==", "%C3%A9", ""]), max_size=12)
)
def test_a_query_is_read_as_the_standard_library_reads_it(soup: list[str]) -> None:
    from urllib.parse import parse_qsl

    assert _gate._pairs("".join(soup)) == parse_qsl("".join(soup), keep_blank_values=True)


def test_the_very_request_passes() -> None:
    _gate.check_signed(_signed(GOOD + "?subAcct=a"), ENDPOINT, {"subAcct": "a"}, None)
    _gate.check_signed(_signed("http://127.0.0.1:8/x" + ENDPOINT.path), ENDPOINT, {}, "http://127.0.0.1:8/x/")


@pytest.mark.parametrize(
    ("verb", "body"), [("POST", None), ("get", None), ("GET", "subAcct=a"), ("GET", '{"subAcct":"a"}')]
)
def test_another_verb_or_a_body_on_a_read_is_refused(verb: str, body: str | None) -> None:
    with pytest.raises(_gate.GateError):
        _gate.check_signed(_signed(GOOD, verb=verb, body=body), ENDPOINT, {"subAcct": "a"} if body else {}, None)


@pytest.mark.parametrize(
    "body",
    [
        '{"subAcct":"a","nonce":1,"withdraw":"1"}',
        '{"subAcct":"b"}',
        '{"subAcct":"a","subAcct":"b"}',
        '{"subAcct":"b","subAcct":"a"}',
        "subAcct=b&subAcct=a",
        "subAcct=a&w=1",
        "subAcct=b",
    ],
)
def test_a_posted_body_is_held_to_the_same(body: str) -> None:
    posted = replace(ENDPOINT, verb="POST")
    with pytest.raises(_gate.GateError):
        _gate.check_signed(_signed(GOOD, verb="POST", body=body), posted, {"subAcct": "a"}, None)


@pytest.mark.parametrize("params", [{"a": 1}, {"a": None}, {"a": ["b"]}, {1: "a"}, {"a": b"x"}])
def test_a_parameter_that_is_not_text_is_our_bug(params: Any) -> None:
    with pytest.raises(_gate.GateError):
        _gate.check_params(params)


# Whatever is asked for arrives as it is, or not at all


class Listener:
    """Takes any request and remembers the parameters it carried, wherever they stood."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, str, dict[str, Any]]] = []

    async def _answer(self, request: web.Request) -> web.Response:
        text = (await request.read()).decode()
        pairs = list(request.query.items())
        if text.startswith("{"):
            body = json.loads(text)
            pairs += list(body.pop("params", {}).items()) + list(body.items())
        elif text:
            from urllib.parse import parse_qsl

            pairs += parse_qsl(text, keep_blank_values=True)
        assert len({name for name, _ in pairs}) == len(pairs), "a parameter arrived twice"
        self.arrived.append((request.method, request.raw_path.partition("?")[0], dict(pairs)))
        return web.json_response({"code": "0", "data": []})

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aexit__(self, *_exc: object) -> None:
        await self.runner.cleanup()


VALUES = st.text(max_size=30) | st.sampled_from(
    [
        "a&subMemberId=7#frag",
        "../../../api/v5/asset/withdrawal",
        "%2F%2e%2e%2F",
        "a b+c",
        "a\r\nHost: evil.example\r\n\r\n",
        "a\nb",
        "\x00",
        "☃é\U0001f600",
        "\ud800",
        "=&?;,:@/\\\"'<>{}|^`~!$*()[]",
        "",
        " ",
        "x" * 9000,
        "signature=1",
        "{}",
        "%",
        "%zz",
        "true",
    ]
)


async def _carried(values: list[str]) -> int:
    """Sends each value in each declared endpoint; how many arrived. Asserts that what arrived is what was asked for."""
    import yarl

    listener = Listener()
    arrived = 0
    async with listener as url:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            for module, endpoint in DECLARED:
                signer = signer_of(module, {} if endpoint.public else SECRETS, url)
                for value in values:
                    placed = dict.fromkeys(re.findall(r"\{(\w+)\}", endpoint.path), "20990001")
                    params = {"subAcct": value, "limit": "5", **placed}
                    try:
                        _gate.check_params(params)
                        request = signer.sign(endpoint, params)
                        _gate.check_signed(request, endpoint, params, url)
                    except _gate.GateError:
                        continue
                    await (
                        await session.request(
                            request.verb,
                            yarl.URL(request.url, encoded=True),
                            headers=request.headers,
                            data=request.body,
                        )
                    ).read()
                    verb, path, carried = listener.arrived.pop()
                    assert (verb, path) == (endpoint.verb, _gate.placed_in(endpoint.path, params))
                    asked = {name: held for name, held in params.items() if name not in placed}
                    assert {name: carried.pop(name) for name in asked} == asked
                    assert set(carried) <= {*_gate.ADDED_BY_SIGNERS, *endpoint.adds, endpoint.own_key}
                    arrived += 1
        assert not listener.arrived
    return arrived


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VALUES, min_size=1, max_size=4))
@example(["a&subMemberId=7#frag", "../", "%2F", "a b", "☃", "a\r\nX: 1"])
def test_a_parameter_arrives_exactly_or_is_refused(values: list[str]) -> None:
    asyncio.run(_carried(values))


@pytest.mark.parametrize("word", ["", "..", "a/b", "a%2Fb", "x" * 65, "a b", "a?b", "a#b", "é"])
def test_only_a_plain_word_stands_in_a_path(word: str) -> None:
    assert _gate.placed_in("/subs/{user_id}/keys", {"user_id": "a-Z_9"}) == "/subs/a-Z_9/keys"
    with pytest.raises(_gate.ParameterError):
        _gate.placed_in("/subs/{user_id}/keys", {"user_id": word})
    with pytest.raises(_gate.ParameterError):
        _gate.placed_in("/subs/{user_id}/keys", {})


def test_ordinary_parameters_arrive() -> None:
    assert asyncio.run(_carried(["desk01"])) == len(DECLARED)


@pytest.mark.parametrize("value", ["\ud800", "x" * 9000])
def test_a_value_of_the_venue_that_cannot_be_sent_back_is_a_problem_and_no_crash(value: str) -> None:
    async def run() -> None:
        module = connector("okx")
        assert module is not None
        async with Twin() as twin, Venue(module, endpoint=twin.url) as venue:
            with pytest.raises(Unavailable) as caught:
                await venue.key(SECRETS).fetch(ENDPOINT, {"subAcct": value})
            assert caught.value.failure.reason is Reason.IMPLAUSIBLE_RESPONSE
            assert not caught.value.failure.retry and not twin.requests

    asyncio.run(run())


def test_the_signer_that_puts_something_else_where_it_was_not_asked_for_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even a signer gone wrong cannot get a mutation out of the house."""

    def rewritten(_self: Any, endpoint: Endpoint, _params: Any) -> SignedRequest:
        return _signed(f"{url}/api/v5/users/subaccount/delete-apikey", verb=endpoint.verb)

    async def run() -> int:
        nonlocal url
        module = connector("okx")
        assert module is not None
        async with Twin() as twin, Venue(module, endpoint=twin.url) as venue:
            url = twin.url
            monkeypatch.setattr(_signer.Signer, "sign", rewritten)
            with pytest.raises(_gate.GateError):
                await venue.key(SECRETS).fetch(ENDPOINT)
            return len(twin.requests)

    url = ""
    assert asyncio.run(run()) == 0
