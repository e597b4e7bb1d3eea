"""Derived facts against plain Python written from the notes of the catalogue, over random documents."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor.engine.derived import DERIVED
from auditor.model.document import fillable
from auditor.model.evidence import Reason
from auditor.model.facts import catalogue, format_time, parse_time
from auditor.model.rule import Predicate

from .invented import NOW, document, rule, subjects

_RANKED = ["none", "sms", "email_otp", "sms_and_email", "totp", "phishing_resistant"]
_ALONE = {"sms": "sms", "email": "email_otp", "totp": "totp"}
_DELIBERATE = {"not_exposed", "not_collected", "permission_denied", "attestation_expired"}


def _accepts(step: str, factor: str) -> Callable[..., Any]:
    def of(account: dict[str, Any], **_: Any) -> bool | None:
        weakest = account.get(f"{step}_weakest_factor")
        if weakest is None or _RANKED.index(weakest) < _RANKED.index(_ALONE[factor]):
            return None
        return weakest == _ALONE[factor]

    return of


def _needs(step: str) -> Callable[..., Any]:
    def of(account: dict[str, Any], **_: Any) -> bool | None:
        if (weakest := account.get(f"{step}_weakest_factor")) is not None:
            return bool(weakest != "none")
        if any(account.get(f"{step}_accepts_{factor}") for factor in _ALONE):
            return True
        return False if account.get("two_factor_enabled") is False else None

    return of


def _when_known(scope: str, name: str, value: bool) -> Callable[..., Any]:
    return lambda **given: None if given[scope].get(name) is None else value


def _any_of(scope: str, name: str, *members: str) -> Callable[..., Any]:
    return lambda **given: None if (held := given[scope].get(name)) is None else bool(set(held) & set(members))


def _hosts(entry: str) -> float | None:
    entry = entry.strip().lower()
    if "." in entry.partition("/")[2]:  # a mask in place of a length: not read, so unknown
        return None
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
    site = 64 if network.version == 6 else 32
    return 2.0 ** max(site - network.prefixlen, 0)


def _widest(key: dict[str, Any], **_: Any) -> float | None:
    hosts = [_hosts(entry) for entry in key.get("ip_allowlist") or ()]
    return None if not hosts or None in hosts else max(hosts)  # type: ignore[type-var]


def _any_address(key: dict[str, Any], **_: Any) -> bool | None:
    if (entries := key.get("ip_allowlist")) is None:
        return None
    spelled = {"*", "any", "all", "*.*.*.*", "0.0.0.0", "::", "0"}
    if any(entry.strip().lower() in spelled or entry.strip().endswith(("/0", "/00")) for entry in entries):
        return True
    return None if None in map(_hosts, entries) else False


def _more(key: dict[str, Any], **_: Any) -> bool | None:
    held, expected = key.get("permissions"), key.get("expected_permissions")
    return None if held is None or expected is None else bool(set(held) - set(expected))


def _after_change(key: dict[str, Any], account: dict[str, Any], **_: Any) -> float | None:
    changes = []
    for name in ("password", "two_factor"):
        at = parse_time(account.get(f"{name}_changed_at"))
        if at is None and account.get(f"{name}_ever_changed") is not False:
            return None
        changes += [at] if at else []
    created = parse_time(key.get("created_at"))
    return (created - max(changes)).total_seconds() / 3600 if created and changes else None


def _follows_change(key: dict[str, Any], account: dict[str, Any], **_: Any) -> bool | None:
    created, hours = parse_time(key.get("created_at")), key.get("created_after_credential_change_hours")
    close, settled = [], []
    for name in ("password", "two_factor"):
        at, never = parse_time(account.get(f"{name}_changed_at")), account.get(f"{name}_ever_changed") is False
        close.append(bool(created and at and timedelta(0) <= created - at <= timedelta(hours=72)))
        settled.append(never or (at is not None and created is not None))
    if any(close) or (hours is not None and 0 <= hours <= 72):
        return True
    return False if all(settled) or hours is not None else None


def _far_above(account: dict[str, Any], **_: Any) -> bool | None:
    limit, most = account.get("withdrawal_limit_daily_usd"), account.get("largest_withdrawal_usd")
    if limit is not None and limit <= 0:
        return False
    return None if limit is None or most is None else bool(limit > 5 * most)


def _answers_old(sources: dict[str, Any], **_: Any) -> bool | None:
    days = [one.get("at") for one in sources.values() if one["by"] in {"attest", "config"}]
    if any(day and day[:10] < "2026-10-21" for day in days):
        return True
    return None if None in days else False


def _state(problems: list[dict[str, Any]], sources: dict[str, Any], **_: Any) -> str:
    reasons = {problem["reason"] for problem in problems}
    if reasons & {"malformed_response", "implausible_response"} or _contradicted(sources=sources):
        return "erroneous"
    return "unavailable" if reasons - _DELIBERATE else "ok"


def _contradicted(sources: dict[str, Any], **_: Any) -> bool:
    return any(source.get("contradicts") for source in sources.values())


def _empty(key: str) -> Callable[..., Any]:
    def of(lists: dict[str, Any], problems: list[dict[str, Any]], **_: Any) -> bool | None:
        named = any(key in problem.get("facts", ()) for problem in problems)
        return True if lists.get(key) == [] and not named else None

    return of


def _last_arrival(lists: dict[str, Any], **_: Any) -> str | None:
    rows = lists.get("withdrawals") or ()
    return max((row["at"] for row in rows if row.get("state") == "done" and row.get("at")), default=None)


def _phone(account: dict[str, Any], **_: Any) -> bool | None:
    said = ("login_accepts_sms", "step_up_accepts_sms", "recovery_by_sms", "has_sms_factor", "email_recovery_by_phone")
    asked = {account.get("login_weakest_factor"), account.get("step_up_weakest_factor")}
    counts = any(account.get(name) for name in said) or account.get("email_second_factor") == "sms"
    return True if counts or "sms_and_email" in asked else None


def _downgrade(account: dict[str, Any], venue: dict[str, Any], **_: Any) -> bool | None:
    asked = [account.get("login_weakest_factor"), account.get("step_up_weakest_factor")]
    worst = min((_RANKED.index(factor) for factor in asked if factor), default=_RANKED.index("phishing_resistant"))
    key, app = account.get("has_phishing_resistant_factor"), "totp" in (account.get("enrolled_factors") or ())
    if asked == ["phishing_resistant"] * 2 or (key is False and asked == ["totp"] * 2):
        return False
    if (key and worst < _RANKED.index("phishing_resistant")) or (app and worst < _RANKED.index("totp")):
        return True
    return venue.get("second_factor_downgrade_possible")


def _within(name: str, days: int) -> Callable[..., Any]:
    def of(account: dict[str, Any], **_: Any) -> bool | None:
        moment = parse_time(account.get(name))
        return None if moment is None else NOW - moment <= timedelta(days=days)

    return of


def _several(account: dict[str, Any], **_: Any) -> bool | None:
    kind = account.get("kind")
    said = [account.get("shared_login"), account.get("anyone_left"), None if kind is None else kind == "custody"]
    return True if True in said else None if None in said else False


def _balance_asked_for(account: dict[str, Any], problems: list[dict[str, Any]], **_: Any) -> bool:
    tried = [one for one in problems if "account.balance_usd" in one.get("facts", ())]
    seen = account.get("balance_usd") is not None or account.get("share_of_total") is not None
    return seen or any(one["reason"] != "not_collected" for one in tried)


def _label_names_vendor(key: dict[str, Any], **_: Any) -> bool | None:
    vendor, label = (key.get("vendor") or "").strip().lower(), (key.get("label") or "").lower()
    return True if len(vendor) >= 3 and vendor in label else None


def _isolated(key: dict[str, Any], account: dict[str, Any], **_: Any) -> bool | None:
    return True if account.get("kind") == "sub" or (key.get("sub_account") or "").strip() else None


def _policy(name: str) -> Callable[..., Any]:
    return lambda venue, **_: venue.get(name)


_POLICIES = (
    "allowlist_disable_delay_hours", "new_address_delay_hours", "hold_after_password_change_hours",
    "hold_after_two_factor_change_hours", "hold_after_new_device_hours", "recovery_channels", "trade_needs_step_up",
)  # fmt: skip
EXPECTED: dict[str, Callable[..., Any]] = {
    "venue.offers_phishing_resistant": _any_of("venue", "two_factor_methods", "passkey", "hardware_key"),
    "venue.offers_authenticator": _any_of("venue", "two_factor_methods", "totp"),
    **{f"account.{step}_needs_second_factor": _needs(step) for step in ("login", "step_up")},
    **{f"account.{s}_accepts_{f}": _accepts(s, f) for s in ("login", "step_up") for f in _ALONE},
    "account.has_phishing_resistant_factor": _any_of("account", "enrolled_factors", "passkey", "hardware_key"),
    "account.has_sms_factor": _any_of("account", "enrolled_factors", "sms"),
    "account.recovery_by_email_link": _any_of("account", "recovery_channels", "email_link"),
    "account.recovery_by_sms": _any_of("account", "recovery_channels", "sms_code"),
    "account.recovery_by_support": _any_of("account", "recovery_channels", "support_video", "support_docs"),
    "account.alert_survives_mail_and_phone": _any_of("account", "alert_channels", "push", "other"),
    "account.downgrade_possible": _downgrade,
    "account.phone_is_factor": _phone,
    "account.email_rules_reviewed": _within("email_rules_reviewed_at", 180),
    "account.freeze_rehearsed": _within("freeze_rehearsed_at", 365),
    "account.several_people": _several,
    "account.balance_asked_for": _balance_asked_for,
    "api_key.label_names_vendor": _label_names_vendor,
    "api_key.funds_isolated": _isolated,
    "account.password_ever_changed": _when_known("account", "password_changed_at", True),
    "account.two_factor_ever_changed": _when_known("account", "two_factor_changed_at", True),
    "account.anyone_left": _when_known("account", "last_departure_at", True),
    "account.last_small_withdrawal_at": _last_arrival,
    "account.small_withdrawal_tried": _when_known("account", "last_small_withdrawal_at", True),
    "api_key.never_used": _when_known("key", "last_used_at", False),
    **{f"account.{name}": _policy(name) for name in _POLICIES},
    "account.allowlist_can_be_disabled": _when_known("account", "allowlist_disable_delay_hours", True),
    "account.addresses_complete": _empty("addresses"),
    "account.withdrawals_complete": _empty("withdrawals"),
    "account.evidence_state": _state,
    "account.evidence_contradicted": _contradicted,
    "account.answers_old": _answers_old,
    "account.withdrawal_limit_far_above_use": _far_above,
    "api_key.symbol_restricted": lambda account, **_: account.get("trade_symbol_allowlist"),
    "api_key.ip_widest_hosts": _widest,
    "api_key.ip_allows_any": _any_address,
    "api_key.more_than_expected": _more,
    "api_key.owner_recognised": lambda key, **_: True if key.get("is_audit_key") else None,
    "api_key.created_after_credential_change_hours": _after_change,
    "api_key.made_after_credential_change": _follows_change,
}
_TIMES = [format_time(NOW - timedelta(hours=hours)) for hours in (0, 1, 36, 73, 9000)]
SHOWN = tuple(path for path in DERIVED if path.partition(".")[0] in {"venue", "account", "api_key"})
"""Those of other rows have tests of their own."""
_ENTRIES = [
    "198.51.100.7", "198.51.100.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::1", "2001:db8::/65",
    "2001:db8::/64", "0.0.0.0", "::", "*", "Any", " 198.51.100.9 ", "198.51.100.1-198.51.100.9", "host.example", "198.51.100.*",
    "10.0.0.0/33", "10.0.0.0/99", "10.0.0.0/", "198.51.100.0/255.255.255.0", "10.0.0.0/00", "",
]  # fmt: skip


def _drawn(chance: random.Random, path: str) -> Any:
    fact = catalogue()[path]
    match fact.kind:
        case "bool":
            return chance.random() < 0.5
        case "int" | "number":
            return chance.choice([0, 1, 24, 72.5 if fact.kind == "number" else 3])
        case "time":
            return chance.choice(_TIMES)
        case "enum":
            return chance.choice(fact.choices)
        case "set":
            return chance.sample(fact.choices, chance.randint(0, 2))
    pool = _ENTRIES if path == "api_key.ip_allowlist" else ["Read", "Trade", "read", "x"]
    texts = [*pool, "", " ", " Read ", "trade x"]
    return chance.sample(pool, chance.randint(0, 2)) if fact.kind == "list" else chance.choice(texts)


def _table(chance: random.Random, scope: str, share: float) -> dict[str, Any]:
    """Random facts of a scope, some of them null."""
    wanted = {
        path
        for path in (*DERIVED, *(i for one in DERIVED.values() for i in one.inputs))
        if path.startswith(f"{scope}.")
    }
    table: dict[str, Any] = {}
    for path in sorted(wanted):
        if chance.random() < (0.12 if path in DERIVED else share):
            table[path.partition(".")[2]] = None if chance.random() < 0.3 else _drawn(chance, path)
    return table


def _invented(chance: random.Random) -> dict[str, Any]:
    lists = {key: chance.choice([None, [], [{}]]) for key in ("addresses", "withdrawals")}
    if lists["withdrawals"]:
        lists["withdrawals"] = [_table(chance, "withdrawal", 0.7) for _ in range(3)]
    problems = [
        {"endpoint": "x", "reason": chance.choice(list(Reason)).value, "facts": chance.sample(["addresses", "withdrawals", "account.balance_usd"], chance.randint(0, 1))}
        for _ in range(chance.choice([0, 0, 1, 2]))
    ]  # fmt: skip
    by, at = chance.choice(["api", "attest", "config"]), chance.choice([None, "2026-10-20", "2026-10-21T00:00:00Z"])
    source = (
        {"by": by} | ({"at": at} if at else {}) | ({"contradicts": "attest says else"} if chance.random() < 0.3 else {})
    )
    return document(
        {"exchange": chance.choice(["known", "strange"]), **_table(chance, "account", 0.7)},
        venue=_table(chance, "venue", 0.4),
        api_keys=[_table(chance, "api_key", 0.8) for _ in range(2)],
        problems=problems,
        sources={"api_keys": source} if chance.random() < 0.5 else {},
        **lists,
    )


_VENUE_FILE: dict[str, Any] = {
    "venue.hold_after_password_change_hours": 24,
    "venue.two_factor_methods": ["sms", "passkey"],
    "venue.recovery_channels": ["email_link"],
    "account.new_address_delay_hours": 48,
    "account.withdrawal_allowlist_enabled": True,
}


def _expected(one: dict[str, Any], key: dict[str, Any]) -> dict[str, Any]:
    """What a subject's facts must be: given, else from the venue file, else derived; a null stays unknown."""
    tables = {"venue": dict(one["venue"]), "account": dict(one["account"]), "api_key": dict(key)}
    policies = _VENUE_FILE if one["account"]["exchange"] == "known" else {}
    for path, value in policies.items():
        scope, _, name = path.partition(".")
        tables[scope].setdefault(name, value)
    last = ("account.phone_is_factor", "account.several_people", "account.downgrade_possible")
    order = sorted(
        EXPECTED,
        key=lambda path: (
            path.startswith("api_key."),
            path in last,
            "recovery_by" in path or "needs_second" in path,
        ),
    )
    for path in order:
        scope, _, name = path.partition(".")
        if name not in tables[scope]:
            tables[scope][name] = EXPECTED[path](
                account=tables["account"], venue=tables["venue"], key=tables["api_key"],
                problems=one["problems"], sources=one["sources"], lists=one,
            )  # fmt: skip
    return {f"{scope}.{name}": value for scope, table in tables.items() for name, value in table.items()}


