"""A venue that says nothing: one key stops waiting, what is unknown says so, and whatever is heard is used."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.exchanges import _budget, _transport, okx
from auditor.exchanges._base import Endpoint, Sheet, Unavailable
from auditor.exchanges._silence import Silence
from auditor.exchanges._transport import ATTEMPTS, KeyDoor, Venue
from auditor.model.evidence import Reason
from auditor.redaction import Secret
from auditor.twin._base import Breakage
from auditor.twin.okx import Twin

FINE = json.dumps({"code": "0", "msg": "", "data": []}).encode()
BUSY = json.dumps({"code": "50001", "msg": "", "data": []}).encode()
QUIET = 0.15
"""Seconds after which these tests stop waiting."""

Answers = Callable[[str], bytes | None]
"""What a path is answered with; None is silence."""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_budget, "SHARE", 1000.0)
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.001)


def secrets(number: int = 0) -> dict[str, Secret]:
    return {name: Secret(f"{name}-{number:012}") for name in okx.credentials}


class Server:
    """Answers by path, or keeps silent. Counts what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1].partition("?")[0]
            self.asked[path] += 1
            body = self.answers(path)
            if body is None:
                await asyncio.sleep(10)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body or b'')}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + (body or b""))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def tried(answers: Answers, run: Callable[[Venue, Server], Awaitable[Any]]) -> tuple[Any, Counter[str]]:
    async def main() -> tuple[Any, Counter[str]]:
        server = Server(answers)
        listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with Venue(okx, endpoint=url, deadline=QUIET) as venue:
            found = await run(venue, server)
        listening.close()
        return found, server.asked

    return asyncio.run(main())


async def reason(door: KeyDoor, endpoint: Endpoint) -> str:
    try:
        await door.fetch(endpoint)
    except Unavailable as refusal:
        return "shut out" if refusal.failure.lockout or refusal.failure.address else refusal.failure.reason.value
    return "answered"


def test_after_two_endpoints_that_are_met_with_silence_the_others_are_not_waited_for() -> None:
    async def run(venue: Venue, _server: Server) -> list[str]:
        door = venue.key(secrets())
        return [await reason(door, one) for one in (okx.CONFIG, okx.QUOTA, okx.SUB_ACCOUNTS, okx.SUB_KEYS)]

    found, asked = tried(lambda _: None, run)
    assert found == ["timeout"] * 4
    assert asked == {okx.CONFIG.path: ATTEMPTS, okx.QUOTA.path: 1}


def test_what_was_not_asked_says_so_and_blames_no_key() -> None:
    async def run(venue: Venue, _server: Server) -> Unavailable:
        door = venue.key(secrets())
        for one in (okx.CONFIG, okx.QUOTA):
            await reason(door, one)
        with pytest.raises(Unavailable) as caught:
            await door.fetch(okx.SUB_KEYS)
        return caught.value

    refusal, _ = tried(lambda _: None, run)
    assert refusal.failure.reason is Reason.TIMEOUT and "not asked" in refusal.detail
    assert not refusal.failure.lockout and not refusal.failure.address


def test_one_endpoint_that_hangs_is_no_silence_however_often_it_is_asked() -> None:
    async def run(venue: Venue, _server: Server) -> list[str]:
        door = venue.key(secrets())
        hung = [await reason(door, okx.CONFIG) for _ in range(3)]
        return [*hung, await reason(door, okx.QUOTA)]

    found, asked = tried(lambda path: None if path == okx.CONFIG.path else FINE, run)
    assert found == ["timeout"] * 3 + ["answered"]
    assert asked[okx.CONFIG.path] == 3 * ATTEMPTS


@pytest.mark.parametrize("said", [FINE, BUSY], ids=["an answer", "a refusal"])
def test_what_is_heard_between_two_silent_endpoints_means_that_the_venue_is_there(said: bytes) -> None:
    async def run(venue: Venue, _server: Server) -> list[str]:
        door, order = venue.key(secrets()), (okx.CONFIG, okx.QUOTA, okx.SUB_ACCOUNTS, okx.QUOTA, okx.SUB_KEYS)
        return [await reason(door, one) for one in order]

    silent = {okx.CONFIG.path, okx.SUB_ACCOUNTS.path}
    found, asked = tried(lambda path: None if path in silent else said, run)
    assert found[0] == found[2] == "timeout" and "timeout" not in {found[1], found[3], found[4]}
    assert all(asked[path] == ATTEMPTS for path in silent)


