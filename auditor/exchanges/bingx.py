"""BingX: three answers describe keys, each in a shape that BingX itself documents twice and differently: two of the calling
key, one of all keys of a UID. They are laid over each other, the reading that grants more wins, and a contradiction is said.

Nothing shows factors, devices, the address book or when a key was used. A key that reads is enough for all of it.
Source of every fact: https://bingx-api.github.io/docs-v3/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from auditor.exchanges._base import (
    Answer,
    Door,
    Endpoint,
    Failure,
    Limit,
    Seen,
    Sheet,
    Unavailable,
    by_code,
    by_status,
    failure,
)
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

T = TypeVar("T")
ccxt_class = "bingx"
credentials = ("apiKey", "secret")
serial = False

_HOST, _DOCS = "open-api.bingx.com", "https://bingx-api.github.io/docs-v3/"
_PAGE, _MOST_PAGES = 1000, 50
_ADDRESS, _USER, _FLAT = Limit(calls=2, seconds=1, per="address"), Limit(calls=1, seconds=1), Limit(calls=2, seconds=1)


def _endpoint(section: str, call: str, limit: Limit, path: str | None = None) -> Endpoint:
    path = f"/openApi/{path or f'{section}/v1/{call}'}"
    return Endpoint(name=call, verb="GET", host=_HOST, path=path, api=(section, "v1", "private"), call=call,
                    limit=limit, source=_DOCS)  # fmt: skip


PERMISSIONS = _endpoint("account", "account/apiPermissions", _FLAT, "v1/account/apiPermissions")
RESTRICTIONS = _endpoint("account", "account/apiRestrictions", Limit(calls=5, seconds=1), "v1/account/apiRestrictions")
UID = _endpoint("account", "uid", _ADDRESS)
KEYS = _endpoint("account", "apiKey/query", _ADDRESS)
SUBS = _endpoint("subAccount", "list", _USER)

endpoints = (PERMISSIONS, RESTRICTIONS, UID, KEYS, SUBS)
# ccxt does not correct its timestamp by a known difference of the clocks, so there is nothing to learn.
clock: Endpoint | None = None

_MAIN_ONLY = "100403"
_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "100500 100503 503",
        Reason.VENUE_INCIDENT: "109500 110500 500",
        Reason.TIMEOUT: "504",
        Reason.RATE_LIMITED: "100410 429",
        Reason.INVALID_KEY: "100001 100412 100413",
        Reason.IP_NOT_ALLOWED: "100419",
        Reason.PERMISSION_DENIED: f"100004 {_MAIN_ONLY} 100414 100441",
        Reason.CLOCK_SKEW: "100421",
    }
)
_FAILURES["418"] = failure(Reason.RATE_LIMITED, "418", "this address is banned for asking too often", address=True)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """BingX says what is wrong in `code`, mostly under HTTP 200; 0 is success, and the flat answers have no code.

    ccxt takes a clock that is off (100421) for a bad symbol and a rate limit (100410) for a failed operation. 109400
    names a bad parameter as often as a bad timestamp, and proves neither.
    """
    del endpoint
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    said = str(code)[:20] if isinstance(code, (str, int)) and not isinstance(code, bool) else "none"
    if code is None or said == "0":
        return None
    words = str(answer.body.get("msg", "")).lower()
    if said == "109400" and "timestamp" in words:
        return failure(Reason.CLOCK_SKEW, said)
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: the clock of BingX is not asked for")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because a refusal there means the key itself; then the rest at once, and the rows at last:
    the list of keys is matched with what the key says of itself.
    """
    own = await _described(door, sheet, PERMISSIONS)
    more, keys, subs = await asyncio.gather(
        _described(door, sheet, RESTRICTIONS), _main_keys(door, sheet), _subs(door, sheet)
    )
    _write_main(sheet, own, more, keys)
    for name, rows in subs.items():
        for row in rows:
            with sheet.reading(KEYS) as seen:
                seen.row("api_key", sub_account=name, **row)


