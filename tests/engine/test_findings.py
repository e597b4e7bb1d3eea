"""Findings and what follows from them: ids, labels, missing facts with reason and remedy, causes, questions, fixes."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import time
from typing import Any

import pytest

from auditor.engine.findings import label_of
from auditor.exchanges import _venue
from auditor.model.evidence import Reason
from auditor.model.report import Finding, Outcome, PathStatus
from auditor.model.rule import Fix, Severity

from .invented import ID, document, judged, rule, shipped


def found(one: dict[str, Any], *rules: Any) -> list[Finding]:
    [account] = judged([one], tuple(rules) or None).accounts
    return list(account.findings)


def one_missing(one: dict[str, Any], path: str, require: str | None = None, applies_to: str = "account") -> Any:
    [finding] = [one for one in found(one, rule("r", applies_to, require or path)) if one.outcome is Outcome.UNKNOWN]
    return {missing.fact: missing for missing in finding.missing}[path]


def problem(reason: str, *facts: str, endpoint: str = "x") -> dict[str, Any]:
    return {"endpoint": endpoint, "reason": reason, **({"facts": list(facts)} if facts else {})}


KEYS = rule("keys", "api_key", "api_key.ip_bound")


# Ids and subjects.


def test_an_id_is_what_the_contract_says() -> None:
    one = document(api_keys=[{"fingerprint": "f" * 32, "ip_bound": False}])
    ids = {finding.subject.fingerprint: finding.id for finding in found(one, KEYS)}
    assert ids["f" * 32] == hashlib.sha256(f"keys\nmain\n{'f' * 32}".encode()).hexdigest()[:16]


def test_a_key_without_a_fingerprint_is_known_by_what_tells_it_apart() -> None:
    key = {"sub_account": "s", "label": "bot", "created_at": "2025-01-03T00:00:00Z", "kind": "hmac"}
    [finding] = [one for one in found(document(api_keys=[{**key, "ip_bound": False}]), KEYS) if not one.subject.unseen]
    mark = ID.fingerprint("api_key", "nowhere", "main", "s", "bot", "2025-01-03T00:00:00Z", "hmac")
    assert finding.subject.fingerprint == mark


def test_equal_keys_are_told_apart_by_content_and_not_by_order() -> None:
    rows = [{"label": "bot", "ip_bound": True}, {"label": "bot", "ip_bound": False}, {"label": "bot"}, {"label": "bot"}]
    first = found(document(api_keys=rows), KEYS)
    assert found(document(api_keys=rows[::-1]), KEYS) == first
    assert found(document(api_keys=[*rows[2:], *rows[:2]]), KEYS) == first
    assert len({finding.id for finding in first}) == len({finding.subject.fingerprint for finding in first}) == 5


def test_no_key_can_pass_for_the_unseen_one() -> None:
    ids = [finding.id for finding in found(document(api_keys=[{"fingerprint": "unseen", "ip_bound": True}]), KEYS)]
    assert len(set(ids)) == 2


def test_every_outcome_of_every_rule_is_there() -> None:
    one = document({"key_inventory_complete": True, "settings_lock": True}, api_keys=[{"ip_bound": True}], addresses=[])
    rules = (
        KEYS,
        rule("a", "account", "account.settings_lock"),
        rule("b", "address", "NOT address.skips_second_factor"),
        rule("w", "withdrawal", "withdrawal.destination_recognised"),
    )
    assert [(finding.rule, finding.outcome.value, finding.subject.type) for finding in found(one, *rules)] == [
        ("a", "pass", "account"), ("keys", "pass", "api_key"), ("b", "not_applicable", "account"), ("w", "not_applicable", "account"),
    ]  # fmt: skip
    assert {finding.rule for finding in found(one)} == {one.id for one in shipped()}


# Labels.


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"label": "bot", "masked_id": "…abcd"}, "bot"),
        ({"masked_id": "…abcd"}, "(no label) …abcd"),
        ({"label": "", "masked_id": "…abcd"}, "(no label) …abcd"),
        ({}, "(no label)"),
        ({"label": "bot", "sub_account": "desk"}, "desk/bot"),
        ({"masked_id": "AKIAIOSFODNN7EXAMPLE"}, "(no label) …MPLE"),
        ({"label": "mail bob@example.com or +49 170 1234567"}, "mail b••• or +•••67"),
        ({"label": "x", "sub_account": "bob@example.com"}, "b•••/x"),
    ],
)
def test_the_label_of_a_key(row: dict[str, str], label: str) -> None:
    assert label_of("api_key", {f"api_key.{name}": value for name, value in row.items()}) == label


def test_labels_of_other_rows() -> None:
    assert label_of("address", {"address.asset": "BTC", "address.label": "cold"}) == "BTC cold"
    assert (
        label_of("event", {"event.kind": "login", "event.at": "2026-01-01T00:00:00Z"}) == "login 2026-01-01T00:00:00Z"
    )
    assert label_of("withdrawal", {"withdrawal.asset": "BTC", "withdrawal.amount": 2.0}) == "BTC 2"
    assert label_of("vendor", {}) == "(vendor without a name)"


def test_nothing_personal_gets_into_an_account_report() -> None:
    one = document(
        {"name": "bob@example.com", "parent": "bob@example.com"},
        api_keys=[{"label": "bob@example.com", "vendor": "+49 170 1234567", "masked_id": "AKIAIOSFODNN7EXAMPLE", "permissions": ["bob@example.com"]}],
        problems=[{"endpoint": "x", "reason": "timeout", "detail": "no answer for bob@example.com"}],
        sources={"account.parent": {"by": "api", "ref": "GET /u/bob@example.com"}},
    )  # fmt: skip
    text = repr(
        judged(
            [one],
            (
                *shipped(),
                rule("p", "account", "account.parent = 'x'", message="{account.parent}"),
                rule("q", "api_key", "api_key.vendor = 'x'", message="{api_key.vendor} {api_key.label}"),
            ),
        )
    )
    assert "bob@example" not in text
    assert "1234567" not in text
    assert "AKIAIOSF" not in text


def test_what_is_not_known_is_put_in_brackets_once() -> None:
    asked = rule(
        "r", "account", "account.shared_login", message="{account.kind} (since {account.created_at}) ({account.parent})"
    )
    [finding] = found(document({"shared_login": False}), asked)
    assert finding.message == "(unknown) (since unknown) (unknown)"


def test_an_exchange_nobody_knows_has_the_name_its_account_gives_it() -> None:
    asked = rule("r", "account", "venue.id <> 'nowhere'", message="{venue.id}")
    [finding] = found(document(), asked)
    assert (finding.outcome, finding.message) == (Outcome.FAIL, "nowhere")


@pytest.mark.parametrize("one", shipped(), ids=lambda one: one.id)
def test_a_shipped_message_names_its_row_once(one: Any) -> None:
    """A label is what tells a row apart: an address with its asset and network, an event with its kind."""
    row = one.applies_to + "."
    named = [path for path in re.findall(r"\{([\w.]+)\}", one.message) if path.startswith(row)]
    assert f"{row}label" not in named or not {f"{row}asset", f"{row}network"} & set(named)


def test_a_message_says_what_is_known_and_what_is_not() -> None:
    message = "{api_key.label}: {api_key.can_trade}, {api_key.ip_widest_hosts}, {account.kyc_level}, {account.balance_usd}, {api_key.created_at}"
    widest = rule("r", "api_key", "api_key.ip_widest_hosts < 5", message=message)
    key = {
        "label": "{account.name} %s {}",
        "can_trade": True,
        "ip_allowlist": ["0.0.0.0/0"],
        "created_at": "2025-01-03T00:00:00Z",
    }
    [finding] = [
        one for one in found(document({"balance_usd": 0.5}, api_keys=[key]), widest) if one.outcome is Outcome.FAIL
    ]
    assert finding.message == "{account.name} %s {}: yes, 4294967296, (unknown), 0.5, 2025-01-03T00:00:00Z"


def test_a_weakest_factor_that_is_known_is_not_asked_once_more() -> None:
    """That SMS is the weakest says nothing of mail: it is mail that is asked about, and not the weakest once more."""
    answered = {"login_weakest_factor": "sms", "step_up_weakest_factor": "sms"}
    [account] = judged([document(answered)]).accounts
    asked = {question.fact: question for question in account.questions}
    assert not {f"account.{name}" for name in answered} & asked.keys()
    for fact in ("account.login_accepts_email", "account.step_up_accepts_email"):
        assert "auth-email-weakest" in asked[fact].narrows


# What is missing, why, and how to supply it.


def test_a_reason_comes_from_the_problem_that_names_the_fact_or_its_list() -> None:
    named = document(
        problems=[problem("rate_limited", "account.settings_lock"), problem("timeout", "api_keys")], api_keys=[{}]
    )
    assert one_missing(named, "account.settings_lock").reason == "rate_limited"
    assert {m.reason for f in found(named, KEYS) for m in f.missing} == {"timeout"}


@pytest.mark.parametrize(
    ("fact", "key", "scope"),
    [
        ("account.key_inventory_complete", "api_keys", "api_key"),
        ("account.addresses_complete", "addresses", "address"),
        ("account.events_cover_from", "events", "event"),
        ("account.withdrawals_complete", "withdrawals", "withdrawal"),
    ],
)
def test_a_list_that_failed_is_why_it_is_not_whole(fact: str, key: str, scope: str) -> None:
    one = document(problems=[problem("venue_maintenance", key)])
    [finding] = found(
        one,
        rule(
            "r",
            scope,
            {
                "api_key": "api_key.ip_bound",
                "address": "NOT address.skips_second_factor",
                "event": "event.owner_confirmed",
                "withdrawal": "withdrawal.destination_recognised",
            }[scope],
        ),
    )
    assert [(missing.fact, missing.reason) for missing in finding.missing] == [(fact, "venue_maintenance")]
    assert "when the exchange is back" in finding.missing[0].how


def test_a_problem_that_names_nothing_may_be_the_reason_of_what_an_api_would_show() -> None:
    """As the contract's own example has it: endpoint, reason and detail."""
    one = document(
        problems=[{"endpoint": "users/subaccount/list", "reason": "permission_denied", "detail": "..."}], api_keys=[{}]
    )
    assert one_missing(one, "account.kyc_level", "account.kyc_level > 1").reason == "permission_denied"
    assert one_missing(one, "account.settings_lock").reason == "not_exposed", "its owner can simply say it"
    assert one_missing(one, "account.password_unique").reason == "not_exposed"
    reasons = {(m.fact, m.reason) for f in found(one, KEYS) for m in f.missing}
    assert {reason for fact, reason in reasons if fact != "account.key_inventory_complete"} == {"permission_denied"}
    named = {**one, "problems": [*one["problems"], problem("timeout", "account.settings_lock")]}
    assert one_missing(named, "account.settings_lock").reason == "timeout"


