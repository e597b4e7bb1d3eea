"""Text made safe inside Markdown as GitHub renders it: no HTML, link, image, mention, reference or formula comes of it.

A word that could mean anything to a renderer becomes a code span: there nothing is expanded, and the reader sees it as
it was written. Escaping with a backslash would not do, because mentions and references are found after rendering.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from auditor.reports._words import label, prose

_LETTER = "A-Za-z0-9\u00a1-\U0010ffff"
_PLAIN = re.compile(rf"[{_LETTER}](?:[{_LETTER}.,;'/%-]*[{_LETTER}%])?|\d{{1,2}}:\d\d|")
_ALONE = frozenset("=>-&")
"""Signs that mean something at the start of a line, or with what follows, and nothing between two spaces."""
_APART = frozenset({",", ";", ":", "."})
_MEANT = re.compile(r"(?i)www\..*|gh-\d+.*|(?=[a-z]*\d)[0-9a-f]{7,64}|[a-z]+-\d+")
"""Words without a special sign that still mean something: a host, a reference, a commit, a ticket."""
_LIST = re.compile(r"\d{1,9}[.)].*")
_BEFORE, _AFTER = "(\"'", ".,;:!?)\"'"
_RUN = re.compile("`+")
_QUOTED = re.compile("`[^` ]([^`]*[^` ])?`")


def plain(text: str, limit: int = 600) -> str:
    """One line of inline Markdown that shows `text` and nothing else. What stands between two backticks loses them."""
    words: list[tuple[str, bool, str, str]] = []
    for place, word in enumerate(prose(text, limit).split(" ")):
        before, core, after = _parts(word)
        code = not _PLAIN.fullmatch(core) or bool(_MEANT.fullmatch(core))
        if place == 0:
            if _LIST.fullmatch(word) or word in _ALONE:
                before, core, after, code = "", word, "", True
        elif word in _ALONE:
            code = False
        elif code and words[-1][1] and words[-1][3] not in _APART:
            start, _, earlier, between = words.pop()
            before, core = start, f"{earlier}{between} {before}{core}"
        words.append((before, code, core, after))
    return " ".join(before + (_code(core) if code else core) + after for before, code, core, after in words)


def _parts(word: str) -> tuple[str, str, str]:
    """The punctuation before a word, the word, and the punctuation after it."""
    rest = word.lstrip(_BEFORE)
    core = rest.rstrip(_AFTER)
    return word[: len(word) - len(rest)], core, rest[len(core) :]


def name(text: str) -> str:
    """A label, an id or a fact as one code span; nothing where it is blank."""
    shown = label(text).strip(" ")
    return _code(shown) if shown else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; its cells are inline Markdown already. A bar would end a cell, in code spans too."""
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(cell.replace("|", "¦") or " " for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]


def document(lines: Sequence[str]) -> bytes:
    """The lines as UTF-8, never two empty ones together."""
    kept = [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]
    return ("\n".join(kept) + "\n").encode()


def _code(text: str) -> str:
    if _QUOTED.fullmatch(text):
        return text
    fence = "`" * (1 + max((len(run) for run in _RUN.findall(text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}"
