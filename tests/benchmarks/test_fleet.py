"""The fleet is measured honestly: four exchanges, everybody's own answer, and whatever went wrong ends the measurement."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditor.exchanges import _load
from auditor.model.evidence import Snapshot
from auditor.model.facts import format_time
from benchmarks import audit, fleet, plan, wire
from benchmarks.sequential import Seen


def test_a_small_fleet_of_four_exchanges_each_with_its_own_answers_and_none_asked_twice() -> None:
    found = fleet.sound(fleet.measure(32, fleet.ALL))
    assert found.accounts == 32 and found.refused == found.mixed_up == found.failed == found.asked_again == 0
    assert found.requests == 8 * (6 + 5 + 3 + 6) + len(fleet.ALL), (
        "calls of each exchange's accounts, and a status page each"
    )
    assert found.a_core > 0 and found.floor > 0 and set(found.seconds) == set(fleet.ALL)


def test_connections_are_used_again() -> None:
    found = fleet.sound(fleet.measure(8, ("kraken",)))
    assert found.requests == 8 * 3 + 1
    assert found.connections <= 8 + 1 + 1, "one an account, one for the status page, one for the question how many"


@pytest.mark.parametrize("wrong", ["refused", "mixed_up", "failed", "asked_again"])
def test_what_went_wrong_has_no_speed(wrong: str) -> None:
    fine = fleet.Fleet(
        accounts=1, requests=1, a_core=1, floor=1, refused=0, connections=1, kilobytes=0, mixed_up=0, failed=0, used=1,
        fullest=0, seconds={}, planned=0, asked_again=0,
    )  # fmt: skip
    assert fleet.sound(fine) is fine
    with pytest.raises(AssertionError):
        fleet.sound(replace(fine, **{wrong: 1}))


def test_an_account_with_anothers_answer_or_half_of_its_own_is_found_out() -> None:
    made = format_time(datetime.fromtimestamp(wire.MADE + 7, UTC))

    def snapshot(exchange: str, keys: list[dict[str, object]], addresses: list[dict[str, object]] | None) -> Snapshot:
        account = {"name": "account-7", "exchange": exchange}
        return Snapshot(collected_at=datetime.now(UTC), account=account, api_keys=keys, addresses=addresses)

    own = [{"label": "bot-000007"}, {"label": "of-1-000007"}, {"label": "of-2-000007"}]
    assert fleet._own(7, snapshot("okx", own, None))
    assert not fleet._own(8, snapshot("okx", own, None))
    assert not fleet._own(7, snapshot("okx", own[:2], None))
    assert not fleet._own(7, snapshot("okx", [*own[:2], {"label": "of-2-000008"}], None))
    book = [{"label": "book-000007"}]
    assert fleet._own(7, snapshot("binance", [{"created_at": made}], book))
    assert not fleet._own(7, snapshot("binance", [{"created_at": "2024-01-01T00:00:00Z"}], book))
    assert not fleet._own(7, snapshot("binance", [{"created_at": made}], [{"label": "book-000070"}]))


def test_the_wire_refuses_what_is_over_the_limit_and_tells_what_was_used() -> None:
    limits = wire.Limits({"/a": [4, 1.0, "key", "/a"], "/b": [10, 1.0, "address", "pool"]})
    assert [limits.allow("/a", "k", at / 10) for at in range(6)] == [True] * 4 + [False] * 2
    assert limits.allow("/a", "other", 0.55)
    assert limits.fullest > 1
    for at in range(100):
        assert limits.allow("/b", "k", 10 + at / 9.9)
    assert limits.used() == {"pool": pytest.approx(0.99, abs=0.03)}


def test_the_windows_are_as_long_as_before_when_it_is_over() -> None:
    connectors = [made for one in fleet.ALL if (made := _load.connector(one)) is not None]
    before = [one.limit.seconds for made in connectors for one in made.endpoints]
    with pytest.raises(RuntimeError), fleet._hurried(connectors):  # noqa: PT012
        assert any(one.limit.seconds < 60 / fleet.HURRY + 1 for made in connectors for one in made.endpoints)
        raise RuntimeError
    assert [one.limit.seconds for made in connectors for one in made.endpoints] == before


def test_the_model_foresees_what_is_asked_and_nothing_else() -> None:
    connector = _load.connector("binance")
    assert connector is not None
    one = [made for made in connector.endpoints if made.path == "/api/v3/account"]
    assert plan.simulated(connector, 400, one) < plan.simulated(connector, 400)
    assert plan.bound("binance", connector, one).by == "api"


def test_a_script_that_sees_something_else_has_no_time() -> None:
    now = datetime.now(UTC)
    ours = [Snapshot(collected_at=now, account={"name": "a", "exchange": "okx"}, api_keys=[{"label": "x"}, {}])]
    audit.compare([Seen(labels=("", "x"), addresses=0)], ours)
    for other in (Seen(labels=("x",), addresses=0), Seen(labels=("", "x"), addresses=1)):
        with pytest.raises(audit.DisagreementError):
            audit.compare([other], ours)


def test_a_script_makes_the_same_calls_and_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LATENCY", 0.0)
    assert audit.against_a_script() > 0


def test_the_rate_that_is_used_is_told_by_the_real_budget() -> None:
    from auditor.exchanges._base import Limit

    assert plan._run(fleet.rate_used(Limit(calls=400, seconds=1), 20)) == pytest.approx(1.0, abs=0.01)