_FLAGS = {
    "can_read": ("enableReading",),
    "can_trade": ("enableSpotAndMarginTrading", "enableFutures", "enableVanillaOptions"),
    "can_trade_derivatives": ("enableFutures", "enableVanillaOptions"),
    "can_transfer": ("enableInternalTransfer", "permitsUniversalTransfer"),
    "can_withdraw": ("enableWithdrawals",),
}
_NUMBERS = {
    "can_read": {2},
    "can_trade": {1, 3},
    "can_trade_derivatives": {3},
    "can_transfer": {4, 7},
    "can_withdraw": {5},
}
_DOCUMENTED = {1, 2, 3, 4, 5, 7}
_POWERS = tuple(_NUMBERS)
_SHOWS = tuple(f"api_key.{name}" for name in _POWERS)


async def _described(door: Door, sheet: Sheet, endpoint: Endpoint) -> dict[str, Any]:
    """What one of the two flat answers says of the calling key; {} where it says nothing."""
    found: dict[str, Any] = {}
    with sheet.reading(endpoint, *(["api_keys"] if endpoint is PERMISSIONS else _SHOWS)) as seen:
        row = Shape(await door.fetch(endpoint))
        found |= _key(seen, row.get("data") or row)
        if found.keys() <= {"kind"}:
            raise ShapeError(f"{row.at}: nothing of the key can be read")
    return found if found.keys() > {"kind"} else {}


def _key(seen: Seen, row: Shape) -> dict[str, Any]:
    """The facts of one key in either shape. What a shape has no field for is not missed: another answer may have it."""

    def maybe(name: str, read: Callable[[Shape], T], *facts: str) -> T | None:
        return (
            seen.field(row, name, read, *[f"api_key.{fact}" for fact in facts]) if row.get(name) is not None else None
        )

    if row.get("permissions") is None and row.get("enableReading") is None:
        seen.sheet.problem(seen.endpoint, Reason.MALFORMED_RESPONSE, f"{row.at}: no permissions", *_SHOWS)
    found: dict[str, Any] = {
        "kind": "hmac",
        **(maybe("permissions", _numbers, *_POWERS) or (_flags(seen, row) if row.get("enableReading") else {})),
        "ips": maybe("ipAddresses", _ips, "ip_bound", "ip_allowlist"),
        "ip_bound": maybe("ipRestrict", Shape.flag, "ip_bound"),
        "label": maybe("note", lambda cell: mask_personal(cell.text()), "label"),
        "created_at": maybe("createTime", Shape.time_ms, "created_at"),
        "modified_at": maybe("updateTime", Shape.time_ms, "modified_at"),
        "ends": maybe("apiKey", _ends),
    }
    return {name: value for name, value in found.items() if value is not None}


def _ips(cell: Shape) -> list[str]:
    """The addresses; an unbound key is shown as [""]."""
    return bound(cell.texts())[1] or []


def _ends(cell: Shape) -> str | None:
    """Two characters from either end: all that the list shows of a public part, and all that is kept of a whole one."""
    text = cell.text()
    return f"{text[:2]}…{text[-2:]}" if len(text) > 4 and "*" not in text[:2] + text[-2:] else None  # noqa: PLR2004


def _numbers(cell: Shape) -> dict[str, Any]:
    """Permissions as numbers. One that is not documented may be any right: that to manage sub-accounts has none."""
    held = {row.integer() for row in cell.rows() if not isinstance(row.value, bool)}
    if len(held) != len(cell.rows()):
        raise ShapeError(f"{cell.at}: a permission that is no number, or is named twice")
    strange = not held or not held <= _DOCUMENTED
    powers = {fact: bool(held & granting) or unless(strange) for fact, granting in _NUMBERS.items()}
    return {**powers, "permissions": [str(number) for number in sorted(held)], "reads_only": held == {2}}