def test_the_order_of_problems_decides_nothing() -> None:
    problems = [problem("timeout", "api_keys"), problem("invalid_key", "api_keys"), problem("rate_limited")]
    assert found(document(problems=problems), KEYS) == found(document(problems=problems[::-1]), KEYS)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_remedy(reason: Reason) -> None:
    one = document(problems=[problem(reason.value, "account.settings_lock", "account.kyc_level")])
    assert one_missing(one, "account.settings_lock").how
    assert one_missing(one, "account.kyc_level", "account.kyc_level > 1").how
    assert one_missing(one, "account.settings_lock").reason == reason.value


def test_the_how_names_the_question_and_where_to_look() -> None:
    how = one_missing(document({"exchange": "okx"}), "account.withdrawal_allowlist_enabled").how
    place = _venue.load("okx").where["account.withdrawal_allowlist_enabled"]
    assert "auditor attest" in how and place in how
    inventory = one_missing(
        document({"exchange": "okx"}, api_keys=[]), "account.key_inventory_complete", "api_key.ip_bound", "api_key"
    ).how
    assert "expected_keys" in inventory and _venue.load("okx").where["account.keys_counted"] in inventory


def test_an_expired_answer_is_missing_because_it_expired() -> None:
    one = document(
        {"settings_lock": True},
        sources={"account.settings_lock": {"by": "attest", "at": "2026-01-01", "expires": "2026-11-19"}},
    )
    assert one_missing(one, "account.settings_lock").reason == "attestation_expired"


