"""One signer a key: it shares nothing that changes, shows nothing that is secret, and says so when a key cannot sign."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import logging
import pickle
import traceback
from base64 import b64decode, b64encode
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _signer, okx
from auditor.exchanges._base import Endpoint, Limit
from auditor.exchanges._signer import Signer, UnsignableError, template
from auditor.redaction import Secret

CLASSES = ("okx", "binance", "bybit", "kraken")
URL = "http://127.0.0.1:9"


def endpoint(verb: str, api: str, call: str) -> Endpoint:
    return Endpoint(
        name=call,
        verb=verb,
        host="h",
        path="/" + call,
        api=(api,),
        call=call,
        limit=Limit(calls=1, seconds=1),
        source="test",
    )


ONE_OF = {
    "okx": okx.CONFIG,
    "binance": endpoint("GET", "sapi", "account/apiRestrictions"),
    "bybit": endpoint("GET", "private", "v5/user/query-api"),
    "kraken": endpoint("POST", "private", "GetApiKeyInfo"),
}


def secrets(number: int = 0) -> dict[str, Secret]:
    tail = f"{number:08}"
    raw = {
        "apiKey": f"KEYCANARY{tail}",
        "secret": b64encode(f"SECRETCANARY{tail}".encode()).decode(),
        "password": f"PHRASECANARY{tail}",
    }
    return {name: Secret(value) for name, value in raw.items()}


def everything(request: _signer.SignedRequest) -> str:
    return f"{request.url} {request.headers} {request.body}"


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_signing_changes_nothing_that_another_key_can_see(ccxt_class: str) -> None:
    shared = template(ccxt_class, URL)
    before = copy.deepcopy(
        {name: value for name, value in vars(shared).items() if isinstance(value, (dict, list, str, int))}
    )
    one, other = Signer(ccxt_class, secrets(1), URL), Signer(ccxt_class, secrets(2), URL)
    untouched = everything_of(other)
    for number in range(5):
        one.set_skew(number * 1000)
        one.sign(ONE_OF[ccxt_class], {"subAcct": f"x{number}"})
    assert {name: getattr(shared, name) for name in before} == before
    assert everything_of(other) == untouched
    assert not shared.apiKey and not shared.secret and not shared.password


def everything_of(signer: Signer) -> str:
    held = vars(signer._ccxt)
    return repr({name: held[name] for name in sorted(held) if isinstance(held[name], (dict, list, str, int))})


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_two_signers_share_no_container_they_write_to(ccxt_class: str) -> None:
    one, other = Signer(ccxt_class, secrets(1), URL)._ccxt, Signer(ccxt_class, secrets(2), URL)._ccxt
    for name in ("options", "headers", "urls"):
        assert getattr(one, name) is not getattr(other, name)
        assert getattr(one, name) is not getattr(template(ccxt_class, URL), name)

    def deep(instance: Any) -> set[int]:
        found: set[int] = set()
        todo = [instance.options, instance.headers, instance.urls]
        while todo:
            item = todo.pop()
            if isinstance(item, (dict, list)):
                found.add(id(item))
                todo += item.values() if isinstance(item, dict) else item
        return found

    assert not deep(one) & deep(other)


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_an_instance_of_a_key_is_the_template_in_all_but_its_own_containers(ccxt_class: str) -> None:
    shared, one = template(ccxt_class, URL), Signer(ccxt_class, {}, URL)._ccxt
    own = {"options", "headers", "urls", "tokenBucket", "last_request_headers", "accountsById", "balance"}
    for name, value in vars(shared).items():
        held = getattr(one, name)
        assert held is value or (
            name in own and held == ({**value, "timeDifference": 0} if name == "options" else value)
        )
    assert not any(isinstance(value, dict) and getattr(one, name) is value for name, value in vars(shared).items()
                   if name in own)  # fmt: skip


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_what_is_set_on_the_instance_of_one_key_is_seen_by_no_other(ccxt_class: str) -> None:
    one, other = Signer(ccxt_class, secrets(1), URL)._ccxt, Signer(ccxt_class, secrets(2), URL)._ccxt
    for name in {*vars(template(ccxt_class, URL)), "aTokenOfItsOwn", "all_credentials"} - {"headers"}:
        before = getattr(other, name, None), getattr(template(ccxt_class, URL), name, None)
        setattr(one, name, "CANARY")
        assert (getattr(other, name, None), getattr(template(ccxt_class, URL), name, None)) == before


def _plain(ccxt_class: str) -> Any:
    """The class as ccxt ships it, set up as its documentation says."""
    import ccxt.async_support

    instance = getattr(ccxt.async_support, ccxt_class)({"enableRateLimit": False})
    for name, secret in secrets().items():
        setattr(instance, name, secret.reveal())
    instance.urls = {**instance.urls, "api": copy.deepcopy(template(ccxt_class, URL).urls["api"])}
    return instance


@pytest.mark.parametrize("ccxt_class", CLASSES)
@pytest.mark.parametrize("params", [{}, {"subAcct": "a b&c=é"}, {"limit": "20", "cursor": "x%2F+"}])
def test_it_signs_as_ccxt_does(ccxt_class: str, params: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_795_000_000_123_456_789)
    monkeypatch.setattr("time.time", lambda: 1_795_000_000.123)
    asked = ONE_OF[ccxt_class]
    wanted = _plain(ccxt_class).sign(asked.call, list(asked.api), asked.verb, dict(params))
    signer = Signer(ccxt_class, secrets(), URL)
    for request in (signer.sign(asked, params), Signer(ccxt_class, secrets(), URL).sign(asked, params)):
        assert (request.verb, request.url, request.headers, request.body) == (
            wanted["method"],
            wanted["url"],
            wanted["headers"],
            wanted["body"],
        )


@pytest.mark.parametrize("missing", ["apiKey", "secret", "password"])
def test_a_credential_that_is_missing_is_missed_every_time(missing: str) -> None:
    signer = Signer("okx", {name: secret for name, secret in secrets().items() if name != missing}, URL)
    for _ in range(3):
        with pytest.raises(UnsignableError):
            signer.sign(okx.CONFIG, {})
        signer.sign(okx.TIME, {})


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_no_part_of_one_key_is_in_the_request_of_another(ccxt_class: str) -> None:
    signers = {number: Signer(ccxt_class, secrets(number), URL) for number in range(50)}
    seen: set[str] = set()
    for number, signer in signers.items():
        request = signer.sign(ONE_OF[ccxt_class], {})
        text = everything(request)
        assert f"KEYCANARY{number:08}" in text
        assert text.count("KEYCANARY") == 1
        assert text not in seen
        seen.add(text)


def test_nonces_of_one_key_only_ever_grow() -> None:
    signer = Signer("kraken", secrets(), URL)
    nonces = [int((signer.sign(ONE_OF["kraken"], {}).body or "").removeprefix("nonce=")) for _ in range(200)]
    assert nonces == sorted(set(nonces))


def test_the_nonce_of_one_key_does_not_push_another() -> None:
    one, other = Signer("kraken", secrets(1), URL), Signer("kraken", secrets(2), URL)
    one._ccxt.options["lastNonce"] = 10**18
    one.sign(ONE_OF["kraken"], {})
    assert int((other.sign(ONE_OF["kraken"], {}).body or "").removeprefix("nonce=")) < 10**14


def test_the_signature_is_the_documented_one() -> None:
    request = Signer("okx", secrets(), URL).sign(okx.SUB_KEYS, {"subAcct": "a b&c"})
    parts = urlsplit(request.url)
    text = request.headers["OK-ACCESS-TIMESTAMP"] + "GET" + parts.path + "?" + parts.query
    wanted = hmac.new(secrets()["secret"].reveal().encode(), text.encode(), hashlib.sha256).digest()
    assert b64decode(request.headers["OK-ACCESS-SIGN"]) == wanted


def test_the_skew_moves_the_timestamp_and_no_other_signers() -> None:
    from datetime import datetime

    one, other = Signer("okx", secrets(1), URL), Signer("okx", secrets(2), URL)
    one.set_skew(3_600_000)
    stamps = [datetime.fromisoformat(s.sign(okx.CONFIG, {}).headers["OK-ACCESS-TIMESTAMP"]) for s in (one, other)]
    assert 3590 < (stamps[1] - stamps[0]).total_seconds() < 3610


# Keys that cannot sign


@pytest.mark.parametrize(
    ("ccxt_class", "spoiled"),
    [
        *[(ccxt_class, {"apiKey": ""}) for ccxt_class in CLASSES],
        *[(ccxt_class, {"secret": ""}) for ccxt_class in CLASSES],
        *[(ccxt_class, {"apiKey": "KEY\r\nX-Injected: 1"}) for ccxt_class in CLASSES],
        *[(ccxt_class, {"apiKey": "KEYCANARY\n"}) for ccxt_class in CLASSES],
        *[(ccxt_class, {"secret": "\ud800CANARY"}) for ccxt_class in CLASSES],
        ("okx", {"password": ""}),
        ("okx", {"password": "pass\x00CANARY"}),
        ("kraken", {"secret": "SECRETCANARYX"}),
        ("binance", {"secret": "-----BEGIN PRIVATE KEY-----\nSECRETCANARY\n-----END PRIVATE KEY-----"}),
        (
            "binance",
            {"secret": "-----BEGIN RSA PRIVATE KEY-----\n" + "SECRETCANARY" * 20 + "\n-----END RSA PRIVATE KEY-----"},
        ),
        ("bybit", {"secret": "-----BEGIN RSA PRIVATE KEY-----\nSECRETCANARY\n-----END RSA PRIVATE KEY-----"}),
    ],
)
def test_a_key_of_the_wrong_form_says_so_and_shows_nothing(ccxt_class: str, spoiled: dict[str, str]) -> None:
    signer = Signer(ccxt_class, {**secrets(), **{name: Secret(value) for name, value in spoiled.items()}}, URL)
    with pytest.raises(UnsignableError) as caught:
        signer.sign(ONE_OF[ccxt_class], {})
    told = "".join(traceback.format_exception(caught.value))
    assert "CANARY" not in told
    assert caught.value.__cause__ is None and caught.value.__context__ is None


@pytest.mark.parametrize("ccxt_class", ["okx", "binance", "bybit", "kraken"])
def test_a_fault_of_ours_is_not_blamed_on_the_key(ccxt_class: str) -> None:
    """A section that ccxt renamed must not read as 'your key is invalid'."""
    import ccxt

    wrong = endpoint("GET", "renamed", "account/config")
    signer = Signer(ccxt_class, {**secrets(), "secret": Secret("not base64!")}, None)
    signer._ccxt.urls = {}
    with pytest.raises((ccxt.BaseError, KeyError, TypeError, AttributeError)):
        signer.sign(wrong, {})


def test_a_signer_without_a_key_signs_public_calls_and_no_private_ones() -> None:
    import ccxt

    signer = Signer("okx", {}, URL)
    assert signer.sign(okx.TIME, {}).headers == {}
    with pytest.raises(ccxt.AuthenticationError):
        signer.sign(okx.CONFIG, {})


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_credential_whatever_raises_anything_else(key: str, secret: str, password: str) -> None:
    for ccxt_class in CLASSES:
        signer = Signer(
            ccxt_class, {"apiKey": Secret(key), "secret": Secret(secret), "password": Secret(password)}, URL
        )
        try:
            request = signer.sign(ONE_OF[ccxt_class], {})
        except UnsignableError:
            continue
        assert all(value.isprintable() and value.isascii() for value in request.headers.values())


# What can be seen of it


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_nothing_printable_holds_a_secret(ccxt_class: str) -> None:
    signer = Signer(ccxt_class, secrets(), URL)
    request = signer.sign(ONE_OF[ccxt_class], {})
    for shown in (signer, request, [signer], {"r": request}):
        for text in (repr(shown), str(shown), f"{shown}", f"{shown!s} {shown!r}"):
            assert "CANARY" not in text
    assert secrets()["secret"].reveal() not in repr(signer) + repr(request)


def test_nothing_is_logged_while_signing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for ccxt_class in CLASSES:
            Signer(ccxt_class, secrets(), URL).sign(ONE_OF[ccxt_class], {"a": "b"})
    assert "CANARY" not in caplog.text


def test_secrets_are_not_carried_away() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(secrets()["secret"])


def test_warming_up_leaves_the_loop_free() -> None:
    async def run() -> None:
        await asyncio.wait_for(_signer.warm_up("okx"), 30)

    asyncio.run(run())
    assert _signer._sealed_class("okx") is _signer._sealed_class("okx")


@pytest.mark.parametrize("ccxt_class", CLASSES)
def test_an_endpoint_override_moves_every_url_and_keeps_the_paths(ccxt_class: str) -> None:
    def leaves(value: Any) -> list[str]:
        return [leaf for child in value.values() for leaf in leaves(child)] if isinstance(value, dict) else [str(value)]

    moved = leaves(template(ccxt_class, URL + "/base/").urls["api"])
    real = leaves(template(ccxt_class, None).urls["api"])
    assert moved == [URL + "/base" + urlsplit(url).path for url in real]
