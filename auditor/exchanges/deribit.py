"""Deribit: every key of the account, its second factors and what they guard, its address book and its security log.

Every method answers to GET, the mutating ones too: only the list of endpoints here keeps this to reading. The list of keys
may carry the secrets of all of them: they are dropped before anything else looks at the answer.
Source of every fact: https://docs.deribit.com/api-reference/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "deribit"
credentials = ("apiKey", "secret")
serial = True  # a nonce may be used once and ccxt's is the millisecond: two requests at a time could share one
clock: Endpoint | None = None  # ccxt signs with this machine's own time, whatever a clock says

_HOST, _DOCS = "www.deribit.com", "https://docs.deribit.com/api-reference/"
# 20 calls a second, bursts of 100, by docs.deribit.com/articles/rate-limits; one allowance for everything that is read.
_CREDITS = Limit(calls=100, seconds=5, pool="credits")
_PUBLIC = Limit(calls=100, seconds=5, per="address", pool="public")
_EVENTS_A_PAGE, _MOST_PAGES, _MOST_CURRENCIES = 1000, 20, 60


def _endpoint(name: str, page: str, *, public: bool = False) -> Endpoint:
    section, limit = ("public", _PUBLIC) if public else ("private", _CREDITS)
    path, api, source = f"/api/v2/{section}/{name}", (section,), f"{_DOCS}{page}/{section}-{name}"
    return Endpoint(
        name=name, verb="GET", host=_HOST, path=path, api=api, call=name, limit=limit, public=public, source=source
    )


SUMMARY, KEYS, SUBACCOUNTS, LOG, LOCKS = [
    _endpoint(name, "account-management")
    for name in ("get_account_summary", "list_api_keys", "get_subaccounts", "get_access_log", "get_user_locks")
]
ADDRESSES = _endpoint("get_address_book", "wallet")
CURRENCIES = _endpoint("get_currencies", "market-data", public=True)
STATUS = _endpoint("status", "supporting", public=True)
endpoints = (SUMMARY, KEYS, SUBACCOUNTS, LOG, LOCKS, ADDRESSES, CURRENCIES, STATUS)

_CODES = {
    Reason.VENUE_MAINTENANCE: "11051:system_maintenance 10041:settlement_in_progress 10040:retry "
    "13028:temporarily_unavailable 13503:unavailable 13025:method_switched_off_by_admin",
    Reason.VENUE_INCIDENT: "11094:internal_server_error",
    Reason.RATE_LIMITED: "10028:too_many_requests 10047:matching_engine_queue_full 10066:too_many_concurrent_requests",
    Reason.INVALID_KEY: "13004:invalid_credentials 13009:unauthorized 10000:authorization_required 9999:api_not_enabled",
    Reason.ACCOUNT_FROZEN: "11098:account_locked 13002:account_blocked 10019:locked_by_admin",
    Reason.IP_NOT_ALLOWED: "12005:country_is_banned",
    Reason.PERMISSION_DENIED: "13021:forbidden 11042:permission_denied 13012:unavailable_in_subaccount "
    "13403:scope_exceeded 13003:tfa_required 12000:bad_tfa 12998:security_key_authorization_over_limit",
}
_FAILURES: dict[str, Failure] = {}
"""By code and by message."""
for _reason, _listed in _CODES.items():
    for _code, _word in [_pair.split(":") for _pair in _listed.split()]:
        _FAILURES[_code] = _FAILURES[_word] = failure(_reason, _code)
_CHALLENGE = "security_key_authorization_required"
_SECOND_FACTOR = failure(
    Reason.PERMISSION_DENIED, _CHALLENGE, "the account asks for a security key before it shows this; no program has one"
)
_DROPPED = {"client_secret", "email", "not_confirmed_email", "username", "proof_id", "proof_id_signature", "city"}
_ACCOUNT = [f"account.{name}" for name in ("kind", "created_at", "two_factor_enabled", "internal_transfer_enabled")]
_GUARDED = ("login_needs_second_factor", "step_up_needs_second_factor", "allowlisted_withdrawal_needs_factor")
_NEEDED = ({"login"}, {"account", "wallet"}, {"wallet"})
"""What a security key must be assigned to. New keys hang on `account`, withdrawals on `wallet`: both are step-ups."""
_COVER, _BOOK = ("events", "account.events_cover_from"), ("addresses", "account.addresses_complete")
_INVENTORY, _BINDING = ("api_keys", "account.key_inventory_complete"), ("api_key.ip_bound", "api_key.ip_allowlist")
_NO_LIST = "no list of addresses is shown for a key, which may mean that it is not bound"
_TRADES = {"trade", "block_trade", "block_rfq"}
_AREAS, _LEVELS = _TRADES | {"account", "wallet"}, {"none", "read", "read_write"}
_RIGHTS = ("read", "trade", "trade_derivatives", "transfer", "withdraw", "manage")
_CHANGES = "changed_scope changed_whitelist disabled_api_key enabled_api_key reset_api_key"
_SETTINGS = "changed_email enabled_subaccount_login disabled_subaccount_login"
_KINDS = {"success": "login", "failure": "login_failed", "changed_password": "password_changed"}
_KINDS |= {"enabled_tfa": "two_factor_enabled", "disabled_tfa": "two_factor_disabled"}
_KINDS |= {"new_api_key": "api_key_created", "removed_api_key": "api_key_removed"}
_KINDS |= dict.fromkeys(_CHANGES.split(), "api_key_changed") | dict.fromkeys(_SETTINGS.split(), "settings_changed")
# A foreign address and a wrong clock have no code of their own; `error.data.reason` may tell them from a bad key.
_ELSEWHERE, _LATE = {"ip", "whitelist", "whitelisted"}, {"timestamp", "nonce", "outdated"}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """A demand for a second factor arrives as a success. Code and message of an error are trusted together, for the two
    published tables differ: an outage that either of them names is believed. ccxt knows neither 13028 nor 13403 nor 11098.
    """
    del endpoint
    if answer.body is None:
        return None
    body = answer.body if isinstance(answer.body, dict) else {}
    result = body.get("result")
    if isinstance(result, dict) and result.get(_CHALLENGE, False) is not False:
        return _SECOND_FACTOR
    if body.get("error") is None and "result" in body:
        return None
    error = body["error"] if isinstance(body.get("error"), dict) else {}
    said, message = str(error.get("code"))[:20], str(error.get("message"))
    known = [_FAILURES[word] for word in (said, message) if word in _FAILURES]
    unknown = by_status(answer) or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")
    worst = min(known, key=lambda one: not one.retry, default=unknown)
    words = set(re.split("[^a-z]+", json.dumps(error.get("data")).lower()))
    if worst.reason is Reason.INVALID_KEY and words & (_ELSEWHERE | _LATE):
        return failure(Reason.IP_NOT_ALLOWED if words & _ELSEWHERE else Reason.CLOCK_SKEW, worst.code)
    return worst


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Deribit is signed with this machine's time")


async def _ask(door: Door, endpoint: Endpoint, **params: str) -> Shape:
    """The result of a call, without secrets and personal data."""
    return Shape(_cleaned(await door.fetch(endpoint, params)))["result"]


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _cleaned(v) for k, v in value.items() if k not in _DROPPED and not k.startswith("beneficiary")}
    return [_cleaned(child) for child in value] if isinstance(value, list) else value


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key's account first, because it decides what a right means; then the rest at once."""
    kind = await _account(door, sheet)
    born = await _log(door, sheet)
    keys = _keys_and_subaccounts(door, sheet, kind, born)
    await asyncio.gather(keys, _addresses(door, sheet), _locks(door, sheet), _status(door, sheet))


