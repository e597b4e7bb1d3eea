"""Hundreds of accounts of one venue in flight at once: each is signed for by its own key, and nobody sees another's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest
from aiohttp import web

from auditor.exchanges import _budget, _transport, kraken, okx
from auditor.exchanges._base import Connector, Sheet, Unavailable
from auditor.exchanges._transport import KeyDoor, Venue
from auditor.redaction import Secret
from auditor.twin._base import Breakage, Recorded, Refusal, Refused, TwinKey
from auditor.twin.okx import Twin

ACCOUNTS = 300


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def sample(number: int) -> TwinKey:
    about = {
        "uid": f"7{number:016}",
        "mainUid": f"7{number:016}",
        "type": "0",
        "perm": "read_only,trade" if number % 2 else "read_only",
        "ip": "",
        "label": f"label-{number:04}",
    }
    return TwinKey(
        api_key=f"key-{number:08}-0000", secret=f"SECRET{number:026}", password=f"phrase-{number}", about=about
    )


def secrets(key: TwinKey) -> dict[str, Secret]:
    return {"apiKey": Secret(key.api_key), "secret": Secret(key.secret), "password": Secret(key.password)}


class Crowd(Twin):
    """A twin of many accounts, each with one sub-account of its own. Notes whom it believed each request to come from."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = {key.api_key: key for key in map(sample, range(ACCOUNTS))}
        self.believed: list[tuple[str, str]] = []
        self.refusals = 0
        serve_list, serve_keys = self._one_sub, self._keys_of_one
        self.signed[("GET", okx.SUB_ACCOUNTS.path)] = serve_list
        self.signed[("GET", okx.SUB_KEYS.path)] = serve_keys

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        try:
            key = super().authenticate(request, body)
        except Refused:
            self.refusals += 1
            raise
        self.believed.append((key.api_key, request.headers["OK-ACCESS-SIGN"]))
        return key

    def _one_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        rows = (
            []
            if "after" in request.query
            else [{"subAcct": "of-" + key.about["label"], "ts": "1712000000000", "enable": True}]
        )
        return {"code": "0", "msg": "", "data": rows}

    def _keys_of_one(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        assert request.query["subAcct"] == "of-" + key.about["label"], "one account asks for another's sub-account"
        row = {
            "label": "sub-" + key.about["label"],
            "apiKey": "x" * 12,
            "perm": "read_only",
            "ip": "",
            "ts": "1712000000000",
        }
        return {"code": "0", "msg": "", "data": [row]}


async def _collect_all(twin: Crowd, order: list[int]) -> dict[int, Sheet]:
    sheets = {number: Sheet() for number in order}
    async with twin, Venue(okx, endpoint=twin.url, deadline=10) as venue:
        await asyncio.gather(*[okx.collect(venue.key(secrets(sample(number))), sheets[number]) for number in order])
    return sheets


def _right(sheets: dict[int, Sheet]) -> None:
    for number, sheet in sheets.items():
        label = f"label-{number:04}"
        rows = sheet.rows["api_key"] or []
        assert [row["label"] for row in rows] == [label, "sub-" + label]
        assert rows[1]["sub_account"] == "of-" + label
        assert sheet.account_id == f"7{number:016}"
        assert rows[0]["can_trade"] is bool(number % 2)
        assert not sheet.problems


def _own_headers(request: Recorded) -> bool:
    held = {name.upper(): value for name, value in request.headers.items()}
    key = request.key
    return (
        key is not None
        and held["OK-ACCESS-KEY"] == key
        and held["OK-ACCESS-PASSPHRASE"] == f"phrase-{int(key.split('-')[1])}"
    )


def test_three_hundred_keys_at_once_never_mix() -> None:
    twin = Crowd()
    sheets = asyncio.run(_collect_all(twin, list(range(ACCOUNTS))))
    _right(sheets)
    assert twin.refusals == 0
    signed = [request for request in twin.requests if request.path != okx.STATUS.path]
    assert len(signed) >= 5 * ACCOUNTS
    assert all(_own_headers(request) and request.status == 200 for request in signed)
    by_signature: dict[str, set[str]] = {}
    for key, signature in twin.believed:
        by_signature.setdefault(signature, set()).add(key)
    assert all(len(keys) == 1 for keys in by_signature.values())


def test_they_do_not_mix_while_the_venue_fails_in_every_way() -> None:
    twin = Crowd()
    for how in (Refusal.RATE_LIMIT, Breakage.HTML_ERROR, Refusal.MAINTENANCE, Breakage.EMPTY, Breakage.TRUNCATED):
        for path in (okx.CONFIG.path, okx.SUB_ACCOUNTS.path, okx.SUB_KEYS.path, okx.QUOTA.path):
            twin.fail(how, prefix=path, times=20)
    sheets = asyncio.run(_collect_all(twin, list(range(ACCOUNTS))))
    assert twin.refusals == 0
    served = [request for request in twin.requests if request.key is not None]
    assert all(_own_headers(request) for request in served)
    whole = 0
    for number, sheet in sheets.items():
        label = f"label-{number:04}"
        rows = sheet.rows["api_key"] or []
        assert {row["label"] for row in rows} <= {label, "sub-" + label}
        assert sheet.account_id in {None, f"7{number:016}"}
        assert len(rows) == 2 or sheet.problems
        whole += not sheet.problems
    assert whole >= ACCOUNTS // 2


def test_a_wrong_clock_is_learnt_once_for_all_of_them() -> None:
    from datetime import timedelta

    twin = Crowd()
    twin.clock_ahead = timedelta(hours=1)
    sheets = asyncio.run(_collect_all(twin, list(range(60))))
    _right(sheets)
    assert sum(request.path == okx.TIME.path for request in twin.requests) == 1


def test_one_bad_key_among_many_is_its_own_misfortune() -> None:
    twin = Crowd()
    del twin.keys[sample(7).api_key]
    sheets = asyncio.run(_collect_all(twin, list(range(50))))
    bad = sheets.pop(7)
    _right(sheets)
    assert bad.rows["api_key"] is None and {problem.reason.value for problem in bad.problems} == {"invalid_key"}
    assert twin.refusals == 1


def test_the_credentials_of_one_account_are_in_no_request_of_another() -> None:
    twin = Crowd()
    asyncio.run(_collect_all(twin, list(range(20))))
    for request in twin.requests:
        text = f"{request.path} {request.query} {request.headers} {request.body}"
        mentioned = {number for number in range(20) if sample(number).api_key in text or f"'phrase-{number}'" in text}
        assert len(mentioned) <= 1
        assert "SECRET0" not in text


# Nonces


class Ledger:
    """Answers like Kraken, slowly, and notes the nonces of each key in the order they arrive."""

    def __init__(self) -> None:
        self.nonces: dict[str, list[int]] = {}
        self.inside: dict[str, int] = {}
        self.overlaps = 0

    async def _answer(self, request: web.Request) -> web.Response:
        from urllib.parse import parse_qs

        key = request.headers["API-Key"]
        self.overlaps += self.inside.get(key, 0)
        self.inside[key] = self.inside.get(key, 0) + 1
        self.nonces.setdefault(key, []).append(int(parse_qs((await request.read()).decode())["nonce"][0]))
        await asyncio.sleep(0.001)
        self.inside[key] -= 1
        return web.json_response({"error": ["EService:Busy"] if len(self.nonces[key]) % 3 == 0 else [], "result": {}})

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aexit__(self, *_exc: object) -> None:
        await self.runner.cleanup()


async def _many(door: KeyDoor, module: Connector, calls: int) -> None:
    async def one() -> None:
        with contextlib.suppress(Unavailable):
            await door.fetch(next(endpoint for endpoint in module.endpoints if not endpoint.public))

    await asyncio.gather(*[one() for _ in range(calls)])


def test_nonces_of_each_key_arrive_in_order_though_all_keys_run_at_once() -> None:
    async def run() -> Ledger:
        ledger = Ledger()
        async with ledger as url, Venue(kraken, endpoint=url) as venue:
            doors = [
                venue.key({"apiKey": Secret(f"key-{n:06}"), "secret": Secret("c2VjcmV0c2VjcmV0")}) for n in range(40)
            ]
            await asyncio.gather(*[_many(door, kraken, 8) for door in doors])
        return ledger

    ledger = asyncio.run(run())
    assert kraken.serial and len(ledger.nonces) == 40
    assert ledger.overlaps == 0
    for nonces in ledger.nonces.values():
        assert len(nonces) >= 8
        assert all(earlier < later for earlier, later in itertools.pairwise(nonces))
