"""Coinbase over the wire: its tokens, its rights, its three spellings of an error, and its bare 401."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.exchanges import _budget, _transport, _venue, coinbase
from auditor.exchanges._base import Answer, Sheet, by_status
from auditor.twin import coinbase as twin_module
from auditor.twin._base import Refusal, Refused
from auditor.twin.coinbase import Twin
from tests.exchanges.wire import collect, reasons

RIGHTS = {"can_view": True, "can_trade": False, "can_transfer": False, "can_receive": False}
FACTS = ("can_read", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
V2 = {
    "invalid_key": "authentication_error invalid_token revoked_token expired_token",
    "permission_denied": "invalid_scope two_factor_required",
    "rate_limited": "rate_limit_exceeded resource_exhausted",
    "venue_incident": "internal_server_error",
    "account_frozen": "identity_verification_required jumio_verification_required personal_details_required "
    "jumio_face_match_verification_required unverified_email",
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def answer(body: Any, status: int = 200, text: str = "") -> Answer:
    return Answer(status=status, body=body, text=text, headers={})


def says(body: Any, status: int = 200, text: str = "") -> str | None:
    """The reason that the venue's own words give; None where they give none."""
    refusal = coinbase.classify(answer(body, status, text), coinbase.KEY)
    return None if refusal is None else refusal.reason.value


def with_key(**fields: Any) -> Sheet:
    """What is seen where key_permissions says so; `...` leaves a field out."""
    body = {name: value for name, value in {**RIGHTS, **fields}.items() if value is not ...}
    twin = Twin()
    twin.signed[("GET", coinbase.KEY.path)] = lambda _request, _key: body
    return collect(twin)


def the_key(sheet: Sheet) -> dict[str, Any]:
    (row,) = sheet.rows["api_key"] or []
    return row


def credentials(twin: Twin, number: int) -> dict[str, str]:
    key = twin.sample_keys()[number]
    return {"apiKey": key.api_key, "secret": key.secret}


# Rights


def test_the_sample_keys_show_what_each_may_do() -> None:
    shown = []
    for number in range(3):
        twin = Twin()
        sheet = collect(twin, credentials=credentials(twin, number))
        assert not sheet.problems
        shown.append([the_key(sheet).get(name) for name in ("can_read", "can_trade", "can_transfer", "can_withdraw")])
    assert shown == [[True, False, True, True], [True, False, False, False], [True, True, True, False]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (True, False, False, False, False, False)),
        ({"can_transfer": True}, (True, False, False, True, True, None)),
        ({"can_trade": True}, (True, True, None, True, False, None)),
        ({"can_view": False}, (False, False, False, False, False, False)),
        ({"can_transfer": ...}, (True, False, False, None, None, None)),
        ({"can_trade": ...}, (True, None, None, None, False, None)),
        ({"can_trade": ..., "can_transfer": True}, (True, None, None, True, True, None)),
        ({"can_view": ...}, (None, False, False, False, False, False)),
        ({"can_receive": ...}, (True, False, False, False, False, False)),
        ({"can_receive": True}, (True, False, False, False, False, False)),
        ({"can_transfer": "true"}, (True, False, False, True, True, None)),
        ({"can_transfer": "false"}, (True, False, False, False, False, False)),
        ({"can_transfer": "yes"}, (True, False, False, None, None, None)),
        ({"can_transfer": None}, (True, False, False, None, None, None)),
        ({"can_stake": True}, (True, None, None, None, None, None)),
        ({"can_stake": "later"}, (True, None, None, None, None, None)),
        ({"can_stake": False}, (True, False, False, False, False, False)),
        ({"can_stake": True, "can_transfer": True}, (True, None, None, True, True, None)),
    ],
)
def test_a_right_is_false_only_where_it_is_shown_off_and_nothing_unknown_is_on(
    fields: dict[str, Any], expected: tuple[bool | None, ...]
) -> None:
    row = the_key(with_key(**fields))
    assert tuple(row.get(name) for name in FACTS) == expected


