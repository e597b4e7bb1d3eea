"""Lines of a terminal: wrapping by display cells, indents, numbered steps, a plain table; colour as a thin layer on top.

Knows nothing of reports. Expects text that is already printable.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NARROWEST, WIDEST = 40, 100
_STYLES = {
    "heading": "bold",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "info": "blue",
    "unknown": "magenta",
    "pass": "green",
    "quiet": "dim",
}


def cells(text: str) -> int:
    """Columns that `text` takes at most: wide characters count two, as do all that tables of widths disagree about."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" or _disputed(char) else 1 for char in text)


def _disputed(char: str) -> bool:
    """Symbols that Unicode 16 made wide and older tables of widths, Python's own among them, call narrow."""
    return (
        char > "\uffff" or "\u2630" <= char <= "\u2637" or "\u268a" <= char <= "\u268f" or "\u4dc0" <= char <= "\u4dff"
    )


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces, and inside a word only where it is too long itself."""
    lines, used = [""], 0
    for word in text.split(" "):
        for piece in _pieces(word, width):
            wide = cells(piece)
            if lines[-1] and used + 1 + wide <= width:
                lines[-1] += f" {piece}"
                used += 1 + wide
                continue
            if lines[-1]:
                lines.append("")
            lines[-1], used = piece, wide
    return lines


def _pieces(word: str, width: int) -> Iterable[str]:
    if cells(word) <= width:
        yield word
        return
    start, room = 0, width
    for place, char in enumerate(word):
        room -= cells(char)
        if room < 0:
            yield word[start:place]
            start, room = place, width - cells(char)
    yield word[start:]


def cut(text: str, width: int) -> str:
    """`text` in one line of at most `width` cells."""
    if cells(text) <= width:
        return text
    return next(iter(_pieces(text, width - 1))) + "…"


@dataclass(slots=True)
class Page:
    """Lines being written, each with the name of a style."""

    width: int
    lines: list[tuple[str, str]] = field(default_factory=list)

    def say(self, text: str, *, lead: str = "", indent: int = 0, style: str = "") -> None:
        """A paragraph after `lead` (a number, a dash); its further lines stand below its first word."""
        hang = " " * (indent + cells(lead))
        for place, line in enumerate(wrap(text, self.width - len(hang))):
            start = " " * indent + lead if place == 0 else hang
            self.lines.append(((start + line).rstrip(), style))

    def heading(self, text: str) -> None:
        """A blank line, the text, and a rule below it that a reader without colour sees too."""
        self.blank()
        self.say(text, style="heading")
        self.lines.append(("-" * cells(self.lines[-1][0]), "quiet"))

    def blank(self) -> None:
        """One empty line; never two, and none at the top."""
        if self.lines and self.lines[-1][0]:
            self.lines.append(("", ""))

    def numbered(self, texts: Sequence[str], *, indent: int = 0) -> None:
        """`1. ...` to `n. ...`."""
        broad = len(str(len(texts))) + 2
        for place, text in enumerate(texts, 1):
            self.say(text, lead=f"{place}.".ljust(broad), indent=indent)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Columns two spaces apart; False, and nothing written, where they do not fit."""
        table = [header, *rows]
        broad = [max(cells(row[column]) for row in table) for column in range(len(header))]
        if sum(broad) + 2 * (len(broad) - 1) > self.width:
            return False
        for place, row in enumerate(table):
            padded = (cell + " " * (size - cells(cell)) for cell, size in zip(row, broad, strict=True))
            self.lines.append(("  ".join(padded).rstrip(), "" if place else "heading"))
        return True

    def plain(self) -> str:
        """The page without any styling."""
        return "\n".join(line for line, _ in self.lines) + "\n"

    def coloured(self) -> str:
        """The page with terminal colours; without them every word is the same."""
        from rich.color import ColorSystem
        from rich.style import Style

        styles = {name: Style.parse(spelled) for name, spelled in _STYLES.items()}
        return "".join(
            (styles[style].render(line, color_system=ColorSystem.STANDARD) if style and line else line) + "\n"
            for line, style in self.lines
        )
