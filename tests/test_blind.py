"""Nothing that was not seen may look fine. Every venue's twin is broken in every way, at once and endpoint by endpoint;
what the rules then say is held against the healthy run and against a run that had no key at all.

All broken twins are collected in one run and judged in one evaluation, so that a few hundred of them take seconds.
"""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from auditor import attestations, collect, demo, pipeline
from auditor.config import AccountConfig
from auditor.credentials import Sources
from auditor.engine.intake import Evidence
from auditor.exchanges import _load, _transport
from auditor.identity import Identity
from auditor.model.evidence import Reason, Snapshot
from auditor.model.report import AccountReport, Finding, Outcome
from auditor.twin._base import Breakage, Refusal, TwinVenue
from tests import stage

VENUES = [one.id for one in stage.every_twin()]
CLOSELY = {one.id for one in demo.venues()}
"""Venues that are broken in every way and endpoint by endpoint; the others as a whole, in a few ways."""
EVERYWHERE = "/"
HOWS: list[Refusal | Breakage] = [*Refusal, *Breakage]
REASON: dict[Refusal | Breakage, set[Reason]] = {
    Refusal.BAD_KEY: {Reason.INVALID_KEY},
    Refusal.BAD_SIGNATURE: {Reason.INVALID_KEY},
    Refusal.BAD_TIMESTAMP: {Reason.CLOCK_SKEW},
    Refusal.FOREIGN_IP: {Reason.IP_NOT_ALLOWED, Reason.PERMISSION_DENIED},
    Refusal.MISSING_PERMISSION: {Reason.PERMISSION_DENIED},
    Refusal.RATE_LIMIT: {Reason.RATE_LIMITED},
    Refusal.MAINTENANCE: {Reason.VENUE_MAINTENANCE, Reason.VENUE_INCIDENT},
    Breakage.HTML_ERROR: {Reason.VENUE_INCIDENT},
    Breakage.TRUNCATED: {Reason.MALFORMED_RESPONSE},
    Breakage.WRONG_SHAPE: {Reason.MALFORMED_RESPONSE},
    Breakage.REDIRECT: {Reason.MALFORMED_RESPONSE},
    Breakage.SILENCE: {Reason.TIMEOUT},
    Breakage.EMPTY: {Reason.MALFORMED_RESPONSE},
}
UNDOCUMENTED = {
    ("kraken", Refusal.FOREIGN_IP),
    ("krakenfutures", Refusal.MISSING_PERMISSION),
    ("woo", Refusal.FOREIGN_IP),
    ("woo", Refusal.MISSING_PERMISSION),
}
"""Where the venue has no answer of its own and spells the refusal like that of a wrong key: nobody can tell them apart."""


@dataclass(frozen=True, slots=True)
class Case:
    venue: str
    how: Refusal | Breakage | None
    prefix: str

    @property
    def name(self) -> str:
        return f"{self.venue}-{self.how}-{self.prefix}"


def paths(venue: str) -> list[str]:
    connector = _load.connector(venue)
    assert connector is not None
    return sorted({one.path for one in connector.endpoints})


TELLING: set[Refusal | Breakage] = {
    Refusal.MISSING_PERMISSION,
    Refusal.BAD_KEY,
    Refusal.MAINTENANCE,
    Breakage.WRONG_SHAPE,
    Breakage.EMPTY,
    Breakage.TRUNCATED,
}
"""What a single endpoint fails with: each a way of its own through classification, reading and writing."""
WHOLE: set[Refusal | Breakage] = {
    Refusal.BAD_KEY,
    Refusal.MISSING_PERMISSION,
    Breakage.HTML_ERROR,
    Breakage.WRONG_SHAPE,
    Breakage.EMPTY,
}
CASES = [
    Case(venue, how, prefix)
    for venue in VENUES
    for how in HOWS
    if venue in CLOSELY or how in WHOLE
    for prefix in (EVERYWHERE, *(paths(venue) if how in TELLING and venue in CLOSELY else ()))
]
BY_REFUSAL = {("bitstamp", Refusal.MISSING_PERMISSION), ("robinhood", Refusal.MISSING_PERMISSION)}
"""Where a refusal to answer still shows that the key is accepted, and with it what holds for every key of the venue."""