def test_the_oracle_knows_every_derived_fact() -> None:
    assert set(EXPECTED) == set(SHOWN)


def test_a_null_of_everything_that_is_computed_is_told_from_its_absence() -> None:
    assert [path for path in DERIVED if not fillable(catalogue()[path])] == []


@settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32).map(random.Random))
def test_derived_facts_are_what_their_notes_say(chance: random.Random) -> None:
    everything = rule("r", "api_key", Predicate(sql="TRUE", facts=SHOWN))
    made = [_invented(chance) for _ in range(60)]
    for one, found in zip(made, subjects(made, [everything], {"known": _VENUE_FILE}), strict=True):
        keys = [subject for subject in found if subject.scope == "api_key" and not subject.unseen]
        for key, subject in zip(one["api_keys"], keys, strict=True):
            expected = _expected(one, key)
            for path in SHOWN:
                assert subject.facts.get(path) == pytest.approx(expected[path]), (path, one, key)


@pytest.mark.parametrize("entry", ["0.0.0.0/0", " ::/0", "*", "ANY", "0", "0:0:0:0:0:0:0:0", "10.0.0.0/000"])
def test_every_spelling_of_any_address_is_seen(entry: str) -> None:
    rules = [rule("r", "api_key", "NOT api_key.ip_allows_any")]
    [_, key] = subjects([document(api_keys=[{"ip_allowlist": ["198.51.100.7", entry]}])], rules)[0]
    assert key.outcomes["r"].value == "fail"


@pytest.mark.parametrize(
    "entry", ["198.51.100.1-198.51.100.250", "host.example", "198.51.*", "", "10.0.0.0/64", "10.0.0.0/128.0.0.0"]
)
def test_an_entry_nobody_can_read_is_unknown_and_not_narrow(entry: str) -> None:
    rules = [rule("r", "api_key", "NOT api_key.ip_allows_any"), rule("s", "api_key", "api_key.ip_widest_hosts < 65536")]
    [_, key] = subjects([document(api_keys=[{"ip_allowlist": ["198.51.100.7", entry]}])], rules)[0]
    assert {outcome.value for outcome in key.outcomes.values()} == {"unknown"}


def test_an_empty_list_that_a_failed_call_left_is_not_a_whole_one() -> None:
    failed = [{"endpoint": "addresses", "reason": "timeout", "facts": ["addresses"]}]
    rules = [rule("r", "address", "NOT address.skips_second_factor")]
    assert subjects([document(addresses=[], problems=failed)], rules)[0][0].unseen
    assert subjects([document(addresses=[])], rules) == [[]]