def _whole(sheet: Sheet, fact: str) -> bool | None:
    """TRUE, or unknown where something went wrong that could have shown `fact`."""
    return not any(fact in problem.facts for problem in sheet.problems) or None


async def _account(door: Door, sheet: Sheet) -> str | None:
    """Whose key it is: `main`, `sub`, or None where it is not shown. Nothing says which of the listed keys is calling."""
    kind = None
    with sheet.reading(SUMMARY, *_ACCOUNT, "api_keys") as seen:
        row = await _ask(door, SUMMARY, currency="BTC", extended="true")
        kind = {"main": "main", "subaccount": "sub"}.get(seen.field(row, "type", Shape.text, _ACCOUNT[0]) or "")
        number = seen.field(row, "id", Shape.integer)
        if number is None and kind is None:
            raise ShapeError("$.result: nothing of the account can be read")
        sheet.account_id = None if number is None else str(number)
        made = seen.field(row, "creation_timestamp", Shape.time_ms, _ACCOUNT[1])
        old = row.get("security_keys_enabled") is None and row.get("tfa_enabled") is not None
        guarded = seen.field(row, "tfa_enabled" if old else "security_keys_enabled", Shape.flag, _ACCOUNT[2])
        internal = seen.field(row, "interuser_transfers_enabled", Shape.flag, _ACCOUNT[3])
        seen.account(kind=kind, created_at=made, two_factor_enabled=guarded, internal_transfer_enabled=internal)
        if kind == "sub":
            shown = seen.field(row, "login_enabled", Shape.flag, "account.login_enabled")
            seen.account(login_enabled=shown, master_key_over_subaccounts=False)
        # ccxt signs with HMAC, and this call needs account:read.
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, can_read=True)
    return kind


