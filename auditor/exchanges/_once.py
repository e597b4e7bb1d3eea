"""What is the same for everybody is asked once: by the first who wants it, while the others wait for the answer.

Knows no question and no exchange. A refusal is an answer too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from auditor.exchanges._base import Unavailable


@dataclass(slots=True)
class Once:
    """One answer for many who ask, a refusal included. Whoever is cancelled leaves the asking to the next."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    answer: tuple[Any, Unavailable | None] | None = None

    async def get(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        body, refused = self.answer or await self._asked(ask)
        if refused is not None:
            raise refused.again()
        return body

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> tuple[Any, Unavailable | None]:
        async with self.lock:
            if self.answer is None:
                try:
                    self.answer = (await ask(), None)
                except Unavailable as refusal:
                    self.answer = (None, refusal)
        return self.answer
