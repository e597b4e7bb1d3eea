"""What an account holds and what left it, read only where its owner asks: twice, and compared before it is believed.

Knows no exchange: a connector says which calls show it (`funds`). OKX showed balances of nothing and of tens of millions in
March 2024; a balance that cannot be confirmed is unknown, never a number.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any

from auditor.exchanges._base import Door, Endpoint, Seen, Sheet
from auditor.exchanges._shape import Shape
from auditor.model.evidence import Problem, Reason
from auditor.values import frozen

APART = 2.0
"""Seconds between the two readings of the same balance, at least."""
WINDOW = timedelta(days=89)
"""How far back withdrawals are read: just inside the 90 days that exchanges answer for."""
BALANCE, WITHDRAWALS = "account.balance_usd", ("withdrawals", "account.withdrawals_complete")
_TOLERANCE, _SMALL = 0.1, 10.0
"""Readings seconds apart differ by a tenth, or ten US dollars, at most: more than a market moves, less than a glitch."""
_ABSURD = 1e12
_UNREAD = "this is not read at this exchange"


@frozen
class Reading:
    """What one call showed: the worth of everything and of `parts`, in US dollars, and whether anything is held at all."""

    total: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    holds: bool | None = None


@frozen
class Look:
    """One call that shows a balance."""

    endpoint: Endpoint
    read: Callable[[Door], Awaitable[Reading]]


Withdrawals = Callable[[Door, Sheet, datetime], Awaitable[None]]
"""Writes the withdrawals since `now - WINDOW` on a sheet, and that they are all where paging proves it."""


@frozen
class Funds:
    """How an exchange shows what an account holds. The first look gives the total, the others can only contradict it."""

    looks: tuple[Look, ...]
    withdrawals: Withdrawals

    def through(self, enter: Callable[[Door], Door]) -> Funds:
        """The same of a site that answers the same questions elsewhere."""

        def look(one: Look) -> Look:
            return replace(one, read=lambda door: one.read(enter(door)))

        async def withdrawals(door: Door, sheet: Sheet, now: datetime) -> None:
            await self.withdrawals(enter(door), sheet, now)

        return Funds(looks=tuple(map(look, self.looks)), withdrawals=withdrawals)


def shows(asked: frozenset[str]) -> tuple[str, ...]:
    """The fact paths and lists that `asked` stands for."""
    return ((BALANCE,) if "balances" in asked else ()) + (WITHDRAWALS if "withdrawals" in asked else ())


async def read(
    funds: Funds | None, door: Door, sheet: Sheet, asked: frozenset[str], now: datetime, *, apart: float = APART
) -> None:
    """Writes what of `asked` (`balances`, `withdrawals`) the key shows. Whatever it does not show leaves a problem."""
    if funds is None:
        problem = Problem(endpoint="funds", reason=Reason.NOT_EXPOSED, detail=_UNREAD, facts=shows(asked))
        sheet.problems.append(problem)
        return
    total = funds.looks[0]
    first = await _reading(total, door, sheet) if "balances" in asked else None
    if "withdrawals" in asked:
        await funds.withdrawals(door, sheet, now)
    if first is None:
        return
    await asyncio.sleep(apart)
    again = [await _reading(look, door, sheet) for look in (*funds.looks[1:], total)]
    seen = [one for one in again if one is not None]
    if len(seen) == len(again):
        _conclude([first, *seen], sheet, total.endpoint)


async def _reading(look: Look, door: Door, sheet: Sheet) -> Reading | None:
    shown: list[Reading] = []
    with sheet.reading(look.endpoint, BALANCE):
        shown.append(await look.read(door))
    return shown[0] if shown else None


def _conclude(readings: Sequence[Reading], sheet: Sheet, endpoint: Endpoint) -> None:
    """The last total, if no reading contradicts another."""
    doubt = contradiction(readings)
    total = readings[-1].total
    if doubt is not None:
        sheet.problem(endpoint, Reason.IMPLAUSIBLE_RESPONSE, doubt, BALANCE)
    elif total is not None:
        Seen(sheet, endpoint).account(balance_usd=round(total, 2))


def contradiction(readings: Sequence[Reading]) -> str | None:
    """Why these readings of one account are not believed together; None where they agree."""
    totals = [one.total for one in readings if one.total is not None]
    if any(not 0 <= total < _ABSURD for total in totals):
        return "the balance is absurd"
    if any(one.holds for one in readings) and any(total == 0 for total in totals):
        return "the balance is nothing, and yet something is held"
    if _far_apart(totals):
        return "two readings of the same balance differ"
    names = {name for one in readings for name in one.parts}
    parts = [name for name in sorted(names) if _far_apart([one.parts[name] for one in readings if name in one.parts])]
    return f"two calls show different balances of {', '.join(parts)}" if parts else None


def _far_apart(values: Sequence[float]) -> bool:
    return any(
        abs(one - other) > max(_SMALL, _TOLERANCE * max(abs(one), abs(other)))
        for one, other in itertools.combinations(values, 2)
    )


@frozen
class Columns:
    """Where a row of withdrawals says what. The fields of `to` together are where it went; `states` are the venue's words
    (small letters) for those of the catalogue.
    """

    at: str
    when: Callable[[Shape], str]
    asset: str
    amount: str
    to: tuple[str, ...] = ()
    state: str | None = None
    states: Mapping[str, str] = field(default_factory=dict)


def payout(seen: Seen, row: Shape, columns: Columns, *, beside: Shape | None = None) -> dict[str, Any]:
    """Writes one withdrawal. Of where it went only a fingerprint will be kept; a word for its state that is not known makes
    that unknown. `beside` is the row that tells both, where another call does.
    """
    row.keys()  # an item that is no object is no withdrawal
    told = beside or row
    word = (
        seen.field(told, columns.state, _word, "withdrawal.state") if columns.state and told.get(columns.state) else ""
    )
    place = [str(cell.value) for name in columns.to if (cell := told.get(name)) is not None and cell.value != ""]
    written = seen.row(
        "withdrawal",
        at=seen.field(row, columns.at, columns.when, "withdrawal.at"),
        asset=seen.field(row, columns.asset, Shape.text, "withdrawal.asset"),
        amount=seen.field(row, columns.amount, _amount, "withdrawal.amount"),
        state=columns.states.get(word.lower()) if word else None,
    )
    if place:
        written["goes_to"] = "\n".join(place)
    return written


def _word(cell: Shape) -> str:
    return str(cell.integer()) if isinstance(cell.value, int) else cell.text()


def _amount(cell: Shape) -> float:
    """Without its sign: what left is negative in a ledger, and positive in a list of withdrawals."""
    return abs(cell.number())
