"""How a predicate may be spelled: the first of two gates, before any SQL parser sees the text.

Knows the words, signs and bounds of the language and what to write instead of everything else. It knows neither types
nor grammar: those belong to `predicate`, which checks the parsed tree.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from auditor.model.facts import LARGEST_INT, SCOPES, catalogue
from auditor.redaction import mask_personal, printable

CLOCK = "now_"
"""The column the engine binds the moment of the audit to (a time with zone); authors write `now`."""
MAX_TEXT = 4_000
MAX_NESTING = 24
"""Open parentheses and the NOTs before them. A parser in Python spends up to 35 stack frames on each of them."""
MAX_SUMS = 40
"""Plus and minus signs in one predicate: whole numbers up to 2^53 then cannot overflow 64 bits."""
MAX_MINUTES = 36_525 * 24 * 60
"""All intervals of one predicate together, in minutes: 100 years, so that every time stays in range."""

UNITS = {"DAY": 24 * 60, "HOUR": 60, "MINUTE": 1}
Token = tuple[str, str]
"""Kind (fact, word, number, text, sign) and spelling: words in upper case, the rest as written."""

_BEFORE_PARENTHESIS = {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "INTERVAL"}
_WORDS = {"AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "TRUE", "FALSE", "INTERVAL", "NOW", *UNITS}
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<text>'(?:[^']|'')*')|(?P<number>[0-9][0-9A-Za-z_.]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)|(?P<sign><>|<=|>=|!=|[=<>+\-(),])",
)
_NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?\Z")
_MAX_DIGITS = 18
_VALUES = {"fact", "number", "text"}
AMOUNT = re.compile(r"(0|[1-9][0-9]{0,7})\Z")
"""How many days, hours or minutes an INTERVAL may say."""


_NULL = "unknown stays unknown by itself: write the condition as if every fact were known"
_ONLY = "only facts, constants, AND, OR, NOT, comparisons, BETWEEN, IN, LIKE, + and - are part of the language"
_TIMES = "compare with a time fact, or with now - INTERVAL '90' DAY"
_SPELLED = "write it with LIKE, % and _"
_INSTEAD = {
    **dict.fromkeys(
        ("IS", "NULL", "ISNULL", "NOTNULL", "DISTINCT", "UNKNOWN", "COALESCE", "IFNULL", "NVL", "NULLIF"), _NULL
    ),
    **dict.fromkeys(("CASE", "WHEN", "THEN", "ELSE", "END", "IF", "IIF"), "write the cases with AND, OR and NOT"),
    **dict.fromkeys(
        ("SELECT", "FROM", "WHERE", "EXISTS", "WITH", "OVER"), "a rule reads one subject: there are no queries"
    ),
    **dict.fromkeys(("ANY", "ALL", "SOME"), "list the constants: fact IN ('a', 'b')"),
    **dict.fromkeys(("ILIKE", "GLOB", "SIMILAR", "REGEXP", "RLIKE", "ESCAPE", "COLLATE"), _SPELLED),
    **dict.fromkeys(("CAST", "TRY_CAST"), "facts have their types already: leave the cast out"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPTZ", "DATE", "TIME", "AT", "CURRENT_TIMESTAMP", "CURRENT_DATE"), _TIMES),
    **dict.fromkeys(
        ("WEEK", "MONTH", "QUARTER", "YEAR", "SECOND"), "units are DAY, HOUR and MINUTE: INTERVAL '90' DAY"
    ),
    **dict.fromkeys(("DAYS", "HOURS", "MINUTES"), "units are written DAY, HOUR and MINUTE: INTERVAL '90' DAY"),
    "SYMMETRIC": "write the lower bound first: fact BETWEEN 1 AND 9",
    "XOR": "write (a AND NOT b) OR (b AND NOT a)",
}
_NO_LISTS = "lists are written in parentheses behind IN: fact IN ('a', 'b')"
_SIGNS = {
    "--": "comments are not kept: put the explanation into why",
    "/*": "comments are not kept: put the explanation into why",
    "==": "write = for equality",
    **dict.fromkeys(("<=>", "=>", "=<", "<<", ">>"), "write one of = <> < <= > >="),
    "->": "facts are scalars: nothing is inside them",
    "||": "texts cannot be joined: write the whole constant",
    "::": "facts have their types already: leave the cast out",
    '"': "texts stand in single quotes, names in none",
    "`": "texts stand in single quotes, names in none",
    "'": "close the text with a single quote; write a quote inside it as ''",
    ";": "a predicate is one condition: join several with AND",
    ".": "facts are written scope.name without spaces, numbers like 0.5",
    "!": "write NOT, or <> for inequality",
    "~": _SPELLED,
    "[": _NO_LISTS,
    "]": _NO_LISTS,
    "{": _NO_LISTS,
    "}": _NO_LISTS,
}


class PredicateError(Exception):
    """Why a predicate is refused, and what to write instead. Without file or line: the loader knows those."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def shown(text: str) -> str:
    """A piece of the author's text, short and safe for one line of a message."""
    return printable(mask_personal(text[:80]), limit=40)


