"""Derived facts: each one SQL expression over facts of its own subject, its account and its venue.

SQL, because Kleene's logic then holds without being written: what rests on an unknown is unknown. An expression is used
only where the fact itself is absent; an explicit null stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auditor.model.facts import catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a fact follows from others (`inputs`). Expressions name facts as `scope.name`."""

    sql: str
    inputs: tuple[str, ...]


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
    """A time that is known settles the bool beside it, which says whether it ever happened."""
    return Derivation(sql=f"CASE WHEN {time} IS NOT NULL THEN {to} END", inputs=(time,))


def _has(list_fact: str, *members: str) -> Derivation:
    listed = ", ".join(f"'{member}'" for member in members)
    return Derivation(sql=f"list_has_any({list_fact}, [{listed}])", inputs=(list_fact,))


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
_BOTH_KNOWN = (
    "(account.password_changed_at IS NOT NULL OR account.password_ever_changed = FALSE) AND "
    "(account.two_factor_changed_at IS NOT NULL OR account.two_factor_ever_changed = FALSE)"
)

DERIVED: dict[str, Derivation] = {
    "venue.offers_phishing_resistant": _has("venue.two_factor_methods", "passkey", "hardware_key"),
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
    "account.downgrade_possible": _policy("downgrade_possible", "second_factor_downgrade_possible"),
    "account.password_ever_changed": _settled_by("account.password_changed_at", to="TRUE"),
    "account.two_factor_ever_changed": _settled_by("account.two_factor_changed_at", to="TRUE"),
    "account.anyone_left": _settled_by("account.last_departure_at", to="TRUE"),
    "account.small_withdrawal_tried": _settled_by("account.last_small_withdrawal_at", to="TRUE"),
    "api_key.never_used": _settled_by("api_key.last_used_at", to="FALSE"),
    "account.allowlist_disable_delay_hours": _policy("allowlist_disable_delay_hours"),
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
    "api_key.ip_widest_hosts": Derivation(sql=_HOSTS, inputs=("api_key.ip_allowlist",)),
    "api_key.ip_allows_any": Derivation(sql=_ALLOWS_ANY, inputs=("api_key.ip_allowlist",)),
    "api_key.more_than_expected": Derivation(
        # A filter drops what it cannot decide, so an unknown list would read as "nothing more": asked for explicitly.
        sql="CASE WHEN api_key.expected_permissions IS NOT NULL THEN len(list_filter("
        "api_key.permissions, lambda token: NOT list_contains(api_key.expected_permissions, token))) > 0 END",
        inputs=("api_key.permissions", "api_key.expected_permissions"),
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
}
"""`*_count` are columns the view computes from the document itself (see engine/views.py)."""


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


def roots(path: str) -> tuple[str, ...]:
    """The facts that would settle `path`: what it is derived from, then itself where it can be established directly."""
    if path not in DERIVED or not DERIVED[path].inputs:
        return (path,)
    found = tuple(dict.fromkeys(root for source in DERIVED[path].inputs for root in roots(source)))
    return (*found, path) if catalogue()[path].by & {"attest", "api"} else found
