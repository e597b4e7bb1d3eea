"""How single things are written: attacker-written text, counts, reasons and times. Sentences are the business of `_wording`.

Knows no medium: what comes out is safe for one line of a terminal, and still to be escaped for HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from auditor.model.evidence import Reason
from auditor.model.rule import Severity
from auditor.redaction import printable

LONGEST_LABEL, LONGEST_PROSE = 80, 2_000
_SPACE = re.compile(r"[ \t\r\n]+")
_SPACES = 16
"""The end of a text this many times longer than what is shown is not looked at."""
_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

REASONS: dict[str, str] = {
    Reason.NOT_EXPOSED: "the exchange does not show it",
    Reason.PERMISSION_DENIED: "the key may not read it",
    Reason.IP_NOT_ALLOWED: "the key is bound to other addresses than this machine's",
    Reason.INVALID_KEY: "the exchange did not accept the key",
    Reason.VENUE_MAINTENANCE: "the exchange was under maintenance",
    Reason.VENUE_INCIDENT: "the exchange had an incident",
    Reason.RATE_LIMITED: "the exchange asked to slow down",
    Reason.CLOCK_SKEW: "this machine's clock is off",
    Reason.TIMEOUT: "the exchange did not answer in time",
    Reason.MALFORMED_RESPONSE: "the answer was not in its documented form",
    Reason.IMPLAUSIBLE_RESPONSE: "the answer cannot be true",
    Reason.NOT_COLLECTED: "nobody has supplied it",
    Reason.ATTESTATION_EXPIRED: "the owner's answer has expired",
    Reason.ACCOUNT_FROZEN: "the account is frozen",
    Reason.VENUE_CLOSED: "the exchange has closed",
}


def prose(text: str, limit: int = LONGEST_PROSE) -> str:
    """A text on one line, hidden and control characters made visible, cut to `limit`."""
    if _is_plain(text, limit) and "  " not in text:
        return text.strip(" ")
    room = _SPACES * limit
    line = _SPACE.sub(" ", text[:room]).strip(" ")
    return printable(f"{line}…" if len(text) > room and len(line) <= limit else line, limit=limit)


def label(text: str) -> str:
    """A label as somebody wrote it, line breaks made visible too, cut to LONGEST_LABEL."""
    return text if _is_plain(text, LONGEST_LABEL) else printable(text, limit=LONGEST_LABEL)


def _is_plain(text: str, limit: int) -> bool:
    """Whether `printable` would find nothing to do. It looks at each letter, and a large report has millions."""
    return len(text) <= limit and text.isascii() and text.isprintable()


def count(amount: int, one: str, many: str | None = None) -> str:
    """`1 rule`, `2 rules`."""
    return f"{amount} {one if amount == 1 else many or one + 's'}"


def spelled(amount: int) -> str:
    """A small number as a word."""
    return _SMALL[amount] if amount < len(_SMALL) else str(amount)


def reason(code: str) -> str:
    """A reason of the closed list in words; another code with its underscores taken out."""
    return REASONS.get(code) or prose(code.replace("_", " "))


def moment(at: datetime) -> str:
    """`2026-11-20 10:00 UTC`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def capital(text: str, limit: int = LONGEST_PROSE) -> str:
    """A text as `prose` writes it, with a capital."""
    said = prose(text, limit)
    return f"{said[:1].upper()}{said[1:]}"


def sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    said = capital(text)
    return said if said.endswith((".", "?", "!")) else f"{said}."


def counted(counts: Mapping[Severity, int]) -> str:
    """Findings by severity, `2 critical, 1 high`; `none` where there are none."""
    named = [f"{counts[severity]} {severity}" for severity in Severity if counts.get(severity)]
    return ", ".join(named) or "none"
