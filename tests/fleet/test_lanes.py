"""Who reads what, without any network: one reader an exchange and address, a pause before the next, three attempts."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import pipeline
from auditor.config import AccountConfig
from auditor.engine.intake import Evidence
from auditor.errors import CredentialError
from auditor.exchanges import _load
from auditor.exchanges._budget import SHARE
from auditor.fleet import collecting, judging, part, passport
from auditor.fleet.answer import Failed
from auditor.fleet.collecting import Collecting, of_document, pause, unread
from auditor.fleet.crew import Member
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason, Snapshot, Source
from auditor.model.report import AccountReport, Inventory, Score

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
VENUES = ("binance", "okx", "bithumb", "gemini")


def accounts(*exchanges: str, each: int = 3) -> list[AccountConfig]:
    return [AccountConfig(name=f"{one}-{number}", exchange=one) for one in exchanges for number in range(each)]


def member(name: str, egress: str = "one") -> Member:
    return Member(address=name, instance=name, egress=egress)


def said(name: str) -> str:
    exchange = name.partition("-")[0]
    return json.dumps(Snapshot(collected_at=NOW, account={"name": name, "exchange": exchange}).to_document())


@dataclass
class Stopwatch:
    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Bench:
    """A plan with a clock of ours, and what it gave out."""

    exchanges: Iterable[str]
    each: int = 3
    clock: Stopwatch = field(default_factory=Stopwatch)
    plan: Collecting = field(init=False)

    def __post_init__(self) -> None:
        given = accounts(*self.exchanges, each=self.each)
        self.plan = Collecting(given, {}, NOW, lambda _name, _done, _all: None, clock=self.clock)

    def take(self, one: Member, *others: Member) -> Any:
        return self.plan.take(one, (one, *others), (one, *others))

    def tell(self, job: Any, count: int | None = None) -> None:
        for name in sorted(names(job))[:count]:
            self.plan.told(said(name))


def names(job: Any) -> set[str]:
    return {name for some in job.names.values() for name in some}


def lanes(job: Any) -> set[tuple[str, str]]:
    return {(exchange, job.egress) for exchange in job.names}


def test_exchanges_are_shared_out_among_the_workers_of_an_address() -> None:
    bench = Bench(VENUES)
    first = bench.take(member("a"), member("b"))
    second = bench.take(member("b"))
    assert names(first).isdisjoint(names(second)) and len(names(first)) == len(names(second)) == 6
    assert lanes(first).isdisjoint(lanes(second))
    assert bench.take(member("c")) is None


def test_an_exchange_is_read_from_each_address_at_once() -> None:
    bench = Bench(["binance"], each=5)
    here, there = member("a", "one"), member("b", "two")
    first, second = bench.take(here, there), bench.plan.take(there, [there], [here, there])
    assert (len(names(first)), len(names(second))) == (3, 2) and names(first).isdisjoint(names(second))


def test_who_comes_next_waits_until_nothing_counts_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "AT_MOST", 2)
    bench = Bench(["binance"])
    job = bench.take(member("a"))
    bench.tell(job)
    assert bench.take(member("b")) is None
    bench.plan.done(job, 2)
    assert bench.take(member("a")) is None and bench.take(member("b")) is None
    bench.clock.at += pause("binance") - 0.01
    assert bench.take(member("b")) is None and bench.plan.unfinished()
    bench.clock.at += 0.02
    last = bench.take(member("b"))
    bench.tell(last)
    bench.plan.done(last, 1)
    assert not bench.plan.unfinished() and len(bench.plan.had) == 3


@pytest.mark.parametrize("exchange", VENUES)
def test_the_pause_is_as_long_as_the_budget_remembers(exchange: str) -> None:
    connector = _load.connector(exchange)
    assert connector is not None
    for one in connector.endpoints:
        if one.limit.per != "key":
            assert pause(exchange) >= one.limit.seconds * max(1.0, 1 / one.limit.calls / SHARE)


def test_what_a_lost_worker_had_told_is_not_asked_again() -> None:
    bench = Bench(["okx"], each=6)
    job = bench.take(member("a"))
    bench.tell(job, 4)
    bench.plan.lost(job)
    bench.clock.at += 1e6
    again = bench.take(member("b"))
    assert names(again) == names(job) - bench.plan.had.keys() and len(names(again)) == 2
    bench.plan.told(said(min(names(job))))
    assert len(bench.plan.had) == 4


def cruel(bench: Bench, poison: set[str]) -> list[set[str]]:
    """Works the plan off with workers that die, before they told anything, of whom they must not read; the trips they took."""
    taken = []
    while bench.plan.unfinished():
        bench.clock.at += 1e6
        job = bench.take(member("a"))
        taken.append(names(job))
        if names(job) & poison:
            bench.plan.lost(job)
        else:
            bench.tell(job)
            bench.plan.done(job, 0)
        assert len(taken) < 100
    return taken


def test_who_costs_three_workers_is_given_up_alone_and_nobody_else() -> None:
    bench = Bench(["okx", "gemini"], each=50)
    taken = cruel(bench, {"okx-7", "okx-31"})
    assert bench.plan.given_up.keys() == {"okx-7", "okx-31"} and len(bench.plan.had) == 98
    assert {reason for reason, _ in bench.plan.given_up.values()} == {Reason.TIMEOUT}
    for poison in ("okx-7", "okx-31"):
        assert {poison} in taken and 3 <= sum(poison in trip for trip in taken) <= 6


def test_where_every_worker_dies_an_end_is_made() -> None:
    bench = Bench(["okx"], each=5000)
    taken = cruel(bench, {f"okx-{number}" for number in range(5000)})
    assert len(bench.plan.given_up) == 5000 and len(taken) < 60


def test_a_bug_costs_the_account_and_a_missing_credential_the_run() -> None:
    bench = Bench(["okx"], each=1)
    for _ in range(3):
        bench.plan.failed(bench.take(member("a")), Failed(message="failed (KeyError {})", code=1), "")
        bench.clock.at += 1e6
    assert bench.plan.given_up["okx-0"] == (Reason.MALFORMED_RESPONSE, "our reader failed (KeyError {})")
    bench = Bench(["okx"])
    with pytest.raises(CredentialError, match="on w1: okx-0: apiKey: not set") as raised:
        bench.plan.failed(bench.take(member("a")), Failed(message="okx-0: apiKey: not set", code=3), "on w1: ")
    assert raised.value.exit_code == 3


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["told", "lost", "done", "wait"])), max_size=40))
def test_no_exchange_has_two_readers_at_an_address_whoever_comes_and_goes(steps: list[tuple[str, str]]) -> None:
    bench = Bench(VENUES, each=4)
    members = {name: member(name, "one" if name in "abc" else "two") for name in "abcd"}
    running: dict[str, Any] = {}
    freed: dict[tuple[str, str], float] = {}
    for name, step in steps:
        if name not in running:
            job = bench.plan.take(members[name], [members[name]], list(members.values()))
            if job is not None:
                assert lanes(job).isdisjoint(lane for other in running.values() for lane in lanes(other))
                for lane in lanes(job):
                    assert bench.clock.at >= freed.get(lane, -math.inf) + pause(lane[0])
                running[name] = job
        elif step == "wait":
            bench.clock.at += 7.0
        elif step == "told":
            bench.tell(running[name], 1)
        else:
            job = running.pop(name)
            freed |= dict.fromkeys(lanes(job), bench.clock.at)
            bench.tell(job) if step == "done" else None
            (bench.plan.done(job, 0) if step == "done" else bench.plan.lost(job))
    held = [name for job in running.values() for name in names(job) if name not in bench.plan.had]
    left = [name for waiting in bench.plan._left.values() for name in waiting]
    left += [name for groups in bench.plan._suspects.values() for group in groups for name in group]
    seen = [*bench.plan.had, *held, *left, *bench.plan.given_up]
    assert sorted(seen) == sorted(one.name for one in accounts(*VENUES, each=4))  # nothing lost, nothing doubled


def test_a_snapshot_told_is_the_snapshot() -> None:
    one = Snapshot(
        collected_at=NOW,
        account={"name": "a", "exchange": "okx", "login_weakest_factor": "sms"},
        api_keys=[{"label": "\udcffx", "can_read": True, "ip": ["1.2.3.4"]}],
        addresses=[],
        venue={"status": "ok"},
        sources={"api_keys": Source(by="api", ref="GET /x", contradicts="no")},
        problems=(Problem(endpoint="e", reason=Reason.TIMEOUT, detail="d", facts=("api_keys",)),),
    )
    assert of_document(json.loads(json.dumps(one.to_document())), NOW) == one


def test_an_account_that_nobody_could_read_is_incomplete_and_says_why() -> None:
    given = accounts("okx", each=2)
    whose = Identity.ephemeral("test")
    found = unread(given, {"okx-1": (Reason.TIMEOUT, "lost {}")}, {}, whose, NOW)
    assert list(found) == ["okx-1"] and found["okx-1"].api_keys is None
    assert {(one.reason, one.detail) for one in found["okx-1"].problems} == {(Reason.TIMEOUT, "lost {}")}


def test_a_part_that_cannot_be_judged_becomes_unknown_and_is_counted() -> None:
    run = pipeline.Run(rules=pipeline.rule_files(None), identity=Identity.ephemeral("x"), now=NOW)
    documents = [json.loads(said(name)) for name in ("okx-0", "okx-1")]
    with Evidence(NOW).add(documents) as evidence:
        (share,) = judging.shares(evidence, 0)
    plan = judging.Judging([share], most=10, few=1)
    for _ in range(3):
        job = plan.take(member("a"), [], [])
        assert job is share
        plan.failed(job, Failed(message="failed (MemoryError)", code=1), "")
    assert not plan.unfinished()
    (lost,) = plan.given_up
    plan.add(lost.share, judging.stand_in(lost, run))
    report = pipeline.report_on(plan.whole.accounts(), run)
    assert [one.name for one in report.accounts] == ["okx-0", "okx-1"]
    assert report.summary.incomplete_accounts == ("okx-0", "okx-1")
    assert "MemoryError" in report.accounts[0].problems[0].detail
    about_keys = {one.outcome for one in report.accounts[0].findings if one.rule.startswith("key-")}
    assert about_keys <= {"unknown", "not_applicable"}


def test_the_same_account_always_lands_in_the_same_part() -> None:
    places = [judging.part_of(f"account-{number}", 8) for number in range(2000)]
    assert places == [judging.part_of(f"account-{number}", 8) for number in range(2000)]
    assert min(places.count(part) for part in range(8)) > 150


def test_workers_of_a_private_network_share_an_address_unless_they_say_otherwise() -> None:
    private = {
        passport.egress(f"tls://{host}:1", {}) for host in ("10.0.0.1", "192.168.3.4", "127.0.0.1", "[::1]", "pod-7")
    }
    assert len(private) == 1
    assert passport.egress("tls://8.8.8.8:1", {}) == passport.egress("tls://8.8.8.8:2", {}) == "8.8.8.8"
    assert passport.egress("tls://8.8.4.4:1", {}) not in {*private, "8.8.8.8"}
    assert passport.egress("tls://10.0.0.1:1", {"AUDITOR_EGRESS": "nat-2"}) == "nat-2"


def test_each_difference_between_two_programs_is_told() -> None:
    mine = passport.own(Identity.ephemeral("x"), "nonce")
    assert passport.differences(mine, passport.own(Identity.ephemeral("x"), "nonce")) == []
    for name, other, said_of_it in (
        ("version", "0.0.1", "runs exchange-auditor 0.0.1"),
        ("ccxt", "4.0.0", "runs ccxt 4.0.0"),
        ("rules", "0" * 64, "has other shipped rules (000000000000"),
        ("code", "0" * 64, "runs another build"),
        ("probe", "0" * 32, "holds another identity key"),
    ):
        (told,) = passport.differences(mine, replace(mine, **{name: other}))
        assert told.startswith(said_of_it)
    assert passport.differences(mine, passport.own(Identity.ephemeral("y"), "nonce"))


def test_an_identity_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="never serialised"):
        pickle.dumps(Identity.ephemeral("x"))


@given(st.data())
def test_the_worst_are_kept_whatever_order_the_parts_come_in(data: st.DataObject) -> None:
    """Held against sorting all of them at once, also where later parts leave out who cannot be among the worst."""
    scores = data.draw(st.lists(st.sampled_from([None, 1.0, 2.0, 2.04, 50.0]), min_size=1, max_size=24))
    every = [reported(f"a{number % 7}", low, number) for number, low in enumerate(scores)]
    size, few = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    most = data.draw(st.integers(few, 30))
    parts = [every[at : at + size] for at in range(0, len(every), size)]
    whole = part.Whole(most, few)
    for number in data.draw(st.permutations(range(len(parts)))):
        tally, keeping = part.Tally(), part.Keeping(most if whole.cutoff is None else 0, few)
        for one in parts[number]:
            tally.add(one, set())
        keeping.add([one for one in parts[number] if whole.cutoff is None or pipeline.worst_first(one) <= whole.cutoff])
        whole.add(number, part.Part(tally=tally, packed=keeping.packed()))
    expected = sorted(every, key=pipeline.worst_first)
    assert list(whole.accounts()) == (expected if len(every) <= most else expected[:few])
    assert whole.tally.sum.done(expected) == pipeline.summary(expected)


def reported(name: str, low: float | None, number: int) -> AccountReport:
    held = Score(low=low, high=low, grade=None, coverage=low and low / 100, observed=None, attested=None)
    nothing: dict[str, Any] = dict.fromkeys(("findings", "causes", "fixes", "questions", "problems"), ())
    return AccountReport(
        name=name,
        exchange="okx",
        venue_name=f"{number}",  # tells equals apart, and is no part of the order
        kind=None,
        collected_at=NOW,
        score=held,
        inventory=Inventory(api_keys=None, addresses=None, complete=None),
        **nothing,
    )
