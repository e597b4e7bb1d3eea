"""What follows from known facts of a row: a key, an address, an event, a withdrawal, in plain Python: one for one what `derived` says in SQL.

For a few documents, in less time than a database takes to start, and with the same answers to the last digit: a test
holds the two against each other. None is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.engine.subject import Facts, Subject

Truth = bool | None
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HELD_HOURS = 72
_TEST_SHARE = 20
_SPACES = " \t\n\r\f"
_WIDE_SPACES = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_V4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}\Z")
_OF_V6 = set("0123456789abcdef:.")
_SIZES = {
    False: re.compile(r"0*(?:[0-9]|[12][0-9]|3[0-2])\Z"),
    True: re.compile(r"0*(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])\Z"),
}
"""How long the prefix of a block may be: of an IPv4 one, and of an IPv6 one."""
_WHOLE = 128
_SITE = {True: 64, False: 32}
"""What one site gets: an IPv6 /64 or one IPv4 address."""
_SHORTEST_NAME = 3


def _pieces(facts: Facts) -> list[str] | None:
    """What an IP list names: an entry may hold several, behind commas."""
    listed = facts.get("api_key.ip_allowlist")
    return None if listed is None else [one.strip(_SPACES) for one in ",".join(listed).lower().split(",")]


def _plain(piece: str) -> bool:
    """Whether it is an address or a block, as far as its spelling goes."""
    head, slash, size = piece.partition("/")
    is_v6 = ":" in head
    if slash and not _SIZES[is_v6].match(size):
        return False
    return set(head) <= _OF_V6 if is_v6 else _V4.match(head) is not None


def _all_plain(facts: Facts) -> Truth:
    pieces = _pieces(facts)
    return None if pieces is None else not facts["api_key.ip_allowlist"] or all(map(_plain, pieces))


def _hosts(facts: Facts, _: Subject) -> float | None:
    listed = facts.get("api_key.ip_allowlist")
    if not listed or not _all_plain(facts):
        return None
    return max(map(_hosts_of, listed))


def _hosts_of(entry: str) -> float:
    size = entry.split("/", 2)[1].strip(_SPACES) if "/" in entry else ""
    prefix = (
        int(size.lstrip("0") or "0") if size.isdigit() else _WHOLE
    )  # two blocks behind a comma are read as one address
    return 2.0 ** max(_SITE[":" in entry] - prefix, 0)


def _allows_any(facts: Facts, _: Subject) -> Truth:
    pieces = _pieces(facts)
    if pieces is None:
        return None
    if any(map(_anywhere, pieces)):
        return True
    return False if _all_plain(facts) else None


def _anywhere(piece: str) -> bool:
    if piece in {"*", "*.*.*.*", "any", "all"} or (piece and set(piece) <= set("0:.")):
        return True
    return piece.endswith("0") and piece.rstrip("0").endswith("/")


def _more_than_expected(facts: Facts, _: Subject) -> Truth:
    held, expected = facts.get("api_key.permissions"), facts.get("api_key.expected_permissions")
    return None if held is None or expected is None else not set(held) <= set(expected)


def _lower(text: str) -> str:
    """Letter by letter, and each to one: a sigma is the same at the end of a word."""
    return text.lower() if text.isascii() else "".join([one.lower() for one in text.replace("\u0130", "i")])


def _label_names_vendor(facts: Facts, _: Subject) -> Truth:
    label, vendor = facts.get("api_key.label"), (facts.get("api_key.vendor") or "").strip(_WIDE_SPACES)
    return True if len(vendor) >= _SHORTEST_NAME and label is not None and _lower(vendor) in _lower(label) else None


def _isolated(facts: Facts, _: Subject) -> Truth:
    sub = (facts.get("api_key.sub_account") or "").strip(_WIDE_SPACES)
    return True if facts.get("account.kind") == "sub" or sub else None


def _epoch(moment: datetime) -> float:
    return (moment - _EPOCH) // timedelta(microseconds=1) / 1_000_000


def _hours_after(facts: Facts, changes: Sequence[datetime | None]) -> float | None:
    """From the last of the changes that are known to the making of the key."""
    created, known = facts.get("api_key.created_at"), [at for at in changes if at is not None]
    return None if created is None or not known else (_epoch(created) - _epoch(max(known))) / 3600


def _changes(facts: Facts) -> list[datetime | None]:
    return [facts.get(f"account.{name}_changed_at") for name in ("password", "two_factor")]


def _both_known(facts: Facts) -> bool:
    never = [facts.get(f"account.{name}_ever_changed") is False for name in ("password", "two_factor")]
    return all(at is not None or not_ever for at, not_ever in zip(_changes(facts), never, strict=True))


def _since_change(facts: Facts, _: Subject) -> float | None:
    return _hours_after(facts, _changes(facts)) if _both_known(facts) else None


def _follows_change(facts: Facts, _: Subject) -> Truth:
    since = facts.get("api_key.created_after_credential_change_hours")
    after = [*(_hours_after(facts, [at]) for at in _changes(facts)), since]
    if any(hours is not None and 0 <= hours <= _HELD_HOURS for hours in after):
        return True
    never = all(facts.get(f"account.{name}_ever_changed") is False for name in ("password", "two_factor"))
    made = facts.get("api_key.created_at") is not None
    return False if since is not None or (made and _both_known(facts)) or never else None


def _same(path: str) -> Callable[[Facts, Subject], Any]:
    return lambda facts, _: facts.get(path)


def _looked_through(path: str, *born: str) -> Callable[[Facts, Subject], Any]:
    """What the owner said of a whole list: that all is well covers rows that were there by then, never a later one."""

    def follows(facts: Facts, subject: Subject) -> Truth:
        said: Truth = facts.get(path)
        if not said:
            return said
        until = subject.document.spoken.get(path)
        if subject.unseen or until is None:
            return said
        return said if any((at := facts.get(time)) is not None and at < until for time in born) else None

    return follows


def _skips(facts: Facts, subject: Subject) -> Truth:
    needs = facts.get("account.allowlisted_withdrawal_needs_factor")
    return False if needs else True if needs is False and not subject.unseen else None


_log_seen = _looked_through("account.security_log_recognised", "event.at")


def _confirmed(facts: Facts, subject: Subject) -> Truth:
    beside, from_ = subject.beside, facts.get("event.ip")
    if beside and facts.get("event.kind") == "login" and from_ is not None and from_ in beside.owners_addresses:
        return True
    found: Truth = _log_seen(facts, subject)
    return found


def _follows_test(facts: Facts, subject: Subject) -> Truth:
    beside = subject.beside
    smallest = beside.smallest.get(subject.number) if beside and not subject.unseen else None
    if smallest is not None and facts["withdrawal.amount"] >= _TEST_SHARE * smallest:
        return True
    whole = facts.get("account.withdrawals_complete") and beside and beside.all_told and not subject.unseen
    return False if whole else None


FOLLOWS: dict[str, Callable[[Facts, Subject], Any]] = {
    "api_key.never_used": lambda facts, _: None if facts.get("api_key.last_used_at") is None else False,
    "api_key.symbol_restricted": _same("account.trade_symbol_allowlist"),
    "api_key.ip_widest_hosts": _hosts,
    "api_key.ip_allows_any": _allows_any,
    "api_key.more_than_expected": _more_than_expected,
    "api_key.label_names_vendor": _label_names_vendor,
    "api_key.funds_isolated": _isolated,
    "api_key.owner_recognised": lambda facts, _: facts.get("api_key.is_audit_key") or None,
    "api_key.created_after_credential_change_hours": _since_change,
    "api_key.made_after_credential_change": _follows_change,
    "address.owner_recognised": _looked_through(
        "account.all_addresses_recognised", "address.created_at", "address.first_seen_at"
    ),
    "address.still_used": _same("account.all_addresses_used"),
    "address.destination_shares_host": _same("account.destination_shares_host"),
    "address.skips_second_factor": _skips,
    "event.owner_confirmed": _confirmed,
    "withdrawal.follows_small_test": _follows_test,
}
