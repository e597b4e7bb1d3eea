"""What rules say of a subject as bits: for each sixty rules a word of those that fail, one of those that are open, and one of
those that are beside it, not being about the subject. What is left passes.

So a million subjects take little room, and the worst that is said of the subjects of an account is an OR over theirs. A rule
has one number, whatever it is about, and so the same bit in every table that has its word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count as counting

from auditor.model.facts import LISTS, SCOPES
from auditor.model.rule import Rule

Numbered = Mapping[int, Rule]
WORD = 60
"""Rules in one word, a BIGINT."""
_WHEN = {"fail": "r{0}", "open": "r{0} IS NULL", "beside": "w{0}"}
KINDS = ("fail", "open", "pass")
"""What is said of an account, worst first: one of these of each rule that any subject of it has to do with."""


def numbered(by_scope: Mapping[str, Sequence[Rule]]) -> dict[str, Numbered]:
    """Each rule with its number, by scope: those of lists first, whose many rows then have few words."""
    numbers = counting()
    order = sorted(SCOPES, key=lambda scope: scope not in LISTS)
    return {scope: {next(numbers): rule for rule in by_scope[scope]} for scope in order}


def words(numbers: Iterable[int]) -> list[int]:
    """The numbers of the words in which these rules have a bit."""
    return sorted({number // WORD for number in numbers})


def packed(rules: Numbered) -> str:
    """The columns of all words of a subject, over the columns `r` and `w` with a number of `evaluate.risk`."""
    return "".join(f", {_word(kind, word, rules)} AS {kind}_{word}" for word in words(rules) for kind in _WHEN)


def _word(kind: str, word: int, rules: Numbered) -> str:
    asked = [number for number in _within(word, rules) if kind != "beside" or rules[number].when]
    bits = (f"CASE WHEN {_WHEN[kind].format(number)} THEN {_bit(number)} ELSE 0 END" for number in asked)
    return f"({' | '.join(bits) or 0})::BIGINT"


def said_of(rules: Numbered) -> dict[str, str]:
    """The words of `KINDS` of a subject, over those of `packed`: what a column is called, and what it is."""
    found: dict[str, str] = {}
    for word in words(rules):
        every = sum(1 << number % WORD for number in _within(word, rules))
        passes = f"{every}::BIGINT & ~(fail_{word} | open_{word} | beside_{word})"
        found |= dict(zip((f"{kind}_{word}" for kind in KINDS), (f"fail_{word}", f"open_{word}", passes), strict=True))
    return found


def _within(word: int, numbers: Iterable[int]) -> list[int]:
    return [number for number in numbers if number // WORD == word]


def said(kind: str, number: int, prefix: str = "") -> str:
    """Whether that is said by a rule of this number."""
    return f"({prefix}{kind}_{number // WORD} & {_bit(number)} <> 0)"


def count(kind: str, numbers: Collection[int]) -> str:
    """How many of these rules say that."""
    masks: dict[int, int] = {}
    for number in numbers:
        masks[number // WORD] = masks.get(number // WORD, 0) | 1 << number % WORD
    return " + ".join(f"bit_count({kind}_{word} & {mask})::INTEGER" for word, mask in masks.items()) or "0"


def _bit(number: int) -> str:
    return f"{1 << number % WORD}::BIGINT"