def _flags(seen: Seen, row: Shape) -> dict[str, Any]:
    """Permissions as flags. One that is missing (older answers have no `enableWithdrawals`) proves nothing; one we do not
    know, and that is on, may be any right.
    """
    flags_of = [(fact, flag) for fact, flags in _FLAGS.items() for flag in flags if row.get(flag) is not None]
    said = {flag: seen.field(row, flag, Shape.flag, f"api_key.{fact}") for fact, flag in flags_of}
    others = set(row.keys()) - said.keys() - {"ipRestrict", "createTime", "code"}
    strange = any(row.value[name] is True or str(row.value[name]).lower() == "true" for name in others)
    found: dict[str, Any] = {}
    for fact, flags in _FLAGS.items():
        values = [said.get(flag) for flag in flags]
        found[fact] = True if True in values else None if None in values or strange else False
    return {**found, "permissions": sorted(flag for flag, on in said.items() if on) or None}


async def _main_keys(door: Door, sheet: Sheet) -> list[dict[str, Any]] | None:
    """The keys of the account's own UID. That these are all of its keys is implied and not stated."""
    with sheet.reading(UID, "api_keys"):
        sheet.account_id = str(Shape(await door.fetch(UID))["data"]["uid"].integer())
    return await _keys_of(door, sheet, sheet.account_id) if sheet.account_id else None


async def _keys_of(door: Door, sheet: Sheet, uid: str) -> list[dict[str, Any]] | None:
    rows: list[dict[str, Any]] | None = None
    with sheet.reading(KEYS, "api_keys") as seen:
        data = Shape(await door.fetch(KEYS, {"uid": uid}))["data"]
        listed = data.get("apiInfos", "apiKeyList")
        if listed is None:
            raise ShapeError(f"{data.at}.apiInfos: missing")
        rows = []
        for row in listed.rows():
            with sheet.reading(KEYS, "api_keys"):
                rows.append(_key(seen, row))
    return rows


def _write_main(sheet: Sheet, own: dict[str, Any], more: dict[str, Any], keys: list[dict[str, Any]] | None) -> None:
    """The calling key, from all that describes it, and the other keys of the account."""
    if not (own or more or keys):
        return
    others = list(keys or [])
    mine = _mine(others, own.get("ends"), more.get("created_at"))
    if mine is not None:
        others.remove(mine)
    elif keys is not None:
        detail = "the calling key could not be told from the other keys of the list, if it is there"
        sheet.problem(KEYS, Reason.IMPLAUSIBLE_RESPONSE, detail, "api_keys")
    with sheet.reading(PERMISSIONS if own else RESTRICTIONS) as seen:
        if own or more:
            # The list cuts labels short. Where the whole one is not to be had, the key must not look renamed.
            listed = {name: value for name, value in (mine or {}).items() if own or name != "label"}
            merged = _merged(seen, [view for view in (own, listed, more) if view])
            row = _finished(merged)
            if row.get("public_id") or (keys is not None and more) or not _hidden_by_an_outage(sheet):
                seen.row("api_key", **{**row, "can_read": True}, enabled=True, is_audit_key=True)
    with sheet.reading(KEYS) as seen:
        for row in others:
            seen.row("api_key", **_finished(row))


def _hidden_by_an_outage(sheet: Sheet) -> bool:
    """Whether what tells the calling key from all others was not to be had this once. Under the identity that is left it would
    be a key that nobody has seen before.
    """
    telling = {RESTRICTIONS.name, UID.name, KEYS.name}
    return any(one.endpoint in telling and one.reason is not Reason.PERMISSION_DENIED for one in sheet.problems)


def _mine(keys: list[dict[str, Any]], ends: str | None, created_at: str | None) -> dict[str, Any] | None:
    """The one key of the list that has the ends and the time of the calling one."""
    wanted = {name: value for name, value in (("ends", ends), ("created_at", created_at)) if value is not None}
    same = [row for row in keys if wanted and all(row.get(name) == value for name, value in wanted.items())]
    return same[0] if len(same) == 1 else None