class World:
    """The reports on all cases, and beside each venue the healthy one and the one without a key."""

    def __init__(self, cases: list[Case], attested: dict[str, Any], counted: bool) -> None:
        self.cases = cases
        self.attested, self.counted = attested, counted
        healthy = [Case(venue, None, EVERYWHERE) for venue in VENUES]
        self.snapshots = self._collected([*healthy, *cases])
        blind = {f"{venue}-blind": self._without_a_key(venue) for venue in VENUES}
        self.snapshots |= blind
        self.reports = self._judged(list(self.snapshots.values()))

    def healthy(self, case: Case) -> AccountReport:
        return self.reports[Case(case.venue, None, EVERYWHERE).name]

    def blind(self, case: Case) -> AccountReport:
        return self.reports[f"{case.venue}-blind"]

    def _account(self, one: TwinVenue, name: str) -> AccountConfig:
        return replace(demo.account(one), name=name)

    def _stated(self, venue: str, name: str) -> attestations.Attestation:
        text = json.dumps(
            {
                "schema": "auditor/evidence/1",
                "attested_at": "2026-11-01",
                "account": {"name": name, "exchange": venue, **self.attested},
            }
        )
        faults = attestations._Reading(next(attestations.yamlio.parse_all(text, "owner.json")), stage.NOW)
        read = faults.attestation(name, venue)
        assert not faults.faults
        return read

    def _collected(self, cases: list[Case]) -> dict[str, Snapshot]:
        silent = [case for case in cases if case.how is Breakage.SILENCE]
        if silent and len(silent) < len(cases):
            loud = [case for case in cases if case.how is not Breakage.SILENCE]
            return self._collected(loud) | self._collected(silent)
        twins = []
        for case in cases:
            twin: TwinVenue = importlib.import_module(f"auditor.twin.{case.venue}").Twin()
            if case.how is not None:
                twin.fail(case.how, case.prefix)
            twins.append(twin)
        quick = partial(_transport.Venue, deadline=0.4 if silent else 10.0)
        with (
            demo.served(twins),
            mock.patch.object(collect, "Venue", quick),
            stage.hurried(attempts=2),
            mock.patch.object(collect.snapshots, "suspect_incidents", list),
        ):
            accounts = [self._account(twin, str(number)) for number, twin in enumerate(twins)]
            found = collect.collect(
                accounts,
                stated={one.name: self._stated(one.exchange, one.name) for one in accounts},
                identity=Identity.ephemeral("blind"),
                sources=Sources(environ=demo.environ(twins)),
                now=stage.NOW,
            )
        return {case.name: self._counted(snapshot) for case, snapshot in zip(cases, found, strict=True)}

    def _without_a_key(self, venue: str) -> Snapshot:
        account = AccountConfig(name="blind", exchange=venue)
        (found,) = collect.collect(
            [account],
            stated={"blind": self._stated(venue, "blind")},
            identity=Identity.ephemeral("blind"),
            sources=Sources(environ={}),
            now=stage.NOW,
        )
        return self._counted(found)

    def _counted(self, snapshot: Snapshot) -> Snapshot:
        return collect.snapshots.counted(snapshot, 1, "2026-11-15") if self.counted else snapshot

    def _judged(self, snapshots: list[Snapshot]) -> dict[str, AccountReport]:
        names = dict(zip((str(number) for number in range(len(snapshots))), self.snapshots, strict=True))
        renamed = [replace(one, account={**one.account, "name": str(number)}) for number, one in enumerate(snapshots)]
        run = pipeline.Run(rules=pipeline.rule_files(None), identity=Identity.ephemeral("blind"), now=stage.NOW)
        with Evidence(stage.NOW) as evidence:
            evidence.add(one.to_document() for one in renamed)
            report = pipeline.judge(evidence, run)
        return {names[account.name]: account for account in report.accounts}


@pytest.fixture(scope="module")
def world() -> World:
    """Every failure of every endpoint, under the best an owner can state."""
    return World(CASES, stage.ROSY, counted=True)


def outcomes(account: AccountReport) -> dict[tuple[str, str, str], Outcome]:
    """Rule and subject -> outcome, and rule alone -> the worst outcome that it has for any subject."""
    found = {(one.rule, one.subject.type, _whom(one)): one.outcome for one in account.findings}
    order = (Outcome.FAIL, Outcome.ERROR, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)
    whole: dict[str, list[Outcome]] = defaultdict(list)
    for finding in account.findings:
        whole[finding.rule].append(finding.outcome)
    return found | {(rule, "", ""): min(seen, key=order.index) for rule, seen in whole.items()}


def _whom(finding: Finding) -> str:
    """A subject by what stays the same in every case: the end of a key's id, or else its label without its sub-account,
    whose name an endpoint may owe us.
    """
    if finding.subject.type == "account":
        return "account"
    label = finding.subject.label
    return label.rpartition("…" if "…" in label else "/")[2] if finding.subject.type == "api_key" else label


def fine(outcome: Outcome | None) -> bool:
    return outcome in {Outcome.PASS, Outcome.NOT_APPLICABLE}


def each(world: World) -> Iterator[tuple[Case, AccountReport]]:
    for case in world.cases:
        yield case, world.reports[case.name]


def test_the_healthy_runs_prove_something_that_only_a_key_could(world: World) -> None:
    """Without this the comparisons below would hold of a program that never passes anything."""
    for venue in sorted(CLOSELY):
        case = Case(venue, None, EVERYWHERE)
        seen, without = outcomes(world.healthy(case)), outcomes(world.blind(case))
        assert [key for key in seen if seen[key] is Outcome.PASS and without.get(key) is not Outcome.PASS], venue
        assert [key for key in seen if seen[key] is Outcome.FAIL and without.get(key) is not Outcome.FAIL], venue


