"""Robinhood over the real transport against its twin, and the signer that works without ccxt."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges import _gate, _signer, _transport, _venue, robinhood
from auditor.exchanges._base import Answer, Sheet
from auditor.exchanges._signer import Draft, RuleSigner, SignedRequest, UnsignableError, signer_of
from auditor.exchanges._transport import Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Refusal, TwinKey, TwinVenue
from auditor.twin.robinhood import Twin
from tests.exchanges.wire import collect, reasons

PATH = robinhood.ACCOUNT.path
BOT, ORDERS, SWITCHED_OFF = Twin().sample_keys()
NEVER = {"can_trade_derivatives": False, "can_transfer": False, "can_withdraw": False, "can_manage": False}
ROW = {"is_audit_key": True, "kind": "ed25519", **NEVER}
SAID = {"account_number": "000000000000", "status": "active", "buying_power": "12.3400", "buying_power_currency": "USD"}
DOCUMENTED_SEED = b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.0)


def credentials(key: TwinKey) -> dict[str, str]:
    return {"apiKey": key.api_key, "secret": key.secret}


def secrets(**changed: str) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in {**credentials(BOT), **changed}.items()}


def told(body: Any) -> Callable[[TwinVenue], None]:
    def prepare(twin: TwinVenue) -> None:
        twin.signed["GET", PATH] = lambda _request, _key: body

    return prepare


def refused(status: int, **said: Any) -> Callable[[TwinVenue], None]:
    """The twin, answering every request with this and nothing else."""

    def prepare(twin: TwinVenue) -> None:
        twin.fail(Refusal.BAD_KEY)
        twin.refuse = lambda _refusal: web.Response(status=status, **said)  # type: ignore[method-assign]

    return prepare


def answer(body: Any, status: int, text: str | None = None) -> Answer:
    return Answer(status=status, body=body, text=json.dumps(body) if text is None else text, headers={})


def error(detail: Any, kind: str = "client_error") -> dict[str, Any]:
    return {"type": kind, "errors": [{"attr": None, "detail": detail}]}


def judged(body: Any, status: int, text: str | None = None) -> Reason | None:
    found = robinhood.classify(answer(body, status, text), robinhood.ACCOUNT)
    return found and found.reason


# What a key shows.


def test_a_key_that_reads_the_account_is_described() -> None:
    sheet = collect(Twin())
    assert sheet.rows["api_key"] == [{**ROW, "enabled": True, "can_read": True}]
    assert sheet.account == {"status": "normal"} and sheet.account_id == "000000000000"
    assert not sheet.problems and sheet.rows["address"] is None


def test_whether_it_may_trade_is_unknown_and_that_it_cannot_withdraw_is_not() -> None:
    (key,) = collect(Twin()).rows["api_key"] or []
    assert "can_trade" not in key and key["can_withdraw"] is False
    assert not {"ip_bound", "created_at", "label"} & key.keys()


def test_the_account_number_and_the_money_stay_at_the_door() -> None:
    sheet = collect(Twin())
    shown = repr((sheet.account, sheet.rows, sheet.venue, sheet.problems))
    assert "000000000000" not in shown and "12.34" not in shown and "USD" not in shown


def test_a_missing_action_means_that_one_action_and_not_read_only() -> None:
    sheet = collect(Twin(), credentials=credentials(ORDERS))
    assert sheet.rows["api_key"] == [{**ROW, "enabled": True}]
    (problem,) = sheet.problems
    assert problem.reason is Reason.PERMISSION_DENIED and problem.facts == ("account.status", "api_key.can_read")


def test_a_key_that_is_switched_off_says_so_in_plain_text() -> None:
    sheet = collect(Twin(), credentials=credentials(SWITCHED_OFF))
    assert sheet.rows["api_key"] == [{**ROW, "enabled": False}]
    assert "switched off" in sheet.problems[0].detail


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("active", "normal"),
        ("sell_only", "restricted"),
        ("deactivated", "restricted"),
        ("never seen", None),
        ("", None),
        (None, None),
        (1, None),
        ("missing", None),
    ],
)
def test_an_unknown_state_is_unknown_and_costs_nothing_else(status: Any, shown: str | None) -> None:
    said = {name: value for name, value in SAID.items() if name != "status"} | (
        {} if status == "missing" else {"status": status}
    )
    sheet = collect(Twin(), prepare=told(said))
    assert sheet.account.get("status") == shown
    assert bool(sheet.problems) == (shown is None)
    assert sheet.rows["api_key"] == [{**ROW, "enabled": True, "can_read": True}]


@pytest.mark.parametrize("body", [None, [], {}, "x", 1, {"status": "active"}, {"account_number": 1}, [SAID]])
def test_another_shape_shows_no_key(body: Any) -> None:
    sheet = collect(Twin(), prepare=told(body))
    assert sheet.rows["api_key"] is None and sheet.account == {}
    assert set(reasons(sheet).values()) == {"malformed_response"}


# Errors.


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (error("x", "server_error"), 500, Reason.VENUE_INCIDENT),
        (error("x", "server_error"), 503, Reason.VENUE_MAINTENANCE),
        (error("x", "server_error"), 200, Reason.VENUE_INCIDENT),
        (error("Authentication credentials were not provided."), 401, Reason.INVALID_KEY),
        (error("Invalid signature"), 401, Reason.INVALID_KEY),
        (error("Timestamp is invalid."), 401, Reason.CLOCK_SKEW),
        (error("The signature has expired"), 401, Reason.CLOCK_SKEW),
        (error("Request was throttled."), 401, Reason.RATE_LIMITED),
        (error("Too many requests"), 401, Reason.RATE_LIMITED),
        (error("API credential is not active."), 401, Reason.PERMISSION_DENIED),
        (error("x"), 403, Reason.PERMISSION_DENIED),
        (error("x"), 429, Reason.RATE_LIMITED),
        (error("x"), 200, Reason.MALFORMED_RESPONSE),
        (error("x", "validation_error"), 400, Reason.MALFORMED_RESPONSE),
        (error("x", "never_seen"), 401, Reason.INVALID_KEY),
        (error("x", "never_seen"), 403, Reason.VENUE_INCIDENT),
        (error(None), 401, Reason.INVALID_KEY),
        ({"type": "client_error"}, 401, Reason.INVALID_KEY),
        ({"type": "client_error", "errors": "x"}, 401, Reason.INVALID_KEY),
        ({"errors": [7]}, 200, Reason.MALFORMED_RESPONSE),
        (SAID, 200, None),
        ({"detail": "x"}, 401, None),
        ([], 401, None),
        (None, 401, None),
        (None, 403, None),
    ],
)
def test_every_error_by_its_form_its_words_and_its_status(body: Any, status: int, reason: Reason | None) -> None:
    assert judged(body, status) is reason


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (401, "API credential is not active.", "permission_denied"),
        (400, "missing required headers", "malformed_response"),
        (401, "<html>login</html>", "malformed_response"),
        (403, "<html>blocked</html>", "venue_incident"),
        (403, "The distribution is configured to block access from your country.", "ip_not_allowed"),
        (500, "API credential is not active.", "venue_incident"),
        (200, "API credential is not active.", "malformed_response"),
    ],
)
def test_plain_text_is_never_an_invalid_key(status: int, text: str, reason: str) -> None:
    sheet = collect(Twin(), prepare=refused(status, text=text))
    assert set(reasons(sheet).values()) == {reason}
    assert bool(sheet.rows["api_key"]) == (reason == "permission_denied")


def test_a_401_says_everything_it_may_mean_and_is_not_asked_again() -> None:
    twin = Twin()
    sheet = collect(twin, prepare=lambda twin: twin.fail(Refusal.BAD_SIGNATURE))
    assert all(word in sheet.problems[0].detail for word in ("clock", "pair", "too often"))
    assert len(twin.requests) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "errors", "detail", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    ),
    st.sampled_from([200, 400, 401, 403, 500]),
)
@settings(max_examples=300, deadline=None)
def test_no_body_whatever_breaks_the_reading_of_errors(body: Any, status: int) -> None:
    found = robinhood.classify(answer(body, status, ""), robinhood.ACCOUNT)
    assert found is None or isinstance(body, dict)


# The signer.


def request(**changed: str) -> SignedRequest:
    return signer_of(robinhood, secrets(**changed), None).sign(robinhood.ACCOUNT, {})


def test_the_signature_is_the_documented_one() -> None:
    signed = request(secret=DOCUMENTED_SEED)
    head = signed.headers
    assert signed.url == "https://trading.robinhood.com/api/v1/crypto/trading/accounts/" and signed.body is None
    assert abs(int(head["x-timestamp"]) - time.time()) < 5
    message = f"{BOT.api_key}{head['x-timestamp']}{PATH}GET".encode()
    assert b64decode(head["x-signature"]) == Ed25519PrivateKey.from_private_bytes(bytes(range(32))).sign(message)
    _gate.check_signed(signed, robinhood.ACCOUNT, {}, None)


def test_the_query_is_part_of_what_is_signed_and_arrives_escaped() -> None:
    signer = signer_of(robinhood, secrets(), None)
    signed = signer.sign(robinhood.ACCOUNT, {"asset_code": "B T&C=#/é"})
    _gate.check_signed(signed, robinhood.ACCOUNT, {"asset_code": "B T&C=#/é"}, None)
    target = signed.url.removeprefix("https://trading.robinhood.com")
    public = Ed25519PublicKey.from_public_bytes(b64decode(BOT.about["public"]))
    message = f"{BOT.api_key}{signed.headers['x-timestamp']}{target}GET".encode()
    public.verify(b64decode(signed.headers["x-signature"]), message)
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(signed.headers["x-signature"]), message.replace(b"?", b"&"))


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_parameter_arrives_exactly_or_is_refused(value: str) -> None:
    try:
        _gate.check_params({"limit": value})
        signed = signer_of(robinhood, secrets(), None).sign(robinhood.ACCOUNT, {"limit": value})
        _gate.check_signed(signed, robinhood.ACCOUNT, {"limit": value}, None)
    except _gate.ParameterError:
        assert not value or any("\ud800" <= char <= "\udfff" for char in value)


def test_seed_and_seed_with_public_half_sign_alike() -> None:
    seed = b64decode(BOT.secret)
    pen = RuleSigner(robinhood.sign, secrets(), None)
    both = RuleSigner(robinhood.sign, secrets(secret=b64encode(seed + b64decode(BOT.about["public"])).decode()), None)
    assert pen.ed25519(b"x") == both.ed25519(b"x")


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": ""},
        {"secret": "SECRETCANARY"},
        {"secret": b64encode(b"SECRETCANARY" * 3).decode()},
        {"secret": b64encode(bytes(31)).decode()},
        {"secret": "\ud800CANARY"},
        {"secret": "-----BEGIN PRIVATE KEY-----\nSECRETCANARY\n-----END PRIVATE KEY-----"},
        {"apiKey": ""},
        {"apiKey": "KEYCANARY\r\nX-Injected: 1"},
        {"apiKey": "\ud800CANARY"},
        {"apiKey": "CANARYé"},
    ],
)
def test_a_key_of_the_wrong_form_says_so_and_shows_nothing(changed: dict[str, str]) -> None:
    with pytest.raises(UnsignableError) as caught:
        request(**changed)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None and caught.value.__context__ is None


@given(st.text(max_size=60), st.text(max_size=100))
@settings(max_examples=200, deadline=None)
def test_no_credential_whatever_raises_anything_else(key: str, secret: str) -> None:
    try:
        signed = request(apiKey=key, secret=secret)
    except UnsignableError:
        return
    assert all(value.isprintable() and value.isascii() for value in signed.headers.values())


def test_an_unsignable_key_is_told_and_nothing_is_sent() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={"apiKey": BOT.api_key, "secret": "not a seed"})
    assert set(reasons(sheet).values()) == {"invalid_key"} and not twin.requests


def test_nothing_printable_holds_a_secret_and_the_connector_never_sees_it() -> None:
    signer = signer_of(robinhood, secrets(), None)
    assert isinstance(signer, RuleSigner)
    lent: list[Any] = []
    watched = RuleSigner(lambda pen, draft: [lent.append((pen, draft)), robinhood.sign(pen, draft)][1], secrets(), None)  # type: ignore[func-returns-value]
    signed = watched.sign(robinhood.ACCOUNT, {})
    for shown in (signer, signed, [watched], lent):
        assert BOT.secret not in f"{shown!r} {shown}"
    assert BOT.secret not in f"{signed.url} {signed.headers} {signed.body}"
    assert "reveal" not in robinhood.sign.__code__.co_names


def test_a_part_of_a_credential_is_recognised_where_the_venue_echoes_it() -> None:
    signer = signer_of(robinhood, secrets(), None)
    assert signer.knows(BOT.secret[3:20]) and signer.knows(BOT.api_key[:8])
    assert not signer.knows("401") and not signer.knows("never in a key")


def test_without_a_key_only_public_calls_are_signed() -> None:
    signer = signer_of(robinhood, {}, "http://127.0.0.1:9/base/")
    public = signer.sign(replace(robinhood.ACCOUNT, public=True), {})
    assert (public.headers, public.url) == ({}, "http://127.0.0.1:9/base" + PATH)
    with pytest.raises(UnsignableError):
        signer.sign(robinhood.ACCOUNT, {})


def test_the_skew_moves_the_timestamp_and_no_other_signers() -> None:
    one, other = signer_of(robinhood, secrets(), None), signer_of(robinhood, secrets(), None)
    one.set_skew(3_600_000)
    stamps = [int(signer.sign(robinhood.ACCOUNT, {}).headers["x-timestamp"]) for signer in (one, other)]
    assert 3595 < stamps[1] - stamps[0] < 3605


def test_warming_up_does_not_import_ccxt_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_signer, "_sealed_class", lambda _name: pytest.fail("ccxt was imported"))
    asyncio.run(_signer.warm_up(None))
    assert not collect(Twin()).problems


def test_many_keys_at_once_never_mix() -> None:
    async def run() -> list[Sheet]:
        twin = Twin()
        sheets = [Sheet() for _ in range(40)]
        async with twin, Venue(robinhood, endpoint=twin.url, deadline=5) as venue:
            keys = [(BOT, ORDERS)[number % 2] for number in range(40)]
            doors = [venue.key({name: Secret(value) for name, value in credentials(key).items()}) for key in keys]
            await asyncio.gather(*[robinhood.collect(door, sheet) for door, sheet in zip(doors, sheets, strict=True)])
        return sheets

    for number, sheet in enumerate(asyncio.run(run())):
        assert [bool(problem) for problem in sheet.problems] == [True] * (number % 2)
        assert (sheet.rows["api_key"] or [{}])[0].get("can_read") is (None if number % 2 else True)


# The twin and the gate.


@pytest.mark.parametrize("header", ["x-api-key", "x-timestamp", "x-signature"])
def test_a_spoiled_header_is_refused_by_the_twin(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = RuleSigner.sign

    def spoiled(self: RuleSigner, endpoint: Any, params: Any) -> SignedRequest:
        signed = sign(self, endpoint, params)
        value = signed.headers[header]
        signed.headers[header] = ("0" if value[0] != "0" else "1") + value[1:]
        return signed

    monkeypatch.setattr(RuleSigner, "sign", spoiled)
    sheet = collect(Twin())
    assert set(reasons(sheet).values()) == {"invalid_key"} and sheet.rows["api_key"] is None


@pytest.mark.parametrize("shift", [-31_000, 31_000])
def test_a_clock_that_is_wrong_by_more_than_thirty_seconds_is_not_a_revoked_key(
    shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = robinhood.sign
    monkeypatch.setattr(
        robinhood,
        "sign",
        lambda pen, draft: rule(
            pen, Draft(verb=draft.verb, target=draft.target, milliseconds=draft.milliseconds + shift)
        ),
    )
    assert set(reasons(collect(Twin())).values()) == {"clock_skew"}


@pytest.mark.parametrize(
    ("verb", "path"),
    [("POST", "/api/v1/crypto/trading/orders/"), ("POST", PATH), ("GET", "/api/v1/crypto/trading/holdings/")],
)
def test_what_is_not_declared_is_neither_signed_nor_sent(verb: str, path: str) -> None:
    async def run() -> None:
        twin = Twin()
        async with twin, Venue(robinhood, endpoint=twin.url) as venue:
            with pytest.raises(_gate.GateError):
                await venue.key(secrets()).fetch(replace(robinhood.ACCOUNT, verb=verb, path=path))
            assert not twin.requests

    asyncio.run(run())


def test_every_refusal_of_the_twin_is_understood() -> None:
    for refusal in Refusal:
        said = Twin().refuse(refusal)
        found = robinhood.classify(answer(json.loads(said.text or ""), said.status), robinhood.ACCOUNT)
        assert found is not None and found.reason is not Reason.MALFORMED_RESPONSE


def test_no_policy_is_stated_beyond_what_the_help_pages_say() -> None:
    stated = {policy.fact: policy.value for policy in _venue.load("robinhood").policies if policy.value is not None}
    assert stated == {"venue.lifecycle": "active", "venue.two_factor_methods": ["device", "totp", "sms"]}


def test_server_time_is_never_guessed() -> None:
    from auditor.exchanges._shape import ShapeError

    with pytest.raises(ShapeError):
        robinhood.server_time({})
    assert robinhood.clock is None and robinhood.ccxt_class is None