def tokens(text: str) -> list[Token]:
    """The tokens of a predicate, spaces left out. Raises PredicateError for anything the language does not have."""
    if len(text) > MAX_TEXT:
        raise PredicateError(f"is longer than {MAX_TEXT} characters", "split it into several rules")
    found = list(scan(text))
    if not found:
        raise PredicateError("is empty", "write a condition such as api_key.ip_bound")
    _check_nesting(found)
    _check_intervals(found)
    _check_neighbours(found)
    if sum(token in {("sign", "+"), ("sign", "-")} for token in found) > MAX_SUMS:
        raise PredicateError(f"adds and subtracts more than {MAX_SUMS} times", "write the result")
    return found


def scan(text: str) -> Iterator[Token]:
    """The tokens one by one, without the bounds on the whole text."""
    position = 0
    while position < len(text):
        sign = next((sign for sign in _SIGNS if len(sign) > 1 and text.startswith(sign, position)), None)
        match = None if sign else _TOKEN.match(text, position)
        if match is None:
            raise _refused_sign(sign or text[position])
        position, kind, spelled = match.end(), str(match.lastgroup), match[0]
        if kind == "name":
            kind, spelled = _name(spelled, called=text[position:].lstrip()[:1] == "(")
        elif kind == "number":
            check_number(spelled)
        elif kind == "text":
            check_text(spelled)
        if kind != "space":
            yield kind, spelled


def _refused_sign(sign: str) -> PredicateError:
    if sign == "'":
        return PredicateError("a quote is not closed", _SIGNS[sign])
    hint = _SIGNS.get(sign, _ONLY)
    if sign in "\u2018\u2019\u201c\u201d\u2032\u02bc":
        hint = "texts stand in plain single quotes: 'sms'"
    return PredicateError(f"{shown(sign)} is not part of the language", hint)


def _name(spelled: str, *, called: bool) -> Token:
    dots = spelled.count(".")
    if dots:
        if dots > 1:
            raise PredicateError(f"{shown(spelled)} is not a fact", _SIGNS["."])
        if called:
            raise PredicateError(f"{shown(spelled)}(...): there are no functions", _ONLY)
        return "fact", spelled
    word = spelled.upper()
    if word in _INSTEAD:
        raise PredicateError(f"{word} is not part of the language", _INSTEAD[word])
    if called and word not in _BEFORE_PARENTHESIS:
        hint = "write now without parentheses" if word == "NOW" else _ONLY
        raise PredicateError(f"{shown(spelled)}(...): there are no functions", hint)
    if word not in _WORDS:
        raise PredicateError(f"unknown word {shown(spelled)}", _meant(spelled))
    return "word", word


def _meant(spelled: str) -> str:
    """What the author of an unknown word most likely wanted to write."""
    import difflib

    facts = catalogue()
    if any(spelled in fact.choices for fact in facts.values()):
        return f"put constants in single quotes: '{spelled}'"
    named = [path for path, fact in facts.items() if fact.name == spelled.lower()]
    if named:
        return f"write {' or '.join(named)}"
    if spelled.lower() in SCOPES:
        return _SIGNS["."]
    close = difflib.get_close_matches(spelled.lower(), sorted(word.lower() for word in _WORDS - {*UNITS}), 1)
    return f"did you mean {close[0] if close[0] == 'now' else close[0].upper()}?" if close else _ONLY


