"""`FACT=VALUE` on the command line: which facts can be supposed, and what a value of each looks like."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from auditor.cli.attest import AnswerError, understood
from auditor.errors import UsageError
from auditor.model.facts import catalogue, suggestion
from auditor.redaction import printable

_SCOPES = ("account", "venue", "api_key", "address", "vendor")
_NAMES = {"account.name", "venue.id", "api_key.fingerprint", "address.fingerprint"}
"""Facts that say who somebody is: another one would be another account."""


def facts(given: Sequence[str]) -> dict[str, Any]:
    """The facts of `FACT=VALUE` texts. Raises UsageError with everything that is wrong with them."""
    found: dict[str, Any] = {}
    wrong = []
    for text in given:
        path = text.partition("=")[0]
        try:
            found[path] = _value(text, found)
        except AnswerError as error:
            wrong.append(f"--what-if {printable(path, limit=80)}: {error}")
    if wrong:
        hint = "for example --what-if account.step_up_weakest_factor=phishing_resistant"
        raise UsageError("\n".join(wrong), hint=hint)
    return found


def _value(said: str, taken: Container[str]) -> Any:
    path, equals, text = said.partition("=")
    fact = catalogue().get(path)
    if not equals:
        raise AnswerError("write FACT=VALUE")
    if fact is None:
        raise AnswerError(f"unknown fact{suggestion(path[:80])}")
    if path in taken:
        raise AnswerError("is supposed twice")
    if fact.scope not in _SCOPES or fact.path in _NAMES:
        raise AnswerError(
            "cannot be supposed: name a fact of the account, the venue or of all keys, addresses or vendors"
        )
    value = understood(fact, text.strip())
    wrong = fact.check(value)
    if wrong:
        raise AnswerError(wrong)
    return value