def test_unknowns_with_one_cause_are_shown_once() -> None:
    [account] = judged([document(api_keys=[{}])]).accounts
    shown = [(cause.reason, cause.how) for cause in account.causes]
    assert len(shown) == len(set(shown))
    whole = [cause for cause in account.causes if "account.key_inventory_complete" in cause.facts]
    assert len(whole) == 1
    unseen = {
        finding.rule for finding in account.findings if finding.subject.unseen and finding.subject.type == "api_key"
    }
    assert set(whole[0].rules) == unseen
    every = {finding.rule for finding in account.findings if finding.outcome is Outcome.UNKNOWN}
    assert {name for cause in account.causes for name in cause.rules} == every


def test_what_only_history_can_tell_waits_for_an_approved_inventory() -> None:
    missing = one_missing(
        document({"key_inventory_complete": True}, api_keys=[{"label": "bot"}]),
        "api_key.widened_since_baseline", "NOT api_key.widened_since_baseline", "api_key",
    )  # fmt: skip
    assert "auditor keys approve" in missing.how


def test_what_is_opt_in_and_was_not_asked_for_is_named_so() -> None:
    sent = rule("r", "withdrawal", "withdrawal.destination_recognised")
    for one in (document(), document(withdrawals=None), document(problems=[problem("not_collected", "withdrawals")])):
        [finding] = found(one, sent)
        assert (finding.outcome, finding.message) == (Outcome.NOT_APPLICABLE, "Not asked for: r")
    [empty] = found(document({"withdrawals_complete": True}, withdrawals=[]), sent)
    assert (empty.outcome, empty.message) == (Outcome.NOT_APPLICABLE, "Does not apply: r")
    [failed] = found(document(problems=[problem("timeout", "withdrawals")]), sent)
    assert failed.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("timeout", ["account.events_cover_from"]),
        ("venue_incident", ["account.events_cover_from"]),
        ("permission_denied", ["account.events_cover_from", "account.security_log_recognised"]),
        ("not_exposed", ["account.events_cover_from", "account.security_log_recognised"]),
        (None, ["account.security_log_recognised"]),
    ],
)
def test_the_owners_own_look_is_asked_for_where_another_run_would_not_help(
    reason: str | None, facts: list[str]
) -> None:
    one = document(problems=[problem(reason, "events")] if reason else [])
    [finding] = found(one, rule("r", "event", "event.owner_confirmed"))
    assert [missing.fact for missing in finding.missing] == facts


