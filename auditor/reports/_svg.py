"""Pictures as inline SVG: the score's interval, its coverage, its course. Attack paths are drawn by `_graph`.

Draws what the Report says and computes no score. No style, script, address or id is written, so that a picture can
stand anywhere in a page of a strict policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from auditor.model.report import Score, TrendPoint
from auditor.reports import _wording
from auditor.reports._numbers import exact, number, percent
from auditor.reports._words import count

_GRADES = (("F", 0, 35), ("D", 35, 55), ("C", 55, 75), ("B", 75, 90), ("A", 90, 100))
_CLOSE = 14.0
"""Ends of an interval nearer than this share one label."""


def element(name: str, *inside: str, **attributes: object) -> str:
    """An SVG element; `_` in a name stands for `-`, and `class_` for class."""
    named = (
        (key.rstrip("_").replace("_", "-") if key != "viewBox" else key, value) for key, value in attributes.items()
    )
    written = "".join(f' {key}="{escape(str(value))}"' for key, value in named)
    return f"<{name}{written}>{''.join(inside)}</{name}>"


def coordinate(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _share(value: float) -> str:
    return f"{coordinate(value)}%"


def _kept(value: float | None) -> float:
    """A number as every format carries it, so that a report read back is drawn alike."""
    return exact(value) or 0.0


def _rem(units: float) -> str:
    """A height that grows with the letters of the page, given for letters of 16."""
    return f"{coordinate(units / 16)}rem"


def interval(score: Score, *, small: bool = False) -> str:
    """The interval on a scale of 100: what is certain solid, what hangs on unknowns lighter. Empty without a score.

    Lengths are shares of the picture's own breadth, so that letters keep their size on every screen.
    """
    if score.low is None or score.high is None:
        return ""
    low, high = _kept(score.low), _kept(score.high)
    top, tall = (1, 8) if small else (26, 16)
    place = {"y": _rem(top), "height": _rem(tall)}
    bars = [
        element("rect", class_="track", x=0, width="100%", rx=_rem(tall / 2), **place),
        element("rect", class_="maybe", x=_share(min(low, 99)), width=_share(max(high - low, 1)), **place),
        element("rect", class_="sure", x=0, width=_share(low), **place),
    ]
    said = f"Score {_wording.interval(score)} of 100, on a scale from 0 to 100"
    if small:
        return element("svg", *bars, class_="bar", width="100%", height=_rem(10), role="img", aria_label=said)
    return element(
        "svg",
        *bars,
        *_scale(),
        *_ends(low, high),
        class_="gauge",
        width="100%",
        height=_rem(64),
        role="img",
        aria_label=said,
    )


def _scale() -> Iterable[str]:
    for letter, start, end in _GRADES:
        if start:
            yield element("line", class_="tick", x1=f"{start}%", x2=f"{start}%", y1=_rem(23), y2=_rem(47))
        yield element("text", letter, class_="letter", x=_share((start + end) / 2), y=_rem(59), text_anchor="middle")


def _ends(low: float, high: float) -> Iterable[str]:
    said = [(low, number(low)), (high, number(high))]
    if high - low < _CLOSE:
        one = number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"
        said = [((low + high) / 2, one)]
    for place, text in said:
        anchor = "start" if place < _CLOSE / 2 else "end" if place > 100 - _CLOSE / 2 else "middle"
        x = 0.0 if anchor == "start" else 100.0 if anchor == "end" else place
        yield element("text", text, class_="end", x=_share(x), y=_rem(17), text_anchor=anchor)


def coverage(score: Score) -> str:
    """How much of what matters was seen: observed, stated by the owner, and neither. Empty where nothing is weighed."""
    if score.coverage is None or score.observed is None or score.attested is None:
        return ""
    observed, stated = (100 * _kept(score.coverage) * _kept(share) for share in (score.observed, score.attested))
    place = {"y": _rem(1), "height": _rem(8)}
    return element(
        "svg",
        element("rect", class_="track", x=0, width="100%", **place),
        element("rect", class_="observed", x=0, width=_share(observed), **place),
        element("rect", class_="stated", x=_share(observed), width=_share(stated), **place),
        class_="bar",
        width="100%",
        height=_rem(10),
        role="img",
        aria_label=f"{percent(score.coverage)} of what matters could be seen",
    )


def trend(points: Sequence[TrendPoint]) -> str:
    """The interval over the stored runs, oldest left; a dashed line where the rules changed. Empty under two scored runs."""
    known = [point for point in points if point.low is not None and point.high is not None]
    if len(known) < 2:  # noqa: PLR2004  (one point is no course)
        return ""
    first, span = known[0].at, (known[-1].at - known[0].at).total_seconds() or 1.0
    across = [100 * (point.at - first).total_seconds() / span for point in known]
    lows = [(place, 100 - _kept(point.low)) for place, point in zip(across, known, strict=True)]
    highs = [(place, 100 - _kept(point.high)) for place, point in zip(across, known, strict=True)]
    band = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in [*highs, *reversed(lows)])
    inner = [
        *(element("line", class_="grid", x1=0, x2=100, y1=level, y2=level) for level in (0, 25, 50, 75, 100)),
        element("polygon", class_="maybe", points=band),
        element("polyline", class_="low", points=" ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in lows)),
        element("polyline", class_="high", points=" ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in highs)),
        *(
            element("line", class_="rules", x1=coordinate(place), x2=coordinate(place), y1=0, y2=100)
            for place, point in zip(across, known, strict=True)
            if point.rules_changed
        ),
    ]
    said = f"Course of the score over {count(len(known), 'run')}: first {_wording.interval(known[0])}, last {_wording.interval(known[-1])}."
    plot = element(
        "svg", *inner, x=34, y=10, width="86%", height=120, viewBox="0 0 100 100", preserveAspectRatio="none"
    )
    marks = [
        element("text", str(level), class_="letter", x=28, y=coordinate(14 + 1.2 * (100 - level)), text_anchor="end")
        for level in (0, 50, 100)
    ]
    return element("svg", plot, *marks, class_="trend", width="100%", height=140, role="img", aria_label=said)
