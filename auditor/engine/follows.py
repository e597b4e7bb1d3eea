"""What follows from known facts of a venue or an account, in plain Python: one for one what `derived` says in SQL.

For a few documents, in less time than a database takes to start, and with the same answers to the last digit: a test
holds the two against each other. None is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from auditor.engine import follows_rows
from auditor.engine.subject import Facts, Subject
from auditor.model.facts import LISTS, catalogue

Truth = bool | None
Follows = Callable[[Facts, Subject], Any]
"""What is known of a subject, its account and its venue, and whom it is about -> the fact, or None."""

_WEAKEST = catalogue()["account.login_weakest_factor"].choices
_STRAIGHT = {"sms": "sms", "email": "email_otp", "totp": "totp"}


def either(*truths: Truth) -> Truth:
    """Kleene's OR."""
    return True if True in truths else None if None in truths else False


def _copied(path: str) -> Follows:
    return lambda facts, _: facts.get(path)


def _settled_by(time: str, *, to: bool) -> Follows:
    return lambda facts, _: None if facts.get(time) is None else to


def _has(path: str, *members: str) -> Follows:
    return lambda facts, _: None if (held := facts.get(path)) is None else any(one in held for one in members)


def _within(time: str, *, days: int) -> Follows:
    def follows(facts: Facts, subject: Subject) -> Truth:
        at: datetime | None = facts.get(time)
        return None if at is None else at >= subject.document.now - timedelta(days=days)

    return follows


def _accepts(step: str, factor: str) -> Follows:
    mine = _STRAIGHT[factor]
    stronger = _WEAKEST[_WEAKEST.index(mine) + 1 :]

    def follows(facts: Facts, _: Subject) -> Truth:
        weakest = facts.get(f"account.{step}_weakest_factor")
        return True if weakest == mine else False if weakest in stronger else None

    return follows


def _needs(step: str) -> Follows:
    def follows(facts: Facts, _: Subject) -> Truth:
        weakest = facts.get(f"account.{step}_weakest_factor")
        if weakest is not None:
            return bool(weakest != "none")
        if any(facts.get(f"account.{step}_accepts_{factor}") for factor in _STRAIGHT):
            return True
        return False if facts.get("account.two_factor_enabled") is False else None

    return follows


def _asked(facts: Facts) -> list[str | None]:
    return [facts.get(f"account.{step}_weakest_factor") for step in ("login", "step_up")]


def _downgrade(facts: Facts, _: Subject) -> Truth:
    asked, has_key = _asked(facts), facts.get("account.has_phishing_resistant_factor")
    weaker = {one for one in asked if one is not None}
    if weaker == {"phishing_resistant"} and None not in asked:
        return False
    if has_key is False and weaker == {"totp"} and None not in asked:
        return False
    if has_key and weaker - {"phishing_resistant"}:
        return True
    if "totp" in (facts.get("account.enrolled_factors") or ()) and weaker - {"totp", "phishing_resistant"}:
        return True
    return facts.get("venue.second_factor_downgrade_possible")


def _by_phone(facts: Facts, _: Subject) -> Truth:
    ways = ("has_sms_factor", "login_accepts_sms", "step_up_accepts_sms", "recovery_by_sms", "email_recovery_by_phone")
    of_use = any(facts.get(f"account.{name}") for name in ways) or "sms_and_email" in _asked(facts)
    return True if of_use or facts.get("account.email_second_factor") == "sms" else None


def _several(facts: Facts, _: Subject) -> Truth:
    kind = facts.get("account.kind")
    custody = None if kind is None else kind == "custody"
    return either(facts.get("account.shared_login"), facts.get("account.anyone_left"), custody)


def _balance_asked_for(facts: Facts, subject: Subject) -> bool:
    known = (facts.get(f"account.{name}") is not None for name in ("balance_usd", "share_of_total"))
    return any(known) or subject.document.trouble("account.balance_usd", asked=True)


def _empty(scope: str) -> Follows:
    def follows(_: Facts, subject: Subject) -> Truth:
        rows, named = subject.document.rows(scope), LISTS[scope]
        return True if rows is not None and not rows and not subject.document.trouble(named) else None

    return follows


def _state(_: Facts, subject: Subject) -> str:
    seen = subject.document
    if seen.broken or seen.contradicted:
        return "erroneous"
    return "unavailable" if seen.failed else "ok"


def _answers_old(_: Facts, subject: Subject) -> Truth:
    seen = subject.document
    since = (seen.now - timedelta(days=30)).date()
    if any(day is not None and day < since for day in seen.answered):
        return True
    return None if None in seen.answered else False


def _far_above(facts: Facts, _: Subject) -> Truth:
    limit, most = (facts.get(f"account.{name}") for name in ("withdrawal_limit_daily_usd", "largest_withdrawal_usd"))
    if limit is not None and limit <= 0:
        return False
    return None if limit is None or most is None else limit > 5 * most


FOLLOWS: dict[str, Follows] = {
    "venue.offers_phishing_resistant": _has("venue.two_factor_methods", "passkey", "hardware_key"),
    "venue.offers_authenticator": _has("venue.two_factor_methods", "totp"),
    **{f"account.{step}_needs_second_factor": _needs(step) for step in ("login", "step_up")},
    **{
        f"account.{step}_accepts_{factor}": _accepts(step, factor)
        for step in ("login", "step_up")
        for factor in _STRAIGHT
    },
    "account.has_phishing_resistant_factor": _has("account.enrolled_factors", "passkey", "hardware_key"),
    "account.has_sms_factor": _has("account.enrolled_factors", "sms"),
    "account.recovery_by_email_link": _has("account.recovery_channels", "email_link"),
    "account.recovery_by_sms": _has("account.recovery_channels", "sms_code"),
    "account.recovery_by_support": _has("account.recovery_channels", "support_video", "support_docs"),
    "account.alert_survives_mail_and_phone": _has("account.alert_channels", "push", "other"),
    **{
        f"account.{name}": _copied(f"venue.{name}")
        for name in (
            "recovery_channels",
            "trade_needs_step_up",
            "allowlist_disable_delay_hours",
            "new_address_delay_hours",
            "hold_after_password_change_hours",
            "hold_after_two_factor_change_hours",
            "hold_after_new_device_hours",
        )
    },
    "account.downgrade_possible": _downgrade,
    "account.phone_is_factor": _by_phone,
    "account.email_rules_reviewed": _within("account.email_rules_reviewed_at", days=180),
    "account.freeze_rehearsed": _within("account.freeze_rehearsed_at", days=365),
    "account.several_people": _several,
    "account.balance_asked_for": _balance_asked_for,
    "account.password_ever_changed": _settled_by("account.password_changed_at", to=True),
    "account.two_factor_ever_changed": _settled_by("account.two_factor_changed_at", to=True),
    "account.anyone_left": _settled_by("account.last_departure_at", to=True),
    "account.last_small_withdrawal_at": lambda _, subject: subject.document.last_arrival,
    "account.small_withdrawal_tried": _settled_by("account.last_small_withdrawal_at", to=True),
    "account.allowlist_can_be_disabled": _settled_by("account.allowlist_disable_delay_hours", to=True),
    "account.addresses_complete": _empty("address"),
    "account.withdrawals_complete": _empty("withdrawal"),
    "account.evidence_state": _state,
    "account.evidence_contradicted": lambda _, subject: subject.document.contradicted,
    "account.answers_old": _answers_old,
    "account.withdrawal_limit_far_above_use": _far_above,
    **follows_rows.FOLLOWS,
}
"""Fact -> how it follows, where it is absent and was not given as null."""
