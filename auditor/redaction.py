"""What must not be seen: the one type that holds a secret, and the two functions that clean text.

Knows nothing about exchanges or reports. `Secret.reveal` is called by those few who hand a secret on: a test names them.
"""

from __future__ import annotations

import hmac
import json
import re
import unicodedata
import weakref
from collections.abc import Iterable
from typing import ClassVar, NoReturn

_MASK = "•••"
_SHORTEST_SCRUBBED = 6  # shorter values would blank ordinary words
_TEXT_A_SECRET = 40  # characters in which the beginnings of spellings are looked up in the time that one secret takes

_UNQUOTED = re.compile(r"[A-Za-z0-9_.~-]+")  # what neither a URL nor JSON writes otherwise
_WORD = r"""[^\s@<>"'(),;:\[\]{}|\\]"""
_EMAIL = re.compile(rf"{_WORD}{{1,64}}@{_WORD}{{1,253}}")  # any script, any host: `root@localhost` is an address too
_PHONE = re.compile(r"(?<![\w.:+\-])\+\d(?:[ \-()]{0,2}\d){7,14}(?!\w)")


class Secret:
    """A value that cannot be printed, formatted, pickled, copied into JSON or compared by timing."""

    __slots__ = ("__weakref__", "_spelled", "_value")
    _live: ClassVar[weakref.WeakSet[Secret]] = weakref.WeakSet()
    _begins: ClassVar[dict[int, weakref.WeakSet[Secret]]] = {}
    """Hash of how a spelling of it begins -> the live secrets of which one begins so."""

    def __init__(self, value: str) -> None:
        self._value = value
        self._spelled = _spellings(value)
        Secret._live.add(self)
        for spelling in self._spelled:
            begin = hash(spelling[:_SHORTEST_SCRUBBED])
            if begin not in Secret._begins:
                Secret._begins[begin] = weakref.WeakSet()
            Secret._begins[begin].add(self)

    def reveal(self) -> str:
        """The value itself. For the signer and the HMAC only; an architecture test holds that."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(•••)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = object.__hash__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __copy__(self) -> Secret:
        return self


def scrub(text: str, *, of: Iterable[Secret] | None = None) -> str:
    """Text with every live secret (as written, quoted for a URL or escaped for JSON), e-mail address and phone number masked.

    `of` names the secrets to look for, where there are too many to look for all of them in every text.
    """
    for secret in _suspects(text) if of is None else of:
        for spelling in secret._spelled:  # noqa: SLF001  (same module)
            text = text.replace(spelling, _MASK)
    return mask_personal(text)


def _spellings(value: str) -> frozenset[str]:
    """How a secret may stand in a text; none of one that is so short that ordinary words would be masked."""
    if len(value) < _SHORTEST_SCRUBBED:
        return frozenset()
    if _UNQUOTED.fullmatch(value):  # most keys: every spelling is the same
        return frozenset((value,))
    from urllib.parse import quote

    found = {
        value,
        quote(value, safe="", errors="surrogatepass"),
        quote(value, errors="surrogatepass"),
        json.dumps(value)[1:-1],
        *value.splitlines(),
    }
    return frozenset(spelling for spelling in found if len(spelling) >= _SHORTEST_SCRUBBED)


def _suspects(text: str) -> list[Secret]:
    """The live secrets that may stand in a text: all, where they are few, else those of which a spelling begins in it.

    With ten thousand accounts there are thirty thousand, and a text for each account.
    """
    if len(Secret._live) * _TEXT_A_SECRET <= len(text):  # noqa: SLF001  (same module, same class)
        return list(Secret._live)  # noqa: SLF001
    begins = Secret._begins  # noqa: SLF001
    places = range(len(text) - _SHORTEST_SCRUBBED + 1)
    found = {hash(text[at : at + _SHORTEST_SCRUBBED]) for at in places} & begins.keys()
    return [secret for begin in found for secret in list(begins[begin])]


def mask_personal(text: str) -> str:
    """Text with e-mail addresses cut to their first letter and phone numbers to their last two digits."""
    if "@" in text:
        text = _EMAIL.sub(lambda found: f"{found[0][0]}{_MASK}", text)
    return _PHONE.sub(lambda found: f"+{_MASK}{found[0][-2:]}", text) if "+" in text else text


def shortened(text: str, *, limit: int = 400) -> str:
    """Text from outside as a finding or a step repeats it: without personal data, and bounded, for a label of a megabyte
    would be masked for a hundred findings and stand in each.
    """
    masked = mask_personal(text[: 2 * limit])
    return masked if len(text) <= limit else masked[:limit] + "…"


def masked_id(public_id: str) -> str:
    """The last four characters of a public key id, enough for its owner to find it and for nobody to use it."""
    return "…" + public_id[-4:] if len(public_id) >= 12 else "…"  # noqa: PLR2004  (a third at most is shown)


_MARKS = frozenset({"Mn", "Me", "Mc"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MOST_MARKS = 2  # on one letter; more are a flood


def printable(text: str, *, limit: int = 200) -> str:
    r"""Attacker-written text made safe for one line of a terminal: no control, format, blank or bidi characters, bounded.

    Removed characters become visible (`\x1b`, `\u202e`), so that a label that tries something looks like it.
    """
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    shown, marks = [], 0
    for char in text[:limit]:
        marks = marks + 1 if unicodedata.category(char) in _MARKS else 0
        shown.append(_escaped(char) if marks > _MOST_MARKS or not _is_visible(char) else char)
    return "".join(shown) + ("…" if len(text) > limit else "")


def _is_visible(char: str) -> bool:
    selector = "\ufe00" <= char <= "\ufe0e" or "\U000e0100" <= char <= "\U000e01ef"
    hidden = unicodedata.category(char) in {"Cf", "Cs", "Co", "Zs"} or char in _BLANK or selector
    return char == " " or (char.isprintable() and not hidden)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004