def _merged(seen: Seen, views: list[dict[str, Any]]) -> dict[str, Any]:
    """The views laid over each other. Of a yes and a no the more dangerous stands, and the contradiction is said."""
    found: dict[str, Any] = {}
    for view in reversed(views):
        found |= view
    for name in (*_POWERS, "ip_bound"):
        values = {bool(view["ips"]) if name == "ip_bound" and "ips" in view else view.get(name) for view in views}
        if values >= {True, False}:
            detail = f"two answers about this key contradict each other in {name}"
            seen.sheet.problem(seen.endpoint, Reason.IMPLAUSIBLE_RESPONSE, detail, f"api_key.{name}")
        dangerous = name != "ip_bound"
        found[name] = dangerous if dangerous in values else None if values == {None} else not dangerous
    listed = [entry for view in views for entry in view.get("ips", [])]
    found["ips"] = list(dict.fromkeys(listed)) if found["ip_bound"] and listed else None
    return found


def _finished(view: dict[str, Any]) -> dict[str, Any]:
    """A view as the facts of a row. A key that is bound or only reads lasts; any other is deleted after 14 days without
    use. The ends of the public part and the moment of creation together identify a key without showing it.
    """
    row = dict(view)
    ips, ends, reads_only = row.pop("ips", None), row.pop("ends", None), row.pop("reads_only", False)
    if ips is not None:
        row.setdefault("ip_bound", bool(ips))
    is_bound = row.get("ip_bound")
    row["ip_allowlist"] = [] if is_bound is False else ips or None
    powerful = row.get("can_trade") or row.get("can_transfer")
    row["never_expires"] = True if is_bound or reads_only else False if powerful and is_bound is False else None
    row["can_manage"] = None  # a right without a number and without a flag
    if ends is not None and row.get("created_at") is not None:
        row["public_id"] = f"{row['created_at']}:{ends}"
    return row


async def _subs(door: Door, sheet: Sheet) -> dict[str, list[dict[str, Any]]]:
    """The keys of each sub-account by its shown name, sub-accounts in the order of their names."""
    subs: dict[str, str] = {}
    with sheet.reading(SUBS, "api_keys", "account.kind", "account.master_key_over_subaccounts") as seen:
        try:
            await _list(door, seen, subs)
        except Unavailable as refusal:
            seen.account(kind="sub" if refusal.failure.code == _MAIN_ONLY else None)
            raise
        # Whether this key may move funds out of every sub-account is not said, nor what the other keys may do.
        seen.account(kind="main", master_key_over_subaccounts=None if subs else False)
    names = {
        uid: f"{name} {uid}".strip() if list(subs.values()).count(name) > 1 else name or uid
        for uid, name in subs.items()
    }
    shown = shown_names(names.values())
    uids = sorted(subs, key=lambda uid: names[uid])
    found = await asyncio.gather(*[_keys_of(door, sheet, uid) for uid in uids])
    return {shown[names[uid]]: [_finished(row) for row in rows or []] for uid, rows in zip(uids, found, strict=True)}


async def _list(door: Door, seen: Seen, subs: dict[str, str]) -> None:
    """Fills `subs`, uid -> name. The end is `total`, or a page with nothing new where there is none."""
    for page in range(1, _MOST_PAGES + 1):
        data = Shape(await door.fetch(SUBS, {"page": str(page), "limit": str(_PAGE)}))["data"]
        listed = data.get("result", "subAccountList")
        if listed is None:
            raise ShapeError(f"{data.at}.result: missing")
        before = len(subs)
        for row in listed.rows():
            uid = seen.field(row, "subUid" if row.get("subUid") is not None else "uid", Shape.integer, "api_keys")
            name = row.get("subAccountString")
            if uid is not None:
                subs.setdefault(str(uid), name.text() if name is not None else "")
        total = data.get("total")
        if total is not None and len(subs) >= total.integer():
            return
        if len(subs) == before:
            if total is not None or len(listed.rows()) >= _PAGE:
                seen.sheet.problem(SUBS, Reason.IMPLAUSIBLE_RESPONSE, "the list ends before its total", "api_keys")
            return
    seen.sheet.problem(SUBS, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "api_keys")