async def _keys_and_subaccounts(door: Door, sheet: Sheet, kind: str | None, born: Mapping[str, str]) -> None:
    """The keys, the sub-accounts they may rule, and what this account's security keys guard: the rest works without one."""
    moves = await _keys(door, sheet, kind, born)
    over = [] if kind == "sub" else ["master_key_over_subaccounts"]
    facts = [f"account.{name}" for name in (*_GUARDED, *over)]
    with sheet.reading(SUBACCOUNTS, *facts) as seen:
        rows = {str(row["id"].integer()): row for row in (await _ask(door, SUBACCOUNTS)).rows()}
        types = {row["type"].text(): number for number, row in rows.items()}
        if kind == "main":
            seen.account(master_key_over_subaccounts=moves if "subaccount" in types else False)
        elif kind == "sub" and "main" in types:
            seen.account(parent=f"…{types['main'][-4:]}")
        if sheet.account_id not in rows:
            why = Reason.IMPLAUSIBLE_RESPONSE if sheet.account_id else Reason.NOT_COLLECTED
            sheet.problem(SUBACCOUNTS, why, "this key's own account cannot be found in it", *facts[:3])
            return
        assigned = set(rows[sheet.account_id]["security_keys_assignments"].texts())
        strange = bool(assigned - {"login", "account", "wallet", "admin"})
        guarded = [needed <= assigned or unless(strange) for needed in _NEEDED]
        seen.account(**dict(zip(_GUARDED, guarded, strict=True)))


async def _keys(door: Door, sheet: Sheet, kind: str | None, born: Mapping[str, str]) -> bool | None:
    """All keys of the account. Returns whether one of them may move funds between accounts (None: not known)."""
    made = []
    with sheet.reading(KEYS, *_INVENTORY) as seen:
        rows = (await _ask(door, KEYS)).rows()
        if not rows:
            sheet.problem(KEYS, Reason.IMPLAUSIBLE_RESPONSE, "no key is listed, though one asks", *_INVENTORY)
        seen.list_seen("api_key")
        for row in rows:
            with sheet.reading(KEYS, *_INVENTORY):
                made.append(_key(seen, row, kind, born))
        seen.account(key_inventory_complete=_whole(sheet, _INVENTORY[1]))
    if any(key.get("can_transfer") and key.get("enabled") for key in made):
        return True
    none = all(key.get("can_transfer") is False or key.get("enabled") is False for key in made)
    return False if none and sheet.account.get("key_inventory_complete") else None


