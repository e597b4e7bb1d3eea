"""An attack path as inline SVG by a layout of our own: boxes from top to bottom, arrows for what each step needs.

A step's arrow comes from the last step that gives what it needs; one that passes others by runs in a lane of the margin.
Knows the path and nothing else. Texts are made visible, broken into lines and escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape

from auditor.model.report import AttackPath, PathStatus
from auditor.reports import _chains
from auditor.reports._lines import cut, wrap
from auditor.reports._svg import coordinate, element
from auditor.reports._words import capital, count, prose
from auditor.values import frozen

_WIDE, _LINE, _PAD, _GAP, _LANE, _STEM = 340, 17, 9, 30, 11, 24
_CELL = 7.4
"""Units that a letter takes at most, on the average, at the size of the text."""


@frozen
class _Box:
    """A node of an attack path: its lines, and where it stands."""

    kind: str
    lines: tuple[tuple[str, str], ...]  # style, text
    top: float = 0.0

    @property
    def tall(self) -> float:
        return len(self.lines) * _LINE + 2 * _PAD


def path(way: AttackPath) -> str:
    """An attack path: what the attacker begins with, one box a step, an arrow from whatever gives what a step needs."""
    edges = _edges(way)
    lanes = _lanes(edges)
    left = 6 + _LANE * (1 + max(lanes.values(), default=-1))
    boxes = _stacked(_boxes(way, int((_WIDE - left - 2 * _PAD) / _CELL)))
    tall = boxes[-1].top + boxes[-1].tall + 2
    parts = [_drawn(box, left) for box in boxes]
    for start, end in edges:
        lane = lanes.get((start, end))
        parts.append(_straight(boxes[start], boxes[end], left) if lane is None else "")
        parts.append(_bent(boxes[start], boxes[end], left, lane) if lane is not None else "")
    parts += [
        element("text", text, class_="given", x=left + _STEM + 9, y=coordinate(box.top + box.tall + 19))
        for box, text in zip(boxes[1:-2], _givens(way, left), strict=True)
    ]
    said = f"{_chains.title(way)}. {count(len(way.steps), 'step')}; they are listed in words below the picture."
    return element("svg", *parts, class_="path", viewBox=f"0 0 {_WIDE} {coordinate(tall)}", role="img", aria_label=said)


def _edges(way: AttackPath) -> list[tuple[int, int]]:
    """Pairs of boxes: 0 is the beginning, steps count from 1, the goal is last."""
    found: dict[tuple[int, int], None] = {}
    for place, step in enumerate(way.steps, 1):
        for need in step.needs or ("",):
            givers = [before for before, one in enumerate(way.steps[: place - 1], 1) if need in one.gives]
            found[givers[-1] if givers else 0, place] = None
    found[len(way.steps), len(way.steps) + 1] = None
    return list(found)


def _lanes(edges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """A lane in the margin for each edge that passes a box by, so that no two in one lane meet; short ones inside."""
    taken: list[list[tuple[int, int]]] = []
    lanes: dict[tuple[int, int], int] = {}
    for start, end in sorted((edge for edge in edges if edge[1] - edge[0] > 1), key=lambda edge: edge[1] - edge[0]):
        free = (lane for lane, held in enumerate(taken) if all(end <= other[0] or other[1] <= start for other in held))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((start, end))
        lanes[start, end] = lane
    return lanes


def _boxes(way: AttackPath, room: int) -> list[_Box]:
    def lines(text: str, style: str = "", most: int = 5) -> tuple[tuple[str, str], ...]:
        wrapped = wrap(capital(text, 300), room)
        kept = wrapped[:most]
        if len(wrapped) > most:
            kept[-1] = f"{cut(kept[-1], room - 2)} …"
        return tuple((style, line) for line in kept)

    boxes = [_Box(kind="start", lines=lines(way.capability_text))]
    for place, step in enumerate(way.steps, 1):
        doubtful = step.status is PathStatus.POSSIBLE
        said = lines(f"{place}. {capital(step.text, 300)}")
        if step.delay_hours:
            said += lines(f"after {_chains.hours(step.delay_hours)}", "small")
        if step.unknown:
            said += lines(f"? nobody knows {', '.join(step.unknown)}", "small", most=3)
        boxes.append(_Box(kind="step doubtful" if doubtful else "step", lines=said))
    kind = "goal doubtful" if way.status is PathStatus.POSSIBLE else "goal"
    return [*boxes, _Box(kind=kind, lines=lines(way.goal_text))]


def _stacked(boxes: Sequence[_Box]) -> list[_Box]:
    placed: list[_Box] = []
    top = 2.0
    for box in boxes:
        placed.append(replace(box, top=top))
        top += box.tall + _GAP
    return placed


def _givens(way: AttackPath, left: float) -> Iterable[str]:
    """What each step but the last gives, as it stands beside the arrow below it."""
    room = int((_WIDE - left - _STEM - 12) / (_CELL * 0.85))
    for step in way.steps[:-1]:
        said = prose(", ".join(step.gives), 200)
        yield escape(cut(said, room))


def _drawn(box: _Box, left: float) -> str:
    round_ = 4 if box.kind.startswith("step") else 12
    rect = element(
        "rect",
        x=left,
        y=coordinate(box.top),
        width=coordinate(_WIDE - left - 1),
        height=coordinate(box.tall),
        rx=round_,
    )
    texts = (
        element(
            "text",
            escape(text),
            **({"class_": style} if style else {}),
            x=left + _PAD,
            y=coordinate(box.top + _PAD + 13 + _LINE * place),
        )
        for place, (style, text) in enumerate(box.lines)
    )
    return element("g", rect, *texts, class_=box.kind)


def _straight(above: _Box, below: _Box, left: float) -> str:
    stem = left + _STEM
    start, end = above.top + above.tall, below.top
    line = element("path", class_="edge", d=f"M{coordinate(stem)} {coordinate(start)}V{coordinate(end - 6)}")
    return line + _arrow(stem, end, "l-4.5 -8h9z")


def _bent(above: _Box, below: _Box, left: float, lane: int) -> str:
    start, end = above.top + above.tall / 2 + 3, below.top + below.tall / 2 - 3
    x = left - _LANE * (lane + 1) + 2
    line = element("path", class_="edge", d=f"M{left} {coordinate(start)}H{coordinate(x)}V{coordinate(end)}H{left - 6}")
    return line + _arrow(left, end, "l-8 -4.5v9z")


def _arrow(x: float, y: float, shape: str) -> str:
    return element("path", class_="head", d=f"M{coordinate(x)} {coordinate(y)}{shape}")
