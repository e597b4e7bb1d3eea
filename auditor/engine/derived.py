"""Derived facts: each one SQL expression over facts of its own subject, its account and its venue.

SQL, because Kleene's logic then holds without being written: what rests on an unknown is unknown. An expression is used
only where the fact itself is absent; an explicit null stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from auditor.model.facts import catalogue
from auditor.values import frozen


@frozen
class Derivation:
    """How a fact follows from others (`inputs`). Expressions name facts as `scope.name`.

    `asked_first` where the owner is better asked about the fact itself than about what it follows from. `of_all` is the fact
    of the account by which its owner speaks of all rows at once, those that nobody could list included.
    """

    sql: str
    inputs: tuple[str, ...]
    asked_first: bool = False
    of_all: str | None = None


_WEAKEST = catalogue()["account.login_weakest_factor"].choices
_STRAIGHT = {"sms": "sms", "email": "email_otp", "totp": "totp"}


def _accepts(step: str, factor: str) -> Derivation:
    """TRUE for the weakest factor itself, FALSE for every weaker one, unknown for every stronger one.

    `sms_and_email` asks for both together, so neither alone completes the step; `phishing_resistant` leaves none.
    """
    weakest = f"account.{step}_weakest_factor"
    mine = _STRAIGHT[factor]
    stronger = _WEAKEST[_WEAKEST.index(mine) + 1 :]
    listed = ", ".join(f"'{name}'" for name in stronger)
    return Derivation(
        sql=f"CASE WHEN {weakest} = '{mine}' THEN TRUE WHEN {weakest} IN ({listed}) THEN FALSE END", inputs=(weakest,)
    )


def _needs(step: str) -> Derivation:
    """Asked for where the weakest factor is one, or where any is known to be accepted; not where none is switched on."""
    weakest = f"account.{step}_weakest_factor"
    accepted = tuple(f"account.{step}_accepts_{factor}" for factor in _STRAIGHT)
    return Derivation(
        sql=f"CASE WHEN {weakest} IS NOT NULL THEN {weakest} <> 'none' WHEN {' OR '.join(accepted)} THEN TRUE "
        "WHEN NOT account.two_factor_enabled THEN FALSE END",
        inputs=(weakest, *accepted, "account.two_factor_enabled"),
    )


def _settled_by(time: str, *, to: str) -> Derivation:
    """A time that is known settles the bool beside it, which says whether it ever happened; that is asked before when."""
    return Derivation(sql=f"CASE WHEN {time} IS NOT NULL THEN {to} END", inputs=(time,), asked_first=True)


def _has(list_fact: str, *members: str) -> Derivation:
    listed = ", ".join(f"'{member}'" for member in members)
    return Derivation(sql=f"list_has_any({list_fact}, [{listed}])", inputs=(list_fact,))


def _within(time: str, *, days: int) -> Derivation:
    """Whether it was done lately, where only the day is known on which it was done."""
    return Derivation(sql=f"{time} >= account.now_ - INTERVAL '{days}' DAY", inputs=(time,), asked_first=True)


def _policy(name: str, venue_name: str | None = None) -> Derivation:
    venue_fact = f"venue.{venue_name or name}"
    return Derivation(sql=venue_fact, inputs=(venue_fact,))


# An IP list is read as one text: a pattern over it costs a fraction of one over each of its entries.
_LISTED = "lower(array_to_string(api_key.ip_allowlist, ','))"
_V4 = r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/0*([0-9]|[12][0-9]|3[0-2]))?"
_V6 = r"[0-9a-f:.]*:[0-9a-f:.]*(/0*([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?"
_ONE = f"\\s*({_V4}|{_V6})\\s*"
_ALL_PLAIN = f"(len(api_key.ip_allowlist) = 0 OR regexp_full_match({_LISTED}, '{_ONE}(,{_ONE})*'))"
_ANYWHERE = r"(^|,)\s*(\*|\*\.\*\.\*\.\*|any|all|[0:.]+|[^,]*/0+)\s*(,|$)"
_SITE = "(CASE WHEN contains(entry, ':') THEN 64 ELSE 32 END)"  # what one site gets: an IPv4 address or an IPv6 /64
_PREFIX = "coalesce(TRY_CAST(nullif(split_part(entry, '/', 2), '') AS INTEGER), 128)"
_BLOCKS = f"list_transform(api_key.ip_allowlist, lambda entry: pow(2, greatest({_SITE} - {_PREFIX}, 0)))"
_HOSTS = (
    f"CASE WHEN len(api_key.ip_allowlist) = 0 OR NOT {_ALL_PLAIN} THEN NULL "
    f"WHEN contains({_LISTED}, '/') THEN list_max({_BLOCKS}) WHEN {_ALL_PLAIN} THEN 1 END"
)
_ALLOWS_ANY = (  # an entry that cannot be read may let anybody in
    f"CASE WHEN regexp_matches({_LISTED}, '{_ANYWHERE}') THEN TRUE WHEN {_ALL_PLAIN} THEN FALSE END"
)
_LAST_CHANGE = "greatest(account.password_changed_at, account.two_factor_changed_at)"
_HELD_HOURS = 72  # the longest hold any venue documents
_AFTER_LOGIN_CHANGE = "(epoch(api_key.created_at) - epoch(account.password_changed_at)) / 3600"
_AFTER_FACTOR_CHANGE = "(epoch(api_key.created_at) - epoch(account.two_factor_changed_at)) / 3600"
_SINCE_CHANGE = "api_key.created_after_credential_change_hours"
_TEST_SHARE = 20  # how many times the test the rest is
_SMALLEST_BEFORE = (  # a window, so that a long list costs a sort and not the square of its length
    "min(withdrawal.amount) FILTER (withdrawal.amount > 0) OVER (PARTITION BY withdrawal.doc, withdrawal.asset, "
    "withdrawal.destination ORDER BY withdrawal.at RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW)"
)
_OF_A_WITHDRAWAL = ("withdrawal.at", "withdrawal.asset", "withdrawal.amount", "withdrawal.destination")
_ALL_KNOWN = " AND ".join(f"{fact} IS NOT NULL" for fact in _OF_A_WITHDRAWAL)
_BOTH_KNOWN = (
    "(account.password_changed_at IS NOT NULL OR account.password_ever_changed = FALSE) AND "
    "(account.two_factor_changed_at IS NOT NULL OR account.two_factor_ever_changed = FALSE)"
)


def _same(fact: str) -> Derivation:
    """What is said of the account holds for a row of which nothing else is said."""
    return Derivation(sql=fact, inputs=(fact,), of_all=fact)


def _looked_through(fact: str, *born: str) -> Derivation:
    """What the owner said of a whole list. That all is well covers rows that were there by then, never a later one."""
    there = " OR ".join(f"{time} < {fact}_until" for time in born)
    listed = born[0].partition(".")[0]
    return Derivation(
        sql=f"CASE WHEN NOT {fact} THEN FALSE WHEN {listed}.unseen OR {fact}_until IS NULL OR {there} THEN {fact} END",
        inputs=(fact, *born),
        of_all=fact,
    )


_ONLY = "(account.login_weakest_factor = '{0}' AND account.step_up_weakest_factor = '{0}')"
_WEAKER_THAN_A_KEY = " OR ".join(
    f"account.{step}_weakest_factor <> 'phishing_resistant'" for step in ("login", "step_up")
)
_WEAKER_THAN_AN_APP = " OR ".join(
    f"account.{step}_weakest_factor NOT IN ('totp', 'phishing_resistant')" for step in ("login", "step_up")
)
# Only where the number is known to be of use: that each known way does without it says nothing of the others.
_BY_PHONE = (
    "account.has_sms_factor OR account.login_accepts_sms OR account.step_up_accepts_sms OR account.recovery_by_sms "
    "OR account.email_recovery_by_phone OR account.email_second_factor = 'sms' "
    "OR account.login_weakest_factor = 'sms_and_email' OR account.step_up_weakest_factor = 'sms_and_email'"
)

LOOKED_THROUGH = ("account.all_addresses_recognised", "account.security_log_recognised")
"""Facts by which the owner speaks of a list that grows; `*_until` is when he did."""
_LOG_SEEN = _looked_through("account.security_log_recognised", "event.at")

DERIVED: dict[str, Derivation] = {
    "venue.offers_phishing_resistant": _has("venue.two_factor_methods", "passkey", "hardware_key"),
    "venue.offers_authenticator": _has("venue.two_factor_methods", "totp"),
    "account.login_needs_second_factor": _needs("login"),
    "account.login_accepts_sms": _accepts("login", "sms"),
    "account.login_accepts_email": _accepts("login", "email"),
    "account.login_accepts_totp": _accepts("login", "totp"),
    "account.step_up_needs_second_factor": _needs("step_up"),
    "account.step_up_accepts_sms": _accepts("step_up", "sms"),
    "account.step_up_accepts_email": _accepts("step_up", "email"),
    "account.step_up_accepts_totp": _accepts("step_up", "totp"),
    "account.has_phishing_resistant_factor": _has("account.enrolled_factors", "passkey", "hardware_key"),
    "account.has_sms_factor": _has("account.enrolled_factors", "sms"),
    "account.recovery_channels": _policy("recovery_channels"),
    "account.recovery_by_email_link": _has("account.recovery_channels", "email_link"),
    "account.recovery_by_sms": _has("account.recovery_channels", "sms_code"),
    "account.recovery_by_support": _has("account.recovery_channels", "support_video", "support_docs"),
    "account.alert_survives_mail_and_phone": _has("account.alert_channels", "push", "other"),
    "account.downgrade_possible": Derivation(  # what is known of this account comes before what is offered to everybody
        sql=f"CASE WHEN {_ONLY.format('phishing_resistant')} THEN FALSE "
        f"WHEN NOT account.has_phishing_resistant_factor AND {_ONLY.format('totp')} THEN FALSE "
        f"WHEN account.has_phishing_resistant_factor AND ({_WEAKER_THAN_A_KEY}) THEN TRUE "
        f"WHEN list_contains(account.enrolled_factors, 'totp') AND ({_WEAKER_THAN_AN_APP}) THEN TRUE "
        "ELSE venue.second_factor_downgrade_possible END",
        inputs=(
            "venue.second_factor_downgrade_possible",
            "account.enrolled_factors",
            "account.has_phishing_resistant_factor",
            "account.login_weakest_factor",
            "account.step_up_weakest_factor",
        ),
        asked_first=True,
    ),
    "account.phone_is_factor": Derivation(
        sql=f"CASE WHEN {_BY_PHONE} THEN TRUE END",
        inputs=tuple(dict.fromkeys(re.findall(r"account\.\w+", _BY_PHONE))),
        asked_first=True,
    ),
    "account.email_rules_reviewed": _within("account.email_rules_reviewed_at", days=180),
    "account.freeze_rehearsed": _within("account.freeze_rehearsed_at", days=365),
    "account.trade_needs_step_up": _policy("trade_needs_step_up"),
    "account.several_people": Derivation(
        sql="account.shared_login OR account.anyone_left OR account.kind = 'custody'",
        inputs=("account.shared_login", "account.anyone_left", "account.kind"),
        asked_first=True,
    ),
    "account.balance_asked_for": Derivation(
        sql="account.balance_usd IS NOT NULL OR account.share_of_total IS NOT NULL OR balance_trouble_count > 0",
        inputs=("account.balance_usd", "account.share_of_total"),
    ),
    "account.password_ever_changed": _settled_by("account.password_changed_at", to="TRUE"),
    "account.two_factor_ever_changed": _settled_by("account.two_factor_changed_at", to="TRUE"),
    "account.anyone_left": _settled_by("account.last_departure_at", to="TRUE"),
    "account.last_small_withdrawal_at": Derivation(  # one of any size that arrived shows the way out as well
        sql="last_arrival", inputs=("withdrawal.at", "withdrawal.state"), asked_first=True
    ),
    "account.small_withdrawal_tried": _settled_by("account.last_small_withdrawal_at", to="TRUE"),
    "api_key.never_used": _settled_by("api_key.last_used_at", to="FALSE"),
    "account.allowlist_disable_delay_hours": _policy("allowlist_disable_delay_hours"),
    "account.allowlist_can_be_disabled": _settled_by("account.allowlist_disable_delay_hours", to="TRUE"),
    "account.new_address_delay_hours": _policy("new_address_delay_hours"),
    "account.hold_after_password_change_hours": _policy("hold_after_password_change_hours"),
    "account.hold_after_two_factor_change_hours": _policy("hold_after_two_factor_change_hours"),
    "account.hold_after_new_device_hours": _policy("hold_after_new_device_hours"),
    "account.addresses_complete": Derivation(
        sql="CASE WHEN address_count = 0 AND address_trouble_count = 0 THEN TRUE END", inputs=()
    ),
    "account.withdrawals_complete": Derivation(
        sql="CASE WHEN withdrawal_count = 0 AND withdrawal_trouble_count = 0 THEN TRUE END", inputs=()
    ),
    "account.evidence_state": Derivation(
        sql="CASE WHEN broken_count > 0 OR contradicted_count > 0 THEN 'erroneous' WHEN failed_count > 0 THEN 'unavailable' ELSE 'ok' END",
        inputs=(),
    ),
    "account.evidence_contradicted": Derivation(sql="(contradicted_count > 0)", inputs=()),
    "account.answers_old": Derivation(
        sql="CASE WHEN list_min(answered_on) < (account.now_ - INTERVAL '30' DAY)::DATE THEN TRUE "
        "WHEN list_count(answered_on) = len(answered_on) THEN FALSE END",
        inputs=(),
    ),
    "account.withdrawal_limit_far_above_use": Derivation(
        sql="CASE WHEN account.withdrawal_limit_daily_usd <= 0 THEN FALSE "
        "ELSE account.withdrawal_limit_daily_usd > 5 * account.largest_withdrawal_usd END",
        inputs=("account.withdrawal_limit_daily_usd", "account.largest_withdrawal_usd"),
    ),
    "api_key.symbol_restricted": Derivation(
        sql="account.trade_symbol_allowlist", inputs=("account.trade_symbol_allowlist",)
    ),
    "api_key.ip_widest_hosts": Derivation(sql=_HOSTS, inputs=("api_key.ip_allowlist",)),
    "api_key.ip_allows_any": Derivation(sql=_ALLOWS_ANY, inputs=("api_key.ip_allowlist",)),
    "api_key.more_than_expected": Derivation(
        # A filter drops what it cannot decide, so an unknown list would read as "nothing more": asked for explicitly.
        sql="CASE WHEN api_key.expected_permissions IS NOT NULL THEN len(list_filter("
        "api_key.permissions, lambda token: NOT list_contains(api_key.expected_permissions, token))) > 0 END",
        inputs=("api_key.permissions", "api_key.expected_permissions"),
    ),
    "api_key.label_names_vendor": Derivation(
        # a name of one or two letters stands in every label
        sql="CASE WHEN length(trim(api_key.vendor)) > 2 AND contains(lower(api_key.label), lower(trim(api_key.vendor))) THEN TRUE END",
        inputs=("api_key.label", "api_key.vendor"),
        asked_first=True,
    ),
    "api_key.funds_isolated": Derivation(
        sql="CASE WHEN account.kind = 'sub' OR trim(api_key.sub_account) <> '' THEN TRUE END",
        inputs=("account.kind", "api_key.sub_account"),
        asked_first=True,
    ),
    "api_key.owner_recognised": Derivation(
        sql="CASE WHEN api_key.is_audit_key THEN TRUE END", inputs=("api_key.is_audit_key",)
    ),
    "api_key.created_after_credential_change_hours": Derivation(
        sql=f"CASE WHEN {_BOTH_KNOWN} THEN (epoch(api_key.created_at) - epoch({_LAST_CHANGE})) / 3600 END",
        inputs=(
            "api_key.created_at",
            "account.password_changed_at",
            "account.password_ever_changed",
            "account.two_factor_changed_at",
            "account.two_factor_ever_changed",
        ),
    ),
    "api_key.made_after_credential_change": Derivation(
        # One change known to be close is enough; that none is takes both. A key older than a change did not follow it.
        sql=f"CASE WHEN {_AFTER_LOGIN_CHANGE} BETWEEN 0 AND {_HELD_HOURS} OR {_AFTER_FACTOR_CHANGE} BETWEEN 0 AND {_HELD_HOURS} "
        f"OR {_SINCE_CHANGE} BETWEEN 0 AND {_HELD_HOURS} THEN TRUE "
        f"WHEN {_SINCE_CHANGE} IS NOT NULL OR (api_key.created_at IS NOT NULL AND {_BOTH_KNOWN}) "
        "OR (account.password_ever_changed = FALSE AND account.two_factor_ever_changed = FALSE) THEN FALSE END",
        inputs=(
            "api_key.created_at",
            "account.password_changed_at",
            "account.password_ever_changed",
            "account.two_factor_changed_at",
            "account.two_factor_ever_changed",
            _SINCE_CHANGE,
        ),
    ),
    "address.owner_recognised": _looked_through(
        "account.all_addresses_recognised", "address.created_at", "address.first_seen_at"
    ),
    "address.still_used": _same("account.all_addresses_used"),
    "address.destination_shares_host": _same("account.destination_shares_host"),
    "address.skips_second_factor": Derivation(
        # What is not asked for at any saved address says nothing of a book that may be empty.
        sql="CASE WHEN account.allowlisted_withdrawal_needs_factor THEN FALSE "
        "WHEN NOT account.allowlisted_withdrawal_needs_factor AND NOT address.unseen THEN TRUE END",
        inputs=("account.allowlisted_withdrawal_needs_factor",),
        of_all="account.allowlisted_withdrawal_needs_factor",
    ),
    "event.owner_confirmed": Derivation(
        # Where one login from an address was the owner's, so are the others from there; one that he denied stays denied.
        sql="CASE WHEN event.kind = 'login' AND event.ip IS NOT NULL AND (event.doc, event.ip) IN (SELECT (doc, ip) FROM "  # noqa: S608
        f"seen_event WHERE kind = 'login' AND owner_confirmed AND ip IS NOT NULL) THEN TRUE ELSE {_LOG_SEEN.sql} END",
        inputs=("event.kind", "event.ip", *_LOG_SEEN.inputs),
        of_all=_LOG_SEEN.of_all,
    ),
    "withdrawal.follows_small_test": Derivation(
        sql=f"CASE WHEN {_ALL_KNOWN} AND withdrawal.amount >= {_TEST_SHARE} * {_SMALLEST_BEFORE} THEN TRUE "
        f"WHEN account.withdrawals_complete AND bool_and({_ALL_KNOWN}) OVER (PARTITION BY withdrawal.doc) THEN FALSE END",
        inputs=(*_OF_A_WITHDRAWAL, "account.withdrawals_complete"),
    ),
}
"""`*_count` are columns the view computes from the document itself (see engine/views.py)."""


def of_all(path: str) -> tuple[str, ...]:
    """The fact by which the owner speaks of `path` of all rows at once, if there is one."""
    spoken = DERIVED[path].of_all if path in DERIVED else None
    return (spoken,) if spoken else ()


def closure(facts: Iterable[str]) -> list[str]:
    """`facts` and everything they are derived from, in catalogue order."""
    needed: set[str] = set()
    waiting = list(facts)
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            waiting += DERIVED[path].inputs if path in DERIVED else ()
    return [path for path in catalogue() if path in needed]


@cache
def roots(path: str) -> tuple[str, ...]:
    """The facts that would settle `path`: what it is derived from, then itself where it can be established directly."""
    if path not in DERIVED or not DERIVED[path].inputs:
        return (path,)
    found = tuple(dict.fromkeys(root for source in DERIVED[path].inputs for root in roots(source)))
    if DERIVED[path].asked_first:
        return (path, *found)
    return (*found, path) if catalogue()[path].by & {"attest", "api"} else found