def _key(seen: Seen, row: Shape, kind: str | None, born: Mapping[str, str]) -> dict[str, Any]:
    """One key. `timestamp` is its creation or its last change, nobody says which; only the log knows when it was made."""
    facts = _powers(seen, row, kind)
    if row.get("ip_whitelist") is None:
        seen.sheet.problem(KEYS, Reason.NOT_EXPOSED, _NO_LIST, *_BINDING)
    elif (listed := seen.field(row, "ip_whitelist", _words, *_BINDING)) is not None:
        facts["ip_bound"], facts["ip_allowlist"] = bound(listed)
    if row.get("enabled") is not None:
        facts["enabled"] = seen.field(row, "enabled", Shape.flag, "api_key.enabled")
    if "public_key" in row.keys():  # noqa: SIM118
        facts["kind"] = None if row.get("public_key") else "hmac"
    facts["label"] = seen.field(row, "name", lambda cell: mask_personal(cell.text()), "api_key.label")
    public_id = row["client_id"].text()
    return seen.row("api_key", public_id=public_id, created_at=born.get(public_id), **facts)


def _words(cell: Shape) -> list[str]:
    """Text parted by blanks in the examples, a list in the schema."""
    return cell.text().replace(",", " ").split() if isinstance(cell.value, str) else cell.texts()


def _powers(seen: Seen, row: Shape, kind: str | None) -> dict[str, Any]:
    """`max_scope` names a level for each area; one that is not named is closed, a word we do not know may open any.
    `wallet:read_write` withdraws and edits the address book, on a main account only, and moves funds on any.
    """
    shows = [f"api_key.can_{name}" for name in _RIGHTS]
    tokens = seen.field(row, "max_scope", _words, *shows, "api_key.permissions")
    if tokens is None:
        return {}
    given = [token.strip().partition(":")[::2] for token in tokens]
    strange = not given or any(area not in _AREAS or level not in _LEVELS for area, level in given)
    writes = {area for area, level in given if level == "read_write"}
    reads = any(area in _AREAS and level in {"read", "read_write"} for area, level in given)
    trades, moves, manages = bool(writes & _TRADES), "wallet" in writes, "account" in writes
    held = (reads, trades, trades, moves, moves, manages)
    powers = {f"can_{name}": has or unless(strange) for name, has in zip(_RIGHTS, held, strict=True)}
    if moves:
        powers["can_withdraw"] = kind == "main" if kind else None
    return {"permissions": sorted(tokens), **powers}


async def _log(door: Door, sheet: Sheet) -> dict[str, str]:
    """The security log. Returns when each key that it saw being made was made, by public id."""
    born: dict[str, str] = {}
    with sheet.reading(LOG, *_COVER, "account.last_login_at") as seen:
        rows = await _log_rows(door, sheet)
        seen.list_seen("event")
        last: dict[str, str] = {}
        for row in rows:
            with sheet.reading(LOG, *_COVER):
                kind, at = _event(seen, row)
                last[kind] = max(at, last.get(kind, ""))
                if kind == "api_key_created" and isinstance(row.value.get("data"), str):
                    born[row.value["data"]] = at
        # How long a line is kept is not documented: the log is whole from its oldest line on, and no further.
        oldest = min((event["at"] for event in sheet.rows["event"] or []), default=None)
        factors = max((at for kind, at in last.items() if kind.startswith("two_factor")), default=None)
        password = last.get("password_changed")
        seen.account(events_cover_from=oldest if _whole(sheet, _COVER[1]) else None, last_login_at=last.get("login"))
        seen.account(password_changed_at=password, password_ever_changed=bool(password) or None)
        seen.account(two_factor_changed_at=factors, two_factor_ever_changed=bool(factors) or None)
    return born


