"""What a program learns of the key in its own ccxt instance: the truth, or a reason; and the instance stays as it was."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

import auditor
from auditor import bots, collect, demo
from auditor.credentials import Sources
from auditor.errors import UsageError
from auditor.exchanges import _load
from auditor.exchanges._base import Door, Seen, Sheet
from auditor.identity import Identity
from auditor.model.evidence import Reason
from auditor.model.facts import catalogue
from auditor.twin._base import Breakage, Refusal, TwinVenue
from tests import stage

IDS = [one.id for one in stage.every_twin() if hasattr(ccxt, one.id)]
FOUR = ("okx", "binance", "bybit", "kraken")
OUTAGES = (Refusal.MAINTENANCE, Refusal.RATE_LIMIT, Breakage.HTML_ERROR, Breakage.TRUNCATED, Breakage.EMPTY)
GOOD: dict[str, Any] = {
    "can_read": True,
    "can_trade": False,
    "can_trade_derivatives": False,
    "can_transfer": False,
    "can_withdraw": False,
    "can_manage": False,
    "ip_bound": True,
    "problems": [],
}


@pytest.fixture(autouse=True)
def hurried() -> Iterator[None]:
    with stage.hurried():
        yield


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, TwinVenue]]:
    """Healthy twins. A test that breaks one starts its own."""
    with stage.twins(*FOUR) as all_of_them:
        yield all_of_them


def instance(one: TwinVenue, module: Any = ccxt, **more: Any) -> Any:
    made = getattr(module, one.id)({**one.sample_credentials(), **more})
    made.urls["api"] = one.url
    return made


def answer(one: TwinVenue, ask: Any, module: Any, **options: Any) -> Any:
    """The answer for a sync or an async instance, which stays as it was."""
    exchange = instance(one, module)
    before = copy.deepcopy({name: value for name, value in vars(exchange).items() if _plain(value)})
    same = {name: id(value) for name, value in vars(exchange).items()}

    async def awaited() -> Any:
        return await ask(exchange, **options)

    found = ask(exchange, **options) if module is ccxt else asyncio.run(awaited())
    assert {name: id(value) for name, value in vars(exchange).items()} == same
    assert {name: vars(exchange)[name] for name in before} == before
    return found


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, dict, list, type(None)))


@pytest.mark.parametrize("module", [ccxt, ccxt.async_support], ids=["sync", "async"])
@pytest.mark.parametrize("id_", IDS)
def test_every_venue_gives_a_verdict_and_leaves_the_instance_alone(id_: str, module: Any) -> None:
    with stage.twins(id_) as mine:
        one = mine[id_]
        verdict = answer(one, auditor.preflight, module, address_confirmed=True)
    assert isinstance(verdict, auditor.Verdict)
    assert verdict.ok is bool(verdict) is (not verdict.reasons)
    known = {name: value for name, value in verdict.facts.items() if name != "problems"}
    assert known["is_audit_key"] is True
    for name, value in known.items():
        assert catalogue()[f"api_key.{name}"].check(value) is None
    if verdict.ok:
        assert known["ip_bound"] is True
        assert {known[fact] for fact in bots.POWERS} == {False}
    for secret in one.sample_credentials().values():
        assert secret not in repr(verdict)


@pytest.mark.parametrize("id_", IDS)
def test_sync_and_async_say_the_same(id_: str) -> None:
    told = []
    for module in (ccxt, ccxt.async_support):
        with stage.twins(id_) as mine:
            told.append(answer(mine[id_], auditor.key_facts, module, address_confirmed=True))
    assert told[0] == told[1]
    assert told[0].keys() >= {"problems", "is_audit_key"}


def test_what_the_four_show(served: dict[str, TwinVenue]) -> None:
    for id_ in FOUR:
        collected = _audited(served[id_])
        facts = auditor.key_facts(instance(served[id_]))
        assert {name: facts.get(name) for name in (*GOOD, "masked_id", "ip_allowlist") if name != "problems"} == {
            name: collected.get(name) for name in (*GOOD, "masked_id", "ip_allowlist") if name != "problems"
        }


def _audited(one: TwinVenue) -> dict[str, Any]:
    """The calling key as an audit shows it."""
    (snapshot,) = collect.collect(
        [demo.account(one)],
        stated={},
        identity=Identity.ephemeral("t"),
        sources=Sources(environ=demo.environ([one])),
        now=stage.NOW,
    )
    (row,) = [row for row in snapshot.api_keys or [] if row.get("is_audit_key")]
    return row


def test_the_first_sample_keys_are_judged_by_what_they_may_do(served: dict[str, TwinVenue]) -> None:
    assert auditor.preflight(instance(served["binance"]))
    okx = auditor.preflight(instance(served["okx"]))
    assert not okx and len(okx.reasons) == 1 and "not bound to an address" in okx.reasons[0]
    kraken = auditor.preflight(instance(served["kraken"]), {"read", "trade", "transfer", "withdraw", "manage"})
    assert not kraken and [reason[:17] for reason in kraken.reasons] == ["the key is not bo"]
    strict = auditor.preflight(instance(served["kraken"]))
    assert any("withdraw is not allowed" in reason for reason in strict.reasons)
    assert any("can_transfer) is unknown" in reason for reason in strict.reasons)


def _okx(**about: str) -> TwinVenue:
    """A twin that says this of its first key."""
    (one,) = [one for one in stage.every_twin() if one.id == "okx"]
    first = one.sample_keys()[0]
    one.keys[first.api_key] = replace(first, about={**first.about, **about})
    return one


def test_trade_that_includes_transfer_is_said_and_wants_its_own_word() -> None:
    one = _okx(perm="read_only,trade", ip="198.51.100.7")
    with demo.served([one]):
        exchange = instance(one)
        verdict = auditor.preflight(exchange, {"read", "trade", "manage"})
        assert verdict.facts["can_trade"] is True and verdict.facts["can_transfer"] is True
        assert not verdict.ok
        (reason,) = verdict.reasons
        assert "transfer is not allowed (trade does not imply it)" in reason
        assert "right to trade includes" in reason
        assert auditor.preflight(exchange, {"read", "trade", "transfer", "manage"}).ok
        assert not auditor.preflight(exchange).ok


@pytest.mark.parametrize("module", [ccxt, ccxt.async_support], ids=["sync", "async"])
@pytest.mark.parametrize("id_", FOUR)
def test_a_wrong_key_is_not_ok_and_says_so(id_: str, module: Any) -> None:
    with stage.twins(id_) as mine:
        mine[id_].fail(Refusal.BAD_KEY)
        verdict = answer(mine[id_], auditor.preflight, module)
    assert not verdict.ok
    assert verdict.facts.keys() == {"problems"}
    assert verdict.reasons and all("could not be read" in reason for reason in verdict.reasons)
    said = {problem["reason"] for problem in verdict.facts["problems"]}
    assert said & {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED}


@pytest.mark.parametrize("how", OUTAGES)
@pytest.mark.parametrize("id_", IDS)
def test_an_outage_is_not_ok_and_accuses_no_key(id_: str, how: Refusal | Breakage) -> None:
    with stage.twins(id_) as mine:
        mine[id_].fail(how)
        verdict = auditor.preflight(instance(mine[id_]), list(bots.WORDS), address_confirmed=True)
    assert not verdict.ok
    text = " ".join(verdict.reasons)
    assert verdict.reasons and "could not be read" in text
    assert "invalid_key" not in text and "revoked" not in text and "deleted" not in text
    assert any(reason in text for reason in ("venue_", "rate_limited", "timeout", "malformed"))


def test_nobody_there_is_not_ok() -> None:
    (one,) = [one for one in stage.every_twin() if one.id == "kraken"]
    one.port = 9  # nothing listens there
    verdict = auditor.preflight(instance(one), bots.WORDS)
    assert not verdict.ok and any("timeout" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("fact", [*bots.POWERS, "ip_bound"])
def test_one_fact_that_is_unknown_or_wrong_is_enough(fact: str) -> None:
    assert bots.judge(GOOD, frozenset({"read"}), "okx").ok
    unknown = {name: value for name, value in GOOD.items() if name != fact}
    told = {"endpoint": "x", "reason": "timeout", "detail": "no answer", "facts": [f"api_key.{fact}"]}
    verdict = bots.judge({**unknown, "problems": [told]}, frozenset({"read"}), "okx")
    assert not verdict.ok
    assert len(verdict.reasons) == 1 and f"({fact}) is unknown: timeout: no answer" in verdict.reasons[0]
    assert not bots.judge({**GOOD, fact: fact != "ip_bound"}, frozenset({"read"}), "okx").ok
    every = bots.judge({**unknown, "problems": [told]}, frozenset(bots.WORDS), "okx")
    assert every.ok is (fact != "ip_bound")


def test_an_account_given_up_half_way_is_not_ok() -> None:
    told = {
        "endpoint": "account",
        "reason": "timeout",
        "detail": "not read in time",
        "facts": ["api_keys", "addresses"],
    }
    verdict = bots.judge({**GOOD, "problems": [told]}, frozenset(bots.WORDS), "okx")
    assert verdict.reasons == ("the key was not read to the end: timeout: not read in time",)


def test_two_answers_that_differ_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def collect_twice(_door: Door, sheet: Sheet) -> None:
        connector = _load.connector("okx")
        assert connector is not None
        seen = Seen(sheet, connector.endpoints[0])
        powers = {name: value for name, value in GOOD.items() if name != "problems"}
        seen.row("api_key", public_id="one-and-the-same", **powers, is_audit_key=True)
        seen.row("api_key", public_id="one-and-the-same", **{**powers, "can_withdraw": True})

    monkeypatch.setattr("auditor.exchanges.okx.collect", collect_twice)
    with stage.twins("okx") as mine:
        verdict = auditor.preflight(instance(mine["okx"]))
    assert not verdict.ok and "can_withdraw" not in verdict.facts
    assert len(verdict.reasons) == 1 and "differ" in verdict.reasons[0]


def test_words_that_can_be_allowed() -> None:
    assert bots.allowed("read, trade") == {"read", "trade"} == bots.allowed(["trade", "read"])
    for word, hint in (("trad", "did you mean trade?"), ("everything", "what can be allowed"), ("", "what can be")):
        with pytest.raises(UsageError) as caught:
            auditor.preflight(ccxt.okx(), {"read", word})
        assert caught.value.hint is not None and caught.value.hint.startswith(hint)


@pytest.mark.parametrize("thing", [None, "okx", ccxt.okx, object()])
def test_what_is_no_instance_is_refused(thing: Any) -> None:
    for ask in (auditor.key_facts, auditor.preflight):
        with pytest.raises(UsageError):
            ask(thing)


def test_an_exchange_that_is_not_known_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        auditor.key_facts(ccxt.poloniex({"apiKey": "a", "secret": "b"}))
    assert "kraken" in (caught.value.hint or "")


def test_a_class_of_another_exchange_is_not_taken_for_its_parent() -> None:
    assert bots._known(ccxt.binanceusdm()) == "binance"
    assert bots._known(ccxt.pro.kraken()) == "kraken"
    with pytest.raises(UsageError):
        bots._known(ccxt.bequant())


def _sandboxed(exchange: Any) -> None:
    exchange.set_sandbox_mode(True)


def _proxied(exchange: Any) -> None:
    exchange.httpsProxy = "http://198.51.100.9:3128"


def _rerouted(exchange: Any) -> None:
    exchange.urls["api"] = "https://api.example.com"


def _half_rerouted(exchange: Any) -> None:
    exchange.urls["api"] = {"public": "http://127.0.0.1:1", "private": "https://api.example.com"}


def _half_on_this_machine(exchange: Any) -> None:
    exchange.urls["api"] = {"public": "https://www.okx.com", "private": "http://127.0.0.1:1"}


def _keyless(exchange: Any) -> None:
    exchange.secret = ""


def _with_another_key(exchange: Any) -> None:
    exchange.privateKey = "0x" + "5a" * 32


def _regional(exchange: Any) -> None:
    exchange.hostname = "my.okx.com"


@pytest.mark.parametrize(
    "change",
    [
        _sandboxed,
        _proxied,
        _rerouted,
        _half_rerouted,
        _keyless,
        _with_another_key,
        _regional,
    ],
)
def test_nothing_is_sent_where_the_answer_would_be_about_something_else(
    monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    def never(*_args: object, **_options: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr(collect, "one_key", never)
    exchange = ccxt.okx({"apiKey": "5a6b7c8d-0000", "secret": "not-a-secret", "password": "not-a-phrase"})
    change(exchange)
    verdict = auditor.preflight(exchange, bots.WORDS)
    assert not verdict.ok
    (reason,) = verdict.reasons
    assert "nothing was sent" in reason
    assert "5a6b7c8d" not in repr(verdict) and "not-a-" not in repr(verdict) and "5a5a5a" not in repr(verdict)


class _Counting(ccxt.kraken):  # type: ignore[misc]
    def nonce(self) -> int:
        return 1


def test_nonces_of_the_programs_own_are_not_overtaken() -> None:
    """Kraken refuses every nonce below the last: one of ours in milliseconds would end a bot that counts in seconds."""
    for made, more in (
        (_Counting, {}),
        (ccxt.kraken, {"nonce": lambda: 1}),
        (ccxt.gemini, {"options": {"nonce": "seconds"}}),
    ):
        with stage.twins("kraken", "gemini") as mine:
            (one,) = [one for one in mine.values() if issubclass(made, getattr(ccxt, one.id))]
            exchange = made({**one.sample_credentials(), **more})
            exchange.urls["api"] = one.url
            verdict = auditor.preflight(exchange, bots.WORDS)
            assert not verdict and "counts its requests" in verdict.reasons[0]
            assert one.requests == []


@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_ != "coinbaseinternational"])
def test_a_fresh_instance_talks_to_the_host_that_is_asked_here(id_: str) -> None:
    connector = _load.connector(id_)
    assert connector is not None
    for module in (ccxt, ccxt.async_support):
        assert bots._elsewhere(getattr(module, id_)(), connector, None) is None


def test_a_venue_that_punishes_foreign_addresses_is_asked_only_after_the_owners_word() -> None:
    with stage.twins("whitebit") as mine:
        one = mine["whitebit"]
        verdict = auditor.preflight(instance(one), bots.WORDS)
        assert one.requests == [] and not verdict.ok and "address_confirmed" in verdict.reasons[0]
        auditor.preflight(instance(one), bots.WORDS, address_confirmed=True)
        assert one.requests


def test_a_sync_instance_inside_a_running_loop_and_beside_one_that_waits(served: dict[str, TwinVenue]) -> None:
    exchange = instance(served["kraken"])

    async def program() -> Any:
        return auditor.key_facts(exchange)

    assert asyncio.run(program()) == auditor.key_facts(exchange)
    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    try:
        auditor.key_facts(exchange)
        assert asyncio.get_event_loop_policy().get_event_loop() is mine
    finally:
        asyncio.set_event_loop(None)
        mine.close()


def test_an_async_instance_gives_a_coroutine_and_many_at_once(served: dict[str, TwinVenue]) -> None:
    async def program() -> list[Any]:
        asked = [auditor.preflight(instance(served[id_], ccxt.async_support)) for id_ in FOUR]
        assert all(asyncio.iscoroutine(one) for one in asked)
        return await asyncio.gather(*asked)

    assert [one.ok for one in asyncio.run(program())] == [False, True, False, False]


def test_what_the_venue_repeats_of_a_credential_is_masked() -> None:
    (key, *_) = _okx().keys.values()
    one = _okx(label=f"{key.secret} \x1b[31m {key.api_key} a-uid-of-mine")
    with demo.served([one]):
        verdict = auditor.preflight(instance(one, uid="a-uid-of-mine"))
    for secret in (*one.sample_credentials().values(), "a-uid-of-mine"):
        assert secret not in repr(verdict) and secret not in str(verdict.facts)


def test_the_package_itself_stays_light() -> None:
    code = (
        "import sys, auditor; auditor.__version__; "
        "assert not {'ccxt', 'aiohttp', 'yaml', 'click', 'auditor.bots'} & set(sys.modules); "
        "assert auditor.preflight.__module__ == auditor.key_facts.__module__ == 'auditor.bots'; "
        "assert 'ccxt' not in sys.modules and 'aiohttp' not in sys.modules; "
        "import auditor.cli.preflight; assert callable(auditor.preflight) and auditor.preflight.__name__ == 'preflight'; "
        "assert not hasattr(auditor, 'no_such_name')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