def test_an_answer_about_a_whole_list_is_not_passed_off_as_shown_by_the_exchange() -> None:
    listed = {"addresses": {"by": "api", "ref": "GET /book"}}
    said = {"account.all_addresses_recognised": {"by": "attest", "at": "2026-11-02", "expires": "2027-01-01"}}
    mine = rule("r", "address", "address.owner_recognised")
    old = {"asset": "BTC", "created_at": "2020-01-01T00:00:00Z"}
    one = document(
        {"all_addresses_recognised": True, "addresses_complete": True}, addresses=[old], sources={**listed, **said}
    )
    assert [line.source for line in found(one, mine)[0].evidence] == [
        "follows from account.all_addresses_recognised (stated by the owner on 2026-11-02)"
    ]
    named = {**one, "addresses": [{**old, "owner_recognised": True}], "sources": {**listed, **said, "address.owner_recognised": {"by": "history"}}}  # fmt: skip
    assert [line.source for line in found(named, mine)[0].evidence] == ["history"]


FOLLOWS = rule("r", "api_key", "NOT api_key.made_after_credential_change")


@pytest.mark.parametrize(
    ("account", "key", "fact"),
    [
        ({}, {"created_at": "2026-06-01T00:00:00Z"}, "account.password_changed_at"),
        ({"password_changed_at": "2026-01-01T00:00:00Z"}, {"created_at": "2026-06-01T00:00:00Z"}, "account.two_factor_changed_at"),
        ({"password_ever_changed": False}, {"created_at": "2026-06-01T00:00:00Z"}, "account.two_factor_changed_at"),
        ({"password_changed_at": "2026-01-01T00:00:00Z", "two_factor_ever_changed": False}, {"label": "x"}, None),
    ],
)  # fmt: skip
def test_what_was_answered_is_not_asked_again(account: dict[str, Any], key: dict[str, Any], fact: str | None) -> None:
    [one] = judged([document({**account, "key_inventory_complete": True}, api_keys=[key])], (FOLLOWS,)).accounts
    assert [question.fact for question in one.questions if question.narrows] == ([fact] if fact else [])
    [finding] = one.findings
    assert finding.outcome is Outcome.UNKNOWN
    assert ("auditor attest" in finding.missing[0].how) is (fact is not None)


# Questions and fixes.


_LOSING = {"withdraw_funds", "drain_by_trading", "internal_transfer_out"}


def test_questions_are_those_an_owner_can_answer_most_valuable_first() -> None:
    [account] = judged([document({"exchange": "okx"})]).accounts
    whole = sum(1 for path in account.paths or () if path.goal in _LOSING and path.status is PathStatus.POSSIBLE)
    worth = [math.log(question.gain) - math.log(0.4) * question.ways / whole for question in account.questions]
    assert all(one >= other - 1e-6 for one, other in itertools.pairwise(worth))
    assert all(question.ask and question.gain >= 1 for question in account.questions)
    assert all(question.narrows or question.ways for question in account.questions)
    by_rules = [question.gain for question in account.questions if not question.ways]
    assert by_rules == sorted(by_rules, reverse=True)
    facts = [question.fact for question in account.questions]
    assert len(facts) == len(set(facts))
    assert "account.keys_counted" in facts


