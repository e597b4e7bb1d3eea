"""The closed predicate language of rules: text in, a checked Predicate out, everything not named refused.

Three gates: the words (`words`), the tree sqlglot reads from them (`tree`), and the comparison of the SQL that is written
anew from the tree with the author's words. sqlglot reads and does nothing else; the author's text never runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from auditor.model.facts import catalogue, suggestion
from auditor.model.rule import Predicate
from auditor.ruleset import prepared
from auditor.ruleset.words import CLOCK, PredicateError, Token, scan, shown, tokens

if TYPE_CHECKING:
    from sqlglot.expressions import Condition

__all__ = ["CLOCK", "EVERYWHERE", "PredicateError", "authored", "check", "unreadable"]

EVERYWHERE = frozenset({"account", "venue"})
"""Scopes every rule may name beside its own subject type."""

_CAN = "api_key.can_read, can_trade, can_transfer, can_withdraw or can_manage"
_SCALARS = {
    "venue.two_factor_methods": "venue.offers_phishing_resistant",
    "venue.recovery_channels": "account.recovery_by_email_link, recovery_by_sms or recovery_by_support",
    "account.enrolled_factors": "account.has_phishing_resistant_factor or account.has_sms_factor",
    "account.recovery_channels": "account.recovery_by_email_link, recovery_by_sms or recovery_by_support",
    "account.alert_channels": "account.alert_survives_mail_and_phone",
    "api_key.permissions": _CAN,
    "api_key.ip_allowlist": "api_key.ip_bound, api_key.ip_widest_hosts or api_key.ip_allows_any",
    "api_key.expected_permissions": "api_key.more_than_expected",
}
"""Set and list facts, and the scalar facts derived from them."""


_CLOCK_OR_TEXT = re.compile(rf"('(?:[^']|'')*')|\b{CLOCK}\b")


def check(text: str, *, applies_to: str) -> Predicate:
    """The predicate that `text` says, about subjects of the type `applies_to`. Raises PredicateError and nothing else."""
    return prepared.predicate(text, applies_to) or looked_at(text, applies_to=applies_to)


def looked_at(text: str, *, applies_to: str) -> Predicate:
    """As `check`, whether or not the text was looked at before."""
    from auditor.ruleset.tree import regenerated

    found = tokens(text)
    facts = tuple(dict.fromkeys(spelled for kind, spelled in found if kind == "fact"))
    for path in facts:
        fault = unreadable(path, applies_to=applies_to)
        if fault is not None:
            raise fault
    try:
        sql = regenerated(_parsed(text))
    except RecursionError:
        raise PredicateError("is nested too deeply", "use fewer parentheses") from None
    if _words(found) != _words(scan(authored(sql))):
        raise PredicateError("cannot be read without doubt", "use the plain forms, with parentheses around each part")
    return Predicate(sql=sql, facts=facts)


def authored(sql: str) -> str:
    """Regenerated SQL as an author would write it: with `now` for the clock. It passes `check` again."""
    return _CLOCK_OR_TEXT.sub(lambda found: found[1] or "now", sql)


def unreadable(path: str, *, applies_to: str) -> PredicateError | None:
    """Why a rule about `applies_to` cannot read the fact at `path`, or None. Messages of rules obey it too."""
    fact = catalogue().get(path)
    if fact is None:
        hint = "the fact catalogue, facts.yaml, names all facts of venue, account, api_key and the others"
        return PredicateError(f"unknown fact {shown(path)}{suggestion(path.lower())}", hint)
    if fact.scope not in EVERYWHERE | {applies_to}:
        names = ", ".join(f"{scope}.*" for scope in dict.fromkeys((applies_to, "account", "venue")))
        return PredicateError(f"{path} cannot be read in a rule about {applies_to}", f"such a rule reads {names}")
    if not fact.scalar:
        return PredicateError(f"{path} is a {fact.kind}, which rules cannot read", f"use {_SCALARS[path]}")
    return None


def _parsed(text: str) -> Condition:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(text, into=sqlglot.exp.Condition, dialect="duckdb")
    except SqlglotError as error:
        problems: list[dict[str, str]] = getattr(error, "errors", [])
        near = problems[0].get("highlight") if problems else None
        where = f" near {shown(near)}" if near else ""
    raise PredicateError(f"cannot be read as a condition{where}", "write conditions such as a.b = 'c' AND NOT d.e")


def _words(found: Iterable[Token]) -> list[Token]:
    """Everything but parentheses, in a fixed order: what the author's text and the SQL made from it have in common."""
    inequality = {("sign", "!="): ("sign", "<>")}
    return sorted(inequality.get(token, token) for token in found if token[1] not in {"(", ")"} or token[0] == "text")