def test_what_another_key_hears_ends_the_silence_of_this_one() -> None:
    async def run(venue: Venue, server: Server) -> list[str]:
        door, other = venue.key(secrets(1)), venue.key(secrets(2))
        before = [await reason(door, one) for one in (okx.CONFIG, okx.QUOTA, okx.SUB_ACCOUNTS)]
        server.answers = lambda _: FINE
        unheard = await reason(door, okx.SUB_KEYS)
        return [*before, unheard, await reason(other, okx.CONFIG), await reason(door, okx.SUB_KEYS)]

    found, asked = tried(lambda _: None, run)
    assert found == ["timeout"] * 4 + ["answered", "answered"]
    assert asked[okx.SUB_KEYS.path] == 1


def test_an_answer_that_is_on_its_way_while_others_wait_in_vain_is_used() -> None:
    """Two endpoints stay silent at once with a third whose answer comes late: it comes, and nothing is shut."""

    async def run(venue: Venue, _server: Server) -> list[str]:
        door = venue.key(secrets())
        together = [reason(door, one) for one in (okx.CONFIG, okx.QUOTA, okx.SUB_ACCOUNTS)]
        return [*await asyncio.gather(*together), await reason(door, okx.SUB_ACCOUNTS)]

    asked_for = iter(range(10))
    late = lambda path: FINE if path == okx.SUB_ACCOUNTS.path and next(asked_for) >= ATTEMPTS - 1 else None
    found, _ = tried(late, run)
    assert found == ["timeout", "timeout", "answered", "answered"]


def test_the_status_page_neither_makes_the_silence_nor_is_kept_from_being_asked() -> None:
    async def run(venue: Venue, server: Server) -> list[str]:
        door = venue.key(secrets())
        found = [await reason(door, one) for one in (okx.STATUS, okx.CONFIG)]
        assert server.asked[okx.CONFIG.path] == ATTEMPTS
        await reason(door, okx.QUOTA)
        return [*found, await reason(door, okx.TIME)]

    found, asked = tried(lambda path: FINE if path == okx.TIME.path else None, run)
    assert found == ["timeout", "timeout", "answered"]
    assert asked[okx.STATUS.path] == ATTEMPTS


def test_an_audit_of_a_silent_venue_knows_nothing_and_accuses_nobody() -> None:
    async def run() -> Sheet:
        sheet, twin = Sheet(), Twin()
        twin.fail(Breakage.SILENCE)
        async with twin, Venue(okx, endpoint=twin.url, deadline=QUIET) as venue:
            held = {name: Secret(value) for name, value in twin.sample_credentials().items()}
            await okx.collect(venue.key(held), sheet)
        return sheet

    sheet = asyncio.run(run())
    assert {problem.reason for problem in sheet.problems} == {Reason.TIMEOUT}
    assert not sheet.account and not any(sheet.rows.values())
    assert {"account/config", "users/subaccount/list", "system/status"} <= {one.endpoint for one in sheet.problems}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 2)), max_size=30))
def test_silence_holds_only_over_two_endpoints_between_which_nothing_was_heard(
    events: list[tuple[str, bool, int]],
) -> None:
    """`events`: an endpoint whose attempt brought nothing, whether it was the last, and how much was heard before it ended."""
    silence, heard = Silence(), 0
    quiet: list[tuple[str, bool]] = []
    for endpoint, last, came in events:
        since, heard = heard, heard + came
        quiet = [*([] if came else quiet), (endpoint, last and not came)]
        silence.met(endpoint, since=since, heard=heard, last=last)
        if silence.holds(heard):
            assert any(one != endpoint and over for one, over in quiet)
        assert not silence.holds(heard + 1)