def test_a_rule_that_fails_already_asks_nothing() -> None:
    one = document(api_keys=[{"ip_bound": False}, {}])
    [account] = judged([one], (rule("r", "api_key", "api_key.ip_bound"),)).accounts
    assert {finding.outcome for finding in account.findings} == {Outcome.FAIL, Outcome.UNKNOWN}
    assert [question for question in account.questions if question.narrows] == []


def test_a_rule_that_waits_for_two_answers_shares_its_weight() -> None:
    both = rule("r", "account", "account.password_unique AND account.email_dedicated", severity=Severity.CRITICAL)
    [account] = judged([document()], (both,)).accounts
    asked = [(question.fact, pytest.approx(question.gain)) for question in account.questions if question.narrows]
    assert asked == [  # the password also decides ways to the money
        ("account.password_unique", 0.4**-0.5), ("account.email_dedicated", 0.4**-0.5),
    ]  # fmt: skip


def test_fixes_close_all_a_rule_names_largest_gain_first_then_easiest() -> None:
    hard, easy = Fix(effort="high", text="hard", steps={}), Fix(effort="low", text="easy", steps={})
    rules = (
        rule("a", "api_key", "api_key.ip_bound", severity=Severity.MEDIUM, fix=easy),
        rule("b", "account", "account.settings_lock", severity=Severity.CRITICAL, fix=hard),
        rule("c", "account", "account.password_unique", severity=Severity.CRITICAL, fix=easy),
        rule("d", "account", "account.email_dedicated", severity=Severity.INFO, fix=easy),
        rule("e", "account", "account.dedicated_device", fix=easy),
    )
    held = dict.fromkeys(("settings_lock", "password_unique", "email_dedicated"), False)
    [account] = judged(
        [document(held, api_keys=[{"ip_bound": False}, {"ip_bound": False, "label": "x"}, {}])], rules
    ).accounts
    assert [(step.change, len(step.closes), pytest.approx(step.gain)) for step in account.fixes] == [
        ("easy", 1, 2.5), ("hard", 1, 2.5), ("easy", 2, 1 / 0.96),
    ]  # fmt: skip
    ids = {finding.id for finding in account.findings if finding.outcome is Outcome.FAIL}
    assert all(set(step.closes) <= ids for step in account.fixes)


def test_where_a_fact_came_from() -> None:
    key = {"ip_bound": True, "third_party": False}
    sources = {
        "api_keys": {"by": "api", "ref": "GET /keys"},
        "api_key.third_party": {"by": "attest", "at": "2026-11-01"},
        "account.login_weakest_factor": {"by": "attest", "at": "2026-11-02"},
    }
    one = document({"exchange": "okx", "login_weakest_factor": "totp"}, api_keys=[key], sources=sources)
    rules = (
        rule("k", "api_key", "api_key.ip_bound AND NOT api_key.third_party"),
        rule("a", "account", "NOT account.login_accepts_sms AND account.hold_after_two_factor_change_hours >= 24"),
    )
    lines = {line.fact: line.source for finding in found(one, *rules) for line in finding.evidence}
    assert lines == {
        "api_key.ip_bound": "api: GET /keys",
        "api_key.third_party": "stated by the owner on 2026-11-01",
        "account.login_accepts_sms": "follows from account.login_weakest_factor (stated by the owner on 2026-11-02)",
        "account.hold_after_two_factor_change_hours": "policy of OKX, as of 2026-03-06 (older than 180 days)",
    }


def test_an_account_of_five_thousand_keys_takes_seconds() -> None:
    rows = [
        {"label": f"bot-{number % 100}", "can_trade": number % 3 == 0, "ip_bound": number % 2 == 0}
        for number in range(5_000)
    ]
    start = time.process_time()
    [account] = judged([document({"exchange": "okx"}, api_keys=rows)]).accounts
    assert time.process_time() - start < 15
    assert len({finding.id for finding in account.findings}) == len(account.findings)


def test_questions_about_rows_of_one_name_have_one_order() -> None:
    """A set has another order in every process: a report must not."""
    marks = ["f", "3", "a", "0", "c", "7"]
    one = document(api_keys=[{"fingerprint": mark * 32, "can_trade": True} for mark in marks])
    [account] = judged([one]).accounts
    asked: dict[str, list[str]] = {}
    for question in account.questions:
        if question.subject is not None:
            asked.setdefault(question.fact, []).append(question.subject.fingerprint)
    assert asked and all(len(found) == len(marks) for found in asked.values())
    assert all(found == sorted(found) for found in asked.values())