def check_number(spelled: str) -> None:
    """Refuses a number that is not plain digits with at most one point, or is out of range."""
    if not _NUMBER.match(spelled):
        raise PredicateError(
            f"{shown(spelled)} is not a plain number", "write digits and at most one point: 1000 or 0.5"
        )
    from decimal import Decimal

    if sum(char != "." for char in spelled) > _MAX_DIGITS or Decimal(spelled) > LARGEST_INT:
        raise PredicateError(
            f"{shown(spelled)} is out of range", f"at most {_MAX_DIGITS} digits and at most {LARGEST_INT}"
        )


def check_text(spelled: str) -> None:
    """Refuses a text with a backslash, with a variable, or with what cannot be seen."""
    if "\\" in spelled:
        raise PredicateError("a text holds a backslash", "texts have no escapes; engines read them differently")
    if "${" in spelled:
        raise PredicateError("a text holds ${", "some engines put the value of a variable there; use LIKE and _")
    if any(unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" for char in spelled):
        raise PredicateError("a text holds a control or invisible character", "write only what can be seen")


def _check_nesting(found: Sequence[Token]) -> None:
    opened: list[int] = []
    depth = pending = 0
    for token in found:
        if token == ("sign", "("):
            opened.append(pending + 1)
            pending = 0
            depth += opened[-1]
        elif token == ("sign", ")"):
            if not opened:
                raise PredicateError("a ) has no (", "remove it or add the ( it closes")
            depth -= opened.pop()
        pending = pending + 1 if token == ("word", "NOT") else 0
        if depth + pending > MAX_NESTING:
            raise PredicateError(f"is nested deeper than {MAX_NESTING} levels", "AND and OR chains need no parentheses")
    if opened:
        raise PredicateError("a ( is not closed", "add the ) that closes it")


def _check_intervals(found: Sequence[Token]) -> None:
    minutes = 0
    for place, (kind, spelled) in enumerate(found):
        if kind != "word":
            continue
        if spelled == "INTERVAL":
            amount, unit = (*found[place + 1 : place + 3], ("", ""), ("", ""))[:2]
            if amount[0] != "text" or not AMOUNT.match(amount[1][1:-1]) or unit[0] != "word" or unit[1] not in UNITS:
                hint = "write a quoted whole number and DAY, HOUR or MINUTE: INTERVAL '90' DAY"
                raise PredicateError("the INTERVAL is not in the expected form", hint)
            minutes += int(amount[1][1:-1]) * UNITS[unit[1]]
        elif spelled in UNITS and (place < 2 or found[place - 2] != ("word", "INTERVAL")):  # noqa: PLR2004  (word, amount)
            raise PredicateError(f"{spelled} without INTERVAL", "write INTERVAL '90' DAY")
    if minutes > MAX_MINUTES:
        raise PredicateError("the intervals are longer than 100 years", "use fewer days")


def _check_neighbours(found: Sequence[Token]) -> None:
    """What a forgiving parser would read over: texts side by side, stray plus signs, commas without an item."""
    before: Token = ("", "(")
    for token in found:
        ends_value = before[0] in _VALUES or before[1] in {")", "TRUE", "FALSE", "NOW", *UNITS}
        if ends_value and before[1] != ")" and token[0] in _VALUES:
            raise PredicateError(
                f"{shown(before[1])} and {shown(token[1])} stand side by side", "put an operator between them"
            )
        if before[1] in {",", "("} and token[1] in {",", ")"}:
            raise PredicateError(
                f"nothing stands between {before[1]} and {token[1]}", "list constants: fact IN ('a', 'b')"
            )
        if token == ("sign", "+") and not ends_value:
            raise PredicateError("a + has nothing before it", "numbers are positive without a sign")
        before = token