def test_can_receive_is_a_newer_field_whose_absence_is_no_problem() -> None:
    sheet = with_key(can_receive=...)
    assert not sheet.problems
    assert the_key(sheet)["permissions"] == ["view"]
    assert the_key(with_key(can_receive=True))["permissions"] == ["view", "receive"]
    assert the_key(with_key(can_stake=True))["permissions"] == ["view", "stake"]


@pytest.mark.parametrize("name", ["can_\ud800", "can_ask mallory@example.org"])
def test_the_name_of_a_right_we_do_not_know_can_be_stored_and_shown(name: str) -> None:
    row = the_key(with_key(**{name: True}))
    assert "can_withdraw" not in row
    json.dumps(row, ensure_ascii=False).encode()
    assert "mallory@example.org" not in repr(row)


def test_nothing_is_said_of_what_the_venue_does_not_show() -> None:
    row = the_key(collect(Twin()))
    assert not {"ip_bound", "ip_allowlist", "created_at", "label", "kind", "never_expires", "expires_at"} & row.keys()
    assert "key_inventory_complete" not in collect(Twin()).account


@pytest.mark.parametrize("body", [{}, [], None, {"data": RIGHTS}, {"portfolio_type": "DEFAULT"}, "view", 5])
def test_an_answer_without_any_right_describes_no_key(body: Any) -> None:
    twin = Twin()
    twin.signed[("GET", coinbase.KEY.path)] = lambda _request, _key: body
    sheet = collect(twin)
    assert sheet.rows["api_key"] is None
    assert reasons(sheet)["brokerage/key_permissions"] == "malformed_response"


# The user


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("2021-02-03T04:05:06Z", None),
        (None, "not_exposed"),
        (..., "not_exposed"),
        ("soon", "malformed_response"),
        ("1970-01-01T00:00:00Z", "malformed_response"),
        (7, "malformed_response"),
    ],
)
def test_the_age_of_the_account_is_optional(made: Any, reason: str | None) -> None:
    twin = Twin()
    twin.user = {name: value for name, value in {**twin.user, "created_at": made}.items() if value is not ...}
    sheet = collect(twin)
    assert sheet.account.get("created_at") == (None if reason else "2021-02-03T04:05:06Z")
    assert reasons(sheet) == ({"user": reason} if reason else {})
    assert sheet.account_id == twin.user["id"]


def test_personal_data_stays_at_the_door() -> None:
    twin = Twin()
    seen = repr(collect(twin))
    for value in ("Sample Person", "person@example.org", "Germany"):
        assert value not in seen


# Errors


@pytest.mark.parametrize(
    ("reason", "code"), [(reason, code) for reason, listed in V2.items() for code in listed.split()]
)
def test_every_v2_id_means_what_the_documentation_says(reason: str, code: str) -> None:
    assert says({"errors": [{"id": code, "message": "words"}]}, 401) == reason


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"error": "PERMISSION_DENIED", "message": "m", "error_details": ""}, 403, "permission_denied"),
        ({"code": 7, "message": "permission denied", "details": []}, 403, "permission_denied"),
        (
            {"error": "unknown", "error_details": "Missing required scopes", "message": "Missing required scopes"},
            403,
            "permission_denied",
        ),
        ({"errors": [{"id": "authentication_error", "message": "IP blocked"}]}, 401, "ip_not_allowed"),
        ({"errors": [{"id": "authentication_error", "message": "request timestamp expired"}]}, 401, "clock_skew"),
        ({"code": 13, "message": "internal"}, 500, "venue_incident"),
        ({"code": 14, "message": "unavailable"}, 503, "venue_maintenance"),
        ({"code": 8, "message": "slow down"}, 429, "rate_limited"),
        ({"errors": [{"id": "rate_limit_exceeded", "message": ""}]}, 200, "rate_limited"),
        ({"errors": [{"id": "invalid_token"}, {"id": "internal_server_error"}]}, 401, "venue_incident"),
        (None, 402, "permission_denied"),
        ({"errors": [{"id": "novel"}]}, 401, None),
        ({"errors": ["invalid_token", None, 5]}, 401, None),
        ({"errors": "invalid_token"}, 401, None),
        ({"error": ["PERMISSION_DENIED"]}, 403, None),
        ({"code": True}, 403, None),
        ({"data": {}}, 200, None),
        ([], 200, None),
    ],
)
def test_v3_spells_errors_in_two_more_ways(body: Any, status: int, reason: str | None) -> None:
    assert says(body, status) == reason