async def _log_rows(door: Door, sheet: Sheet) -> list[Shape]:
    """All lines, each once: one that is written meanwhile moves the others down a place."""
    rows: dict[str, Shape] = {}
    offset = 0
    for _ in range(_MOST_PAGES):
        result = await _ask(door, LOG, offset=str(offset), count=str(_EVENTS_A_PAGE))
        bare = isinstance(result.value, list)  # by the schema; the example wraps the lines and counts them
        listed = (result if bare else result["data"]).rows()
        rows |= {json.dumps(row.value, sort_keys=True): row for row in listed}
        offset += len(listed)
        if not listed or (len(listed) < _EVENTS_A_PAGE if bare else offset >= result["records_total"].integer()):
            return [*rows.values()]
    sheet.problem(LOG, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", *_COVER)
    return [*rows.values()]


def _event(seen: Seen, row: Shape) -> tuple[str, str]:
    """Kind and time. The name is in `log` by the schema, in `result` by the example; `data` may hold a whole key id."""
    name, place = row.get("log", "result"), row.get("country")
    text, country = (None if cell is None else cell.text() for cell in (name, place))
    kind, at = _KINDS.get(text or "", "other"), row["timestamp"].time_ms()
    ip = seen.field(row, "ip", Shape.text, "event.ip")
    where = None if country == "Unknown" else country
    seen.row("event", kind=kind, at=at, ip=ip, country=where, text=mask_personal(text or ""))
    return kind, at


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The address book, currency by currency; without wallet:read the first answer says so for all."""
    names = {"BTC"}
    with sheet.reading(CURRENCIES, _BOOK[1]):
        named = (await _ask(door, CURRENCIES)).rows()
        if len(named) > _MOST_CURRENCIES:
            raise ShapeError(f"$.result: more than {_MOST_CURRENCIES} currencies")
        names |= {row["currency"].text() for row in named}
    for name in ("BTC", *sorted(names - {"BTC"})):
        with sheet.reading(ADDRESSES, *_BOOK) as seen:
            rows = (await _ask(door, ADDRESSES, currency=name, type="withdrawal")).rows()
            seen.list_seen("address")
            for row in rows:
                with sheet.reading(ADDRESSES, *_BOOK):
                    _address(seen, row)
        if sheet.rows["address"] is None:
            return
    with sheet.reading(ADDRESSES) as seen:
        seen.account(addresses_complete=_whole(sheet, _BOOK[1]))


def _address(seen: Seen, row: Shape) -> None:
    """One saved address. `requires_confirmation` is about a mail, and no second factor is skipped without it."""
    status = seen.field(row, "status", Shape.text, "address.state")
    ready = row.get("waiting_timestamp")  # a yes or no by the schema
    timed = ready is not None and not isinstance(ready.value, bool)
    seen.row(
        "address",
        public_id=row["address"].text(),
        asset=row["currency"].text(),
        label=seen.field(row, "label", lambda cell: mask_personal(cell.text()), "address.label"),
        state={"ready": "active", "waiting": "pending"}.get(status or ""),
        created_at=seen.field(row, "creation_timestamp", Shape.time_ms, "address.created_at"),
        active_from=seen.field(row, "waiting_timestamp", Shape.time_ms, "address.active_from") if timed else None,
    )


async def _locks(door: Door, sheet: Sheet) -> None:
    """Locks by currency: `locked` in the example and `enabled` in the schema, both meaning locked."""
    with sheet.reading(LOCKS, "account.status") as seen:
        rows = (await _ask(door, LOCKS)).rows()
        said = [{cell.flag() for name in ("locked", "enabled") if (cell := row.get(name))} for row in rows]
        if not rows or any(len(flags) != 1 for flags in said):
            raise ShapeError("$.result: not said of every currency whether it is locked")
        seen.account(status="restricted" if {True} in said else "normal")


async def _status(door: Door, sheet: Sheet) -> None:
    """`locked` is text by the schema and a yes or no by the example; ccxt calls everything but the text `false` maintenance."""
    with sheet.reading(STATUS, "venue.status") as seen:
        cell = (await _ask(door, STATUS))["locked"]
        seen.venue(status="degraded" if cell.value == "partial" else "maintenance" if cell.flag() else "ok")