def test_a_venue_that_answers_nothing_proves_nothing(world: World) -> None:
    wrong = []
    for case, account in each(world):
        if case.prefix == EVERYWHERE and (case.venue, case.how) not in BY_REFUSAL:
            without = outcomes(world.blind(case))
            wrong += [
                f"{case.name}: {key} is {outcome}"
                for key, outcome in outcomes(account).items()
                if fine(outcome) and not fine(without.get(key))
            ]
    assert not wrong


def test_a_broken_endpoint_turns_nothing_into_a_pass(world: World) -> None:
    """What passes without any key passes on the owner's word, which a key that answers may contradict."""
    wrong = []
    for case, account in each(world):
        healthy, without = outcomes(world.healthy(case)), outcomes(world.blind(case))
        wrong += [
            f"{case.name}: {key} was {healthy.get(key)}, is {outcome}"
            for key, outcome in outcomes(account).items()
            if fine(outcome) and not fine(healthy.get(key)) and not fine(without.get(key))
            if not key[0].startswith("evidence-") and (case.venue, case.how) not in BY_REFUSAL
        ]
    assert not wrong


def test_no_pass_rests_on_the_endpoint_that_failed(world: World) -> None:
    wrong = []
    for case, account in each(world):
        if case.prefix != EVERYWHERE and case.how is not Refusal.BAD_TIMESTAMP:
            wrong += [
                f"{case.name}: {finding.rule} by {line.source}"
                for finding in account.findings
                if finding.outcome is Outcome.PASS
                for line in finding.evidence
                if line.source.endswith(f" {case.prefix}")
            ]
    assert not wrong


def test_a_list_is_never_more_complete_for_being_broken(world: World) -> None:
    for case, account in each(world):
        healthy = world.healthy(case)
        assert account.inventory.complete is not True or healthy.inventory.complete is True, case.name
        if account.inventory.addresses == ():
            assert healthy.inventory.addresses == (), case.name
        if account.inventory.api_keys == ():
            assert healthy.inventory.api_keys == (), case.name


def test_a_broken_answer_never_widens_the_score_upwards(world: World) -> None:
    for case, account in each(world):
        known = [one.score.low for one in (world.healthy(case), world.blind(case)) if one.score.low is not None]
        assert account.score.low is not None
        assert account.score.low <= max(known) + 1e-9, case.name


def test_every_failure_is_told_with_its_reason(world: World) -> None:
    wrong = []
    for case, account in each(world):
        if case.prefix == EVERYWHERE and case.how is not None and case.venue in CLOSELY:
            reasons = {problem.reason for problem in account.problems}
            expected = REASON[case.how] | ({Reason.INVALID_KEY} if (case.venue, case.how) in UNDOCUMENTED else set())
            if not reasons & expected or Reason.INVALID_KEY in reasons - expected:
                wrong.append(f"{case.name}: {sorted(reasons)}")
    assert not wrong


def test_an_outage_is_never_a_refused_key(world: World) -> None:
    harmless = [how for how in HOWS if how not in {Refusal.BAD_KEY, Refusal.BAD_SIGNATURE}]
    wrong = [
        case.name
        for case, account in each(world)
        if case.how in harmless
        and (case.venue, case.how) not in UNDOCUMENTED
        and Reason.INVALID_KEY in {problem.reason for problem in account.problems}
    ]
    assert not wrong


def test_a_broken_endpoint_is_noticed(world: World) -> None:
    """A single endpoint that fails leaves a problem, unless this run had no need of it (the clock)."""
    unnoticed = []
    for case, account in each(world):
        connector = _load.connector(case.venue)
        assert connector is not None
        clock = connector.clock.path if connector.clock else None
        was_asked = any(
            source.ref and source.ref.endswith(f" {case.prefix}")
            for source in world.snapshots[Case(case.venue, None, EVERYWHERE).name].sources.values()
        )
        if case.prefix not in {EVERYWHERE, clock} and was_asked and not account.problems:
            unnoticed.append(case.name)
    assert not unnoticed


def test_our_own_reader_never_fails(world: World) -> None:
    wrong = [
        f"{case.name}: {problem.detail}"
        for case, account in each(world)
        for problem in account.problems
        if "our reader failed" in problem.detail
    ]
    assert not wrong


def test_two_accounts_refused_alike_are_an_incident_of_the_venue(tmp_path: Path) -> None:
    mine = stage.Stage(tmp_path)
    for venue in sorted(CLOSELY):
        with stage.twins(venue) as served:
            twin = served[venue]
            twin.fail(Refusal.BAD_KEY)
            path = mine.config(twin)
            table = json.loads(path.read_text())
            table["accounts"].append({**table["accounts"][0], "name": "second"})
            mine.write("auditor.yaml", json.dumps(table))
            both = mine.run("audit", "-f", "json").report
            mine.config(twin)
            alone = mine.run("audit", "-f", "json").report
        assert {problem["reason"] for account in both["accounts"] for problem in account["problems"]} & {
            "invalid_key",
            "venue_incident",
        } == {"venue_incident"}
        assert "invalid_key" in {problem["reason"] for problem in alone["accounts"][0]["problems"]}