def test_a_missing_scope_is_not_a_bad_key_and_grpc_7_not_an_outage_as_ccxt_has_it() -> None:
    assert says({"errors": [{"id": "invalid_scope", "message": "Invalid scope"}]}, 403) == "permission_denied"
    assert says({"code": 7, "message": "no", "details": []}, 403) == "permission_denied"
    assert says({"errors": [{"id": "unverified_email", "message": "verify"}]}, 400) == "account_frozen"


def test_503_is_throttling_or_maintenance_and_429_throttling() -> None:
    for status, reason in (
        (503, "venue_maintenance"),
        (429, "rate_limited"),
        (500, "venue_incident"),
        (504, "timeout"),
    ):
        assert says(None, status) is None
        judged = by_status(answer(None, status))
        assert judged is not None and judged.reason.value == reason


def test_a_bare_401_is_no_verdict_on_the_key() -> None:
    """A deleted key, a foreign address and a wrong clock are told the same; valid keys have been told so too."""
    twin = Twin()
    twin.bare = True
    twin.fail(Refusal.BAD_KEY)
    sheet = collect(twin)
    assert set(reasons(sheet).values()) == {"malformed_response"}
    assert "address" in sheet.problems[0].detail and "clock" in sheet.problems[0].detail
    assert sheet.rows["api_key"] is None and sheet.account == {}


def test_a_bare_401_that_passes_costs_nothing() -> None:
    twin = Twin()
    twin.bare = True
    twin.fail(Refusal.BAD_KEY, times=2)
    assert not collect(twin).problems


def test_a_page_that_says_more_than_unauthorized_is_not_the_venues_word() -> None:
    assert says(None, 401, "<html>401 Unauthorized</html>") is None


# The token


def test_a_token_is_bound_to_its_request_and_lives_two_minutes() -> None:
    twin = Twin()
    collect(twin)
    for request in twin.requests:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["uri"].startswith("GET ") and claims["uri"].endswith(request.path)
        assert 0 < claims["exp"] - claims["nbf"] <= 120
    assert {request.verb for request in twin.requests} == {"GET"}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("other", [0, 1, 2])
def test_a_token_signed_with_another_key_is_refused(number: int, other: int) -> None:
    twin = Twin()
    mixed = {**credentials(twin, number), "secret": twin.sample_keys()[other].secret}
    sheet = collect(twin, credentials=mixed)
    assert (sheet.rows["api_key"] is None) is (number != other)
    assert reasons(sheet) == (
        {} if number == other else dict.fromkeys(("brokerage/key_permissions", "user"), "invalid_key")
    )


