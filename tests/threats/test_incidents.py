"""Documented incidents, audited the day before: the way the money went must be confirmed, with what is documented alone it
must be possible, and one of the controls that would have prevented it must stand among the fixes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from auditor import pipeline, threats, yamlio
from auditor.engine.intake import Evidence
from auditor.exchanges import _venue
from auditor.identity import Identity
from auditor.model.report import AccountReport, Outcome, PathStatus

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
INCIDENTS: list[dict[str, Any]] = yamlio.read(Path(__file__).with_name("incidents.yaml")).value
MECHANISMS: list[dict[str, Any]] = [
    {"documented": {}, **one, "kind": "mechanism", "assumed": one["facts"]}
    for one in yamlio.read(Path(__file__).with_name("mechanisms.yaml")).value
]
ORDINARY = {
    "account": {"withdrawal_second_approver": False, "trade_symbol_allowlist": False},
    "venue": {"trade_needs_step_up": False, "hold_covers_p2p": False, "hold_covers_internal_transfer": False},
}
"""True of ordinary private accounts; assumed in every incident."""
ATTACKED = [one for one in [*INCIDENTS, *MECHANISMS] if one["kind"] not in {"lifecycle", "evidence"}]
PREVENTABLE = [one for one in [*INCIDENTS, *MECHANISMS] if one.get("prevented_by")]
REASONS = {"unavailable": "venue_incident", "erroneous": "implausible_response"}


def named(incident: dict[str, Any]) -> str:
    return str(incident["id"])


def document(incident: dict[str, Any], *, assumed: bool) -> dict[str, Any]:
    """The evidence document of the day before. What is documented stands; what is assumed fills it."""
    account: dict[str, Any] = {"name": "victim", "exchange": incident.get("exchange", "elsewhere")}
    venue: dict[str, Any] = {}
    keys: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    for part in [incident["documented"], *([incident["assumed"], ORDINARY] if assumed else [])]:
        account |= {fact: value for fact, value in part.get("account", {}).items() if fact not in account}
        venue |= {fact: value for fact, value in part.get("venue", {}).items() if fact not in venue}
        more |= {name: part[name] for name in ("addresses", "vendors") if name in part}
        for number, row in enumerate(part.get("api_keys", [])):
            keys += [{}] if number >= len(keys) else []
            keys[number] |= {fact: value for fact, value in row.items() if fact not in keys[number]}
    made: dict[str, Any] = {"schema": "auditor/evidence/1", "collected_at": "2026-11-20T10:00:00Z", "account": account}
    made |= more | ({"venue": venue} if venue else {})
    made |= {"api_keys": keys} if keys else {}
    if state := incident["documented"].get("evidence"):
        lost = {"endpoint": "account", "reason": REASONS[state], "facts": ["api_keys", "account.balance_usd"]}
        made["problems"] = [lost]
    return made


def reached(incident: dict[str, Any], *, assumed: bool) -> dict[str, PathStatus]:
    analyst = threats.analyst()
    policies = {name: _venue.load(name).policy_facts() for name in {incident.get("exchange")} & set(_venue.ids())}
    [reading] = threats.read([document(incident, assumed=assumed)], NOW, analyst.model, policies)
    return dict(analyst.reaches(incident["begins_with"] or ["nobody"], reading, NOW))


def judged(incident: dict[str, Any]) -> AccountReport:
    return _judged(named(incident))


@cache
def _judged(name: str) -> AccountReport:
    incident = next(one for one in [*INCIDENTS, *MECHANISMS] if named(one) == name)
    run = pipeline.Run(rules=pipeline.rule_files(None), identity=Identity.ephemeral("t"), now=NOW)
    with Evidence(NOW).add([document(incident, assumed=True)]) as evidence:
        return pipeline.judge(evidence, run).accounts[0]


def test_they_are_all_here() -> None:
    assert len(INCIDENTS) == 51
    assert len({named(one) for one in INCIDENTS}) == 51
    assert len({named(one) for one in [*INCIDENTS, *MECHANISMS]}) == 51 + len(MECHANISMS)


def test_the_model_cites_incidents_that_are_replayed_here() -> None:
    cited = {one for move in threats.analyst().model.moves for one in move.incidents}
    assert cited
    assert cited <= {named(one) for one in INCIDENTS}


@pytest.mark.parametrize("incident", ATTACKED, ids=named)
def test_what_happened_is_confirmed(incident: dict[str, Any]) -> None:
    found = reached(incident, assumed=True)
    assert {goal: found.get(goal) for goal in incident["reaches"]} == dict.fromkeys(
        incident["reaches"], PathStatus.CONFIRMED
    )


@pytest.mark.parametrize("incident", ATTACKED, ids=named)
def test_what_is_documented_alone_never_blocks_it(incident: dict[str, Any]) -> None:
    found = reached(incident, assumed=False)
    assert all(found.get(goal) is not None for goal in incident["reaches"]), found


@pytest.mark.parametrize("incident", PREVENTABLE, ids=named)
def test_a_control_that_would_have_prevented_it_is_among_the_fixes(incident: dict[str, Any]) -> None:
    account = judged(incident)
    failing = {finding.id: finding.rule for finding in account.findings if finding.outcome is Outcome.FAIL}
    closed = {failing[id_] for step in account.fixes for id_ in step.closes}
    assert closed & set(incident["prevented_by"]), sorted(closed)


@pytest.mark.parametrize("incident", PREVENTABLE, ids=named)
def test_the_report_shows_the_way_it_went(incident: dict[str, Any]) -> None:
    account = judged(incident)
    confirmed = {
        path.goal: path
        for path in account.paths or ()
        if path.status is PathStatus.CONFIRMED and _began(path, incident)
    }
    assert set(incident["reaches"]) <= set(confirmed) | {"privacy_leak"}, sorted(confirmed)
    assert account.hardening is not None


def _began(path: Any, incident: dict[str, Any]) -> bool:
    return set(path.capability.split("+")) <= set(incident["begins_with"])


@pytest.mark.parametrize("incident", [one for one in INCIDENTS if one["kind"] == "evidence"], ids=named)
def test_wrong_or_missing_evidence_is_no_verdict(incident: dict[str, Any]) -> None:
    account = judged(incident)
    state = incident["documented"]["evidence"]
    said = [finding for finding in account.findings if finding.rule.startswith("evidence-")]
    assert Outcome.FAIL in {finding.outcome for finding in said}
    keys = [finding for finding in account.findings if finding.rule == "key-withdraw-permission"]
    assert {finding.outcome for finding in keys} == {Outcome.UNKNOWN}
    assert {missing.reason for finding in keys for missing in finding.missing} == {REASONS[state]}


@pytest.mark.parametrize("incident", [one for one in INCIDENTS if one["kind"] == "lifecycle"], ids=named)
def test_a_venue_that_closes_or_freezes_is_said(incident: dict[str, Any]) -> None:
    account = judged(incident)
    failing = {finding.rule for finding in account.findings if finding.outcome is Outcome.FAIL}
    assert failing & {"venue-closing", "venue-withdrawals-suspended"}
    assert reached(incident, assumed=True)["funds_unavailable"] is PathStatus.CONFIRMED
