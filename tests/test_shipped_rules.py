"""The shipped rule pack: that it is whole, says only what may be said, and that every case comes out as expected.

Cases run twice over: in the engine, and in a small interpreter of Kleene's logic written here from the contract alone.
The second also mutates every predicate: a rule whose cases do not notice a changed condition is not tested.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from auditor import cases
from auditor.engine.derived import DERIVED, roots
from auditor.exchanges import _venue
from auditor.model.facts import COMPLETENESS, LISTS, catalogue, parse_time
from auditor.model.rule import Predicate, Rule, Severity
from auditor.ruleset import loader
from auditor.ruleset.predicate import CLOCK

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)

CRITICAL = {
    "KEY-01": "key-unrecognised",
    "KEY-02": "key-withdraw-without-ip-binding",
    "KEY-03": "key-third-party-trade-without-ip-binding",
    "AUTH-01": "auth-no-second-factor",
    "AUTH-02": "auth-sms-weakest",
    "EML-01": "email-weak-second-factor",
    "EML-02": "email-recovery-by-phone",
    "WDL-01": "withdrawal-allowlist-off",
    "TEAM-01": "team-master-key",
}
HIGH = {
    "AUTH-03": "auth-downgrade-possible",
    "KEY-04": "key-withdraw-permission",
    "KEY-05": "key-trade-without-ip-binding",
    "KEY-06": "key-dormant",
    "KEY-07": "key-secret-in-plaintext",
    "KEY-08": "key-transfer-permission",
    "KEY-09": "key-more-than-expected",
    "KEY-10": "key-older-than-departure",
    "AUTH-04": "auth-email-weakest",
    "AUTH-05": "auth-phishable-factor",
    "AUTH-06": "auth-totp-cloud-synced",
    "AUTH-07": "auth-recovery-by-phone",
    "AUTH-08": "auth-password-reused",
    "REC-01": "auth-recovery-by-support",
    "WDL-02": "withdrawal-new-address-at-once",
    "WDL-03": "withdrawal-api-ignores-allowlist",
    "WDL-04": "withdrawal-no-hold-after-credential-change",
    "WDL-05": "withdrawal-hold-has-side-doors",
    "WDL-13": "withdrawal-address-skips-second-factor",
    "WDL-07": "team-single-approver",
    "SES-01": "session-unvetted-extensions",
    "SES-02": "session-unknown",
    "VND-01": "vendor-no-second-factor",
    "VND-02": "vendor-breached",
    "ENV-01": "key-malicious-package",
    "ENV-02": "key-readable-by-agents",
    "OAU-01": "vendor-app-can-send",
    "LIFE-01": "venue-closing",
    "LIFE-02": "venue-closing",
    "MON-01": "monitor-alerts-mail-or-phone-only",
    "WDL-06": "withdrawal-destination-shares-host",
    "MON-03": "monitor-withdrawal-after-small-test",
    "MON-04": "monitor-setting-changed",
    "MON-09": "monitor-login-unrecognised",
}
OTHERS = {
    "KEY-13": "key-ip-list-too-wide",
    "KEY-16": "key-audit-key-not-read-only",
    "AUTH-09": "auth-phone-not-locked",
    "AUTH-10": "auth-anti-phishing-code-unset",
    "AUTH-11": "auth-no-backup-factor",
    "AUTH-12": "auth-backup-codes-exposed",
    "EML-03": "email-rules-unchecked",
    "EML-04": "email-address-not-dedicated",
    "SES-03": "session-no-dedicated-device",
    "SES-04": "session-copy-can-trade",
    "SES-05": "session-phone-apps-unvetted",
    "VND-03": "vendor-key-not-labelled",
    "VND-04": "vendor-keys-not-bound",
    "TEAM-02": "team-no-leaver-record",
    "TEAM-03": "team-shared-login",
    "TEAM-04": "team-bot-funds-not-isolated",
    "MON-05": "monitor-freeze-not-rehearsed",
    "MON-06": "monitor-no-freeze-delegate",
    "MON-07": "monitor-leaked-data-not-heeded",
    "MON-08": "monitor-no-support-call-rule",
    "LIFE-03": "venue-balance-over-limit",
    "LIFE-04": "venue-exit-not-tried",
    "KEY-11": "key-not-rotated",
    "KEY-12": "key-shared-by-programs",
    "KEY-14": "key-not-limited-to-markets",
    "KEY-15": "key-derivatives-not-needed",
    "KEY-17": "key-made-after-credential-change",
    "KEY-18": "key-used-in-testing",
    "WDL-08": "withdrawal-allowlist-off-at-once",
    "WDL-09": "withdrawal-address-unrecognised",
    "WDL-10": "withdrawal-limit-too-high",
    "WDL-11": "withdrawal-card-can-be-charged",
    "WDL-12": "withdrawal-peer-to-peer-unused",
    "EVID-04": "evidence-answers-old",
    "EVID-01": "evidence-unavailable",
    "EVID-02": "evidence-unavailable",
    "EVID-03": "evidence-contradiction",
}
EXPECTED = CRITICAL | HIGH | OTHERS
SECOND = {
    "auth-weaker-factor-kept": ("AUTH-03", Severity.CRITICAL),
    "key-unpinned-dependencies": ("ENV-01", Severity.HIGH),
    "withdrawal-address-unused": ("WDL-09", Severity.MEDIUM),
}
"""Rules that share their code with another one: half of what it asks, each with a severity of its own."""
UNCODED = {
    "key-widened": Severity.HIGH,
    "monitor-withdrawal-unrecognised": Severity.HIGH,
    "monitor-login-failed": Severity.LOW,
}
"""Rules about what an audit sees change, which no code of the list asks for."""

OPT_IN = {"venue-balance-over-limit", "monitor-withdrawal-after-small-test", "monitor-withdrawal-unrecognised"}
"""Rules about what is read only where it was asked for."""

REMEDIES = (
    "bind_ip delete_key drop_withdraw drop_trade drop_transfer enable_allowlist new_address_lock switch_second_factor "
    "remove_sms add_passkey anti_phishing freeze review_sessions review_keys lock_settings"
)
CONTROLS = {
    "nist-800-63b-4": "2.2 3.1.3 3.2.5",
    "owasp-nhi": "NHI1 NHI2 NHI3 NHI5 NHI7 NHI8 NHI9 NHI10",
    "attack": "T1078 T1098.001 T1098.005 T1110.004 T1111 T1114.002 T1114.003 T1176.001 T1185 T1195.001 T1199 T1451 "
    "T1517 T1528 T1539 T1550.001 T1550.004 T1552.001 T1552.008 T1555 T1556.006 T1557 T1564.008 T1565.002 "
    "T1566.002 T1566.004 T1586.002 T1598.004 T1656 T1657",
    "iso-27001": "A.5.3 A.5.7 A.5.9 A.5.14 A.5.16 A.5.17 A.5.18 A.5.20 A.5.21 A.5.22 A.5.24 A.5.28 A.5.30 A.6.3 A.6.5 "
    "A.8.1 A.8.2 A.8.5 A.8.9 A.8.15 A.8.16 A.8.19",
    "soc2": "A1.3 CC6.1 CC6.2 CC6.3 CC6.6 CC6.7 CC6.8 CC7.1 CC7.2 CC7.3 CC7.4 CC9.1 CC9.2",
    "cis": "2.1 2.3 5.2 5.3 5.4 5.5 6.2 6.3",
    "ccss": "1.03 1.04 1.05 1.06",
}
INCIDENTS = (
    "2011-mtgox 2014-localbitcoins 2017-bithumb-single 2017-bithumb-stuffing 2017-bithumb-vishing 2018-binance-sys "
    "2018-simswap-a 2018-simswap-b 2019-binance-may 2019-bitmex-email 2019-cookieminer 2019-localbitcoins "
    "2020-okex-freeze 2020-simswap-a 2021-coinbase-700k 2021-coinbase-false-2fa 2021-coinbase-otp-panel "
    "2021-cybernews-keys 2021-fake-site 2021-okx-30030 2021-simswap-a 2021-simswap-b 2022-ftx-dmg 2022-ftx-freeze "
    "2022-simswap-a 2022-skyrex 2022-xrp-extension 2023-impersonation-ring 2023-korea-mvno 2023-retool 2023-rilide "
    "2023-support-vishing 2024-binance-clipper 2024-countertrade-a 2024-genesis-gemini 2024-google-prompt "
    "2024-okx-glitch 2024-okx-sms-api 2025-address-poison 2025-afp-sms 2025-ccxt-mexc 2025-coindcx 2025-japan-brokers 2025-woox "
    "2026-bitmex-auth 2026-bitmex-closure 2026-clawhub 2026-kraken-insider 2026-stealer-149m"
)


@cache
def pack() -> dict[str, Rule]:
    return {rule.id: rule for rule in loader.load(loader.shipped_folder())}


IDS = sorted({*EXPECTED.values(), *SECOND, *UNCODED})
every_rule = pytest.mark.parametrize("rule_id", IDS)


def test_the_pack_is_exactly_the_expected_rules_and_has_no_fault():
    assert loader.check(loader.shipped_folder()) == []
    assert sorted(pack()) == IDS


def test_every_code_is_covered_by_its_rule_and_every_alias_is_a_code():
    said = [(alias, rule.id) for rule in pack().values() for alias in rule.aliases]
    assert sorted(said) == sorted([*EXPECTED.items(), *((code, id_) for id_, (code, _) in SECOND.items())])


@every_rule
def test_severity_is_that_of_its_code(rule_id: str):
    rule = pack()[rule_id]
    expected = dict.fromkeys(CRITICAL, Severity.CRITICAL) | dict.fromkeys(HIGH, Severity.HIGH)
    expected |= {alias: Severity.INFO if alias.startswith("EVID") else Severity.MEDIUM for alias in OTHERS}
    if rule_id in UNCODED:
        assert (rule.severity, rule.aliases) == (UNCODED[rule_id], ())
        return
    if rule_id in SECOND:
        expected = dict([SECOND[rule_id]])
    assert {rule.severity} == {expected[alias] for alias in rule.aliases}


@every_rule
def test_names_it_refers_to_are_known(rule_id: str):
    rule = pack()[rule_id]
    assert rule.fix.remedy is None or rule.fix.remedy in REMEDIES.split()
    assert "default" in rule.fix.steps
    for control in rule.controls:
        framework, _, number = control.partition("/")
        assert number in CONTROLS[framework].split(), control
    assert rule.controls and rule.references
    assert {name.removeprefix("INC-") for name in rule.incidents} <= set(INCIDENTS.split())


def test_no_known_incident_and_no_known_control_is_unused():
    assert {name.removeprefix("INC-") for rule in pack().values() for name in rule.incidents} == set(INCIDENTS.split())


UNDOCUMENTED = {"venue.session_cookie_replayable", "venue.hold_covers_internal_transfer"}
"""What an exchange would have to document and none does yet; their rules are decided by an answer beside them."""


@every_rule
def test_what_it_reads_can_be_supplied_by_somebody(rule_id: str):
    documented = {one.fact for id_ in _venue.ids() for one in _venue.load(id_).policies if one.value is not None}
    for path in pack()[rule_id].facts:
        supplied = [
            root
            for root in roots(path)
            if catalogue()[root].ask or catalogue()[root].by & {"api", "history"} or root in documented
        ]
        computed = path in DERIVED and not DERIVED[path].inputs
        assert supplied or computed or path in {*UNDOCUMENTED, "api_key.is_audit_key"}, path
        assert not (path in UNDOCUMENTED and supplied), f"{path} is documented by now"


_NOT_ALL_OF_IT = {
    "delete_key": r"\AMake |\AUse |and make it again",
    "review_keys": r"\ADelete ",
    "add_passkey": r"\bremove\b",
    "review_sessions": r"\bpassword is used nowhere else\b",
}
"""Steps of an exchange that would be a part of the fix, by what the fix says beyond them."""


@every_rule
def test_the_steps_of_an_exchange_do_all_that_the_fix_says(rule_id: str):
    fix = pack()[rule_id].fix
    assert fix.remedy not in _NOT_ALL_OF_IT or not re.search(_NOT_ALL_OF_IT[fix.remedy], fix.text)


@every_rule
def test_what_it_tells_people(rule_id: str):
    rule = pack()[rule_id]
    steps = [step for listed in rule.fix.steps.values() for step in listed]
    texts = [rule.title, rule.message, rule.why, rule.how_we_know, rule.fix.text, *steps]
    for text in texts:
        assert not re.search(r"!|\bensure\b|\bsimply\b|complian|violat|[\w.]+@\w|\+\d{6}", text, re.IGNORECASE), text
        assert text == text.strip() and "  " not in text, text
    assert set(re.findall(r"INC-[\w-]+", " ".join(texts))) <= set(rule.incidents)
    assert all(text.endswith(".") for text in (rule.why, rule.how_we_know, rule.fix.text, *steps))
    assert not rule.title.endswith(".")


@every_rule
def test_an_account_of_which_nothing_is_known_is_unknown(rule_id: str):
    blank = {"account": {"evidence_state": None, "evidence_contradicted": None, "answers_old": None}}
    assert outcome(pack()[rule_id], blank) == ("not_applicable" if rule_id in OPT_IN else "unknown")


@cache
def engine_failures() -> dict[str, list[str]]:
    """What the engine says otherwise than the cases, by rule. One run for the whole pack: starting it is what costs."""
    found: dict[str, list[str]] = {}
    for failure in cases.run(list(pack().values()), now=NOW):
        found.setdefault(failure.rule, []).append(f"{failure.case}: {failure.got}, not {failure.expected}")
    return found


@every_rule
def test_cases_in_the_engine(rule_id: str):
    assert engine_failures().get(rule_id, []) == []


def test_the_engine_notices_wrong_cases():
    turned = {"pass": "fail", "fail": "unknown", "unknown": "not_applicable", "not_applicable": "pass"}
    wrong = [
        replace(rule, cases=tuple({**case, "expect": turned[case["expect"]]} for case in rule.cases))
        for rule in pack().values()
    ]
    assert len(cases.run(wrong, now=NOW)) == sum(len(rule.cases) for rule in wrong)


@every_rule
def test_cases_in_the_oracle(rule_id: str):
    rule = pack()[rule_id]
    assert {case["name"]: outcome(rule, case) for case in rule.cases} == {
        case["name"]: case["expect"] for case in rule.cases
    }


@every_rule
def test_cases_notice_every_change_of_a_condition(rule_id: str):
    rule = pack()[rule_id]
    survivors = [
        f"{name}: {tree.sql()}"
        for name in ("when", "require")
        for tree in mutants(getattr(rule, name))
        if all(outcome(rule, case, **{name: tree}) == case["expect"] for case in rule.cases)
    ]
    assert survivors == []


# --- the oracle: Kleene's logic over one subject, from the contract -------------------------------------------------

_COMPARED = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
}
_COMPUTED = {**_COMPARED, exp.Sub: operator.sub}
_TURNED = {
    exp.LT: exp.LTE,
    exp.LTE: exp.LT,
    exp.GT: exp.GTE,
    exp.GTE: exp.GT,
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.And: exp.Or,
    exp.Or: exp.And,
}


def tree_of(predicate: Predicate | None) -> exp.Expression:
    return sqlglot.parse_one(predicate.sql if predicate else "TRUE", read="duckdb")


def value_of(node: Any, facts: dict[str, Any], now: datetime) -> Any:
    """The value of a checked tree; None is unknown."""
    if type(node) in _LEAVES:
        return _LEAVES[type(node)](node, facts, now)
    left = value_of(node.this, facts, now)
    if isinstance(node, exp.Paren):
        return left
    if isinstance(node, exp.Not):
        return None if left is None else not left
    if isinstance(node, exp.In):
        return None if left is None else left in [value_of(one, facts, now) for one in node.expressions]
    right = value_of(node.expression, facts, now)
    if isinstance(node, (exp.And, exp.Or)):
        decides = isinstance(node, exp.Or)
        return decides if decides in (left, right) else None if None in (left, right) else not decides
    return None if None in (left, right) else _COMPUTED[type(node)](left, right)


_LEAVES: dict[Any, Any] = {
    exp.Column: lambda node, facts, now: now if node.name == CLOCK else facts.get(f"{node.table}.{node.name}"),
    exp.Literal: lambda node, _facts, _now: node.name if node.is_string else float(node.name),
    exp.Boolean: lambda node, _facts, _now: node.this,
    exp.Interval: lambda node, _facts, _now: timedelta(**{f"{node.unit.name.lower()}s": int(node.this.name)}),
}


def mutants(predicate: Predicate | None) -> Iterator[exp.Expression]:
    """The condition with one thing changed: an operator turned, a NOT dropped, a limit moved, a condition made constant."""
    whole = tree_of(predicate)
    for place, node in enumerate(whole.walk()):
        changed: list[exp.Expression] = []
        if type(node) in _TURNED and not (type(node) in {exp.LT, exp.LTE, exp.GT, exp.GTE} and _two_times(node)):
            changed.append(_TURNED[type(node)](this=node.this.copy(), expression=node.expression.copy()))
        if isinstance(node, exp.Not):
            changed.append(node.this.copy())
        if isinstance(node, exp.In):
            rest = ([other for other in node.expressions if other is not one] for one in node.expressions)
            changed += [exp.In(this=node.this.copy(), expressions=[one.copy() for one in kept]) for kept in rest]
        if isinstance(node, exp.Literal) and not node.is_string:
            changed += [exp.Literal.number(float(node.name) * factor) for factor in (0.5, 1.5)]
        if type(node) in _COMPARED or (isinstance(node, exp.Column) and _is_bool(node)):
            changed += [exp.Boolean(this=True), exp.Boolean(this=False)]
        for new in changed:
            copy = whole.copy()
            target = list(copy.walk())[place]
            yield new if target is copy else (target.replace(new), copy)[1]


def _is_bool(column: exp.Column) -> bool:
    fact = catalogue().get(f"{column.table}.{column.name}")
    return fact is not None and fact.kind == "bool"


def _two_times(node: exp.Expression) -> bool:
    """Whether two times of the evidence are compared: that they are equal to the second is no case worth writing."""
    columns = [column for column in node.find_all(exp.Column) if column.name != CLOCK]
    return len(columns) > 1


def outcome(rule: Rule, case: dict[str, Any], **trees: exp.Expression) -> str:
    """What a rule says of the account of a case: the worst of its subjects."""
    now = parse_time(case["now"]) if "now" in case else NOW
    assert now is not None
    when, require = trees.get("when", tree_of(rule.when)), trees.get("require", tree_of(rule.require))
    found = set()
    for facts in subjects(rule.applies_to, case, now):
        about, holds = value_of(when, facts, now), value_of(require, facts, now)
        parts = (about, None if holds is None else not holds)
        risk = False if False in parts else None if None in parts else True
        found.add("fail" if risk else "unknown" if risk is None else "not_applicable" if about is False else "pass")
    return next((name for name in ("fail", "unknown", "pass") if name in found), "not_applicable")


def subjects(scope: str, case: dict[str, Any], now: datetime) -> Iterator[dict[str, Any]]:
    """The facts of each subject of the case, by path, with its account and venue; the unseen one last."""
    venue, account = dict(case.get("venue", {})), dict(case.get("account", {}))
    for path, source in case.get("sources", {}).items():
        if "expires" in source and parse_time(source["expires"]) + timedelta(days=1) <= now:
            account.pop(path.partition(".")[2], None)
    if arrived := [row["at"] for row in case.get("withdrawals") or () if row.get("state") == "done" and "at" in row]:
        account.setdefault("last_small_withdrawal_at", max(arrived))
    derive_account(account, venue, now)
    account.setdefault("answers_old", _answers_old(case, now))
    around = spelled("account", account) | spelled("venue", venue)
    if scope not in LISTS:
        yield around
        return
    rows = case.get(LISTS[scope])
    for row in rows or []:
        seen = dict(row)
        if scope == "api_key":
            derive_key(seen, account)
        derive_row(scope, seen, rows or [], case)
        yield around | spelled(scope, seen)
    if (rows is None and scope != "withdrawal") or _may_hold_more(scope, account, now):
        nothing: dict[str, Any] = {}
        derive_row(scope, nothing, [], case)
        yield around | spelled(scope, {name: value for name, value in nothing.items() if value is not None})


def _may_hold_more(scope: str, account: dict[str, Any], now: datetime) -> bool:
    """Whether a list that was seen may hold what was not: one that a case gives is whole unless the case says otherwise."""
    if scope != "event":
        return account.get(COMPLETENESS[scope].partition(".")[2], True) is not True
    reaches = parse_time(account.get("events_cover_from", "2010-01-01")) or now
    return reaches > max(
        parse_time(account.get("created_at")) or reaches.min.replace(tzinfo=UTC), now - timedelta(days=90)
    )


def _answers_old(case: dict[str, Any], now: datetime) -> bool | None:
    given = [parse_time(one.get("at")) for one in case.get("sources", {}).values() if one["by"] in {"attest", "config"}]
    if any(at is not None and at.date() < (now - timedelta(days=30)).date() for at in given):
        return True
    return None if None in given else False


def derive_row(scope: str, row: dict[str, Any], rows: list[dict[str, Any]], case: dict[str, Any]) -> None:
    """What the owner said of all rows at once holds for one of which nothing else is said, and what one login says of others."""
    account, known = case.get("account", {}), dict(row)
    if scope == "event" and row.get("kind") == "login" and row.get("ip"):
        confirmed = [one for one in rows if one.get("kind") == "login" and one.get("owner_confirmed")]
        if any(one.get("ip") == row["ip"] for one in confirmed):
            row.setdefault("owner_confirmed", True)
    for name, said in {
        ("address", "owner_recognised"): "all_addresses_recognised",
        ("address", "still_used"): "all_addresses_used",
        ("address", "destination_shares_host"): "destination_shares_host",
        ("event", "owner_confirmed"): "security_log_recognised",
    }.items():
        if name[0] == scope and account.get(said) is not None and not _later(known, case, f"account.{said}"):
            row.setdefault(name[1], account[said])


def _later(row: dict[str, Any], case: dict[str, Any], said: str) -> bool:
    """Whether a row came after the owner spoke of all of them. A day lasts until its end."""
    spoken, born = case.get("sources", {}).get(said, {}).get("at"), row.get("created_at", row.get("at"))
    return bool(spoken and born) and parse_time(born) >= parse_time(spoken) + timedelta(days=1)


def spelled(scope: str, row: dict[str, Any]) -> dict[str, Any]:
    kinds = {name: catalogue()[f"{scope}.{name}"].kind for name in row}
    return {f"{scope}.{name}": parse_time(value) if kinds[name] == "time" else value for name, value in row.items()}


def derive_account(account: dict[str, Any], venue: dict[str, Any], now: datetime) -> None:
    derive_factors(account)
    for fact, source, members in (
        ("recovery_by_sms", "recovery_channels", {"sms_code"}),
        ("recovery_by_support", "recovery_channels", {"support_video", "support_docs"}),
        ("alert_survives_mail_and_phone", "alert_channels", {"push", "other"}),
    ):
        if account.get(source) is not None:
            account.setdefault(fact, bool(members & set(account[source])))
    derive_past(account, now)
    if _phone_counts(account):
        account.setdefault("phone_is_factor", True)
    several = (account.get("shared_login"), account.get("anyone_left"), _known(account.get("kind"), "custody"))
    account.setdefault("several_people", True if True in several else None if None in several else False)
    known = (account.get(name) is not None for name in ("balance_usd", "share_of_total"))
    account.setdefault("balance_asked_for", any(known))
    limit, most = account.get("withdrawal_limit_daily_usd"), account.get("largest_withdrawal_usd")
    if limit == 0 or None not in (limit, most):
        account.setdefault("withdrawal_limit_far_above_use", limit > 0 and limit > 5 * most)
    account.setdefault("downgrade_possible", _downgrade(account, venue))
    for name in venue.keys() & {path.partition(".")[2] for path in catalogue() if path.startswith("account.")}:
        account.setdefault(name, venue[name])
    if account.get("allowlist_disable_delay_hours") is not None:
        account.setdefault("allowlist_can_be_disabled", True)


def derive_factors(account: dict[str, Any]) -> None:
    ranked = catalogue()["account.login_weakest_factor"].choices
    for step in ("login", "step_up"):
        weakest = account.get(f"{step}_weakest_factor")
        for factor, name in {"sms": "sms", "email": "email_otp", "totp": "totp"}.items():
            if weakest is not None and ranked.index(weakest) >= ranked.index(name):
                account.setdefault(f"{step}_accepts_{factor}", weakest == name)
        accepted = any(account.get(f"{step}_accepts_{factor}") for factor in ("sms", "email", "totp"))
        if weakest is not None or accepted or account.get("two_factor_enabled") is False:
            account.setdefault(f"{step}_needs_second_factor", weakest != "none" if weakest else accepted)


def derive_past(account: dict[str, Any], now: datetime) -> None:
    """What follows from the day on which something happened last."""
    for fact, time in {
        "anyone_left": "last_departure_at",
        "small_withdrawal_tried": "last_small_withdrawal_at",
    }.items():
        if account.get(time) is not None:
            account.setdefault(fact, True)
    for fact, days in {"email_rules_reviewed": 180, "freeze_rehearsed": 365}.items():
        if (moment := parse_time(account.get(f"{fact}_at"))) is not None:
            account.setdefault(fact, now - moment <= timedelta(days=days))


def _made_after_change(row: dict[str, Any], account: dict[str, Any]) -> bool | None:
    created, told = parse_time(row.get("created_at")), row.get("created_after_credential_change_hours")
    gaps: list[timedelta | None] = [None if told is None else timedelta(hours=told)]
    for name in () if told is not None else ("password", "two_factor"):
        at = parse_time(account.get(f"{name}_changed_at"))
        never = account.get(f"{name}_ever_changed") is False
        gaps.append(timedelta(days=-1) if never else created - at if created and at else None)
    if any(gap is not None and timedelta(0) <= gap <= timedelta(hours=72) for gap in gaps):
        return True
    return None if None in gaps[told is None :] else False


def _known(value: str | None, wanted: str) -> bool | None:
    return None if value is None else value == wanted


def _downgrade(account: dict[str, Any], venue: dict[str, Any]) -> bool | None:
    asked = {account.get("login_weakest_factor"), account.get("step_up_weakest_factor")}
    enrolled = set(account.get("enrolled_factors") or ())
    keys = bool({"passkey", "hardware_key"} & enrolled)
    if asked == {"phishing_resistant"} or (enrolled and not keys and asked == {"totp"}):
        return False
    weaker = (keys and asked - {None, "phishing_resistant"}) or asked - {None, "phishing_resistant", "totp"}
    return True if weaker and enrolled - {"sms", "email", "device"} else venue.get("second_factor_downgrade_possible")


def _phone_counts(account: dict[str, Any]) -> bool:
    """Whether anything that is known of the account makes its phone number count."""
    both = "sms_and_email" in (account.get("login_weakest_factor"), account.get("step_up_weakest_factor"))
    named = any(account.get(name) for name in ("login_accepts_sms", "step_up_accepts_sms", "recovery_by_sms"))
    mailbox = account.get("email_recovery_by_phone") or account.get("email_second_factor") == "sms"
    return bool(both or named or mailbox or "sms" in (account.get("enrolled_factors") or ()))


def derive_key(row: dict[str, Any], account: dict[str, Any]) -> None:
    if account.get("kind") == "sub" or (row.get("sub_account") or "").strip():
        row.setdefault("funds_isolated", True)
    name = (row.get("vendor") or "").strip().lower()
    if len(name) > 2 and name in (row.get("label") or "").lower():
        row.setdefault("label_names_vendor", True)
    if row.get("is_audit_key"):
        row.setdefault("owner_recognised", True)
    row.setdefault("symbol_restricted", account.get("trade_symbol_allowlist"))
    row.setdefault("made_after_credential_change", _made_after_change(row, account))
    if row.get("last_used_at") is not None:
        row.setdefault("never_used", False)
    if row.get("ip_allowlist"):
        blocks = [ipaddress.ip_network(entry) for entry in row["ip_allowlist"]]
        row.setdefault("ip_widest_hosts", float(max(block.num_addresses for block in blocks)))
        row.setdefault("ip_allows_any", any(block.prefixlen == 0 for block in blocks))
    if None not in (row.get("permissions"), row.get("expected_permissions")):
        row.setdefault("more_than_expected", bool(set(row["permissions"]) - set(row["expected_permissions"])))