@pytest.mark.parametrize("spoil", ["signature", "claims", "head", "half", "none"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_spoiled_token_does_not_verify(number: int, spoil: str) -> None:
    twin = Twin()
    collect(twin, credentials=credentials(twin, number))
    head, claims, signature = twin.requests[0].headers["Authorization"].removeprefix("Bearer ").split(".")
    secret, algorithm = twin.sample_keys()[number].secret, ("ES256", "EdDSA")[number]
    raw = twin_module._unpadded(signature)
    assert twin_module._verifies(secret, algorithm, raw, f"{head}.{claims}".encode())
    spoiled = {
        "signature": (bytes([raw[0] ^ 1]) + raw[1:], head, claims),
        "claims": (raw, head, claims[:-2]),
        "head": (raw, head[::-1], claims),
        "half": (raw[:32], head, claims),
        "none": (b"", head, claims),
    }[spoil]
    assert not twin_module._verifies(secret, algorithm, spoiled[0], f"{spoiled[1]}.{spoiled[2]}".encode())


@pytest.mark.parametrize("token", ["", "a.b", "....", "e30.e30.e30", "bnVsbA.bnVsbA.AA", "é.é.é"])
def test_a_token_of_the_wrong_form_is_refused_by_the_twin(token: str) -> None:
    request: Any = SimpleNamespace(headers={"Authorization": f"Bearer {token}"})
    with pytest.raises(Refused):
        Twin().authenticate(request, "")


@pytest.mark.parametrize(("begins", "ends"), [(-400, -280), (300, 420), (0, 600), ("0", 1), (None, None)])
def test_a_token_out_of_its_time_is_refused_by_the_twin(begins: Any, ends: Any) -> None:
    import time

    now = int(time.time())
    times = {name: now + value if isinstance(value, int) else value for name, value in (("nbf", begins), ("exp", ends))}
    with pytest.raises(Refused) as refused:
        twin_module._check_time(times)
    assert refused.value.refusal is Refusal.BAD_TIMESTAMP


def test_a_key_used_from_elsewhere_is_refused() -> None:
    twin = Twin()
    twin.caller = "203.0.113.9"
    sheet = collect(twin, credentials=credentials(twin, 1))
    assert set(reasons(sheet).values()) == {"ip_not_allowed"}


def broken_secrets() -> dict[str, str]:
    pem = Twin().sample_keys()[0].secret
    return {
        "backslash n": pem.replace("\n", "\\n"),
        "cut": pem[: len(pem) // 2],
        "no key": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        "short seed": "c291bmQ=",
        "pkcs8 ed25519": _pkcs8(),
    }


def _pkcs8() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    form = serialization.PrivateFormat.PKCS8
    made = ed25519.Ed25519PrivateKey.generate()
    return made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("how", ["backslash n", "cut", "no key", "short seed", "pkcs8 ed25519"])
def test_a_secret_of_the_wrong_form_is_never_sent_and_never_quoted(how: str) -> None:
    twin = Twin()
    secret = broken_secrets()[how]
    sheet = collect(twin, credentials={**credentials(twin, 0), "secret": secret})
    assert set(reasons(sheet).values()) == {"invalid_key"}
    assert not twin.requests
    assert "nothing was sent" in sheet.problems[0].detail
    assert not any(line in repr(sheet) for line in secret.replace("\\n", "\n").splitlines() if line)


def test_an_old_key_that_signs_with_a_hash_is_refused() -> None:
    twin = Twin()
    sheet = collect(twin, credentials={"apiKey": "0d3m0oldkey00001", "secret": "0d3m0oldsecret0000000000000001"})
    assert set(reasons(sheet).values()) == {"invalid_key"}
    assert {request.path for request in twin.requests} == {coinbase.KEY.path}


def test_no_private_key_stands_in_the_files() -> None:
    from pathlib import Path

    for module in (twin_module, coinbase):
        assert "PRIVATE KEY-----" not in Path(str(module.__file__)).read_text()


def test_two_twins_of_a_process_hold_the_same_keys() -> None:
    assert Twin().sample_credentials() == Twin().sample_credentials()


# The venue file


def test_holds_behind_a_switch_are_not_stated_as_policies() -> None:
    facts = _venue.load("coinbase").policy_facts()
    assert (
        not {
            "venue.new_address_delay_hours",
            "venue.hold_after_password_change_hours",
            "venue.allowlist_disable_delay_hours",
        }
        & facts.keys()
    )
    assert facts["venue.second_factor_downgrade_possible"] is True
    assert "device" in facts["venue.two_factor_methods"]
    assert facts["venue.lifecycle"] == "active"
