"""The one rounding rule. Screens show one decimal, JSON carries four; both start from the same four.

A number on a screen is never rounded up to a whole one: grades and floors lie at whole numbers, and 54.98 is not yet
a C, nor 49.96% a half. Knows no report.
"""

from __future__ import annotations

import math


def exact(value: float | None) -> float | None:
    """`value` as JSON carries it: four decimals."""
    return None if value is None else round(value, 4)


def number(value: float) -> str:
    """`value` as a screen shows it: one decimal, none where it is zero."""
    kept = round(value, 4)
    shown = round(kept, 1)
    if shown > kept and shown == math.trunc(shown):
        shown = math.floor(kept * 10) / 10
    return f"{shown:.1f}".removesuffix(".0")


def percent(share: float) -> str:
    """A share of 0..1 as `58%`."""
    return f"{number(round(share, 4) * 100)}%"


def times(factor: float) -> str:
    """A gain as a factor, such as 2.5 times: two decimals, because resolving one low finding is worth 1.01."""
    return "\u00d7" + f"{factor:.2f}".rstrip("0").rstrip(".")
