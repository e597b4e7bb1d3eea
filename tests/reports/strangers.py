"""Texts that try to be more than text, and a report that holds one of them wherever a text can stand."""

from dataclasses import fields, is_dataclass, replace
from enum import Enum

from tests.reports.invented import report

TRICKS = {
    "terminal": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onload='x",
    "markdown": "[x](javascript:alert(1)) ![y](https://evil.invalid/p.png) <b>b</b> **s** ~~d~~ | a | `c` \\",
    "fences": "``` `` ` ```` \n```\n# h\n- l",
    "mention": "@octocat please see #1, GH-1, org/repo#2 and www.evil.invalid or https://evil.invalid :+1: $x$",
    "bars": "a\\|@octocat|b\\\\|c",
    "list": "1. evil\n- [ ] task\n> quote\n***\n===",
    "reference": "[x]: https://evil.invalid 'y'",
    "entity": "&lt;script&gt; &#64;octocat &amp;",
    "formula": '=HYPERLINK("https://evil.invalid")',
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": " -2+3",
    "at": "\t@SUM(1)",
    "return": "\r=1+1",
    "quoted": '"=1+1',
    "wide": "\uff1d1+1",
    "semicolon": 'a;=1+1;"@b',
    "csv": 'a"b,c\r\nd\ne,""',
    "sql": "'; DROP TABLE keys; --",
    "jinja": "{{ 7*7 }}{% raw %}{0} %s ${x}",
    "bidi": "\u202egnp.exe\u2066\u2069\u200f",
    "blank": "\u200b\u200c\u200d\ufeff\u3164 ",
    "nul": "a\x00b\x00",
    "controls": "".join(map(chr, [*range(32), *range(127, 160)])),
    "surrogates": "\ud800x\udfff",
    "not xml": "\ufffe\uffff ]]> <![CDATA[ &#0; <!-- --> <?x?>",
    "separators": "a\u2028b\u2029c\x85d",
    "emoji": "\U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea",
    "marks": "e" + "\u0301" * 500,
    "empty": "",
    "spaces": "   \t  ",
    "long": "x" * 1_000_000,
    "long controls": "\x1b\u202e" * 50_000,
    "long words": "@a " * 350_000,
}


def everywhere(text):
    """The invented report with `text` in place of every text there is: names, ids, rules, texts of rules and venues."""
    return _spoilt(report(), text)


def _spoilt(value, text):
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(_spoilt(item, text) for item in value)
    if isinstance(value, dict):
        return {key: _spoilt(item, text) for key, item in value.items()}
    if is_dataclass(value):
        names = {field.name for field in fields(value)} - {"grade"}
        return replace(value, **{name: _spoilt(getattr(value, name), text) for name in names})
    return value
