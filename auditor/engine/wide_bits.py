"""What rules say of a subject as bits: for each sixty rules a word of those that fail, one of those that are open, and one of
those that are beside it, not being about the subject. What is left passes.

So a million subjects take little room, and the worst that is said of the subjects of an account is an OR over theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from auditor.model.rule import Rule

WORD = 60
"""Rules in one word, a BIGINT."""
_WHEN = {"fail": "r{0}", "open": "r{0} IS NULL", "beside": "w{0}"}
KINDS = ("fail", "open", "pass")
"""What is said of an account, worst first: one of these of each rule that any subject of it has to do with."""


def words(rules: Sequence[Rule]) -> range:
    """The numbers of the words of so many rules."""
    return range(-(-len(rules) // WORD))


def packed(rules: Sequence[Rule]) -> str:
    """The columns of all words of a subject, over the columns `r` and `w` with a number of `evaluate.risk`."""
    return "".join(f", {_word(kind, word, rules)} AS {kind}_{word}" for word in words(rules) for kind in _WHEN)


def _word(kind: str, word: int, rules: Sequence[Rule]) -> str:
    asked = [number for number in _numbers(word, rules) if kind != "beside" or rules[number].when]
    bits = (f"CASE WHEN {_WHEN[kind].format(number)} THEN {_bit(number)} ELSE 0 END" for number in asked)
    return f"({' | '.join(bits) or 0})::BIGINT"


def worst(rules: Sequence[Rule]) -> str:
    """The columns of all words of an account, over those of its subjects."""
    found = []
    for word in words(rules):
        every = sum(1 << number % WORD for number in _numbers(word, rules))
        passes = f"{every}::BIGINT & ~(fail_{word} | open_{word} | beside_{word})"
        said = dict(zip(KINDS, (f"fail_{word}", f"open_{word}", passes), strict=True))
        found += [f"bit_or({sql}) AS {kind}_{word}" for kind, sql in said.items()]
    return ", ".join(found)


def _numbers(word: int, rules: Sequence[Rule]) -> range:
    return range(word * WORD, min((word + 1) * WORD, len(rules)))


def said(kind: str, number: int, prefix: str = "") -> str:
    """Whether that is said by a rule of this number."""
    return f"({prefix}{kind}_{number // WORD} & {_bit(number)} <> 0)"


def count(kind: str, numbers: Collection[int], prefix: str = "") -> str:
    """How many of these rules say that."""
    masks: dict[int, int] = {}
    for number in numbers:
        masks[number // WORD] = masks.get(number // WORD, 0) | 1 << number % WORD
    return " + ".join(f"bit_count({prefix}{kind}_{word} & {mask})::INTEGER" for word, mask in masks.items()) or "0"


def _bit(number: int) -> str:
    return f"{1 << number % WORD}::BIGINT"
